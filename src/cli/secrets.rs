//! `printyard secrets`: rotates the key that seals the printers' API keys and the webhooks' secrets, while the server
//! runs. Keys are never printed.

use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use clap::Subcommand;
use printyard::{
    config::{Config, RawConfig},
    domain::audit::{Action as AuditAction, ActorKind, object_fields},
    open_vault,
    secrets::{KEY_FILE, KeyFileLock, Vault},
    service::{access::Principal, resealing},
    storage::{self, Db},
};
use serde_json::json;

/// A running server may seal a value with the former key just before a rotation, and store it shortly after.
const SETTLED_AFTER: Duration = Duration::from_secs(60);

/// Arguments of `secrets`.
#[derive(clap::Args)]
pub struct SecretsArgs {
    #[command(subcommand)]
    command: SecretsCommand,
}

#[derive(Subcommand)]
enum SecretsCommand {
    /// Create a new key and seal all stored secrets with it; former keys are kept, and the server keeps running
    ///
    /// If the keys are in PRINTYARD_SECRET_KEY, all stored secrets are sealed with the first key of the list. Every
    /// running server must already have this key
    Rotate {
        #[command(flatten)]
        raw: RawConfig,
    },
    /// Remove the former keys, if no stored secret needs them
    Prune {
        #[command(flatten)]
        raw: RawConfig,
    },
}

impl SecretsArgs {
    /// Runs the subcommand.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command {
            SecretsCommand::Rotate { raw } => rotate_keys(&raw.with_file()?.validate()?).await,
            SecretsCommand::Prune { raw } => prune_keys(&raw.with_file()?.validate()?).await,
        }
    }
}

async fn open_with_vault(config: &Config) -> anyhow::Result<(Db, Vault)> {
    let db = super::open_database(config).await?;
    let vault = open_vault(config, &db).await?;
    // Checked before anything is written: with a wrong key, nothing can be rotated.
    resealing::check_keys(&db, &vault).await?;
    Ok((db, vault))
}

async fn rotate_keys(config: &Config) -> anyhow::Result<()> {
    let in_file = config.secret_key.is_none();
    // Held until all values are sealed, so that no other process prunes keys in the meantime.
    let lock = if in_file { Some(KeyFileLock::acquire(&config.data_dir)?) } else { None };
    let (db, mut vault) = open_with_vault(config).await?;
    if let Some(lock) = &lock {
        lock.replace(&vault.ring().rotated()?)?;
        vault = open_vault(config, &db).await?;
        println!("{} has a new key; {} former kept.", vault.key_source(), vault.ring().former_count());
    }
    let done = resealing::reseal_keys(&db, &vault).await.with_context(
        || "not everything was sealed with the new key; nothing is lost, former keys are kept: run this again",
    )?;
    let principal = Principal::server_admin(ActorKind::Terminal);
    let details = object_fields(&json!({"resealed": done.resealed, "lost": done.lost}));
    storage::audit::append_single(&db, &principal.audit_entry(AuditAction::SecretsRotated, details)).await?;
    println!("{} stored secret(s) sealed with the current key.", done.resealed);
    if !done.lost.is_empty() {
        bail!(
            "no key opens what is stored of these, enter API keys anew and rotate the secrets of webhooks: {}",
            done.lost.join(", ")
        );
    }
    if in_file {
        println!("Back up {} now: no former copy opens what is sealed from here on.", vault.key_source());
        println!("A running server goes on by itself. After a minute, `printyard secrets prune` forgets former keys.");
    } else if vault.ring().former_count() > 0 {
        println!("The other keys of PRINTYARD_SECRET_KEY can be taken out of the list once `printyard secrets prune`");
        println!("finds none of them in use; then start every server with the shorter list.");
    }
    Ok(())
}

async fn prune_keys(config: &Config) -> anyhow::Result<()> {
    let in_file = config.secret_key.is_none();
    let lock = if in_file { Some(KeyFileLock::acquire(&config.data_dir)?) } else { None };
    let (db, vault) = open_with_vault(config).await?;
    let former = vault.ring().former_count();
    if former == 0 {
        println!("There are no former keys.");
        return Ok(());
    }
    let in_need = resealing::find_former_key_owners(&db, &vault).await?;
    if !in_need.is_empty() {
        bail!(
            "the former keys are still needed for what is stored of {}: {}. Run `printyard secrets rotate` first; nothing \
             was changed",
            in_need.len(),
            in_need.join(", ")
        );
    }
    let Some(lock) = lock else {
        println!("Nothing needs the other keys: take them out of PRINTYARD_SECRET_KEY and start every server anew.");
        return Ok(());
    };
    let changed = std::fs::metadata(config.data_dir.join(KEY_FILE))?.modified()?;
    if SystemTime::now().duration_since(changed).unwrap_or_default() < SETTLED_AFTER {
        bail!(
            "the keys were changed less than {} s ago, and a running server may be storing what it sealed before; run \
             this again in a minute. Nothing was changed",
            SETTLED_AFTER.as_secs()
        );
    }
    lock.replace(&vault.ring().pruned())?;
    println!("{former} former key(s) forgotten. Back up {} now.", vault.key_source());
    Ok(())
}
