//! `printyard audit`: whether what was written down of changes is whole.

use anyhow::bail;
use clap::Subcommand;
use printyard::{config::Given, storage};

/// Arguments of `audit`.
#[derive(clap::Args)]
pub struct Audit {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Walk along the whole chain, and tell of rows that were altered or are missing
    Verify {
        #[command(flatten)]
        given: Given,
    },
}

impl Audit {
    /// Does what was asked. Fails when something is wrong with the chain.
    pub async fn run(self) -> anyhow::Result<()> {
        let Action::Verify { given } = self.action;
        let found = storage::audit::verify(&super::open(given).await?).await?;
        for fault in &found.faults {
            println!("{fault}");
        }
        if !found.faults.is_empty() {
            bail!("the audit was tampered with, or is damaged");
        }
        println!("{} rows, all as they were written.", found.rows);
        // Whoever can rewrite the whole table can make a whole new chain: kept elsewhere, this line gives them away.
        println!("The last is {}, with the hash {}", found.last_seq, found.last_hash);
        Ok(())
    }
}
