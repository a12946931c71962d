//! Fault injection in storage: the n-th use of the database fails, once or until the script ends.
//!
//! The use fails before it runs, before its commit, or after its commit, when the reply is lost. Then the failure ends,
//! the server restarts, and all checks of `checks.rs` must pass.
//!
//! Runs 40 random cases on each database and prints the seed. `PRINTYARD_TEST_SEED` repeats a run, and
//! `PRINTYARD_TEST_FAULTS` sets the number of cases. This runs every use with every moment and both durations:
//!
//! ```sh
//! PRINTYARD_TEST_FAULTS=all cargo test --test it storage_faults -- --nocapture
//! ```
//!
//! `PRINTYARD_TEST_FAULTS=119/AfterCommit/UntilLifted` is a single case.

mod checks;
mod client;
mod script;

use std::{any::Any, collections::BTreeMap, panic::AssertUnwindSafe, time::Instant};

use futures_util::{FutureExt, StreamExt, stream};
use printyard::storage::fault_injection::{FailureDuration, FailurePoint, InjectedFailure};
use tempfile::TempDir;

use self::script::{ScriptSetup, run_script};
use crate::support::{
    fresh_database::{FreshDatabase, create_fresh_database},
    needs,
    seeded_rng::{SeededRng, test_seed},
};

const MOMENTS: [FailurePoint; 3] = [FailurePoint::Before, FailurePoint::BeforeCommit, FailurePoint::AfterCommit];
const DURATIONS: [FailureDuration; 2] = [FailureDuration::OneUse, FailureDuration::UntilStopped];
/// Cases on each database if `PRINTYARD_TEST_FAULTS` sets no other number.
const CASES: u64 = 40;

/// A fresh database of one kind.
enum TestDatabase {
    Sqlite(TempDir),
    Postgres(FreshDatabase),
}

impl TestDatabase {
    fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().expect("a folder"))
    }

    fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join("farm.db").display()),
            Self::Postgres(database) => database.url.clone(),
        }
    }
}

/// What a case did to the database.
#[derive(Debug, Clone, Copy)]
struct CaseEffect {
    /// Uses of the database by the script.
    uses: u64,
    hits: u64,
}

/// Plays the script on a fresh farm while `failure` lasts, then checks everything.
async fn run_case(database: TestDatabase, failure: Option<InjectedFailure>) -> CaseEffect {
    let mut setup = ScriptSetup::start(&database.url(), failure).await;
    let mut log = run_script(&mut setup).await;
    let effect = CaseEffect { uses: setup.uses(), hits: setup.server.services.faults().injected() };
    setup.server.services.faults().stop();
    setup.server = setup.server.restart().await;
    checks::check_recovery(&setup, &mut log, &database.url()).await;
    setup.server.stop().await;
    setup.farm.stop().await;
    effect
}

/// Returns the cases to run, where the script uses the database `uses` times.
fn choose_cases(uses: u64, database: &str) -> Vec<InjectedFailure> {
    let case = |nth, i: u64| {
        let index = usize::try_from(i).expect("a small number");
        InjectedFailure { nth, point: MOMENTS[index % 3], duration: DURATIONS[index / 3 % 2] }
    };
    let wanted = std::env::var("PRINTYARD_TEST_FAULTS").unwrap_or_default();
    if wanted == "all" {
        return (1..=uses).flat_map(|nth| (0..6).map(move |i| case(nth, i))).collect();
    }
    let all = (1..=uses).flat_map(|nth| (0..6).map(move |i| case(nth, i)));
    if let Some(failure) = all.into_iter().find(|failure| case_name(*failure) == wanted) {
        return vec![failure];
    }
    let mut dice = SeededRng::new(test_seed(database));
    let number = wanted.parse().unwrap_or(CASES);
    (0..number).map(|i| case(1 + dice.below(uses), i)).collect()
}

/// Returns the name of a case, as `PRINTYARD_TEST_FAULTS` accepts it.
fn case_name(InjectedFailure { nth, point: moment, duration: lasts }: InjectedFailure) -> String {
    format!("{nth}/{moment:?}/{lasts:?}")
}

/// Runs the script without a failure, then all cases, `at_once` at the same time.
async fn run_cases(name: &str, at_once: usize, database: impl AsyncFn() -> TestDatabase) {
    let begun = Instant::now();
    // Runs with the same load as the cases, because polls of the waiting script count as uses too.
    let baseline = stream::iter(0..at_once).map(async |_| run_case(database().await, None).await);
    let baseline: Vec<CaseEffect> = baseline.buffer_unordered(at_once).collect().await;
    // The number of uses depends on how long the script waits. The smallest one ensures that each case can meet its
    // failure.
    let uses = baseline.iter().map(|effect| effect.uses).min().unwrap_or_default();
    println!("{name}: the script uses the database {uses} times and takes {:?}", begun.elapsed());
    assert!(uses > 100 && baseline.iter().all(|effect| effect.hits == 0), "{baseline:?}");
    let running = stream::iter(choose_cases(uses, name)).map(async |failure| {
        let database = database().await;
        (failure, AssertUnwindSafe(run_case(database, Some(failure))).catch_unwind().await)
    });
    let (mut hits, mut missed, mut failed) = (BTreeMap::<String, u64>::new(), 0, Vec::new());
    let mut ended = std::pin::pin!(running.buffer_unordered(at_once));
    while let Some((failure, result)) = ended.next().await {
        let name = case_name(failure);
        match result {
            Ok(effect) if effect.hits > 0 => {
                *hits.entry(format!("{:?}/{:?}", failure.point, failure.duration)).or_default() += 1;
            }
            Ok(_) => missed += 1,
            Err(panic) => failed.push(format!("{name}: {}", panic_text(panic.as_ref()))),
        }
    }
    println!("{name}: {hits:?}, {missed} cases without a failure, {:?}", begun.elapsed());
    assert!(failed.is_empty(), "{name}: {} cases failed\n{}", failed.len(), failed.join("\n"));
    let ran: u64 = hits.values().sum();
    // A run that waits less, or whose writes share more statements, may not reach the last uses.
    assert!(missed * 5 <= ran, "{missed} cases of {} met no failure", ran + missed);
    assert!(ran < 20 || hits.len() == 6, "{hits:?}");
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_any_use_of_sqlite_leaves_no_command_open_and_no_record_wrong() {
    run_cases("SQLite", 8, async || TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which tests/run provides"]
async fn a_failure_of_any_use_of_postgresql_leaves_no_command_open_and_no_record_wrong() {
    drop(needs!(create_fresh_database().await));
    // Every server has its own connections, and PostgreSQL allows a hundred.
    run_cases("PostgreSQL", 6, async || TestDatabase::Postgres(create_fresh_database().await.expect("a database")))
        .await;
}
