//! Single sign-on with a real provider: who can log in, with which name and role, and who is refused.

use std::process::Stdio;

use base64::Engine as _;
use printyard::config::RawConfig;
use reqwest::{Method, Response, StatusCode, header};
use serde_json::{Value, json};
use url::Url;

use crate::support::{
    canaille::{CLIENT_CREDENTIALS, Canaille, ProviderUser},
    needs,
    process::ServerProcess,
    server::{ServerOptions, TestServer},
};

/// The server's address as the provider knows it. The tests' browser uses the real address.
const PUBLIC: &str = "http://farm.example";

/// A browser with its cookies of this server.
struct SignOnBrowser<'a> {
    server: &'a TestServer,
    login_state: String,
    session: String,
}

impl<'a> SignOnBrowser<'a> {
    fn new(server: &'a TestServer) -> Self {
        Self { server, login_state: String::new(), session: String::new() }
    }

    /// Loads a page and stores its cookies.
    async fn get(&mut self, path: &str) -> Response {
        let cookies = format!("printyard_login_state={}; printyard_session={}", self.login_state, self.session);
        let request = self.server.request_without_auth(Method::GET, path).header(header::COOKIE, cookies);
        let response = request.send().await.expect("an answer");
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let text = cookie.to_str().expect("text");
            assert!(text.contains("HttpOnly") && text.contains("SameSite=Lax"), "{text}");
            let (name, value) = text.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
            match name {
                "printyard_login_state" => value.clone_into(&mut self.login_state),
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
    async fn start_sign_on(&mut self, next: &str) -> String {
        let response = self.get(&format!("/login/oidc?next={next}")).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        redirect_target(&response)
    }

    /// Opens the callback URL to which the provider has redirected.
    async fn open_callback(&mut self, callback_url: &Url) -> Response {
        assert_eq!(callback_url.origin().ascii_serialization(), PUBLIC, "{callback_url}");
        self.get(&format!("{}?{}", callback_url.path(), callback_url.query().unwrap_or_default())).await
    }

    /// Runs a complete sign-on.
    async fn sign_on(&mut self, person: &mut ProviderUser, next: &str) -> Response {
        let authorize_url = self.start_sign_on(next).await;
        let callback_url = person.complete_login(&authorize_url).await;
        self.open_callback(&callback_url).await
    }

    async fn page_status(&mut self, path: &str) -> StatusCode {
        self.get(path).await.status()
    }
}

fn redirect_target(response: &Response) -> String {
    response.headers()[header::LOCATION].to_str().expect("text").to_owned()
}

async fn assert_refused(response: Response, status: StatusCode, words: &str) {
    let (got, page) = (response.status(), response.text().await.expect("a page"));
    assert!(got == status && page.contains(words), "{got}, expected {status} and {words:?}:\n{page}");
}

async fn list_users(server: &TestServer) -> Vec<(String, String)> {
    let (_, body, _) = server.get("/api/v1/users").await;
    let word = |user: &Value, field: &str| user[field].as_str().expect("a word").to_owned();
    let mut users: Vec<_> =
        body["items"].as_array().expect("users").iter().map(|user| (word(user, "name"), word(user, "role"))).collect();
    users.sort();
    users
}

fn owned_pairs(users: &[(&str, &str)]) -> Vec<(String, String)> {
    users.iter().map(|(name, role)| ((*name).to_owned(), (*role).to_owned())).collect()
}

async fn list_audit_records(server: &TestServer, action: &str) -> Vec<Value> {
    let (_, body, _) = server.get(&format!("/api/v1/audit?action={action}")).await;
    body["items"].as_array().expect("records").clone()
}

/// Starts a server with this issuer as its provider.
async fn start_server(issuer: &str) -> TestServer {
    let text = |text: &str| Some(text.to_owned());
    let raw_config = RawConfig {
        public_url: text(PUBLIC),
        oidc_issuer: text(issuer),
        oidc_client_id: text(CLIENT_CREDENTIALS.0),
        oidc_client_secret: text(CLIENT_CREDENTIALS.1),
        oidc_label: text("Farm ID"),
        oidc_scopes: text("openid profile email groups"),
        oidc_roles: text("staff=operator,leads=admin"),
        ..RawConfig::default()
    };
    TestServer::start_with(ServerOptions { raw_config, ..ServerOptions::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Canaille, which tests/run provides"]
async fn a_provider_signs_users_on_with_the_role_of_their_claim() {
    let mut provider = needs!(Canaille::start(&format!("{PUBLIC}/login/oidc/callback")).await);
    for name in ["ann", "bob", "cid", "dan"] {
        provider.create_user(name);
    }
    provider.create_group("staff", &["ann", "cid", "dan"]);
    let server = start_server(&provider.url).await;
    // A local user with the same name exists already. A sign-on must not take over that user by its name.
    let local = json!({"name": "Ann@farm.example", "role": "viewer", "password": "correct horse battery"});
    assert_eq!(server.post("/api/v1/users", local).await.0, StatusCode::CREATED);

    let (mut ann, mut ann_browser) = (ProviderUser::named("ann"), SignOnBrowser::new(&server));
    let other_audience = ann_browser.sign_on(&mut ann, "/").await;
    assert_refused(other_audience, StatusCode::BAD_GATEWAY, "Login at Farm ID failed").await;
    provider.set_audience();
    new_users_get_the_role_of_their_claim(&server, &mut ann, &mut ann_browser).await;
    // Canaille creates the same access token for two logins of a person within one second, and then fails. So this test
    // uses another person.
    let mut cid = ProviderUser::named("cid");
    a_callback_works_once_and_only_with_its_login_state(&server, &mut cid).await;
    the_role_is_that_of_the_last_sign_on(&provider, &server, &mut ann, &mut ann_browser).await;
    users_without_role_or_consent_cannot_sign_on(&server).await;
    a_disabled_user_cannot_sign_on(&server, &mut cid).await;
    an_issuer_without_discovery_document_is_an_error(&provider).await;

    no_secret_of_a_sign_on_is_logged(&provider).await;

    provider.kill();
    let down = start_server(&provider.url).await;
    let response = SignOnBrowser::new(&down).get("/login/oidc").await;
    assert_refused(response, StatusCode::BAD_GATEWAY, "Login at Farm ID failed").await;
    let page = SignOnBrowser::new(&down).get("/login").await.text().await.expect("a page");
    assert!(page.contains("Log in with Farm ID"), "{page}");
}

async fn new_users_get_the_role_of_their_claim(
    server: &TestServer,
    ann: &mut ProviderUser,
    browser: &mut SignOnBrowser<'_>,
) {
    let authorize_url = browser.start_sign_on("/batches").await;
    let query: Vec<(String, String)> =
        authorize_url.parse::<Url>().expect("a url").query_pairs().into_owned().collect();
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!((value("response_type"), value("code_challenge_method")), (Some("code"), Some("S256")));
    assert!(
        ["state", "nonce", "code_challenge"].iter().all(|name| value(name).is_some_and(|v| v.len() > 20)),
        "{authorize_url}"
    );
    let callback_url = ann.complete_login(&authorize_url).await;
    let response = browser.open_callback(&callback_url).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(redirect_target(&response), "/batches");
    assert_eq!(browser.login_state, "", "used up");
    assert_eq!(browser.page_status("/batches").await, StatusCode::OK);
    assert_eq!(browser.page_status("/users").await, StatusCode::FORBIDDEN, "an operator");
    assert_eq!(
        list_users(server).await,
        owned_pairs(&[("Ann@farm.example", "viewer"), ("ann@farm.example (2)", "operator")])
    );
    let created = list_audit_records(server, "user.created").await;
    assert_eq!(
        (&created[0]["actor"]["kind"], &created[0]["actor"]["name"]),
        (&json!("user"), &json!("ann@farm.example (2)"))
    );
    assert!(created[0]["changes"]["issuer"].is_string() && created[0]["address"].is_string(), "{}", created[0]);
}

async fn a_callback_works_once_and_only_with_its_login_state(server: &TestServer, cid: &mut ProviderUser) {
    let mut browser = SignOnBrowser::new(server);
    let authorize_url = browser.start_sign_on("/").await;
    let login_state = browser.login_state.clone();
    let callback_url = cid.complete_login(&authorize_url).await;
    // A browser without a login state: an attacker's link that would log the user in as another user.
    assert_refused(
        SignOnBrowser::new(server).open_callback(&callback_url).await,
        StatusCode::BAD_REQUEST,
        "The login has expired",
    )
    .await;
    // A browser with a login state of its own.
    let mut other = SignOnBrowser::new(server);
    let other_authorize_url = other.start_sign_on("/").await;
    let other_login_state = other.login_state.clone();
    assert_refused(other.open_callback(&callback_url).await, StatusCode::BAD_REQUEST, "Unknown login").await;
    // The same browser, with the code of another login in its own response. PKCE and the nonce must reject it.
    other.login_state = other_login_state;
    let own_state = other_authorize_url.parse::<Url>().expect("a url");
    let own_state = own_state.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
    let injected: Vec<(String, String)> = callback_url
        .query_pairs()
        .into_owned()
        .map(|(name, value)| if name == "state" { (name, own_state.clone()) } else { (name, value) })
        .collect();
    let mut forged = callback_url.clone();
    forged.query_pairs_mut().clear().extend_pairs(injected);
    assert_refused(other.open_callback(&forged).await, StatusCode::BAD_GATEWAY, "Login at Farm ID failed").await;
    assert_eq!(other.session, "");
    // A manipulated login state.
    let mut tampered = SignOnBrowser::new(server);
    // The change is in the middle, because some bits of the last letter do not count.
    let (before, after) = login_state.split_at(login_state.len() / 2);
    let other_letter = if after.starts_with('A') { "B" } else { "A" };
    tampered.login_state = format!("{before}{other_letter}{}", &after[1..]);
    assert_refused(tampered.open_callback(&callback_url).await, StatusCode::BAD_REQUEST, "The login has expired").await;
    // A response with the issuer of another provider (RFC 9207).
    let authorize_url = browser.start_sign_on("/").await;
    let login_state = browser.login_state.clone();
    let callback_url = cid.complete_login(&authorize_url).await;
    let foreign_callback = callback_url.as_str().replace("iss=http", "iss=https");
    assert_ne!(foreign_callback, callback_url.as_str(), "the response names its issuer");
    assert_refused(
        browser.open_callback(&foreign_callback.parse().expect("a url")).await,
        StatusCode::BAD_REQUEST,
        "Unknown login",
    )
    .await;
    // The correct response, and the same response again.
    browser.login_state.clone_from(&login_state);
    assert_eq!(browser.open_callback(&callback_url).await.status(), StatusCode::SEE_OTHER);
    let mut replayed = SignOnBrowser::new(server);
    replayed.login_state = login_state;
    assert_refused(replayed.open_callback(&callback_url).await, StatusCode::BAD_GATEWAY, "Login at Farm ID failed")
        .await;
    assert_eq!(replayed.session, "");
}

async fn the_role_is_that_of_the_last_sign_on(
    provider: &Canaille,
    server: &TestServer,
    ann: &mut ProviderUser,
    ann_browser: &mut SignOnBrowser<'_>,
) {
    provider.create_group("leads", &["ann"]);
    assert_eq!(
        ann_browser.page_status("/users").await,
        StatusCode::FORBIDDEN,
        "the role changes only at the next sign-on"
    );
    let mut browser = SignOnBrowser::new(server);
    assert_eq!(browser.sign_on(ann, "/users").await.status(), StatusCode::SEE_OTHER);
    assert_eq!(browser.page_status("/users").await, StatusCode::OK);
    assert_eq!(
        list_users(server).await,
        owned_pairs(&[
            ("Ann@farm.example", "viewer"),
            ("ann@farm.example (2)", "admin"),
            ("cid@farm.example", "operator")
        ])
    );
    let changed = list_audit_records(server, "user.changed").await;
    assert_eq!(changed[0]["changes"]["role"], json!(["operator", "admin"]));
}

async fn users_without_role_or_consent_cannot_sign_on(server: &TestServer) {
    let (mut bob, mut browser) = (ProviderUser::named("bob"), SignOnBrowser::new(server));
    bob.consents = false;
    let denied = browser.sign_on(&mut bob, "/").await;
    assert_refused(denied, StatusCode::FORBIDDEN, "You were not logged in").await;
    bob.consents = true;
    let without_role = browser.sign_on(&mut bob, "/").await;
    assert_refused(without_role, StatusCode::FORBIDDEN, "No role in Printyard").await;
    assert_eq!((browser.session.as_str(), list_users(server).await.len()), ("", 3));
}

async fn a_disabled_user_cannot_sign_on(server: &TestServer, cid: &mut ProviderUser) {
    let (_, body, _) = server.get("/api/v1/users").await;
    let user =
        body["items"].as_array().expect("users").iter().find(|user| user["name"] == "cid@farm.example").expect("cid");
    let path = format!("/api/v1/users/{}", user["id"].as_str().expect("an id"));
    // Another admin with a password must exist before this user can be disabled.
    let chief = json!({"name": "chief", "role": "admin", "password": "correct horse battery"});
    assert_eq!(server.post("/api/v1/users", chief).await.0, StatusCode::CREATED);
    assert_eq!(server.patch(&path, json!({"enabled": false})).await.0, StatusCode::OK);
    let mut browser = SignOnBrowser::new(server);
    let response = browser.sign_on(cid, "/").await;
    assert_refused(response, StatusCode::FORBIDDEN, "Your account is disabled").await;
    assert_eq!(browser.session, "");
}

async fn an_issuer_without_discovery_document_is_an_error(provider: &Canaille) {
    let server = start_server(&format!("{}/elsewhere", provider.url)).await;
    let response = SignOnBrowser::new(&server).get("/login/oidc").await;
    assert_refused(response, StatusCode::BAD_GATEWAY, "Login at Farm ID failed").await;
}

/// Checks a log at the finest level, including the logs of libraries.
async fn no_secret_of_a_sign_on_is_logged(provider: &Canaille) {
    let dir = tempfile::tempdir().expect("a folder");
    let log = dir.path().join("log");
    let variables = [
        ("RUST_LOG", "trace"),
        ("PRINTYARD_PUBLIC_URL", PUBLIC),
        ("PRINTYARD_OIDC_ISSUER", &provider.url),
        ("PRINTYARD_OIDC_CLIENT_ID", CLIENT_CREDENTIALS.0),
        ("PRINTYARD_OIDC_CLIENT_SECRET", CLIENT_CREDENTIALS.1),
        ("PRINTYARD_OIDC_SCOPES", "openid profile email groups"),
        ("PRINTYARD_OIDC_ROLES", "staff=operator,leads=admin"),
    ];
    let file = std::fs::File::create(&log).expect("a log");
    let mut server = ServerProcess::start_with(dir.path(), &variables, Stdio::from(file)).await;
    let cookie = |response: &Response, name: &str| {
        let all = response.headers().get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        let found = all.filter_map(|cookie| cookie.split(';').next()?.split_once('=')).find(|(key, _)| *key == name);
        found.unwrap_or_else(|| panic!("no {name}")).1.to_owned()
    };
    let redirect = server.request(Method::GET, "/login/oidc").send().await.expect("an answer");
    let login_state = cookie(&redirect, "printyard_login_state");
    let callback_url = ProviderUser::named("dan").complete_login(&redirect_target(&redirect)).await;
    let path = format!("{}?{}", callback_url.path(), callback_url.query().unwrap_or_default());
    let request =
        server.request(Method::GET, &path).header(header::COOKIE, format!("printyard_login_state={login_state}"));
    let logged_in = request.send().await.expect("an answer");
    assert_eq!(logged_in.status(), StatusCode::SEE_OTHER);
    let session = cookie(&logged_in, "printyard_session");
    server.kill();
    let code = callback_url.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    let basic =
        base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", CLIENT_CREDENTIALS.0, CLIENT_CREDENTIALS.1));
    let log = std::fs::read_to_string(&log).expect("a log");
    assert!(log.contains("user created at their first sign-on"), "the log covers the sign-on");
    for (what, secret) in [
        ("the client's secret", CLIENT_CREDENTIALS.1),
        ("the client's secret as it is sent", &basic),
        ("the code", &code),
        ("the journey", &login_state),
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
        assert_eq!(SignOnBrowser::new(&server).page_status(path).await, StatusCode::NOT_FOUND);
    }
    assert!(!SignOnBrowser::new(&server).get("/login").await.text().await.expect("a page").contains("Log in with"));
}
