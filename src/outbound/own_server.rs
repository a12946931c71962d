//! A readiness request to the server on this machine.
//!
//! It bypasses the address guard, which is not needed for the machine's own address. It accepts any certificate,
//! because the certificate has the farm's name and not that of the loopback address. An attacker cannot intercept
//! connections within the machine.

use std::time::Duration;

use reqwest::{StatusCode, redirect::Policy};

/// Sends a request to a URL of this machine's own server, and waits at most `timeout`. Returns the status and the
/// body.
///
/// # Errors
/// If no response arrives.
pub async fn request_own_server(url: &str, timeout: Duration) -> Result<(StatusCode, String), reqwest::Error> {
    // `Err` means that a provider is installed already, which is sufficient.
    let _ = rustls::crypto::ring::default_provider().install_default();
    #[expect(clippy::disallowed_methods, reason = "this is the one place that makes HTTP clients")]
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .timeout(timeout)
        .tls_danger_accept_invalid_certs(true)
        .build()?;
    let response = client.get(url).send().await?;
    Ok((response.status(), response.text().await?))
}
