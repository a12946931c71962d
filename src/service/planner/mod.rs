//! Production by itself: follows the copies that run, plans the farm, and assigns copies.
//!
//! One task does this, as a reconciler. It runs when the feed has new events, when it is woken, and every 2 s. A run
//! compares what it kept with the database (`kept.rs`), and reads the fleet, so a run that is cut off or repeated does no
//! harm. A copy and its start command are one transaction, and a printer has at most one active copy.

mod filament;
mod follow;
mod input;
mod kept;
mod outlook;
mod prefetch;
mod staff;
mod switch;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

pub use self::outlook::Outlook;

pub(super) use self::input::{plan_order, plan_printer};
use self::kept::KeptFarm;
use super::{
    Services,
    background::{PeriodicTask, RunResult},
    error::Error,
};
use crate::{
    clock,
    domain::planner::{Assignment, NextCopy, Plan, PlanInput, PlanSwitch, Planner},
    storage::copies::AssignmentResult,
};

/// Time between two runs without a signal.
const PERIOD: Duration = Duration::from_secs(2);
/// Changes that come together share a run.
const GATHER_TIME: Duration = Duration::from_millis(50);
/// Changes are gathered at least this many times as long as the last run took, so that runs take at most a fifth of a core.
const REST_FACTOR: u32 = 4;
/// After a run this long, runs without a signal rest [`IDLE_REST_FACTOR`] times as long, so that they take at most 5 % of a core.
const LONG_RUN: Duration = Duration::from_millis(100);
const IDLE_REST_FACTOR: u32 = 20;
/// Pause of a printer after a start that was not made. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// The last plan, with what it was made of.
#[derive(Debug, Clone)]
pub struct PlanView {
    pub made_at: DateTime<Utc>,
    pub switch: PlanSwitch,
    pub plan: Plan,
    /// What printers take after their prints, or when their plates are clear.
    pub next: Vec<NextCopy>,
    /// What the plan was made of.
    pub input: PlanInput,
    pub times: RunTimes,
}

/// How long the parts of a run took.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunTimes {
    /// Following the active copies.
    pub following: Duration,
    /// Reading what the plan is made of.
    pub reading: Duration,
    pub planning: Duration,
    /// Storing the assignments, and sending the next files ahead.
    pub assigning: Duration,
}

/// What the planner shares with requests. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct PlannerHandle(Arc<Shared>);

#[derive(Default)]
struct Shared {
    wake: Notify,
    latest: Mutex<Option<Arc<PlanView>>>,
    outlooks: Mutex<Arc<HashMap<Uuid, Outlook>>>,
    switch: Mutex<PlanSwitch>,
}

impl PlannerHandle {
    /// Makes the planner run now.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Returns the last plan. `None`: the server has made no plan since its start.
    pub fn latest(&self) -> Option<Arc<PlanView>> {
        self.0.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns what production does with each printer next. Empty: the server has made no plan since its start.
    pub fn outlooks(&self) -> Arc<HashMap<Uuid, Outlook>> {
        self.0.outlooks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the former outlooks.
    fn replace_outlooks(&self, outlooks: HashMap<Uuid, Outlook>) -> Arc<HashMap<Uuid, Outlook>> {
        let mut current = self.0.outlooks.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, Arc::new(outlooks))
    }

    /// Returns the switch as it was read or stored last, without a query.
    fn last_switch(&self) -> PlanSwitch {
        self.0.switch.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember_switch(&self, switch: &PlanSwitch) {
        self.0.switch.lock().unwrap_or_else(PoisonError::into_inner).clone_from(switch);
    }

    fn publish(&self, view: PlanView) {
        *self.0.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(view));
    }
}

/// The pause of a printer after starts that were not made.
struct Pause {
    count: u32,
    until: Instant,
}

/// The background task `planner`.
struct PlannerTask {
    services: Services,
    planner: Planner,
    feed: watch::Receiver<i64>,
    pauses: HashMap<Uuid, Pause>,
    /// Printing copies of which this process has checked that their orders keep them.
    kept: HashSet<Uuid>,
    /// The last known positions in the files of printing copies, in bytes.
    positions: HashMap<Uuid, u64>,
    farm: KeptFarm,
    /// When the last run began, and how long it took. `None`: it failed, or there was none.
    last_run: Option<(Instant, Duration)>,
    /// There was a signal since the last run.
    is_woken: bool,
}

impl PeriodicTask for PlannerTask {
    async fn run(&mut self) -> RunResult {
        let is_woken = std::mem::take(&mut self.is_woken);
        if !is_woken && self.rests() {
            return Ok(None);
        }
        self.last_run = None;
        self.feed.mark_unchanged();
        let begin = Instant::now();
        let (mut times, mut part) = (RunTimes::default(), begin);
        let switch = self.services.plan_switch().await?;
        let active = self.follow_copies(&switch).await?;
        times.following = restart(&mut part);
        let input = self.gather(&switch, &active).await?;
        times.reading = restart(&mut part);
        let now = clock::now();
        let plan = self.planner.plan(&input, now);
        times.planning = restart(&mut part);
        for assignment in &plan.assignments {
            self.assign(assignment).await?;
        }
        let next = self.find_next(&input, &plan, now);
        self.prefetch(&input, &next).await?;
        self.show_outlooks(&input, &plan, &next);
        times.assigning = restart(&mut part);
        self.services.planner.publish(PlanView { made_at: now, switch, plan, next, input, times });
        self.last_run = Some((begin, begin.elapsed()));
        Ok(None)
    }

