//! `printyard user`: manages users who log in by name and password, at the terminal. It uses the database of the
//! server's settings, whether the server runs or not.

use std::io::{BufRead, IsTerminal};

use anyhow::{Context, bail};
use clap::Subcommand;
use printyard::{
    config::Given,
    domain::{
        access::Role,
        audit::ActorKind,
        user::{User as Person, UserDetails},
    },
    secrets,
    service::{
        access::Principal,
        users::{changed, check_new, made},
    },
    storage::{
        self, Db,
        users::{EndSessions, Updated, UserUpdate},
    },
};

/// Arguments of `user`.
#[derive(clap::Args)]
pub struct User {
    #[command(subcommand)]
    action: Subject,
}

#[derive(Subcommand)]
enum Subject {
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
        given: Given,
    },
    /// Change a user's password, and end all sessions of the user
    Passwd {
        name: String,
        #[command(flatten)]
        given: Given,
    },
    /// Disable a user at once
    Disable {
        name: String,
        #[command(flatten)]
        given: Given,
    },
    /// Enable a user again
    Enable {
        name: String,
        #[command(flatten)]
        given: Given,
    },
    /// List all users, newest first
    List {
        #[command(flatten)]
        given: Given,
    },
}

impl User {
    /// Runs the subcommand.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.action {
            Subject::Add { name, role, tags, given } => add(given, name, &role, tags).await,
            Subject::Passwd { name, given } => {
                let db = super::open(given).await?;
                let (person, _) = found(&db, &name).await?;
                let password = password()?;
                check(&person.details, Some(&password))?;
                let details = person.details.clone();
                change(&db, person, details, Some(&password)).await
            }
            Subject::Disable { name, given } => set_enabled(given, &name, false).await,
            Subject::Enable { name, given } => set_enabled(given, &name, true).await,
            Subject::List { given } => {
                for person in storage::users::page(&super::open(given).await?, None, 500).await? {
                    let state = if person.details.enabled { "" } else { "  disabled" };
                    println!("{:8}  {}{state}", person.details.role, person.details.name);
                }
                Ok(())
            }
        }
    }
}

async fn add(given: Given, name: String, role: &str, tags: Vec<String>) -> anyhow::Result<()> {
    let role = Role::parse(role).context("--role must be viewer, operator, manager or admin")?;
    let details = UserDetails { name, role, tags, enabled: true };
    check(&details, None)?;
    let db = super::open(given).await?;
    let password = password()?;
    check(&details, Some(&password))?;
    let (person, entry) = made(&terminal(), details);
    match storage::users::insert(&db, &person, Some(&secrets::password::hash(&password)?), &entry).await {
        Err(storage::Error::NameTaken) => bail!("there is a user {} already", person.details.name),
        other => Ok(other?),
    }
}

async fn set_enabled(given: Given, name: &str, enabled: bool) -> anyhow::Result<()> {
    let db = super::open(given).await?;
    let (person, _) = found(&db, name).await?;
    let details = UserDetails { enabled, ..person.details.clone() };
    change(&db, person, details, None).await
}

async fn change(db: &Db, before: Person, details: UserDetails, password: Option<&str>) -> anyhow::Result<()> {
    let hash = password.map(secrets::password::hash).transpose()?;
    let sessions = if hash.is_some() || !details.enabled { EndSessions::All } else { EndSessions::None };
    let expected_version = before.version;
    let (person, entry) = changed(&terminal(), before, details, hash.is_some());
    let password_hash = hash.as_deref();
    // The terminal can always add another admin.
    let change = UserUpdate { user: &person, expected_version, password_hash, sessions, keep_an_admin: false };
    match storage::users::update(db, &change, &entry).await? {
        Updated::Yes => Ok(()),
        Updated::Stale | Updated::LastAdmin => bail!("{} was changed in the meantime; try again", person.details.name),
    }
}

async fn found(db: &Db, name: &str) -> anyhow::Result<(Person, Option<String>)> {
    storage::users::by_name(db, name).await?.with_context(|| format!("there is no user {name}"))
}

fn check(details: &UserDetails, password: Option<&str>) -> anyhow::Result<()> {
    match check_new(details, password) {
        Ok(()) => Ok(()),
        Err(invalid) => {
            let rules: Vec<String> = invalid
                .0
                .iter()
                .map(|error| format!("{} {}", error.pointer.trim_start_matches('/'), error.detail))
                .collect();
            bail!("{}", rules.join("; "))
        }
    }
}

/// At a terminal, asks for the password twice without showing it. Otherwise reads one line.
fn password() -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let password = rpassword::prompt_password("Password: ")?;
    if rpassword::prompt_password("The same once more: ")? != password {
        bail!("the two passwords differ");
    }
    Ok(password)
}

fn terminal() -> Principal {
    Principal::operator_of_the_server(ActorKind::Terminal)
}
