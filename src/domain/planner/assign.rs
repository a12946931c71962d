//! Assigns a copy to each ready printer: the longest idle first, each the order with the highest score.

use std::collections::HashMap;

use super::{
    bit_set::BitSet,
    class::OrderClass,
    context::{BestCandidates, Candidate, PlanContext},
    gate::OrderProgress,
    input::{Activity, PlanPrinter},
    plan::Assignment,
    rank::compare,
};

/// Orders of one class, the best first. The score depends on the file and the staff hours alone, so printers share lists.
struct RankedOrders {
    entries: Vec<(f64, usize)>,
    /// Entries before this one can get no more copies.
    head: usize,
}

/// Class, position of the file, staff hours.
type ListKey = (usize, usize, usize);

/// A class of orders that can get copies.
struct OpenClass<'a> {
    id: usize,
    class: &'a OrderClass,
    orders: Vec<usize>,
    /// An order may use another file, because the first would make too many parts.
    has_surplus_limit: bool,
}

/// The orders that can get copies, in ranked lists.
struct Ranking<'a> {
    context: &'a PlanContext<'a>,
    /// Classes with orders, by id.
    open: Vec<OpenClass<'a>>,
    /// Positions in `open` of the classes that a printer matches. Empty sets for printers that are not ready.
    matched: Vec<BitSet>,
    lists: HashMap<ListKey, RankedOrders>,
}

/// Assigns copies, counts them in `progress`, and returns them.
pub(super) fn assign(context: &PlanContext<'_>, progress: &mut [OrderProgress]) -> Vec<Assignment> {
    if context.input.is_stopped || context.states.ready.is_empty() {
        return Vec::new();
    }
    let mut ranking = Ranking::new(context, progress);
    let mut printers: Vec<usize> = context.states.ready.iter().collect();
    printers.sort_unstable_by_key(|printer| idle_key(&context.input.printers[*printer]));
    let has_replacements = context.input.orders.iter().any(|order| !order.replacements.is_empty());
    let mut assignments = Vec::new();
    loop {
        let before = assignments.len();
        printers.retain(|printer| {
            let candidates = ranking.find_best(*printer, progress);
            let assignment = context.take(*printer, &candidates, context.now, progress);
            let is_idle = assignment.is_none();
            assignments.extend(assignment);
            is_idle
        });
        // A printer may take an order after all once another printer has taken the copy that it failed.
        if assignments.len() == before || !has_replacements {
            return assignments;
        }
    }
}

fn idle_key(printer: &PlanPrinter) -> impl Ord + use<> {
    let since = match printer.activity {
        Activity::Idle { since } => Some(since),
        Activity::Busy { .. }
        | Activity::Transferring
        | Activity::Uploading
        | Activity::Starting
        | Activity::StartUnknown => None,
    };
    (since, printer.id)
}

impl<'a> Ranking<'a> {
    fn new(context: &'a PlanContext<'a>, progress: &[OrderProgress]) -> Self {
        let mut by_class: Vec<Vec<usize>> = vec![Vec::new(); context.classes.len()];
        for order in (0..context.input.orders.len()).filter(|order| context.is_open(*order, progress, context.now)) {
            by_class[context.class_ids[order]].push(order);
        }
        let open = by_class.into_iter().enumerate().filter(|(_, orders)| !orders.is_empty());
        let open = open.map(|(id, orders)| OpenClass {
            id,
            class: context.classes.get(id),
            has_surplus_limit: orders.iter().any(|order| context.input.orders[*order].max_surplus.is_some()),
            orders,
        });
        let open: Vec<OpenClass<'_>> = open.collect();
        let matched = find_matched(context, &open);
        Self { context, open, matched, lists: HashMap::new() }
    }

    /// Returns the best orders for a printer, the best first.
    fn find_best(&mut self, printer: usize, progress: &[OrderProgress]) -> Vec<Candidate> {
        let staff = self.context.staff(printer);
        let mut best = BestCandidates::default();
        for open in self.matched[printer].iter().map(|position| &self.open[position]) {
            let files = open.class.by_file.iter().enumerate().filter(|(_, set)| set.contains(printer));
            for (file, _) in files.take(if open.has_surplus_limit { usize::MAX } else { 1 }) {
                let list = self.lists.entry((open.id, file, staff));
                let list = list.or_insert_with(|| RankedOrders::new(self.context, &open.orders, file, staff));
                list.add_best(self.context, (printer, file), progress, &mut best);
            }
        }
        best.into_inner()
    }
}

/// Returns for each ready printer which of these classes it matches.
fn find_matched(context: &PlanContext<'_>, open: &[OpenClass<'_>]) -> Vec<BitSet> {
    let ready = &context.states.ready;
    let mut matched = vec![BitSet::default(); context.index.len()];
    ready.iter().for_each(|printer| matched[printer] = BitSet::empty(open.len()));
    for (position, open) in open.iter().enumerate() {
        let mut matching = open.class.matching.clone();
        matching.intersect(ready);
        matching.iter().for_each(|printer| matched[printer].insert(position));
    }
    matched
}

impl RankedOrders {
    fn new(context: &PlanContext<'_>, orders: &[usize], file: usize, staff: usize) -> Self {
        let rank = context.rank_context(staff, context.now);
        let all = &context.input.orders;
        let value = |order: &usize| rank.score(&all[*order], context.print_time_s(&all[*order], file)).value;
        let mut entries: Vec<(f64, usize)> = orders.iter().map(|order| (value(order), *order)).collect();
        entries.sort_unstable_by(|a, b| compare((a.0, &all[a.1]), (b.0, &all[b.1])));
        Self { entries, head: 0 }
    }

    fn add_best(
        &mut self,
        context: &PlanContext<'_>,
        (printer, file): (usize, usize),
        progress: &[OrderProgress],
        best: &mut BestCandidates,
    ) {
        while self.entries.get(self.head).is_some_and(|(_, order)| !can_get_more(context, *order, file, progress)) {
            self.head += 1;
        }
        let id = context.input.printers[printer].id;
        for (value, order) in &self.entries[self.head..] {
            if !best.admits(*value) {
                return;
            }
            if progress[*order].queued > 0 && context.gate(*order, progress).check(printer, id) == Ok(file) {
                best.add(Candidate { value: *value, order: *order, file }, &context.input.orders);
            }
        }
    }
}

/// Returns whether an order may get a copy with this file on any printer. Once it may not, it may not again in this plan.
fn can_get_more(context: &PlanContext<'_>, order: usize, file: usize, progress: &[OrderProgress]) -> bool {
    let (order, progress) = (&context.input.orders[order], &progress[order]);
    progress.queued > 0 && !progress.is_at_max_printers(order) && progress.is_within_surplus(order, &order.files[file])
}
