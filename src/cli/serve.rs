//! `printyard serve`: the server.

use anyhow::Context;
use printyard::{config::Given, lifecycle, telemetry};
use tokio::net::TcpListener;

/// Arguments of `serve`.
#[derive(clap::Args)]
pub struct Serve {
    #[command(flatten)]
    given: Given,
}

impl Serve {
    /// Serves until a signal comes.
    pub async fn run(self) -> anyhow::Result<()> {
        telemetry::init("printyard=info,warn");
        let config = self.given.with_file()?.checked()?;
        super::raise_descriptors();
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("{} cannot be listened on", config.listen))?;
        let address = listener.local_addr()?;
        tracing::info!(%address, tls = config.tls.is_some(), "listening");
        if config.admin_token.is_none() {
            tracing::info!("make a token with: printyard token create --name … --role admin");
        }
        printyard::run(config, listener, lifecycle::shutdown_signal()).await
    }
}
