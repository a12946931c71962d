//! Quantities of an order, in parts. They are derived from the sums of its copies and adjustments at every read.

use serde::{Deserialize, Serialize};

/// Sums over the copies and adjustments of an order, in parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrderSums {
    /// Judged as good, with adjustments.
    pub good: i64,
    /// Judged as scrap, with adjustments.
    pub scrap: i64,
    /// On finished copies that were not judged.
    pub unjudged: i64,
    /// On active copies.
    pub printing: i64,
    /// Number of active copies.
    pub active: i64,
    /// Number of copies whose print has begun.
    pub begun: i64,
}

impl OrderSums {
    /// Returns whether an order of this quantity is complete.
    pub fn is_complete(&self, ordered: u32) -> bool {
        self.good >= i64::from(ordered) && self.printing == 0 && self.unjudged == 0
    }
}

/// The quantities of an order, in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Quantities {
    pub ordered: i64,
    pub good: i64,
    pub scrap: i64,
    /// On finished copies that were not judged.
    pub unjudged: i64,
    /// On copies that are assigned, uploading, starting or printing.
    pub printing: i64,
    /// Still to be assigned to printers. 0 when the order has ended.
    pub queued: i64,
    /// Good parts that are missing.
    pub remaining: i64,
    /// Parts beyond the quantity, if every unjudged and printing part is good.
    pub surplus: i64,
}

impl Quantities {
    /// Derives the quantities of an order.
    pub fn derive(ordered: u32, sums: &OrderSums, is_ended: bool) -> Self {
        let ordered = i64::from(ordered);
        let OrderSums { good, scrap, unjudged, printing, .. } = *sums;
        let missing = ordered - good - unjudged - printing;
        Self {
            ordered,
            good,
            scrap,
            unjudged,
            printing,
            queued: if is_ended { 0 } else { missing.max(0) },
            remaining: (ordered - good).max(0),
            surplus: (-missing).max(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        copy::{CopyState, Quality},
        order::{HoldReason, Order, OrderEnd, OrderRequest, OrderState, OrderTurn},
    };

    /// Number of random histories.
    const HISTORIES: u64 = 20_000;
    const STEPS: usize = 40;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).expect("a time") + TimeDelta::seconds(seconds)
    }

    fn sample_order(quantity: u32) -> Order {
        Order {
            id: Uuid::nil(),
            source: String::new(),
            external_ref: None,
            line: String::new(),
            part: None,
            part_revision: None,
            files: Vec::new(),
            details: OrderRequest::new(quantity).details(None),
            hold: None,
            ended_as: None,
            running: None,
            tag_limit: Vec::new(),
            version: 1,
            created_at: at(0),
            updated_at: at(0),
            started_at: None,
            completed_at: None,
            attempts_since: None,
            created_by: "anna".into(),
        }
    }

    /// A copy in the model of a history.
    #[derive(Clone, Copy)]
    struct ModelCopy {
        state: CopyState,
        parts: u32,
        quality: Quality,
        good: u32,
    }

    fn sum(copies: &[ModelCopy], (good, scrap): (i64, i64)) -> OrderSums {
        let mut sums = OrderSums { good, scrap, ..OrderSums::default() };
        for copy in copies {
            let parts = i64::from(copy.parts);
            sums.begun += i64::from(matches!(copy.state, CopyState::Printing | CopyState::Finished));
            if copy.state.is_active() {
                sums.printing += parts;
                sums.active += 1;
            } else if copy.state == CopyState::Finished && copy.quality == Quality::Judged {
                sums.good += i64::from(copy.good);
                sums.scrap += parts - i64::from(copy.good);
            } else if copy.state == CopyState::Finished {
                sums.unjudged += parts;
            }
        }
        sums
    }

    fn check_rules(order: &Order, sums: &OrderSums, copies: &[ModelCopy], adjusted: i64, case: &str) {
        let q = order.quantities(sums);
        let counted = copies.iter().filter(|copy| copy.state.is_active() || copy.state == CopyState::Finished);
        let made: i64 = counted.map(|copy| i64::from(copy.parts)).sum();
        assert_eq!(q.good + q.scrap + q.unjudged + q.printing, made + adjusted, "{case}: every part counts once");
        assert_eq!(q.remaining, (q.ordered - q.good).max(0), "{case}");
        assert_eq!(q.surplus, (q.good + q.unjudged + q.printing - q.ordered).max(0), "{case}");
        let missing = (q.ordered - q.good - q.unjudged - q.printing).max(0);
        assert_eq!(q.queued, if order.ended_as.is_some() { 0 } else { missing }, "{case}");
        let is_complete = q.good >= q.ordered && q.printing == 0 && q.unjudged == 0;
        let state = order.state(sums);
        match order.ended_as {
            Some(OrderEnd::Cancelled) => assert_eq!(state, OrderState::Cancelled, "{case}"),
            Some(OrderEnd::ShortClosed) => assert_eq!(state, OrderState::ShortClosed, "{case}"),
            Some(OrderEnd::Completed) | None => {
                assert_eq!(state == OrderState::Completed, is_complete, "{case}");
                assert_eq!(order.completed_at.is_some(), is_complete, "{case}");
                assert_eq!(
                    state == OrderState::Running,
                    sums.active > 0 && order.hold.is_none() && !is_complete,
                    "{case}"
                );
            }
        }
    }

