//! `printyard audit`: verifies the audit log.

use anyhow::bail;
use clap::Subcommand;
use printyard::{
    config::RawConfig,
    storage::{
        self,
        audit::{AuditRemoval, AuditVerification},
    },
};

/// Arguments of `audit`.
#[derive(clap::Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Verify the whole chain, and report rows that were altered or are missing
    Verify {
        #[command(flatten)]
        raw: RawConfig,
    },
}

impl AuditArgs {
    /// Runs the subcommand. Fails if the chain has a fault.
    pub async fn run(self) -> anyhow::Result<()> {
        let AuditCommand::Verify { raw } = self.command;
        let verification = storage::audit::verify(&super::open_configured_database(raw).await?).await?;
        for line in removal_lines(&verification) {
            println!("{line}");
        }
        for fault in &verification.faults {
            println!("{fault}");
        }
        if !verification.faults.is_empty() {
            bail!("the audit was tampered with, or is damaged");
        }
        println!("{} rows, all as they were written.", verification.rows);
        // An attacker who can rewrite the whole table can create a new chain. A copy of this line in another place
        // reveals that.
        println!("The last is {}, with the hash {}", verification.last_seq, verification.last_hash);
        Ok(())
    }
}

/// The highest number of removals that are listed one by one. The newest are listed.
const MAX_LISTED_REMOVALS: usize = 20;

/// Returns lines about the rows that retention removed, and when.
fn removal_lines(verification: &AuditVerification) -> Vec<String> {
    let up_to = verification.removed_up_to;
    if up_to == 0 {
        return Vec::new();
    }
    let mut lines = vec![format!("Retention removed rows 1 to {up_to}.")];
    let undated_up_to = verification.removed.first().map_or(up_to, |first| first.first_seq - 1);
    if undated_up_to > 0 {
        lines.push(format!("  rows 1 to {undated_up_to}: no entry says when"));
    }
    let older = verification.removed.len().saturating_sub(MAX_LISTED_REMOVALS);
    if older > 0 {
        lines.push(format!("  {older} earlier removals"));
    }
    lines.extend(verification.removed.iter().skip(older).map(|removal| {
        let AuditRemoval { at, first_seq, last_seq, rows } = removal;
        format!("  rows {first_seq} to {last_seq} ({rows} rows) at {}", at.to_rfc3339())
    }));
    lines
}
