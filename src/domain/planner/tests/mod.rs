//! Proofs of the planner.

mod explanations;
mod farm;
mod matching;
mod naive;
mod next_copies;
mod properties;
mod random_farm;
mod rules;
