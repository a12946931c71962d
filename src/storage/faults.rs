//! Injects database failures for tests.
//!
//! The n-th use of a macro in `mod.rs` fails before it runs, before its commit, or after its commit (the reply is
//! lost). SQLite's own tests use the same method. Without the feature `fault-injection`, which only tests enable, this
//! module is empty.

#[cfg(feature = "fault-injection")]
pub use injected::{Failure, Faults, Lasts, Moment};

#[cfg(feature = "fault-injection")]
mod injected {
    use std::{
        io,
        sync::{Mutex, PoisonError},
    };

    /// When a use of a macro fails.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Moment {
        /// Before it runs: nothing reaches the database.
        Before,
        /// Before its commit: the transaction is rolled back.
        BeforeCommit,
        /// After its commit: the data is stored, and the caller gets an error.
        AfterCommit,
    }

    /// How long uses fail.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Lasts {
        OneUse,
        UntilLifted,
    }

    /// A failure to inject.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Failure {
        /// The first use that fails, counted from 1. A use that never reaches the moment does not fail (a read commits
        /// nothing). Then the next use that reaches it fails.
        pub nth: u64,
        pub moment: Moment,
        pub lasts: Lasts,
    }

    #[derive(Debug, Default)]
    struct State {
        uses: u64,
        failure: Option<Failure>,
        hits: u64,
    }

    /// Counts the uses of the macros and injects failures.
    #[derive(Debug, Default)]
    pub struct Faults(Mutex<State>);

    impl Faults {
        /// Injects a failure, and restarts the count of uses.
        pub fn inject(&self, failure: Failure) {
            *self.state() = State { failure: Some(failure), ..State::default() };
        }

        /// Stops injecting failures.
        pub fn lift(&self) {
            self.state().failure = None;
        }

        /// Returns the uses since the start or since the last [`Faults::inject`].
        pub fn uses(&self) -> u64 {
            self.state().uses
        }

        /// Returns the failures that were injected since then.
        pub fn hits(&self) -> u64 {
            self.state().hits
        }

        pub(in crate::storage) fn next_use(&self) -> Use<'_> {
            let mut state = self.state();
            state.uses += 1;
            Use { faults: self, number: state.uses }
        }

        fn state(&self) -> std::sync::MutexGuard<'_, State> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// One use of a macro.
    pub(in crate::storage) struct Use<'a> {
        faults: &'a Faults,
        /// Counted from 1.
        number: u64,
    }

    impl Use<'_> {
        /// Fails if a failure is due before the use runs.
        pub fn before(&self) -> Result<(), sqlx::Error> {
            self.fail_at(Moment::Before)
        }

        /// Fails if a failure is due before the commit.
        pub fn before_commit(&self) -> Result<(), sqlx::Error> {
            self.fail_at(Moment::BeforeCommit)
        }

        /// Fails if a failure is due after the commit.
        pub fn after_commit(&self) -> Result<(), sqlx::Error> {
            self.fail_at(Moment::AfterCommit)
        }

        fn fail_at(&self, moment: Moment) -> Result<(), sqlx::Error> {
            let mut state = self.faults.state();
            let is_over = |lasts| lasts == Lasts::OneUse && state.hits > 0;
            let fails = state.failure.is_some_and(|failure| {
                failure.moment == moment && failure.nth <= self.number && !is_over(failure.lasts)
            });
            if !fails {
                return Ok(());
            }
            state.hits += 1;
            Err(sqlx::Error::Io(io::Error::other("a failure that a test asked for")))
        }
    }
}

#[cfg(not(feature = "fault-injection"))]
pub use none::Faults;

#[cfg(not(feature = "fault-injection"))]
mod none {
    /// Injects no failures.
    #[derive(Debug, Default)]
    pub struct Faults;

    impl Faults {
        #[inline]
        pub(in crate::storage) fn next_use(&self) -> Use {
            Use
        }
    }

    /// One use of a macro, which never fails.
    pub(in crate::storage) struct Use;

    impl Use {
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
