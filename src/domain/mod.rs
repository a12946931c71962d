//! Domain types and rules: plain types and pure functions.
//!
//! No code in this module waits, performs I/O or reads a clock. Callers pass the time as a value. So tests can check
//! the rules over every pair of printer state and command.

pub mod access;
pub mod attention;
pub mod audit;
pub mod batch;
pub mod bgcode;
pub mod calendar;
pub mod camera;
pub mod clock_check;
pub mod command;
pub mod command_report;
pub mod copy;
pub mod effect;
pub mod epoch;
pub mod event;
pub mod event_body;
pub mod event_channel;
pub mod farm_staff;
pub mod file;
pub mod fit;
pub mod gcode;
pub mod heating;
pub mod idempotency;
pub mod merged_facts;
pub mod message;
pub mod oidc;
pub mod order;
pub mod part;
pub mod planner;
pub mod plate;
pub mod print;
pub mod print_reasons;
pub mod print_stats;
pub mod printer;
pub mod printer_access;
pub mod printer_content;
pub mod printer_file;
pub mod printer_profile;
pub mod printer_tool;
pub mod production;
pub mod reading;
pub mod requirements;
pub mod sliced_3mf;
pub mod staff_hours;
pub mod stall;
pub mod state;
pub mod user;
pub mod validation;
pub mod webhook;
