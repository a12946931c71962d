//! `printyard serve`: the server.

use anyhow::Context;
use printyard::{Server, config::Given, lifecycle, telemetry};
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
        let server = Server::start(&config).await?;
        if let Some(key) = server.services.setup_link().await? {
            // On standard output and not in the log: whoever reads logs must not become an admin.
            println!("Nobody can log in yet. This link makes the first admin, once, within an hour:");
            println!();
            let scheme = if config.tls.is_some() { "https" } else { "http" };
            println!("  {scheme}://{address}/setup?key={key}");
            println!();
        }
        server.serve(listener, lifecycle::shutdown_signal()).await
    }
}
