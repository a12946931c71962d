//! `printyard healthcheck`: asks the server of this machine whether it is ready. Containers have no curl.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, bail};
use printyard::{config::Given, outbound::ask_own_server};
const PATIENCE: Duration = Duration::from_secs(5);

/// Arguments of `healthcheck`.
#[derive(clap::Args)]
pub struct Healthcheck {
    #[command(flatten)]
    given: Given,
}

impl Healthcheck {
    /// Succeeds when the server says that it is ready.
    pub async fn run(self) -> anyhow::Result<()> {
        let config = self.given.with_file()?.checked()?;
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/readyz", reachable(config.listen));
        let status = ask_own_server(&url, PATIENCE).await.with_context(|| format!("{url} cannot be reached"))?;
        if status.is_success() {
            return Ok(());
        }
        bail!("not ready: {status}");
    }
}

/// A server that listens everywhere is asked on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, listen.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, listen.port()).into(),
        _ => listen,
    }
}
