//! `printyard audit`: verifies the audit log.

use anyhow::bail;
use clap::Subcommand;
use printyard::{
    config::Given,
    storage::{
        self,
        audit::{Removal, Verified},
    },
};

/// Arguments of `audit`.
#[derive(clap::Args)]
pub struct Audit {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Verify the whole chain, and report rows that were altered or are missing
    Verify {
        #[command(flatten)]
        given: Given,
    },
}

impl Audit {
    /// Runs the subcommand. Fails if the chain has a fault.
    pub async fn run(self) -> anyhow::Result<()> {
        let Action::Verify { given } = self.action;
        let found = storage::audit::verify(&super::open(given).await?).await?;
        for line in removed(&found) {
            println!("{line}");
        }
        for fault in &found.faults {
            println!("{fault}");
        }
        if !found.faults.is_empty() {
            bail!("the audit was tampered with, or is damaged");
        }
        println!("{} rows, all as they were written.", found.rows);
        // An attacker who can rewrite the whole table can create a new chain. A copy of this line in another place
        // reveals that.
        println!("The last is {}, with the hash {}", found.last_seq, found.last_hash);
        Ok(())
    }
}

/// The highest number of removals that are listed one by one. The newest are listed.
const LISTED: usize = 20;

/// Returns lines about the rows that retention removed, and when.
fn removed(found: &Verified) -> Vec<String> {
    let up_to = found.removed_up_to;
    if up_to == 0 {
        return Vec::new();
    }
    let mut lines = vec![format!("Retention removed rows 1 to {up_to}.")];
    let first_told = found.removed.first().map_or(up_to, |first| first.first_seq - 1);
    if first_told > 0 {
        lines.push(format!("  rows 1 to {first_told}: no entry says when"));
    }
    let older = found.removed.len().saturating_sub(LISTED);
    if older > 0 {
        lines.push(format!("  {older} earlier removals"));
    }
    lines.extend(found.removed.iter().skip(older).map(|removal| {
        let Removal { at, first_seq, last_seq, rows } = removal;
        format!("  rows {first_seq} to {last_seq} ({rows} rows) at {}", at.to_rfc3339())
    }));
    lines
}
