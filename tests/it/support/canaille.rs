//! A real identity provider: Canaille from PyPI, in its own process on loopback, with people and groups.
//!
//! <https://canaille.readthedocs.io>; measured with 0.3.6.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use reqwest::{Method, StatusCode, header};
use serde_json::Value;
use tempfile::TempDir;
use url::Url;

use super::{http_client, port, wait};

/// Printyard's client id and client secret at the provider.
pub const CLIENT_CREDENTIALS: (&str, &str) = ("printyard", "secret-of-the-client");
/// The password of every person at the provider.
pub const PASSWORD: &str = "battery staple horse";
/// Python takes a second for each command, and several on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(90);
/// Limit of pages between the login and the redirect back, with some reserve.
const MAX_PAGES: usize = 12;

/// A running provider. Dropping it ends it.
pub struct Canaille {
    /// Its address, which is also its issuer.
    pub url: String,
    program: PathBuf,
    child: Child,
    folder: TempDir,
}

impl Canaille {
    /// Starts a provider that redirects browsers to `callback`. Returns `None` where Canaille is not installed.
    pub async fn start(callback: &str) -> Option<Self> {
        let program = PathBuf::from(super::env_or_skip("PRINTYARD_TEST_CANAILLE", "Canaille")?);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let bind = format!("127.0.0.1:{}", port::pick_free_port());
        let database = folder.path().join("canaille.sqlite");
        let settings = |keys: &str| {
            format!(
                "SECRET_KEY = \"of a provider that lives for one test\"\nSERVER_NAME = \"{bind}\"\n\
                 PREFERRED_URL_SCHEME = \"http\"\n[CANAILLE]\nNAME = \"Farm\"\n[CANAILLE_SQL]\n\
                 DATABASE_URI = \"sqlite:///{}\"\n[CANAILLE_HYPERCORN]\nBIND = \"{bind}\"\nWORKERS = 0\n[CANAILLE_OIDC]\n{keys}",
                database.display()
            )
        };
        let file = folder.path().join("canaille.toml");
        fs::write(&file, settings("")).expect("written");
        let command = |arguments: &[&str]| canaille_command(&program, &file, arguments);
        let key = command(&["jwk", "create", "rsa"]).output().expect("a key");
        let key: BTreeMap<String, Value> = serde_json::from_slice(&key.stdout).expect("a key as JSON");
        let key: Vec<String> = key.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        fs::write(&file, settings(&format!("ACTIVE_JWKS = [{{ {} }}]\n", key.join(", ")))).expect("written");
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let provider = |child| Self { url: format!("http://{bind}"), program: program.clone(), child, folder };
        run_command(command(&["install"]));
        let (id, secret) = CLIENT_CREDENTIALS;
        run_command(command(&[
            "create",
            "client",
            "--client-id",
            id,
            "--client-secret",
            secret,
            "--client-name",
            "Printyard",
            "--redirect-uris",
            callback,
            "--grant-types",
            "authorization_code",
            "--response-types",
            "code",
            "--scope",
            "openid",
            "--scope",
            "profile",
            "--scope",
            "email",
            "--scope",
            "groups",
            "--token-endpoint-auth-method",
            "client_secret_basic",
        ]));
        let child = command(&["run"]).stdout(Stdio::null()).stderr(log).spawn().expect("it starts");
        let provider = provider(child);
        let document = format!("{}/.well-known/openid-configuration", provider.url);
        wait::until("the provider answers", START_DEADLINE, async || match http_client().get(&document).send().await {
            Ok(answer) if answer.status() == StatusCode::OK => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        Some(provider)
    }

    fn build_command(&self, arguments: &[&str]) -> Command {
        canaille_command(&self.program, &self.folder.path().join("canaille.toml"), arguments)
    }

    /// Sets Printyard as the audience of its tokens. Until then the tokens have another audience.
    pub fn set_audience(&self) {
        run_command(self.build_command(&["set", "client", CLIENT_CREDENTIALS.0, "--audience", CLIENT_CREDENTIALS.0]));
    }

    /// Creates a person.
    pub fn create_user(&self, name: &str) {
        let mail = format!("{name}@farm.example");
        run_command(self.build_command(&[
            "create",
            "user",
            "--user-name",
            name,
            "--password",
            PASSWORD,
            "--family-name",
            name,
            "--emails",
            &mail,
        ]));
    }

    /// Creates a group.
    pub fn create_group(&self, name: &str, members: &[&str]) {
        let mut arguments = vec!["create", "group", "--display-name", name];
        for member in members {
            arguments.extend(["--members", *member]);
        }
        run_command(self.build_command(&arguments));
    }

    /// Ends the provider, so that connections are refused.
    pub fn kill(&mut self) {
        self.child.kill().expect("a process of our own can be killed");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Canaille {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn canaille_command(program: &PathBuf, settings: &PathBuf, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env("CANAILLE_CONFIG", settings).current_dir(settings.parent().expect("a folder"));
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

fn run_command(mut command: Command) {
    let output = command.stderr(Stdio::piped()).output().expect("the command runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A person's browser at the provider: it keeps cookies and fills in the provider's forms.
#[derive(Default)]
pub struct ProviderUser {
    name: String,
    cookies: BTreeMap<String, String>,
    /// Whether the person consents to a login at Printyard.
    pub consents: bool,
}

impl ProviderUser {
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), cookies: BTreeMap::new(), consents: true }
    }

    /// Follows the redirect from Printyard and completes the provider's pages. Returns the first URL outside the
    /// provider, which is the redirect back.
    pub async fn complete_login(&mut self, login_url: &str) -> Url {
        let mut at: Url = login_url.parse().expect("an address");
        let provider_origin = at.origin();
        let mut form: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let method = if form.is_some() { Method::POST } else { Method::GET };
            let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let request = http_client()
                .request(method, at.clone())
                .header(header::COOKIE, cookies.join("; "))
                .header(header::REFERER, at.as_str())
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.take().unwrap_or_default());
            let response = request.send().await.expect("an answer of the provider");
            for cookie in response.headers().get_all(header::SET_COOKIE) {
                let (name, value) = cookie.to_str().expect("text").split_once('=').expect("a cookie");
                self.cookies.insert(name.to_owned(), value.split(';').next().unwrap_or_default().to_owned());
            }
            if let Some(location) = response.headers().get(header::LOCATION) {
                at = at.join(location.to_str().expect("text")).expect("an address");
                if at.origin() != provider_origin {
                    return at;
                }
                continue;
            }
            let (status, page) = (response.status(), response.text().await.expect("a page"));
            form = Some(self.fill_form(&page).unwrap_or_else(|| panic!("{status} at {at}, and no form:\n{page}")));
        }
        panic!("the provider redirects in circles, at last to {at}");
    }

    /// Fills in the form of a page of the provider.
    fn fill_form(&self, page: &str) -> Option<String> {
        let token = page.split("name=\"csrf_token\"").nth(1)?.split("value=\"").nth(1)?.split('"').next()?;
        let (field, value) = if page.contains("name=\"login\"") {
            ("login", self.name.as_str())
        } else if page.contains("name=\"password\"") {
            ("password", PASSWORD)
        } else {
            ("answer", if self.consents { "accept" } else { "deny" })
        };
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        Some(form.append_pair("csrf_token", token).append_pair(field, value).finish())
    }
}
