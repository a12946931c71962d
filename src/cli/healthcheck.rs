//! `printyard healthcheck`: checks that the server on this machine is ready, or waits as a standby. Containers have no
//! curl.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, bail};
use printyard::{config::RawConfig, outbound::request_own_server};
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Arguments of `healthcheck`.
#[derive(clap::Args)]
pub struct HealthcheckArgs {
    #[command(flatten)]
    raw: RawConfig,
}

impl HealthcheckArgs {
    /// Succeeds if the server is ready, and on a standby, which must not be restarted because it waits.
    pub async fn run(self) -> anyhow::Result<()> {
        let config = self.raw.with_file()?.validate()?;
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/readyz", loopback_address(config.listen));
        let (status, body) =
            request_own_server(&url, REQUEST_TIMEOUT).await.with_context(|| format!("{url} cannot be reached"))?;
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
        if status.is_success() || problem["code"] == "standby" {
            return Ok(());
        }
        bail!("not ready: {status}");
    }
}

/// Returns the loopback address for a server that listens on all addresses.
fn loopback_address(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, listen.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, listen.port()).into(),
        _ => listen,
    }
}