    #[test]
    fn the_sums_hold_in_every_history() {
        let seed: u64 = rand::random();
        println!("seed {seed}");
        let (mut started, mut completed, mut reopened, mut surplus, mut adjustments) = (0, 0, 0, 0, 0);
        for history in 0..HISTORIES {
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(history));
            let mut order = sample_order(random.random_range(1..12));
            let mut copies: Vec<ModelCopy> = Vec::new();
            let mut adjusted = (0, 0);
            for step in 0..STEPS {
                let case = format!("seed {seed}, history {history}, step {step}");
                let queued = order.quantities(&sum(&copies, adjusted)).queued;
                match random.random_range(0..10) {
                    0..=3 if queued > 0 && order.hold.is_none() => copies.push(ModelCopy {
                        state: CopyState::Assigned,
                        parts: random.random_range(1..6),
                        quality: Quality::Unjudged,
                        good: 0,
                    }),
                    0..=6 if !copies.is_empty() => {
                        let at = random.random_range(0..copies.len());
                        let next = match random.random_range(0..3) {
                            0 => CopyState::ALL[random.random_range(0..CopyState::ALL.len())],
                            1 => CopyState::Printing,
                            _ => CopyState::Finished,
                        };
                        if copies[at].state.may_become(next) {
                            copies[at].state = next;
                        }
                    }
                    7 if !copies.is_empty() => {
                        let at = random.random_range(0..copies.len());
                        if copies[at].state == CopyState::Finished {
                            copies[at].quality = Quality::Judged;
                            copies[at].good = random.random_range(copies[at].parts / 2..=copies[at].parts);
                        }
                    }
                    8 => {
                        adjusted.0 += random.random_range(-2..=2);
                        adjusted.1 += random.random_range(0..=2);
                        adjustments += 1;
                    }
                    9 => match random.random_range(0..12) {
                        0 if order.ended_as.is_none() => order.ended_as = Some(OrderEnd::Cancelled),
                        1 if order.ended_as.is_none() => order.ended_as = Some(OrderEnd::ShortClosed),
                        2 => order.hold = Some(HoldReason::OnHold),
                        3 => order.hold = None,
                        _ => order.details.quantity = random.random_range(1..12),
                    },
                    _ => {}
                }
                let sums = sum(&copies, adjusted);
                for turn in order.follow_sums(&sums, at(1)) {
                    match turn {
                        OrderTurn::Started => started += 1,
                        OrderTurn::Completed => completed += 1,
                        OrderTurn::Reopened => reopened += 1,
                    }
                }
                assert_eq!(order.follow_sums(&sums, at(1)), [], "{case}");
                surplus += u64::from(order.quantities(&sums).surplus > 0);
                check_rules(&order, &sums, &copies, adjusted.0 + adjusted.1, &case);
            }
        }
        assert!(started <= HISTORIES, "an order starts once");
        let counts = [
            ("started", started),
            ("completed", completed),
            ("reopened", reopened),
            ("surplus", surplus),
            ("adjusted", adjustments),
        ];
        for (what, count) in counts {
            assert!(count > 1_000, "too few histories with {what}: {count}, seed {seed}");
        }
    }

    #[test]
    fn the_quantities_follow_the_formulas_of_the_contract() {
        let sums = OrderSums { good: 100, scrap: 3, unjudged: 8, printing: 4, active: 1, begun: 1 };
        let derived = Quantities::derive(120, &sums, false);
        let expected = Quantities {
            ordered: 120,
            good: 100,
            scrap: 3,
            unjudged: 8,
            printing: 4,
            queued: 8,
            remaining: 20,
            surplus: 0,
        };
        assert_eq!(derived, expected);
        assert_eq!(Quantities::derive(120, &sums, true), Quantities { queued: 0, ..expected });
        let fewer = Quantities { ordered: 110, queued: 0, remaining: 10, surplus: 2, ..expected };
        assert_eq!(Quantities::derive(110, &sums, false), fewer);
    }

    #[test]
    fn a_new_attempt_after_a_release_counts_from_one() {
        let mut order = sample_order(1);
        assert_eq!(order.next_attempt(3, Some(at(5))), 4);
        order.attempts_since = Some(at(6));
        assert_eq!(order.next_attempt(3, Some(at(5))), 1);
        assert_eq!(order.next_attempt(1, Some(at(7))), 2);
        assert!(!order.uses_up_attempts(2) && order.uses_up_attempts(3));
        order.ended_as = Some(OrderEnd::Cancelled);
        assert!(!order.uses_up_attempts(3), "an order that has ended is not put on hold");
    }

    #[test]
    fn an_order_is_visible_to_a_limited_principal_if_all_its_printers_are() {
        let mut order = sample_order(1);
        let tags = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
        assert!(order.is_visible_to(&[]) && !order.is_visible_to(&tags(&["a"])));
        order.tag_limit = tags(&["a", "b"]);
        assert!(!order.is_visible_to(&tags(&["a"])) && order.is_visible_to(&tags(&["b", "a", "c"])));
    }
}
