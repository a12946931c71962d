//! `printyard demo`: runs the server with a simulated farm. Its data is deleted when it ends.
//!
//! The farm looks as if it had run for a week. Its printers are in the middle of prints or in trouble (`plan.rs`,
//! `parts.rs`, `thumbnail.rs`), with a history that leads there (`history.rs`, `store.rs`), and orders
//! (`orders.rs`). `farm.rs` causes faults.

mod farm;
mod folder;
mod history;
mod orders;
mod parts;
mod plan;
mod store;
mod thumbnail;

use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use printyard::{
    Server, claim_farm, clock,
    config::{Config, RawConfig},
    domain::{
        audit::ActorKind,
        printer::PrinterDetails,
        printer_access::PrinterAccess,
        printer_content::{PrinterContent, PrinterContentState},
    },
    lifecycle, open_vault, secrets,
    service::{Services, access::Principal, sending::ClaimedFarm},
    simulator::{Farm, FarmConfig, SimulatedPrinter},
    storage::{self, Db},
    telemetry,
};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::net::TcpListener;
use uuid::Uuid;

use self::{
    farm::SimulatedFarm, folder::DemoFolder, history::HistoryBuilder, parts::PartFile, plan::PlannedPrinter,
    store::HistoryStore,
};

/// Seed of everything random before the start, so that every demo of one size begins in the same way.
const SEED: u64 = 34;

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
    /// Begin with printers that are all ready, without a history and without faults
    #[arg(long)]
    calm: bool,
}

/// The contents of a farm that looks as if it had run for a week.
struct LivingFarm {
    now: DateTime<Utc>,
    speed: f64,
    files: Vec<PartFile>,
    printers: Vec<PlannedPrinter>,
    rng: StdRng,
}

impl DemoArgs {
    /// Runs the demo until a signal arrives.
    pub async fn run(self) -> anyhow::Result<()> {
        telemetry::init("printyard=warn,warn");
        super::raise_file_limit();
        let folder = DemoFolder::new()?;
        let (token, _) = secrets::new_token()?;
        let config = RawConfig {
            listen: Some(self.listen.clone()),
            database_url: Some(format!("sqlite:{}", folder.path().join("demo.db").display())),
            data_dir: Some(folder.path().to_owned()),
            admin_token: Some(token.clone()),
            ..RawConfig::default()
        }
        .validate()?;
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("{} cannot be listened on; choose another with --listen", self.listen))?;
        let address = listener.local_addr()?;
        let mut shutdown = std::pin::pin!(lifecycle::shutdown_signal());
        let (server, farm) = tokio::select! {
            biased;
            // During the start, too, a signal must not leave the folder behind.
            () = &mut shutdown => return Ok(()),
            started = self.start_farm(&config) => started?,
        };
        println!("Printyard runs {} simulated printers.", self.printers);
        println!();
        println!("  Open   http://{address}/login?token={token}");
        println!("  API    curl -H 'Authorization: Bearer {token}' http://{address}/api/v1/printers");
        println!("  Docs   http://{address}/api/docs");
        println!();
        println!("Ctrl-C ends it and deletes its data.");
        let (simulated, has_random_faults) = (farm.printers().to_vec(), !self.calm);
        let life = tokio::spawn(farm::run(Arc::new(SimulatedFarm { printers: simulated, has_random_faults })));
        let result = server.serve(listener, shutdown).await;
        life.abort();
        farm.stop().await;
        result
    }

    async fn start_farm(&self, config: &Config) -> anyhow::Result<(Server, Farm)> {
        let (printers, speed) = (usize::try_from(self.printers)?, self.speed.clamp(0.01, 1_000.0));
        if self.calm {
            start_calm_farm(config, printers, speed).await
        } else {
            LivingFarm::plan(printers, speed)?.start(config).await
        }
    }
}

/// Starts a farm whose printers are all ready.
async fn start_calm_farm(config: &Config, printers: usize, speed: f64) -> anyhow::Result<(Server, Farm)> {
    let farm = Farm::start(FarmConfig {
        printers,
        with_sample_files: true,
        selected_file: Some("bracket.gcode".to_owned()),
        time_scale: speed,
        ..FarmConfig::default()
    })
    .await?;
    let server = start_server(config, claim(config).await?, &farm, false).await?;
    register_printers(&server.services, farm.printers()).await?;
    Ok((server, farm))
}

