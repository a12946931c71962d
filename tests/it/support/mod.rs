//! Test fixtures: real OctoPrints, a real PostgreSQL, servers, browsers, and waiting for conditions.
//!
//! Environment variables name the programs that a suite needs; `tests/run` sets them. If one is missing, the suite is
//! left out and prints that, past the output capture of the test runner. If `PRINTYARD_TEST_REQUIRE` is `all`, as in
//! `tests/run` and in CI, the suite fails instead. So a green run of `tests/run` cannot hide a suite that did not run.

use std::io::Write as _;

pub mod announcer;
pub mod browser;
pub mod canaille;
pub mod certificate_authority;
pub mod command_log_check;
pub mod fresh_database;
pub mod octoprint;
pub mod port;
pub mod postgres_server;
pub mod process;
pub mod raw_http;
pub mod reverse_proxy;
pub mod routes;
pub mod seeded_rng;
pub mod server;
pub mod throttle;
pub mod wait;

/// Unwraps what a test needs from outside. If it is missing, the test returns, after the message that it was left out.
macro_rules! needs {
    ($given:expr) => {
        match $given {
            Some(value) => value,
            None => return,
        }
    };
}
pub(crate) use needs;

/// Returns the value of an environment variable that `tests/run` sets. Returns `None` if it is missing, and prints what
/// is left out.
///
/// # Panics
/// If it is missing and `PRINTYARD_TEST_REQUIRE` is `all`.
pub fn env_or_skip(variable: &str, what: &str) -> Option<String> {
    if let Some(value) = std::env::var(variable).ok().filter(|value| !value.is_empty()) {
        return Some(value);
    }
    report_skipped(&format!("{what} ({variable}; `tests/run` provides it)"));
    None
}

/// Prints that the calling test is left out because this machine lacks something.
///
/// # Panics
/// If `PRINTYARD_TEST_REQUIRE` is `all`.
pub fn report_skipped(needs: &str) {
    let require = std::env::var("PRINTYARD_TEST_REQUIRE").unwrap_or_default();
    assert!(require != "all", "PRINTYARD_TEST_REQUIRE is all, and this is missing: {needs}");
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Not `eprintln!`: the test runner hides its output for tests that pass.
    let line = format!("left out: {test}: needs {needs}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Returns a client for the tests' own requests. It has no proxy, no address guard (it connects to loopback only), and
/// does not follow redirects.
#[expect(clippy::disallowed_methods, reason = "the tests look at servers from outside, past the guard of `outbound`")]
pub fn http_client() -> reqwest::Client {
    // Only the first call installs a provider. Later calls fail, which is harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client without options")
}
