//! Failures of the database that a test asks for: the n-th use of the macros in `mod.rs` fails before it runs, before its
//! commit, or after its commit (the reply is lost). SQLite's own tests work like this.
//!
//! Without the feature `fault-injection`, which only tests switch on, everything here is empty.

#[cfg(feature = "fault-injection")]
pub use injected::{Failure, Faults, Lasts, Moment};

#[cfg(feature = "fault-injection")]
mod injected {
    use std::{
        io,
        sync::{Mutex, PoisonError},
    };

    /// Where in a use of a macro it fails.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Moment {
        /// Before it runs: nothing reaches the database.
        Before,
        /// Before its commit: the transaction is rolled back.
        BeforeCommit,
        /// After its commit: it is stored, and the caller learns of an error.
        AfterCommit,
    }

    /// How long it fails.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Lasts {
        OneUse,
        UntilLifted,
    }

    /// The failure that a test asks for.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Failure {
        /// The first use that fails, counted from 1. A use without the moment (a reading commits nothing) does not fail:
        /// the next one that has it does.
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

    /// Counts the uses of the macros, and lets some fail.
    #[derive(Debug, Default)]
    pub struct Faults(Mutex<State>);

    impl Faults {
        /// Asks for a failure; uses are counted anew from here.
        pub fn inject(&self, failure: Failure) {
            *self.state() = State { failure: Some(failure), ..State::default() };
        }

        /// Nothing fails any more.
        pub fn lift(&self) {
            self.state().failure = None;
        }

        /// Uses since the start, or since the last [`Faults::inject`].
        pub fn uses(&self) -> u64 {
            self.state().uses
        }

        /// Failures that were caused since then.
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
        /// Fails before it runs.
        pub fn before(&self) -> Result<(), sqlx::Error> {
            self.fail_at(Moment::Before)
        }

        /// Fails before its commit.
        pub fn before_commit(&self) -> Result<(), sqlx::Error> {
            self.fail_at(Moment::BeforeCommit)
        }

        /// Fails after its commit.
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
    /// No failures.
    #[derive(Debug, Default)]
    pub struct Faults;

    impl Faults {
        #[inline]
        pub(in crate::storage) fn next_use(&self) -> Use {
            Use
        }
    }

    /// One use of a macro, which does not fail.
    pub(in crate::storage) struct Use;

    impl Use {
        /// Fails before it runs.
        #[inline]
        pub fn before(&self) -> Result<(), sqlx::Error> {
            Ok(())
        }

        /// Fails before its commit.
        #[inline]
        pub fn before_commit(&self) -> Result<(), sqlx::Error> {
            Ok(())
        }

        /// Fails after its commit.
        #[inline]
        pub fn after_commit(&self) -> Result<(), sqlx::Error> {
            Ok(())
        }
    }
}