impl LivingFarm {
    fn plan(printers: usize, speed: f64) -> anyhow::Result<Self> {
        let (now, mut rng, files) = (clock::now(), StdRng::seed_from_u64(SEED), parts::create_files()?);
        let printers = plan::plan_printers(printers, &files, &mut rng, now);
        Ok(Self { now, speed, files, printers, rng })
    }

    /// Starts the farm and its server.
    async fn start(mut self, config: &Config) -> anyhow::Result<(Server, Farm)> {
        let farm = Farm::start(FarmConfig {
            printers: self.printers.len(),
            time_scale: self.speed,
            files: self.files.iter().map(|file| (file.path.clone(), file.gcode.clone().into_bytes())).collect(),
            scenarios: self.printers.iter().map(|it| it.scenario(&self.files[it.file], self.speed)).collect(),
            ..FarmConfig::default()
        })
        .await?;
        for (planned, simulated) in self.printers.iter_mut().zip(farm.printers()) {
            planned.printer.details.url = simulated.url().to_owned();
        }
        let claimed = claim(config).await?;
        let (db, vault) = (claimed.db.clone(), open_vault(config, &claimed.db).await?);
        let Self { now, speed, files, printers, rng } = self;
        let history = HistoryBuilder::new(&printers, &files, speed, now, rng).build();
        let store = HistoryStore { db: &db, printers: &printers, files: &files, speed, now };
        store.store_printers(farm.printers(), &vault).await?;
        store.store(&history).await?;
        let server = start_server(config, claimed, &farm, true).await?;
        let stored = fill_library(&server.services, &files).await?;
        store_contents(&db, &printers, &files, now).await?;
        orders::store_orders(&server.services, &stored, now).await?;
        Ok((server, farm))
    }
}

async fn claim(config: &Config) -> anyhow::Result<ClaimedFarm> {
    let claimed = claim_farm(config, false).await?;
    Ok(*claimed.ok().context("another process uses the database of the demo")?)
}

async fn start_server(
    config: &Config,
    claimed: ClaimedFarm,
    farm: &Farm,
    has_random_faults: bool,
) -> anyhow::Result<Server> {
    let farm = SimulatedFarm { printers: farm.printers().to_vec(), has_random_faults };
    Server::start_demo(config, claimed, Arc::new(farm)).await
}

/// Adds the files to the library. Returns their ids in the same order.
async fn fill_library(services: &Services, files: &[PartFile]) -> anyhow::Result<Vec<Uuid>> {
    let anna = Principal { name: "Anna".to_owned(), ..Principal::server_admin(ActorKind::User) };
    let mut stored = Vec::new();
    for file in files {
        let mut incoming = services.receive_file(services.admit_upload(&anna)?, &file.name, None).await?;
        services.push_to_file(&mut incoming, Bytes::copy_from_slice(file.gcode.as_bytes())).await?;
        stored.push(services.store_file(&anna, incoming.finish().await?, "", &file.name).await?.file.id);
    }
    Ok(stored)
}

/// Stores that the printers have the files of the library.
async fn store_contents(
    db: &Db,
    printers: &[PlannedPrinter],
    files: &[PartFile],
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let content = |planned: &PlannedPrinter, file: &PartFile| PrinterContent {
        printer_id: planned.printer.id,
        sha256: file.sha256.clone(),
        name: file.name.clone(),
        print_size: file.gcode.len() as u64,
        path: Some(file.path.clone()),
        state: PrinterContentState::Present,
        select_after: false,
        requested_by: None,
        detail: None,
        updated_at: now,
    };
    let contents: Vec<PrinterContent> =
        printers.iter().flat_map(|planned| files.iter().map(move |file| content(planned, file))).collect();
    Ok(storage::printer_contents::put_many(db, &contents).await?)
}

async fn register_printers(services: &Services, printers: &[SimulatedPrinter]) -> anyhow::Result<()> {
    let principal = Principal::server_admin(ActorKind::Terminal);
    for (index, printer) in printers.iter().enumerate() {
        let details =
            PrinterDetails { name: printer.name().to_owned(), ..plan::describe_printer(index, printer.url()) };
        services.register_printer(&principal, details, PrinterAccess::with_api_key(printer.api_key())).await?;
    }
    Ok(())
}
