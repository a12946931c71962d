//! Injects database failures for tests.
//!
//! The n-th use of a macro in `mod.rs` fails before it runs, before its commit, or after its commit (the reply is
//! lost). SQLite's own tests use the same method. Without the feature `fault-injection`, which only tests enable, this
//! module is empty.

#[cfg(feature = "fault-injection")]
pub use injected::{FailureDuration, FailurePoint, FaultInjector, InjectedFailure};

#[cfg(feature = "fault-injection")]
mod injected {
    use std::{
        io,
        sync::{Mutex, PoisonError},
    };

    /// When a use of a macro fails.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum FailurePoint {
        /// Before it runs: nothing reaches the database.
        Before,
        /// Before its commit: the transaction is rolled back.
        BeforeCommit,
        /// After its commit: the data is stored, and the caller gets an error.
        AfterCommit,
    }

    /// How long uses fail.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum FailureDuration {
        OneUse,
        UntilStopped,
    }

    /// A failure to inject.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct InjectedFailure {
        /// The first use that fails, counted from 1. A use that never reaches the moment does not fail (a read commits
        /// nothing). Then the next use that reaches it fails.
        pub nth: u64,
        pub point: FailurePoint,
        pub duration: FailureDuration,
    }

    #[derive(Debug, Default)]
    struct FaultState {
        uses: u64,
        failure: Option<InjectedFailure>,
        injected: u64,
    }

    /// Counts the uses of the macros and injects failures.
    #[derive(Debug, Default)]
    pub struct FaultInjector(Mutex<FaultState>);

    impl FaultInjector {
        /// Injects a failure, and restarts the count of uses.
        pub fn inject(&self, failure: InjectedFailure) {
            *self.lock_state() = FaultState { failure: Some(failure), ..FaultState::default() };
        }

        /// Stops injecting failures.
        pub fn stop(&self) {
            self.lock_state().failure = None;
        }

        /// Returns the uses since the start or since the last [`FaultInjector::inject`].
        pub fn uses(&self) -> u64 {
            self.lock_state().uses
        }

        /// Returns the failures that were injected since then.
        pub fn injected(&self) -> u64 {
            self.lock_state().injected
        }

        pub(in crate::storage) fn next_use(&self) -> MacroUse<'_> {
            let mut state = self.lock_state();
            state.uses += 1;
            MacroUse { faults: self, number: state.uses }
        }

        fn lock_state(&self) -> std::sync::MutexGuard<'_, FaultState> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// One use of a macro.
    pub(in crate::storage) struct MacroUse<'a> {
        faults: &'a FaultInjector,
        /// Counted from 1.
        number: u64,
    }

    impl MacroUse<'_> {
        /// Fails if a failure is due before the use runs.
        pub fn before(&self) -> Result<(), sqlx::Error> {
            self.fail_at(FailurePoint::Before)
        }

        /// Fails if a failure is due before the commit.
        pub fn before_commit(&self) -> Result<(), sqlx::Error> {
            self.fail_at(FailurePoint::BeforeCommit)
        }

        /// Fails if a failure is due after the commit.
        pub fn after_commit(&self) -> Result<(), sqlx::Error> {
            self.fail_at(FailurePoint::AfterCommit)
        }

        fn fail_at(&self, point: FailurePoint) -> Result<(), sqlx::Error> {
            let mut state = self.faults.lock_state();
            let is_over = |lasts| lasts == FailureDuration::OneUse && state.injected > 0;
            let fails = state.failure.is_some_and(|failure| {
                failure.point == point && failure.nth <= self.number && !is_over(failure.duration)
            });
            if !fails {
                return Ok(());
            }
            state.injected += 1;
            Err(sqlx::Error::Io(io::Error::other("a failure that a test asked for")))
        }
    }
}

#[cfg(not(feature = "fault-injection"))]
pub use none::FaultInjector;

#[cfg(not(feature = "fault-injection"))]
mod none {
    /// Injects no failures.
    #[derive(Debug, Default)]
    pub struct FaultInjector;

    impl FaultInjector {
        #[inline]
        pub(in crate::storage) fn next_use(&self) -> MacroUse {
            MacroUse
        }
    }

    /// One use of a macro, which never fails.
    pub(in crate::storage) struct MacroUse;

    impl MacroUse {
        /// Always succeeds.
        #[inline]
        pub fn before(&self) -> Result<(), sqlx::Error> {
            Ok(())
        }

        /// Always succeeds.
        #[inline]
        pub fn before_commit(&self) -> Result<(), sqlx::Error> {
            Ok(())
        }

        /// Always succeeds.
        #[inline]
        pub fn after_commit(&self) -> Result<(), sqlx::Error> {
            Ok(())
        }
    }
}
