//! `printyard token`: manages API tokens at the terminal. It uses the database of the server's settings, whether the
//! server runs or not.

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use clap::Subcommand;
use printyard::{
    clock,
    config::RawConfig,
    domain::{
        access::{Role, Token as ApiToken},
        audit::{Action, ActorKind, AuditEntry, object_fields},
    },
    secrets,
    service::access::Principal,
    storage,
};
use serde_json::{Map, json};
use uuid::Uuid;

/// Arguments of `token`.
#[derive(clap::Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Create a token; it is printed only once, to standard output
    Create {
        /// Purpose of the token
        #[arg(long)]
        name: String,
        /// viewer, operator, manager or admin
        #[arg(long, default_value = "operator")]
        role: String,
        /// Only printers with one of these tags (repeatable)
        #[arg(long = "tag")]
        tags: Vec<String>,
        /// When the token expires (RFC 3339) [default: never]
        #[arg(long)]
        expires_at: Option<DateTime<Utc>>,
        #[command(flatten)]
        raw: RawConfig,
    },
    /// List the tokens, newest first
    List {
        #[command(flatten)]
        raw: RawConfig,
    },
    /// Revoke a token at once
    Revoke {
        /// Id of the token, as shown by `list`
        id: Uuid,
        #[command(flatten)]
        raw: RawConfig,
    },
}

impl TokenArgs {
    /// Runs the subcommand.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command {
            TokenCommand::Create { name, role, tags, expires_at, raw } => {
                create_token(raw, name, &role, tags, expires_at).await
            }
            TokenCommand::List { raw } => list_tokens(raw).await,
            TokenCommand::Revoke { id, raw } => {
                let entry = AuditEntry {
                    subject: Some(id),
                    ..terminal_principal().audit_entry(Action::TokenRevoked, Map::new())
                };
                if !storage::tokens::revoke(&super::open_configured_database(raw).await?, id, clock::now(), &entry)
                    .await?
                {
                    bail!("there is no token {id} that is not revoked");
                }
                Ok(())
            }
        }
    }
}

async fn create_token(
    raw: RawConfig,
    name: String,
    role: &str,
    tags: Vec<String>,
    expires_at: Option<DateTime<Utc>>,
) -> anyhow::Result<()> {
    let role = Role::parse(role).context("--role must be viewer, operator, manager or admin")?;
    if name.trim().is_empty() || name.chars().count() > 100 {
        bail!("--name must be 1 to 100 characters long");
    }
    let db = super::open_configured_database(raw).await?;
    let (secret, hash) = secrets::new_token()?;
    let id = clock::new_id();
    let token = ApiToken {
        id,
        name: name.trim().to_owned(),
        role,
        tags,
        created_at: clock::now(),
        expires_at,
        last_used_at: None,
        root_id: id,
        requires_key: false,
        created_by: Some(terminal_principal().name),
    };
    let details = json!({"name": token.name, "role": token.role, "tags": token.tags, "expires_at": token.expires_at});
    let entry = AuditEntry {
        subject: Some(token.id),
        ..terminal_principal().audit_entry(Action::TokenCreated, object_fields(&details))
    };
    storage::tokens::insert(&db, &token, &hash, &entry).await?;
    println!("{secret}");
    Ok(())
}

async fn list_tokens(raw: RawConfig) -> anyhow::Result<()> {
    let db = super::open_configured_database(raw).await?;
    for token in storage::tokens::list_page(&db, None, 500).await? {
        let used = token.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("used {at}"));
        println!("{}  {:8}  {}  {used}", token.id, token.role, token.name);
    }
    Ok(())
}

fn terminal_principal() -> Principal {
    Principal::server_admin(ActorKind::Terminal)
}
