//! Single sign-on with a real provider: who can log in, with which name and role, and who is refused.

use std::process::Stdio;

use base64::Engine as _;
use printyard::config::Given;
use reqwest::{Method, Response, StatusCode, header};
use serde_json::{Value, json};
use url::Url;

use crate::support::{
    canaille::{CLIENT, Canaille, Person},
    needs,
    process::ServerProcess,
    server::{Options, TestServer},
};

/// The server's address as the provider knows it. The tests' browser uses the real address.
const PUBLIC: &str = "http://farm.example";

/// A browser with its cookies of this server.
struct Browser<'a> {
    server: &'a TestServer,
    journey: String,
    session: String,
}

impl<'a> Browser<'a> {
    fn new(server: &'a TestServer) -> Self {
        Self { server, journey: String::new(), session: String::new() }
    }

    /// Loads a page and stores its cookies.
    async fn get(&mut self, path: &str) -> Response {
        let cookies = format!("printyard_journey={}; printyard_session={}", self.journey, self.session);
        let request = self.server.bare(Method::GET, path).header(header::COOKIE, cookies);
        let response = request.send().await.expect("an answer");
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let text = cookie.to_str().expect("text");
            assert!(text.contains("HttpOnly") && text.contains("SameSite=Lax"), "{text}");
            let (name, value) = text.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
            match name {
                "printyard_journey" => value.clone_into(&mut self.journey),
                "printyard_session" => {
                    assert!(text.contains("Max-Age=43200"), "the session lasts 12 h: {text}");
                    value.clone_into(&mut self.session);
                }
                other => panic!("a cookie {other}"),
            }
        }
        response
    }

    /// Starts a sign-on. Returns the provider's authorization URL.
    async fn depart(&mut self, next: &str) -> String {
        let response = self.get(&format!("/login/oidc?next={next}")).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        location(&response)
    }

    /// Opens the callback URL to which the provider has redirected.
    async fn arrive(&mut self, back: &Url) -> Response {
        assert_eq!(back.origin().ascii_serialization(), PUBLIC, "{back}");
        self.get(&format!("{}?{}", back.path(), back.query().unwrap_or_default())).await
    }

    /// Runs a complete sign-on.
    async fn sign_on(&mut self, person: &mut Person, next: &str) -> Response {
        let there = self.depart(next).await;
        let back = person.go(&there).await;
        self.arrive(&back).await
    }

    async fn page(&mut self, path: &str) -> StatusCode {
        self.get(path).await.status()
    }
}

fn location(response: &Response) -> String {
    response.headers()[header::LOCATION].to_str().expect("text").to_owned()
}

async fn refused(response: Response, status: StatusCode, words: &str) {
    let (got, page) = (response.status(), response.text().await.expect("a page"));
    assert!(got == status && page.contains(words), "{got}, expected {status} and {words:?}:\n{page}");
}

async fn users(server: &TestServer) -> Vec<(String, String)> {
    let (_, body, _) = server.get("/api/v1/users").await;
    let word = |user: &Value, field: &str| user[field].as_str().expect("a word").to_owned();
    let mut users: Vec<_> =
        body["items"].as_array().expect("users").iter().map(|user| (word(user, "name"), word(user, "role"))).collect();
    users.sort();
    users
}

fn pairs(users: &[(&str, &str)]) -> Vec<(String, String)> {
    users.iter().map(|(name, role)| ((*name).to_owned(), (*role).to_owned())).collect()
}

async fn audited(server: &TestServer, action: &str) -> Vec<Value> {
    let (_, body, _) = server.get(&format!("/api/v1/audit?action={action}")).await;
    body["items"].as_array().expect("records").clone()
}

