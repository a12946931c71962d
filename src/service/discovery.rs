//! Discovery of OctoPrint instances on the network, on request.

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

/// How long to listen. OctoPrint answers within a second, but a busy network may lose the first query.
const WITHIN: Duration = Duration::from_secs(3);
/// How long a result is reused for further requests.
const FRESH: Duration = Duration::from_secs(5);

/// The last result. It is locked while the server listens.
#[derive(Default)]
pub struct Discovery(Mutex<Option<(Instant, Heard)>>);

type Heard = Result<Vec<Announced>, MdnsError>;

/// Result of a discovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    Found(Vec<Found>),
    /// Discovery is disabled on this server.
    Off,
    /// Listening failed, with the error text of the system.
    Deaf(String),
}

/// An OctoPrint that announces itself on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    /// The address under which it would be registered.
    pub url: String,
    pub version: Option<String>,
    pub standing: Standing,
}

/// Relation of a found OctoPrint to this farm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    New,
    /// Registered. Contains the printer's id and name if the principal may see the printer.
    Registered(Option<(Uuid, String)>),
    /// In a network that this server must not connect to.
    Blocked,
}

impl Services {
    /// Returns the OctoPrint instances that announce themselves now. Takes a few seconds.
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

    /// Listens on the network. Only one request listens at a time; the others reuse its result.
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
