//! Waits for observed conditions instead of a guessed time. This is the only place in the tests with a sleep.
//!
//! A fixed sleep is too short on a busy machine and too long on every other. These functions check a condition every
//! 5 ms at first and every 50 ms later. At the deadline they fail with the last value that they saw.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// Pause before the second check.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// Longest pause between two checks.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The result of a condition: `bool`, `Option<T>`, or `Result<T, E>` whose error is the value that was seen instead.
pub trait ConditionResult {
    /// The value of a condition that holds.
    type Value;
    /// Returns the value if the condition holds, else a description of what was seen.
    fn into_result(self) -> Result<Self::Value, String>;
}

impl ConditionResult for bool {
    type Value = ();
    fn into_result(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("false".into()) }
    }
}

impl<T> ConditionResult for Option<T> {
    type Value = T;
    fn into_result(self) -> Result<T, String> {
        self.ok_or_else(|| "None".into())
    }
}

impl<T, E: Debug> ConditionResult for Result<T, E> {
    type Value = T;
    fn into_result(self) -> Result<T, String> {
        self.map_err(|seen| format!("{seen:?}"))
    }
}

/// Checks `condition` until it holds and returns its value. A check that hangs ends at the deadline too.
///
/// # Panics
/// At the deadline, with `what` and the last value.
pub async fn until<A: ConditionResult>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> A,
) -> A::Value {
    match poll(deadline, &mut condition).await {
        Ok(value) => value,
        Err(seen) => panic!("waited {deadline:?} for: {what}; last seen: {seen}"),
    }
}

/// Checks that nothing changes: `condition` must hold at every check for the whole `time`.
///
/// # Panics
/// At the first check that fails.
pub async fn assert_throughout<A: ConditionResult>(what: &str, time: Duration, mut condition: impl AsyncFnMut() -> A) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        if let Err(seen) = condition().await.into_result() {
            panic!("after {:?} no longer so: {what}; seen: {seen}", begun.elapsed());
        }
        tokio::time::sleep(FIRST_PAUSE).await;
    }
}

/// Like `until`, for `Drop` and other places that cannot await. Returns whether the condition held in time.
pub fn until_blocking(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !condition() {
        if begun.elapsed() > deadline {
            return false;
        }
        std::thread::sleep(FIRST_PAUSE);
    }
    true
}

async fn poll<A: ConditionResult>(
    deadline: Duration,
    condition: &mut impl AsyncFnMut() -> A,
) -> Result<A::Value, String> {
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut last = String::from("nothing, the question itself was never answered");
    loop {
        let left = deadline.saturating_sub(begun.elapsed());
        let Ok(answer) = tokio::time::timeout(left, condition()).await else { return Err(last) };
        match answer.into_result() {
            Ok(value) => return Ok(value),
            Err(seen) => last = seen,
        }
        if begun.elapsed() >= deadline {
            return Err(last);
        }
        tokio::time::sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Waits for a random time, for tests about the time of an event. Never use it to wait for a condition.
pub async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
