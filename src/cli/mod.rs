//! Command line: one module per subcommand.

mod audit;
#[cfg(feature = "demo")]
mod demo;
mod healthcheck;
mod secrets;
mod serve;
#[cfg(feature = "demo")]
mod simulate;
mod token;
mod user;

use std::{net::SocketAddr, process::ExitCode};

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use printyard::{
    FarmClaimError,
    config::{Config, RawConfig},
    service::sending::newer_schema_error,
    storage::{Db, SchemaState},
};

/// Exit code if another server runs the farm.
const FARM_CLAIM_EXIT_CODE: u8 = 3;

/// Server for 3D-print farms: sends one command to many OctoPrint instances, and verifies the result for each printer.
#[derive(Parser)]
#[command(name = "printyard", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::ServeArgs),
    /// Run the server with a simulated farm, and print a login link
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
    /// Run a simulated farm only, and print its printers as JSON
    #[cfg(feature = "demo")]
    Simulate(simulate::SimulateArgs),
    /// Create, list and revoke API tokens
    Token(token::TokenArgs),
    /// Add and change users who log in by name and password
    User(user::UserArgs),
    /// Verify that the audit log is complete and unaltered
    Audit(audit::AuditArgs),
    /// Rotate the key that seals stored secrets, while the server runs
    Secrets(secrets::SecretsArgs),
    /// Check that the server on this machine is ready; for containers
    Healthcheck(healthcheck::HealthcheckArgs),
}

/// Runs the subcommand. An error is printed to standard error as one sentence.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("printyard: the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match arguments.command {
            Command::Serve(serve) => serve.run().await,
            #[cfg(feature = "demo")]
            Command::Demo(demo) => demo.run().await,
            #[cfg(feature = "demo")]
            Command::Simulate(simulate) => simulate.run().await,
            Command::Token(token) => token.run().await,
            Command::User(user) => user.run().await,
            Command::Audit(audit) => audit.run().await,
            Command::Secrets(secrets) => secrets.run().await,
            Command::Healthcheck(healthcheck) => healthcheck.run().await,
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("printyard: {error:#}");
            if error.is::<FarmClaimError>() { ExitCode::from(FARM_CLAIM_EXIT_CODE) } else { ExitCode::FAILURE }
        }
    }
}

/// Binds a port. A standby accepts connections on it before and after its take-over.
fn bind_listener(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Opens the database of the server's settings. A server may be using it: it is neither created nor changed.
async fn open_configured_database(raw: RawConfig) -> anyhow::Result<Db> {
    open_database(&raw.with_file()?.validate()?).await
}

async fn open_database(config: &Config) -> anyhow::Result<Db> {
    let db = Db::open(&config.database_url).await.context("the database cannot be used")?;
    match db.schema_state().await? {
        SchemaState::Current => Ok(db),
        SchemaState::Empty => bail!("the database is empty: start the server once, which makes its tables"),
        SchemaState::Older => {
            bail!("the database is of an older version: start the server once, which brings it up to date")
        }
        SchemaState::Newer => Err(newer_schema_error().into()),
    }
}

/// Raises the soft limit of open files to the hard limit.
fn raise_file_limit() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        eprintln!("printyard: the limit of open files cannot be raised: {error}");
    }
}

/// Warns if the limit of open files is too low for this number of printers.
fn warn_about_file_limit(printers: usize) {
    // A printer has its event socket and a connection for requests. Clients have up to 2,048 connections.
    let needed = 2 * printers as u64 + 2_048;
    match rlimit::Resource::NOFILE.get_soft() {
        Ok(limit) if limit < needed => tracing::warn!(
            limit,
            needed,
            printers,
            "too few open files are allowed for this farm: raise the limit (ulimit -n, LimitNOFILE=, or ulimits in a compose file)"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot read the limit of open files"),
    }
}
