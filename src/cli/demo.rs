//! `printyard demo`: runs the server with a simulated farm. Its data is deleted when it ends.

use std::path::{Path, PathBuf};

use anyhow::Context;
use printyard::{
    Server,
    config::RawConfig,
    domain::{audit::ActorKind, printer::PrinterDetails, printer_access::PrinterAccess},
    lifecycle, secrets,
    service::{Services, access::Principal},
    simulator::{Farm, FarmConfig, SimulatedPrinter},
    telemetry,
};
use tokio::net::TcpListener;

/// Arguments of `demo`.
#[derive(clap::Args)]
pub struct DemoArgs {
    /// Number of simulated printers
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    printers: u32,
    /// Address and port to listen on
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
    /// Print speed, as a multiple of the speed of real printers
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
}

impl DemoArgs {
    /// Runs the demo until a signal arrives.
    pub async fn run(self) -> anyhow::Result<()> {
        telemetry::init("printyard=warn,warn");
        super::raise_file_limit();
        let folder = DemoFolder::new()?;
        let farm = Farm::start(FarmConfig {
            printers: usize::try_from(self.printers)?,
            with_sample_files: true,
            selected_file: Some("bracket.gcode".to_owned()),
            time_scale: self.speed.clamp(0.01, 1_000.0),
            ..FarmConfig::default()
        })
        .await?;
        let (token, _) = secrets::new_token()?;
        let config = RawConfig {
            listen: Some(self.listen.clone()),
            database_url: Some(format!("sqlite:{}", folder.0.join("demo.db").display())),
            data_dir: Some(folder.0.clone()),
            admin_token: Some(token.clone()),
            ..RawConfig::default()
        }
        .validate()?;
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("{} cannot be listened on; choose another with --listen", self.listen))?;
        let address = listener.local_addr()?;
        let server = Server::start(&config).await?;
        register_printers(&server.services, farm.printers()).await?;
        println!("Printyard runs {} simulated printers.", self.printers);
        println!();
        println!("  Open   http://{address}/login?token={token}");
        println!("  API    curl -H 'Authorization: Bearer {token}' http://{address}/api/v1/printers");
        println!("  Docs   http://{address}/api/docs");
        println!();
        println!("Ctrl-C ends it and deletes its data.");
        let result = server.serve(listener, lifecycle::shutdown_signal()).await;
        farm.stop().await;
        result
    }
}

async fn register_printers(services: &Services, printers: &[SimulatedPrinter]) -> anyhow::Result<()> {
    let principal = Principal::server_admin(ActorKind::Terminal);
    let models = [("MK4", "PETG", "#f2711c"), ("MINI+", "PLA", "#2185d0"), ("XL", "ASA", "#333333")];
    for (i, printer) in printers.iter().enumerate() {
        let (model, material, color) = models[i % models.len()];
        let hall = if i % 2 == 0 { "hall-a" } else { "hall-b" };
        let mut details = PrinterDetails::new(printer.name(), printer.url());
        details.tags = vec![hall.to_owned(), material.to_lowercase()];
        details.profile.model = Some(model.to_owned());
        details.profile.material = Some(material.to_owned());
        details.profile.color = Some(color.to_owned());
        details.profile.nozzle_mm = Some(0.4);
        details.profile.power_group = Some(format!("{hall}-{}", i / 8));
        services.register_printer(&principal, details, PrinterAccess::with_api_key(printer.api_key())).await?;
    }
    Ok(())
}

/// A private folder in the system's temporary folder. It is deleted on drop.
struct DemoFolder(PathBuf);

impl DemoFolder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("printyard-demo-{}", printyard::clock::new_id()));
        create_private_folder(&path)?;
        Ok(Self(path))
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        // If this fails, the folder stays. It contains only the demo's data.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn create_private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
