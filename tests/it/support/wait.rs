//! Waiting for what is seen, never for a guessed time. The one place in the tests with a sleep.
//!
//! A fixed sleep is too short on a busy machine and too long on every other. These ask again,
//! at first every 5 ms, later every 50 ms, and end at a deadline with what they saw last.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// Pause before the second question.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// Longest pause between two questions.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// What a condition may answer: `bool`, `Option<T>`, or `Result<T, E>` whose error is what was seen instead.
pub trait Answer {
    /// What the waiting ends with.
    type Value;
    /// The value if the condition holds, else words for what was seen.
    fn settle(self) -> Result<Self::Value, String>;
}

impl Answer for bool {
    type Value = ();
    fn settle(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("false".into()) }
    }
}

impl<T> Answer for Option<T> {
    type Value = T;
    fn settle(self) -> Result<T, String> {
        self.ok_or_else(|| "None".into())
    }
}

impl<T, E: Debug> Answer for Result<T, E> {
    type Value = T;
    fn settle(self) -> Result<T, String> {
        self.map_err(|seen| format!("{seen:?}"))
    }
}

/// Asks `condition` until it holds and gives its value. A condition that itself hangs is cut off too.
///
/// # Panics
/// At the deadline, with `what` and the last thing seen.
pub async fn until<A: Answer>(what: &str, deadline: Duration, mut condition: impl AsyncFnMut() -> A) -> A::Value {
    match poll(deadline, &mut condition).await {
        Ok(value) => value,
        Err(seen) => panic!("waited {deadline:?} for: {what}; last seen: {seen}"),
    }
}

/// Proves an absence: `condition` must hold at every look for as long as `time`.
///
/// # Panics
/// At the first look at which it does not hold.
pub async fn throughout<A: Answer>(what: &str, time: Duration, mut condition: impl AsyncFnMut() -> A) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        if let Err(seen) = condition().await.settle() {
            panic!("after {:?} no longer so: {what}; seen: {seen}", begun.elapsed());
        }
        tokio::time::sleep(FIRST_PAUSE).await;
    }
}

/// The same for `Drop` and other places that cannot await; says whether the condition came to hold.
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

async fn poll<A: Answer>(deadline: Duration, condition: &mut impl AsyncFnMut() -> A) -> Result<A::Value, String> {
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut last = String::from("nothing, the question itself was never answered");
    loop {
        let left = deadline.saturating_sub(begun.elapsed());
        let Ok(answer) = tokio::time::timeout(left, condition()).await else { return Err(last) };
        match answer.settle() {
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

/// Lets a random time pass: for tests whose subject is the moment at which something happens, never to wait for it.
pub async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
