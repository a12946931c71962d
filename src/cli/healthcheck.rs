//! `printyard healthcheck`: asks the server of this machine whether it is ready. Containers have no curl.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, bail};
use printyard::config::Given;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

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
        let listen = self.given.with_file()?.checked()?.listen;
        let status = tokio::time::timeout(PATIENCE, ask(reachable(listen))).await.context("no answer within 5 s")??;
        if status.starts_with("HTTP/1.1 200") {
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

async fn ask(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await.with_context(|| format!("{address} cannot be reached"))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.take(4_096).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned())
}
