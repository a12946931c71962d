//! Print statistics of the farm, and the utilisation of its printers.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
use crate::{
    clock,
    domain::{
        calendar::Calendar,
        print_reasons::{ReasonCount, group_reasons},
        print_stats::{PrintTally, share},
        printer::Printer,
    },
    storage::{self, printers::PrinterFilter},
};

/// Query for statistics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatisticsQuery {
    /// Days of the farm's calendar.
    pub days: Range<i64>,
    /// Number of days that are combined into one step.
    pub step: i64,
    pub printer_id: Option<Uuid>,
    pub tag: Option<String>,
}

/// Totals of prints, and the share of the printers' time that they took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub prints: PrintTally,
    /// Print time on printers that are registered.
    pub used_s: i64,
    /// Time for which those printers were registered, whether they were switched on or not.
    pub registered_s: i64,
}

impl Usage {
    /// Returns the share of the printers' time in which they printed, 0 to 1. None: there was no time.
    pub fn utilisation(&self) -> Option<f64> {
        share(self.used_s, self.registered_s)
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.prints += other.prints;
        self.used_s += other.used_s;
        self.registered_s += other.registered_s;
    }
}

/// Statistics of one subject: the total, and the steps over time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageSeries {
    pub total: Usage,
    pub steps: Vec<Usage>,
}

impl UsageSeries {
    fn from_steps(steps: Vec<Usage>) -> Self {
        let mut total = Usage::default();
        steps.iter().for_each(|step| total += *step);
        Self { total, steps }
    }

    fn add(&mut self, other: &Self) {
        self.total += other.total;
        self.steps.resize(self.steps.len().max(other.steps.len()), Usage::default());
        self.steps.iter_mut().zip(&other.steps).for_each(|(step, other)| *step += *other);
    }
}

/// Statistics of the printers that the principal may see.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    pub all: UsageSeries,
    /// Sorted by name.
    pub printers: Vec<(Printer, UsageSeries)>,
    /// By tag. A printer with several tags counts for each of them.
    pub tags: BTreeMap<String, UsageSeries>,
    /// Printers that are no longer registered, if the principal may see all printers. Their registered time is not counted,
    /// so they have no utilisation.
    pub removed: Vec<(Uuid, UsageSeries)>,
    /// Prints are still being counted, after an upgrade or for another time zone, so the totals are not final.
    pub is_behind: bool,
    /// The last day with sums of deleted prints by days of an earlier time zone.
    pub kept_until: Option<i64>,
}

impl Services {
    /// Returns the statistics of visible printers for a range of days.
    pub async fn statistics(&self, who: &Principal, query: &StatisticsQuery) -> Result<Statistics, Error> {
        let calendar = self.calendar();
        self.fleet.flush_observations().await;
        let (printers, only) = self.find_subjects(who, query).await?;
        let (days, step) = (query.days.clone(), query.step.max(1));
        let printed = storage::print_days::sum_printed(&self.db, days, step, only.as_deref(), calendar).await?;
        let statistics = build_statistics(query, printers, printed.by_printer_and_step, calendar, clock::now());
        Ok(Statistics { is_behind: printed.is_behind, kept_until: printed.kept_until, ..statistics })
    }

    /// Returns why prints of visible printers failed or were cancelled in a range of days, the most frequent reason
    /// first.
    pub async fn failure_reasons(&self, who: &Principal, query: &StatisticsQuery) -> Result<Vec<ReasonCount>, Error> {
        let calendar = self.calendar();
        let (_, only) = self.find_subjects(who, query).await?;
        let (from, until) = (calendar.day_start(query.days.start), calendar.day_start(query.days.end));
        let counts = storage::prints::count_reasons(&self.db, from, until, only.as_deref()).await?;
        Ok(group_reasons(counts))
    }

    /// Returns the calendar whose days statistics have.
    pub fn calendar(&self) -> Calendar {
        self.settings.calendar
    }

    /// Returns the visible printers of a query, and the ids to which the prints are limited. None: all prints, also
    /// those of removed printers.
    async fn find_subjects(
        &self,
        who: &Principal,
        query: &StatisticsQuery,
    ) -> Result<(Vec<Printer>, Option<Vec<Uuid>>), Error> {
        let filter =
            PrinterFilter { tag: query.tag.clone(), visible_tags: who.visible_tags(), ..PrinterFilter::default() };
        let mut printers = storage::printers::list_page(&self.db, &filter, None, i64::MAX).await?;
        printers.retain(|printer| query.printer_id.is_none_or(|id| printer.id == id));
        // The tags of removed printers are unknown.
        let is_all = query.tag.is_none() && who.visible_tags().is_none();
        let ids: Vec<Uuid> = match query.printer_id {
            Some(id) if is_all => vec![id],
            _ => printers.iter().map(|printer| printer.id).collect(),
        };
        Ok((printers, (!is_all || query.printer_id.is_some()).then_some(ids)))
    }
}