/// Starts a server with this issuer as its provider.
async fn yard(issuer: &str) -> TestServer {
    let text = |text: &str| Some(text.to_owned());
    let given = Given {
        public_url: text(PUBLIC),
        oidc_issuer: text(issuer),
        oidc_client_id: text(CLIENT.0),
        oidc_client_secret: text(CLIENT.1),
        oidc_label: text("Farm ID"),
        oidc_scopes: text("openid profile email groups"),
        oidc_roles: text("staff=operator,leads=admin"),
        ..Given::default()
    };
    TestServer::with(Options { given, ..Options::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_vouches_for_who_comes_in_and_with_which_role() {
    let mut provider = needs!(Canaille::start(&format!("{PUBLIC}/login/oidc/callback")).await);
    for name in ["ann", "bob", "cid", "dan"] {
        provider.person(name);
    }
    provider.group("staff", &["ann", "cid", "dan"]);
    let server = yard(&provider.url).await;
    // A local user with the same name exists already. A sign-on must not take over that user by its name.
    let local = json!({"name": "Ann@farm.example", "role": "viewer", "password": "correct horse battery"});
    assert_eq!(server.post("/api/v1/users", local).await.0, StatusCode::CREATED);

    let (mut ann, mut at_home) = (Person::named("ann"), Browser::new(&server));
    let for_nobody = at_home.sign_on(&mut ann, "/").await;
    refused(for_nobody, StatusCode::BAD_GATEWAY, "did not sign you on").await;
    provider.be_meant();
    newcomers_get_the_role_of_their_claim(&server, &mut ann, &mut at_home).await;
    // Canaille creates the same access token for two logins of a person within one second, and then fails. So this test
    // uses another person.
    let mut cid = Person::named("cid");
    an_answer_counts_once_and_only_where_its_journey_began(&server, &mut cid).await;
    the_role_is_that_of_the_last_sign_on(&provider, &server, &mut ann, &mut at_home).await;
    who_has_no_role_or_does_not_consent_stays_outside(&server).await;
    who_is_disabled_stays_outside(&server, &mut cid).await;
    an_issuer_that_says_nothing_of_itself_is_told(&provider).await;

    no_secret_of_a_sign_on_is_logged(&provider).await;

    provider.kill();
    let down = yard(&provider.url).await;
    let response = Browser::new(&down).get("/login/oidc").await;
    refused(response, StatusCode::BAD_GATEWAY, "Farm ID did not sign you on").await;
    let page = Browser::new(&down).get("/login").await.text().await.expect("a page");
    assert!(page.contains("Sign in with Farm ID"), "{page}");
}

async fn newcomers_get_the_role_of_their_claim(server: &TestServer, ann: &mut Person, browser: &mut Browser<'_>) {
    let there = browser.depart("/batches").await;
    let query: Vec<(String, String)> = there.parse::<Url>().expect("a url").query_pairs().into_owned().collect();
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!((value("response_type"), value("code_challenge_method")), (Some("code"), Some("S256")));
    assert!(
        ["state", "nonce", "code_challenge"].iter().all(|name| value(name).is_some_and(|v| v.len() > 20)),
        "{there}"
    );
    let back = ann.go(&there).await;
    let response = browser.arrive(&back).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(location(&response), "/batches");
    assert_eq!(browser.journey, "", "used up");
    assert_eq!(browser.page("/batches").await, StatusCode::OK);
    assert_eq!(browser.page("/users").await, StatusCode::FORBIDDEN, "an operator");
    assert_eq!(users(server).await, pairs(&[("Ann@farm.example", "viewer"), ("ann@farm.example (2)", "operator")]));
    let created = audited(server, "user.created").await;
    assert_eq!(
        (&created[0]["actor"]["kind"], &created[0]["actor"]["name"]),
        (&json!("user"), &json!("ann@farm.example (2)"))
    );
    assert!(created[0]["changes"]["issuer"].is_string() && created[0]["address"].is_string(), "{}", created[0]);
}

async fn an_answer_counts_once_and_only_where_its_journey_began(server: &TestServer, cid: &mut Person) {
    let mut browser = Browser::new(server);
    let there = browser.depart("/").await;
    let journey = browser.journey.clone();
    let back = cid.go(&there).await;
    // A browser without a login state: an attacker's link that would log the user in as another user.
    refused(Browser::new(server).arrive(&back).await, StatusCode::BAD_REQUEST, "That sign-on is over").await;
    // A browser with a login state of its own.
    let mut other = Browser::new(server);
    let elsewhere = other.depart("/").await;
    let kept = other.journey.clone();
    refused(other.arrive(&back).await, StatusCode::BAD_REQUEST, "not yours").await;
    // The same browser, with the code of another login in its own response. PKCE and the nonce must reject it.
    other.journey = kept;
    let own_state = elsewhere.parse::<Url>().expect("a url");
    let own_state = own_state.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
    let injected: Vec<(String, String)> = back
        .query_pairs()
        .into_owned()
        .map(|(name, value)| if name == "state" { (name, own_state.clone()) } else { (name, value) })
        .collect();
    let mut forged = back.clone();
    forged.query_pairs_mut().clear().extend_pairs(injected);
    refused(other.arrive(&forged).await, StatusCode::BAD_GATEWAY, "did not sign you on").await;
    assert_eq!(other.session, "");
    // A manipulated login state.
    let mut tampered = Browser::new(server);
    // The change is in the middle, because some bits of the last letter do not count.
    let (before, after) = journey.split_at(journey.len() / 2);
    let other_letter = if after.starts_with('A') { "B" } else { "A" };
    tampered.journey = format!("{before}{other_letter}{}", &after[1..]);
    refused(tampered.arrive(&back).await, StatusCode::BAD_REQUEST, "That sign-on is over").await;
    // A response with the issuer of another provider (RFC 9207).
    let there = browser.depart("/").await;
    let journey = browser.journey.clone();
    let back = cid.go(&there).await;
    let elsewhere = back.as_str().replace("iss=http", "iss=https");
    assert_ne!(elsewhere, back.as_str(), "the response names its issuer");
    refused(browser.arrive(&elsewhere.parse().expect("a url")).await, StatusCode::BAD_REQUEST, "not yours").await;
    // The correct response, and the same response again.
    browser.journey.clone_from(&journey);
    assert_eq!(browser.arrive(&back).await.status(), StatusCode::SEE_OTHER);
    let mut replayed = Browser::new(server);
    replayed.journey = journey;
    refused(replayed.arrive(&back).await, StatusCode::BAD_GATEWAY, "did not sign you on").await;
    assert_eq!(replayed.session, "");
}

async fn the_role_is_that_of_the_last_sign_on(
    provider: &Canaille,
    server: &TestServer,
    ann: &mut Person,
    at_home: &mut Browser<'_>,
) {
    provider.group("leads", &["ann"]);
    assert_eq!(at_home.page("/users").await, StatusCode::FORBIDDEN, "the role changes only at the next sign-on");
    let mut browser = Browser::new(server);
    assert_eq!(browser.sign_on(ann, "/users").await.status(), StatusCode::SEE_OTHER);
    assert_eq!(browser.page("/users").await, StatusCode::OK);
    assert_eq!(
        users(server).await,
        pairs(&[("Ann@farm.example", "viewer"), ("ann@farm.example (2)", "admin"), ("cid@farm.example", "operator")])
    );
    let changed = audited(server, "user.changed").await;
    assert_eq!(changed[0]["changes"]["role"], json!(["operator", "admin"]));
}

async fn who_has_no_role_or_does_not_consent_stays_outside(server: &TestServer) {
    let (mut bob, mut browser) = (Person::named("bob"), Browser::new(server));
    bob.consents = false;
    let denied = browser.sign_on(&mut bob, "/").await;
    refused(denied, StatusCode::FORBIDDEN, "You were not signed on").await;
    bob.consents = true;
    let nobody = browser.sign_on(&mut bob, "/").await;
    refused(nobody, StatusCode::FORBIDDEN, "You have no role here").await;
    assert_eq!((browser.session.as_str(), users(server).await.len()), ("", 3));
}

async fn who_is_disabled_stays_outside(server: &TestServer, cid: &mut Person) {
    let (_, body, _) = server.get("/api/v1/users").await;
    let user =
        body["items"].as_array().expect("users").iter().find(|user| user["name"] == "cid@farm.example").expect("cid");
    let path = format!("/api/v1/users/{}", user["id"].as_str().expect("an id"));
    // Another admin with a password must exist before this user can be disabled.
    let chief = json!({"name": "chief", "role": "admin", "password": "correct horse battery"});
    assert_eq!(server.post("/api/v1/users", chief).await.0, StatusCode::CREATED);
    assert_eq!(server.patch(&path, json!({"enabled": false})).await.0, StatusCode::OK);
    let mut browser = Browser::new(server);
    let response = browser.sign_on(cid, "/").await;
    refused(response, StatusCode::FORBIDDEN, "Your account is disabled").await;
    assert_eq!(browser.session, "");
}

async fn an_issuer_that_says_nothing_of_itself_is_told(provider: &Canaille) {
    let server = yard(&format!("{}/elsewhere", provider.url)).await;
    let response = Browser::new(&server).get("/login/oidc").await;
    refused(response, StatusCode::BAD_GATEWAY, "did not sign you on").await;
}

/// Checks a log at the finest level, including the logs of libraries.
async fn no_secret_of_a_sign_on_is_logged(provider: &Canaille) {
    let dir = tempfile::tempdir().expect("a folder");
    let log = dir.path().join("log");
    let variables = [
        ("RUST_LOG", "trace"),
        ("PRINTYARD_PUBLIC_URL", PUBLIC),
        ("PRINTYARD_OIDC_ISSUER", &provider.url),
        ("PRINTYARD_OIDC_CLIENT_ID", CLIENT.0),
        ("PRINTYARD_OIDC_CLIENT_SECRET", CLIENT.1),
        ("PRINTYARD_OIDC_SCOPES", "openid profile email groups"),
        ("PRINTYARD_OIDC_ROLES", "staff=operator,leads=admin"),
    ];
    let file = std::fs::File::create(&log).expect("a log");
    let mut server = ServerProcess::with(dir.path(), &variables, Stdio::from(file)).await;
    let cookie = |response: &Response, name: &str| {
        let all = response.headers().get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        let found = all.filter_map(|cookie| cookie.split(';').next()?.split_once('=')).find(|(key, _)| *key == name);
        found.unwrap_or_else(|| panic!("no {name}")).1.to_owned()
    };
    let there = server.request(Method::GET, "/login/oidc").send().await.expect("an answer");
    let journey = cookie(&there, "printyard_journey");
    let back = Person::named("dan").go(&location(&there)).await;
    let path = format!("{}?{}", back.path(), back.query().unwrap_or_default());
    let request = server.request(Method::GET, &path).header(header::COOKIE, format!("printyard_journey={journey}"));
    let inside = request.send().await.expect("an answer");
    assert_eq!(inside.status(), StatusCode::SEE_OTHER);
    let session = cookie(&inside, "printyard_session");
    server.kill();
    let code = back.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", CLIENT.0, CLIENT.1));
    let log = std::fs::read_to_string(&log).expect("a log");
    assert!(log.contains("user created at their first sign-on"), "the log covers the sign-on");
    for (what, secret) in [
        ("the client's secret", CLIENT.1),
        ("the client's secret as it is sent", &basic),
        ("the code", &code),
        ("the journey", &journey),
        ("the session", &session),
    ] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{what}");
    }
}

#[tokio::test]
async fn without_a_provider_there_is_no_sign_on() {
    let server = TestServer::start().await;
    for path in ["/login/oidc", "/login/oidc/callback?code=a&state=b"] {
        assert_eq!(Browser::new(&server).page(path).await, StatusCode::NOT_FOUND);
    }
    assert!(!Browser::new(&server).get("/login").await.text().await.expect("a page").contains("Sign in with"));
}