    async fn wait_for_work(&mut self) {
        tokio::select! {
            () = self.services.planner.0.wake.notified() => {}
            changed = self.feed.changed() => if changed.is_err() { std::future::pending::<()>().await },
        }
        self.is_woken = true;
        let last = self.last_run.map_or(Duration::ZERO, |(_, time)| time);
        tokio::time::sleep(GATHER_TIME.max(last.saturating_mul(REST_FACTOR))).await;
    }
}

/// Returns the time since `begin`, and sets it to now.
fn restart(begin: &mut Instant) -> Duration {
    let now = Instant::now();
    now - std::mem::replace(begin, now)
}

impl PlannerTask {
    /// Returns whether a run without a signal would come too soon after a long one. A later one is made.
    fn rests(&self) -> bool {
        self.last_run
            .is_some_and(|(begin, time)| time > LONG_RUN && begin.elapsed() < time.saturating_mul(IDLE_REST_FACTOR))
    }

    async fn assign(&self, assignment: &Assignment) -> Result<(), Error> {
        let (Some(order), Some(printer)) =
            (self.farm.order(assignment.order), self.farm.printers().get(&assignment.printer))
        else {
            return Ok(());
        };
        let Some(file) = order.files.get(assignment.file) else { return Ok(()) };
        let why = match serde_json::to_value(&assignment.why) {
            Ok(Value::Object(why)) => why,
            _ => Map::new(),
        };
        match self.services.assign_copy(order, file, printer, why).await? {
            AssignmentResult::Assigned(_) => self.services.planner.wake(),
            // The next run reads what has changed.
            AssignmentResult::NotNeeded | AssignmentResult::PrinterTaken => {}
        }
        Ok(())
    }

    /// Keeps a printer from work for a while, because its start was not made.
    fn pause_printer(&mut self, id: Uuid) {
        let pause = self.pauses.entry(id).or_insert(Pause { count: 0, until: Instant::now() });
        pause.count = pause.count.saturating_add(1);
        let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(pause.count - 1));
        pause.until = Instant::now() + doubled.min(LONGEST_PAUSE);
    }
}

impl Services {
    /// Returns the last plan. `None`: the server has made no plan since its start.
    pub fn latest_plan(&self) -> Option<Arc<PlanView>> {
        self.planner.latest()
    }

    /// Returns what production does with each opted-in printer next. Printers of which their state says enough are missing.
    pub fn outlooks(&self) -> Arc<HashMap<Uuid, Outlook>> {
        self.planner.outlooks()
    }

    /// Returns whether the farm uses production: a printer is opted in, or an order is open.
    pub fn uses_production(&self) -> bool {
        let plan = self.latest_plan();
        plan.is_some_and(|view| !view.input.orders.is_empty() || view.input.printers.iter().any(|one| one.is_auto))
    }

    /// Returns what a printer takes next after a plan.
    pub fn plan_next(&self, view: &PlanView, printer: Uuid) -> Option<NextCopy> {
        let prefetched = view.next.iter().find(|next| next.printer == printer).cloned();
        prefetched.or_else(|| Planner::default().next(&view.input, &view.plan, &[printer], view.made_at).pop())
    }

    pub(super) fn start_planner(&self) {
        let task = PlannerTask {
            services: self.clone(),
            planner: Planner::default(),
            feed: self.feed_notifier.subscribe(),
            pauses: HashMap::new(),
            kept: HashSet::new(),
            positions: HashMap::new(),
            farm: KeptFarm::default(),
            last_run: None,
            is_woken: false,
        };
        self.background.add("planner", PERIOD, task);
    }
}