/// Combines the counted prints with the time for which the printers were registered.
fn build_statistics(
    query: &StatisticsQuery,
    printers: Vec<Printer>,
    counted: BTreeMap<(Uuid, i64), PrintTally>,
    calendar: Calendar,
    now: DateTime<Utc>,
) -> Statistics {
    let step = query.step.max(1);
    let length = usize::try_from((query.days.end - query.days.start + step - 1) / step).unwrap_or(0);
    let mut by_printer: HashMap<Uuid, Vec<Usage>> = HashMap::new();
    for ((printer_id, at), prints) in counted {
        let steps = by_printer.entry(printer_id).or_insert_with(|| vec![Usage::default(); length]);
        if let Some(step) = usize::try_from(at).ok().and_then(|at| steps.get_mut(at)) {
            step.prints += prints;
        }
    }
    let mut statistics =
        Statistics { all: UsageSeries::from_steps(vec![Usage::default(); length]), ..Statistics::default() };
    let midnights: Vec<i64> =
        (query.days.start..=query.days.end).map(|day| calendar.day_start(day).timestamp()).collect();
    for printer in printers {
        let mut steps = by_printer.remove(&printer.id).unwrap_or_else(|| vec![Usage::default(); length]);
        let (from, until) = (printer.created_at.timestamp(), now.timestamp());
        let step_days = usize::try_from(step).unwrap_or(usize::MAX);
        for (at, day) in midnights.windows(2).enumerate() {
            if let ([begin, end], Some(step)) = (day, steps.get_mut(at / step_days)) {
                step.registered_s += (until.min(*end) - from.max(*begin)).max(0);
            }
        }
        for step in &mut steps {
            step.used_s = step.prints.printed_s;
        }
        let course = UsageSeries::from_steps(steps);
        statistics.all.add(&course);
        for tag in &printer.details.tags {
            statistics.tags.entry(tag.clone()).or_default().add(&course);
        }
        statistics.printers.push((printer, course));
    }
    let removed = by_printer.into_iter().map(|(id, steps)| (id, UsageSeries::from_steps(steps)));
    statistics.removed = removed.collect();
    statistics.removed.sort_by_key(|(id, _)| *id);
    for (_, course) in &statistics.removed {
        statistics.all.add(course);
    }
    statistics
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::printer::PrinterDetails;

    #[test]
    fn print_time_is_compared_with_the_registered_time() {
        let noon = |day: i64| DateTime::UNIX_EPOCH + TimeDelta::days(day) + TimeDelta::hours(12);
        let printer = |n: u128, day: i64, tags: &[&str]| {
            let mut details = PrinterDetails::new(format!("p-{n}"), "http://x.test");
            details.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
            Printer {
                id: Uuid::from_u128(n),
                details,
                attention: None,
                version: 1,
                created_at: noon(day),
                updated_at: noon(day),
            }
        };
        let printed = |hours: i64| PrintTally { printed_s: hours * 3_600, done: 1, ..PrintTally::default() };
        let id = Uuid::from_u128;
        let query = StatisticsQuery { days: 100..105, step: 2, ..StatisticsQuery::default() };
        // The first printer was always registered, the second was added on the fourth day, the third is removed.
        let printers = vec![printer(1, 0, &["a", "b"]), printer(2, 103, &["b"])];
        let counted = [((id(1), 0), printed(12)), ((id(2), 1), printed(6)), ((id(3), 2), printed(5))].into();
        let statistics = build_statistics(&query, printers, counted, Calendar::UTC, noon(104));
        assert_eq!(Calendar::UTC.day_number(noon(104)), 104);
        let hours = |course: &UsageSeries| -> Vec<(i64, i64, i64)> {
            let steps = course.steps.iter();
            steps.map(|step| (step.prints.printed_s / 3_600, step.used_s / 3_600, step.registered_s / 3_600)).collect()
        };
        assert_eq!(hours(&statistics.printers[0].1), [(12, 12, 48), (0, 0, 48), (0, 0, 12)]);
        assert_eq!(hours(&statistics.printers[1].1), [(0, 0, 0), (6, 6, 12), (0, 0, 12)]);
        assert_eq!(hours(&statistics.all), [(12, 12, 48), (6, 6, 60), (5, 0, 24)]);
        assert_eq!(statistics.removed.len(), 1);
        assert_eq!(statistics.all.total.prints.done, 3);
        assert_eq!(statistics.printers[1].1.total.utilisation(), Some(0.25));
        let tags: Vec<_> =
            statistics.tags.iter().map(|(tag, course)| (tag.as_str(), course.total.used_s / 3_600)).collect();
        assert_eq!(tags, [("a", 12), ("b", 18)]);
        assert_eq!(statistics.removed[0].1.total.utilisation(), None);
    }
}
