//! `printyard user`: manages users who log in by name and password, at the terminal. It uses the database of the
//! server's settings, whether the server runs or not.

use std::io::{BufRead, IsTerminal};

use anyhow::{Context, bail};
use clap::Subcommand;
use printyard::{
    config::RawConfig,
    domain::{
        access::Role,
        audit::ActorKind,
        user::{User as Person, UserDetails},
    },
    http::messages::english,
    secrets,
    service::{
        access::Principal,
        users::{changed_user, check_new_user, new_user},
    },
    storage::{
        self, Db,
        users::{SessionsToEnd, UserUpdate, UserUpdateResult},
    },
};

/// Arguments of `user`.
#[derive(clap::Args)]
pub struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Subcommand)]
enum UserCommand {
    /// Add a user; the password is asked for, or read as one line from standard input
    Add {
        name: String,
        /// viewer, operator, manager or admin
        #[arg(long, default_value = "operator")]
        role: String,
        /// Only printers with one of these tags (repeatable)
        #[arg(long = "tag")]
        tags: Vec<String>,
        #[command(flatten)]
        raw: RawConfig,
    },
    /// Change a user's password, and end all sessions of the user
    Passwd {
        name: String,
        #[command(flatten)]
        raw: RawConfig,
    },
    /// Disable a user at once
    Disable {
        name: String,
        #[command(flatten)]
        raw: RawConfig,
    },
    /// Enable a user again
    Enable {
        name: String,
        #[command(flatten)]
        raw: RawConfig,
    },
    /// List all users, newest first
    List {
        #[command(flatten)]
        raw: RawConfig,
    },
}

impl UserArgs {
    /// Runs the subcommand.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command {
            UserCommand::Add { name, role, tags, raw } => add_user(raw, name, &role, tags).await,
            UserCommand::Passwd { name, raw } => {
                let db = super::open_configured_database(raw).await?;
                let (person, _) = find_user(&db, &name).await?;
                let password = read_password()?;
                check_details(&person.details, Some(&password))?;
                let details = person.details.clone();
                update_user(&db, person, details, Some(&password)).await
            }
            UserCommand::Disable { name, raw } => set_user_enabled(raw, &name, false).await,
            UserCommand::Enable { name, raw } => set_user_enabled(raw, &name, true).await,
            UserCommand::List { raw } => {
                for person in storage::users::list_page(&super::open_configured_database(raw).await?, None, 500).await?
                {
                    let state = if person.details.enabled { "" } else { "  disabled" };
                    println!("{:8}  {}{state}", person.details.role, person.details.name);
                }
                Ok(())
            }
        }
    }
}

async fn add_user(raw: RawConfig, name: String, role: &str, tags: Vec<String>) -> anyhow::Result<()> {
    let role = Role::parse(role).context("--role must be viewer, operator, manager or admin")?;
    let details = UserDetails { name, role, tags, enabled: true };
    check_details(&details, None)?;
    let db = super::open_configured_database(raw).await?;
    let password = read_password()?;
    check_details(&details, Some(&password))?;
    let (person, entry) = new_user(&terminal_principal(), details);
    match storage::users::insert(&db, &person, Some(&secrets::password::hash(&password)?), &entry).await {
        Err(storage::Error::NameTaken) => bail!("there is a user {} already", person.details.name),
        other => Ok(other?),
    }
}

async fn set_user_enabled(raw: RawConfig, name: &str, enabled: bool) -> anyhow::Result<()> {
    let db = super::open_configured_database(raw).await?;
    let (person, _) = find_user(&db, name).await?;
    let details = UserDetails { enabled, ..person.details.clone() };
    update_user(&db, person, details, None).await
}

async fn update_user(db: &Db, before: Person, details: UserDetails, password: Option<&str>) -> anyhow::Result<()> {
    let hash = password.map(secrets::password::hash).transpose()?;
    let sessions = if hash.is_some() || !details.enabled { SessionsToEnd::All } else { SessionsToEnd::None };
    let expected_version = before.version;
    let (person, entry) = changed_user(&terminal_principal(), before, details, hash.is_some());
    let password_hash = hash.as_deref();
    // The terminal can always add another admin.
    let change = UserUpdate { user: &person, expected_version, password_hash, sessions, require_other_admin: false };
    match storage::users::update(db, &change, &entry).await? {
        UserUpdateResult::Stored => Ok(()),
        UserUpdateResult::Stale | UserUpdateResult::LastAdmin => {
            bail!("{} was changed in the meantime; try again", person.details.name)
        }
    }
}

async fn find_user(db: &Db, name: &str) -> anyhow::Result<(Person, Option<String>)> {
    storage::users::find_by_name(db, name).await?.with_context(|| format!("there is no user {name}"))
}

fn check_details(details: &UserDetails, password: Option<&str>) -> anyhow::Result<()> {
    match check_new_user(details, password) {
        Ok(()) => Ok(()),
        Err(invalid) => {
            let rules: Vec<String> = invalid
                .0
                .iter()
                .map(|error| format!("{} {}", error.pointer.trim_start_matches('/'), english(&error.detail)))
                .collect();
            bail!("{}", rules.join("; "))
        }
    }
}

/// At a terminal, asks for the password twice without showing it. Otherwise reads one line.
fn read_password() -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let password = rpassword::prompt_password("Password: ")?;
    if rpassword::prompt_password("Repeat the password: ")? != password {
        bail!("the two passwords differ");
    }
    Ok(password)
}

fn terminal_principal() -> Principal {
    Principal::server_admin(ActorKind::Terminal)
}
