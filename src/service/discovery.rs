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
    octoprint::{self, DiscoveredInstance},
    outbound::MdnsError,
    storage,
};

/// How long to listen. OctoPrint answers within a second, but a busy network may lose the first query.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a result is reused for further requests.
const REUSE_FOR: Duration = Duration::from_secs(5);

/// The last result. It is locked while the server listens.
#[derive(Default)]
pub struct Discovery(Mutex<Option<(Instant, ListenResult)>>);

type ListenResult = Result<Vec<DiscoveredInstance>, MdnsError>;

/// Result of a discovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscoveryResult {
    Found(Vec<FoundPrinter>),
    /// Discovery is disabled on this server.
    Disabled,
    /// Listening failed, with the error text of the system.
    Failed(String),
}

/// An OctoPrint that announces itself on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPrinter {
    pub name: String,
    /// The address under which it would be registered.
    pub url: String,
    pub version: Option<String>,
    pub status: FoundStatus,
}

/// Relation of a found OctoPrint to this farm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundStatus {
    New,
    /// Registered. Contains the printer's id and name if the principal may see the printer.
    Registered(Option<(Uuid, String)>),
    /// In a network that this server must not connect to.
    Blocked,
}

impl Services {
    /// Returns the OctoPrint instances that announce themselves now. Takes a few seconds.
    pub async fn discover(&self, who: &Principal) -> Result<DiscoveryResult, Error> {
        who.require(Role::Manager)?;
        if !self.settings.discovery {
            return Ok(DiscoveryResult::Disabled);
        }
        let announced = match self.listen().await {
            Ok(announced) => announced,
            Err(error) => return Ok(DiscoveryResult::Failed(error.to_string())),
        };
        let registered = storage::printers::list_printers(&self.db).await?;
        let registered: HashMap<&str, &Printer> =
            registered.iter().map(|printer| (printer.details.url.as_str(), printer)).collect();
        Ok(DiscoveryResult::Found(
            announced.iter().filter_map(|one| self.to_found_printer(who, one, &registered)).collect(),
        ))
    }

    /// Listens on the network. Only one request listens at a time; the others reuse its result.
    async fn listen(&self) -> ListenResult {
        let mut last = self.discovery.0.lock().await;
        if let Some((_, result)) = last.as_ref().filter(|(at, _)| at.elapsed() < REUSE_FOR) {
            return result.clone();
        }
        let result = octoprint::discover_instances(&self.outbound, LISTEN_TIMEOUT).await;
        *last = Some((Instant::now(), result.clone()));
        result
    }

    fn to_found_printer(
        &self,
        who: &Principal,
        one: &DiscoveredInstance,
        registered: &HashMap<&str, &Printer>,
    ) -> Option<FoundPrinter> {
        let allowed = one.urls.iter().find(|url| self.outbound.check_literal(url).is_ok());
        let url = normalise_url(allowed.or(one.urls.first())?.as_str()).ok()?;
        let known = one.urls.iter().filter_map(|url| registered.get(normalise_url(url.as_str()).ok()?.as_str())).next();
        let status = match known {
            Some(printer) => {
                FoundStatus::Registered(who.may_see(printer).then(|| (printer.id, printer.details.name.clone())))
            }
            None if allowed.is_none() => FoundStatus::Blocked,
            None => FoundStatus::New,
        };
        Some(FoundPrinter { name: one.name.clone(), url, version: one.version.clone(), status })
    }
}
