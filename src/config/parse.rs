//! Parses the texts of settings. An error names the setting and its rule.

use std::net::IpAddr;

use chrono::TimeDelta;
use ipnet::IpNet;

use super::ConfigError;
use crate::domain::calendar::Calendar;

pub(super) fn parse_days(name: &'static str, text: &str) -> Result<TimeDelta, ConfigError> {
    let days = text.trim().parse().ok().filter(|days| (1..=36_500).contains(days));
    let rule = "must be a number of days from 1 to 36500".to_owned();
    days.map(TimeDelta::days).ok_or(ConfigError { name, rule })
}

pub(super) fn parse_number(name: &'static str, text: &str, least: u64, most: u64) -> Result<u64, ConfigError> {
    let number = text.trim().parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| ConfigError {
        name,
        rule: format!("must be a whole number from {least} to {most}, and is {text}"),
    })
}

/// Parses the name of a time zone.
pub(super) fn parse_time_zone(setting: &'static str, name: &str) -> Result<Calendar, ConfigError> {
    let rule = || format!("must be the IANA name of a time zone like Europe/Berlin, and is {name}");
    Calendar::parse(name.trim()).ok_or_else(|| ConfigError { name: setting, rule: rule() })
}

/// Parses a switch. It is on by default.
pub(super) fn parse_switch(name: &'static str, value: Option<&str>) -> Result<bool, ConfigError> {
    match value {
        None | Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(other) => Err(ConfigError { name, rule: format!("must be on or off, and is {other}") }),
    }
}

/// Parses a comma-separated list of networks and single addresses.
pub(super) fn parse_networks(name: &'static str, text: &str) -> Result<Vec<IpNet>, ConfigError> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let parse_network = |part: &str| part.parse::<IpNet>().or_else(|_| part.parse::<IpAddr>().map(IpNet::from)).ok();
    parts
        .map(|part| {
            let rule = || format!("must be networks like 10.0.0.0/24, separated by commas, not {part}");
            parse_network(part).map(|network| network.trunc()).ok_or_else(|| ConfigError { name, rule: rule() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_time_zone_names_its_setting() {
        let parse = |name: &str| parse_time_zone("PRINTYARD_TIME_ZONE", name).map_err(|error| error.to_string());
        assert_eq!(parse("America/New_York").map(Calendar::name), Ok("America/New_York"));
        let expected = "PRINTYARD_TIME_ZONE: must be the IANA name of a time zone like Europe/Berlin, and is Mars/Base";
        assert_eq!(parse("Mars/Base"), Err(expected.to_owned()));
    }
}
