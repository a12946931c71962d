//! Looking for OctoPrints on the network, when somebody asks for it.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
use crate::{
    domain::{
        access::Role,
        printer::{Printer, normalise_url},
    },
    octoprint::{self, Announced},
    outbound::MdnsError,
    storage,
};

/// An OctoPrint answers within a second; a busy network may lose the first question.
const WITHIN: Duration = Duration::from_secs(3);
/// What was heard is told again for so long, to whoever asks meanwhile.
const FRESH: Duration = Duration::from_secs(5);

/// What was heard last. Locked while somebody listens.
#[derive(Default)]
pub struct Discovery(Mutex<Option<(Instant, Heard)>>);

type Heard = Result<Vec<Announced>, MdnsError>;

/// What a look at the network brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    Found(Vec<Found>),
    /// This server is set not to look.
    Off,
    /// It cannot: in what words the system says so.
    Deaf(String),
}

/// An OctoPrint that announces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    /// The address by which it would be registered.
    pub url: String,
    pub version: Option<String>,
    pub standing: Standing,
}

/// What it is to this farm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    New,
    /// Registered; the printer's id and name, where it may be seen.
    Registered(Option<(Uuid, String)>),
    /// In a network that this server must not connect to.
    Blocked,
}

impl Services {
    /// Which OctoPrints announce themselves now. Takes some seconds.
    pub async fn discover(&self, who: &Principal) -> Result<Look, Error> {
        who.require(Role::Manager)?;
        if !self.settings.discovery {
            return Ok(Look::Off);
        }
        let announced = match self.listen().await {
            Ok(announced) => announced,
            Err(error) => return Ok(Look::Deaf(error.to_string())),
        };
        let registered = storage::printers::all(&self.db).await?;
        let registered: HashMap<&str, &Printer> =
            registered.iter().map(|printer| (printer.details.url.as_str(), printer)).collect();
        Ok(Look::Found(announced.iter().filter_map(|one| self.found(who, one, &registered)).collect()))
    }

    /// One look at a time, whoever asks.
    async fn listen(&self) -> Heard {
        let mut last = self.discovery.0.lock().await;
        if let Some((_, heard)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return heard.clone();
        }
        let heard = octoprint::announced(&self.outbound, WITHIN).await;
        *last = Some((Instant::now(), heard.clone()));
        heard
    }

    fn found(&self, who: &Principal, one: &Announced, registered: &HashMap<&str, &Printer>) -> Option<Found> {
        let allowed = one.urls.iter().find(|url| self.outbound.check_literal(url).is_ok());
        let url = normalise_url(allowed.or(one.urls.first())?.as_str()).ok()?;
        let known = one.urls.iter().filter_map(|url| registered.get(normalise_url(url.as_str()).ok()?.as_str())).next();
        let standing = match known {
            Some(printer) => {
                Standing::Registered(who.may_see(printer).then(|| (printer.id, printer.details.name.clone())))
            }
            None if allowed.is_none() => Standing::Blocked,
            None => Standing::New,
        };
        Some(Found { name: one.name.clone(), url, version: one.version.clone(), standing })
    }
}
