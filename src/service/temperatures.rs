//! Recent temperatures of a printer's heaters, for a chart.
//!
//! They are not stored here. OctoPrint has those of the last half hour, even from before the start of this server. It
//! is queried when a user opens the page. That costs one request per page view, and no memory for other printers.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
use crate::{
    clock,
    domain::reading::{PastTemperatures, Temperatures},
    octoprint::RequestOptions,
};

const TIMEOUT: Duration = Duration::from_secs(10);
/// One moment is shown per step of this many seconds. OctoPrint may have one per second.
const STEP_S: i64 = 10;

/// Temperatures of the heaters at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct TemperaturePoint {
    pub at: DateTime<Utc>,
    pub temperatures: Temperatures,
}

impl Services {
    /// Returns the recent temperatures of a printer, oldest first, 10 s apart. Empty while the printer is not
    /// connected.
    pub async fn past_temperatures(&self, who: &Principal, id: Uuid) -> Result<Vec<TemperaturePoint>, Error> {
        let view = self.printer(who, id).await?;
        let octoprint = self.client_for_printer(&view.printer).await?;
        let past = octoprint.printer().past_temperatures(&RequestOptions::with_timeout(TIMEOUT)).await?;
        Ok(thin_out(past, clock::now()))
    }
}

/// Returns the last moment of each step. OctoPrint adds one every few seconds, so the newest one counts as now.
fn thin_out(past: Vec<PastTemperatures>, now: DateTime<Utc>) -> Vec<TemperaturePoint> {
    let mut moments: Vec<(i64, PastTemperatures)> = Vec::new();
    for moment in past {
        let step = moment.before_newest_s / STEP_S;
        match moments.last_mut().filter(|(last, _)| *last == step) {
            Some(same) => same.1 = moment,
            None => moments.push((step, moment)),
        }
    }
    let dated = moments.into_iter().filter_map(|(_, moment)| {
        let at = now.checked_sub_signed(TimeDelta::try_seconds(moment.before_newest_s)?)?;
        Some(TemperaturePoint { at, temperatures: moment.temperatures })
    });
    dated.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_keeps_its_last_point_and_the_newest_counts_as_now() {
        let past = |seconds: i64| PastTemperatures { before_newest_s: seconds, temperatures: Temperatures::new() };
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(365);
        let left = thin_out([25, 19, 14, 9, 5, 0].map(past).into(), now);
        let ago: Vec<i64> = left.iter().map(|moment| (now - moment.at).num_seconds()).collect();
        assert_eq!(ago, [25, 14, 0]);
        assert!(thin_out(Vec::new(), now).is_empty());
        assert!(thin_out(vec![past(i64::MAX), past(0)], now).len() <= 2, "extreme values do no harm");
    }
}
