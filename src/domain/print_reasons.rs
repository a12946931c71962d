//! Groups prints that did not succeed by their reasons.

use std::collections::HashMap;

use super::print::PrintResult;

/// Number of prints with the same result and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonCount {
    pub result: PrintResult,
    /// As the firmware or OctoPrint reports it. `None`: no reason was reported.
    pub reason: Option<String>,
    pub count: i64,
}

/// Combines reasons that differ only in measured values, spaces or upper case. Keeps the most frequent text of each.
/// Returns the most frequent first.
pub fn group_reasons(mut counts: Vec<ReasonCount>) -> Vec<ReasonCount> {
    // The sort is stable, and equal numbers are in the order of their texts.
    counts.sort_by(|a, b| a.reason.cmp(&b.reason));
    counts.sort_by_key(|one| std::cmp::Reverse(one.count));
    let mut places: HashMap<(PrintResult, Option<String>), usize> = HashMap::new();
    let mut groups: Vec<ReasonCount> = Vec::new();
    for one in counts {
        let key = (one.result, one.reason.as_deref().map(reason_key).filter(|key| !key.is_empty()));
        match places.get(&key).and_then(|at| groups.get_mut(*at)) {
            Some(group) => group.count += one.count,
            None => {
                let reason = one.reason.filter(|_| key.1.is_some());
                places.insert(key, groups.len());
                groups.push(ReasonCount { reason, ..one });
            }
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    groups
}

/// Returns a text without what differs between equal failures. A number of one digit stays: it names a heater or an
/// axis.
fn reason_key(reason: &str) -> String {
    let words = reason.split(|c: char| !c.is_alphanumeric() && c != '.');
    let words = words.map(|word| word.trim_matches('.')).filter(|word| !word.is_empty());
    let is_value = |word: &str| word.len() > 1 && word.starts_with(|c: char| c.is_ascii_digit());
    words.filter(|word| !is_value(word)).map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_differ_in_values_are_one_reason() {
        let count =
            |result, reason: Option<&str>, count| ReasonCount { result, reason: reason.map(str::to_owned), count };
        let (failed, cancelled) = (PrintResult::Failed, PrintResult::Cancelled);
        let groups = group_reasons(vec![
            count(failed, Some("Thermal runaway, heater 1: 243.7"), 1),
            count(failed, Some("THERMAL RUNAWAY heater 1 (at 12 s)"), 1),
            count(failed, Some("Thermal runaway, heater 1: 199.0"), 4),
            count(failed, Some("Thermal runaway, heater 0: 199.0"), 2),
            count(failed, None, 3),
            count(failed, Some(" "), 1),
            count(cancelled, None, 9),
        ]);
        assert_eq!(
            groups,
            [
                count(cancelled, None, 9),
                count(failed, Some("Thermal runaway, heater 1: 199.0"), 5),
                count(failed, None, 4),
                count(failed, Some("Thermal runaway, heater 0: 199.0"), 2),
                count(failed, Some("THERMAL RUNAWAY heater 1 (at 12 s)"), 1),
            ]
        );
    }
}
