//! What the tests stand on: real OctoPrints, a real PostgreSQL, and waiting without guessing.
//!
//! What a suite needs from outside comes by environment variables, which `tests/run` sets. Where
//! one is missing the suite is left out and says so, past the test runner's capture of output;
//! where `PRINTYARD_TEST_REQUIRE` is `all`, as in `tests/run` and in CI, it fails instead. So a
//! green run of `tests/run` cannot hide a suite that never ran.

use std::io::Write as _;

pub mod agreement;
pub mod announcer;
pub mod authority;
pub mod browser;
pub mod canaille;
pub mod dice;
pub mod front;
pub mod octoprint;
pub mod own_postgres;
pub mod port;
pub mod postgres;
pub mod process;
pub mod raw;
pub mod routes;
pub mod server;
pub mod wait;

/// Unwraps what a test needs from outside, or ends the test, which has then been left out aloud.
macro_rules! needs {
    ($given:expr) => {
        match $given {
            Some(value) => value,
            None => return,
        }
    };
}
pub(crate) use needs;

/// The value of an environment variable that `tests/run` sets, or `None` after saying what is left out.
///
/// # Panics
/// If it is missing and `PRINTYARD_TEST_REQUIRE` is `all`.
pub fn provided(variable: &str, what: &str) -> Option<String> {
    if let Some(value) = std::env::var(variable).ok().filter(|value| !value.is_empty()) {
        return Some(value);
    }
    leave_out(&format!("{what} ({variable}; `tests/run` provides it)"));
    None
}

/// Says that the test which calls this is left out, because it needs what this machine lacks.
///
/// # Panics
/// If `PRINTYARD_TEST_REQUIRE` is `all`.
pub fn leave_out(needs: &str) {
    let require = std::env::var("PRINTYARD_TEST_REQUIRE").unwrap_or_default();
    assert!(require != "all", "PRINTYARD_TEST_REQUIRE is all, and this is missing: {needs}");
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Not `eprintln!`: the test runner swallows that for a test that passes.
    let line = format!("left out: {test}: needs {needs}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// A client for the tests' own requests: no proxy, no address guard, since it only ever asks the loopback,
/// and no redirects, which are answers like others.
#[expect(clippy::disallowed_methods, reason = "the tests look at servers from outside, past the guard of `outbound`")]
pub fn client() -> reqwest::Client {
    // The second caller finds a provider installed already, which is just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client without options")
}
