//! One question to the server on this machine: whether it is ready.
//!
//! It goes past the guard, which has nothing to say about one's own address, and takes any certificate: that is the farm's
//! name's, not the loopback's, and nobody sits between a machine and itself.

use std::time::Duration;

use reqwest::{StatusCode, redirect::Policy};

/// Asks a url of this machine's own server, for at most `patience`. Returns the status and the body.
///
/// # Errors
/// When no answer came.
pub async fn ask_own_server(url: &str, patience: Duration) -> Result<(StatusCode, String), reqwest::Error> {
    // Err means that a provider is installed already, which is what was wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    #[expect(clippy::disallowed_methods, reason = "this is the one place that makes HTTP clients")]
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .timeout(patience)
        .tls_danger_accept_invalid_certs(true)
        .build()?;
    let answer = client.get(url).send().await?;
    Ok((answer.status(), answer.text().await?))
}
