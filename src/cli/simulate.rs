//! `printyard simulate`: runs a simulated farm without a server.

use std::{io::Write, time::Duration};

use printyard::{
    lifecycle,
    simulator::{Farm, FarmConfig},
};
use serde_json::json;

/// Arguments of `simulate`.
#[derive(clap::Args)]
pub struct SimulateArgs {
    /// Number of simulated printers
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    printers: u32,
    /// Delay before every reply, in milliseconds
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    latency_ms: u64,
    /// Port of the first printer; the others use the following ports [default: any free ports]
    #[arg(long)]
    port: Option<u16>,
    /// Select this file on every printer from the start
    #[arg(long)]
    select: Option<String>,
    /// Port of the farm's control listener: `GET /sim/printers`, `POST /sim/printers/NAME/fault` [default: no listener]
    #[arg(long)]
    control_port: Option<u16>,
    /// Print speed, as a multiple of the speed of real printers
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
}

impl SimulateArgs {
    /// Runs the simulation until a signal arrives.
    pub async fn run(self) -> anyhow::Result<()> {
        super::raise_file_limit();
        let farm = Farm::start(FarmConfig {
            printers: usize::try_from(self.printers)?,
            latency: Duration::from_millis(self.latency_ms),
            base_port: self.port,
            time_scale: self.speed.clamp(0.01, 1_000.0),
            with_sample_files: true,
            selected_file: self.select,
            control_port: self.control_port,
            ..FarmConfig::default()
        })
        .await?;
        let printers: Vec<_> = farm
            .printers()
            .iter()
            .map(|printer| json!({"name": printer.name(), "url": printer.url(), "api_key": printer.api_key()}))
            .collect();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::Value::from(printers))?;
        out.flush()?;
        drop(out);
        lifecycle::shutdown_signal().await;
        farm.stop().await;
        Ok(())
    }
}
