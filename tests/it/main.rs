//! The one integration binary. Each module is named after the part of the house that it proves.

mod support;

mod access_matrix;
mod api_access;
mod api_batches;
mod api_events;
mod api_bulk;
mod api_contract;
mod api_export;
mod api_files;
mod api_idempotency;
mod api_input;
mod api_load;
mod api_openapi;
mod api_printers;
mod api_problems;
mod audit;
mod browser;
mod conformance;
mod containers;
mod crash;
mod dashboard;
mod examples;
mod fixtures;
mod forgery;
mod oidc;
mod outside;
mod pages;
mod people;
mod secrets;
mod smuggling;
mod storage;
mod tag_limits;
mod tidy;
mod traversal;
