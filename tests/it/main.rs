//! The one integration binary. Each module is named after the part of the house that it proves.

mod support;

mod conformance;
mod containers;
mod crash;
mod dashboard;
mod fixtures;
mod storage;
mod tidy;
