//! The order of commands to one printer: one in flight, the same command again waits, a cancel overtakes, anything
//! else is refused.
//!
//! A lane is memory only; the ledger is the truth, and lanes are built anew from it at every start.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::command::Command;

/// A command as a lane knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub command_id: Uuid,
    pub batch_id: Uuid,
    pub command: Command,
    pub expires_at: Option<DateTime<Utc>>,
    /// The ledger has committed a send of it.
    pub sent: bool,
}

/// What to do with a released command.
#[derive(Debug, PartialEq, Eq)]
pub enum Offer {
    /// Hand it to the printer's actor.
    Go,
    /// Hand it to the printer's actor, which ends what is in flight first.
    Overtake,
    /// The same command is in flight: it is decided afresh after that.
    Wait,
    /// Something else is in flight.
    Refuse(Command),
}

#[derive(Debug, Default)]
struct Lane {
    in_flight: Option<Ticket>,
    overtaking: Option<Ticket>,
    waiting: VecDeque<Ticket>,
    /// Something beside the job client uses the printer (a file is being selected).
    reserved: bool,
}

impl Lane {
    fn is_empty(&self) -> bool {
        self.in_flight.is_none() && self.overtaking.is_none() && self.waiting.is_empty() && !self.reserved
    }
}

/// Every printer's lane.
#[derive(Debug, Default)]
pub struct Lanes(HashMap<Uuid, Lane>);

impl Lanes {
    /// Offers a released command to its printer.
    pub fn offer(&mut self, printer_id: Uuid, ticket: Ticket) -> Offer {
        let lane = self.0.entry(printer_id).or_default();
        let Some(in_flight) = lane.in_flight.as_ref() else {
            if lane.reserved {
                lane.waiting.push_back(ticket);
                return Offer::Wait;
            }
            lane.in_flight = Some(ticket);
            return Offer::Go;
        };
        let last = lane.overtaking.as_ref().unwrap_or(in_flight).command;
        if ticket.command == last {
            lane.waiting.push_back(ticket);
            Offer::Wait
        } else if ticket.command == Command::Cancel {
            lane.overtaking = Some(ticket);
            Offer::Overtake
        } else {
            Offer::Refuse(last)
        }
    }

    /// A command has ended. Returns what is to be handed over next.
    pub fn end(&mut self, printer_id: Uuid, command_id: Uuid) -> Option<Ticket> {
        let lane = self.0.get_mut(&printer_id)?;
        lane.waiting.retain(|ticket| ticket.command_id != command_id);
        if lane.overtaking.as_ref().is_some_and(|ticket| ticket.command_id == command_id) {
            lane.overtaking = None;
        }
        if lane.in_flight.as_ref().is_some_and(|ticket| ticket.command_id == command_id) {
            // What overtakes is with the actor already.
            lane.in_flight = lane.overtaking.take();
        }
        self.next(printer_id)
    }

    fn next(&mut self, printer_id: Uuid) -> Option<Ticket> {
        let lane = self.0.get_mut(&printer_id)?;
        if lane.in_flight.is_none() && !lane.reserved {
            let next = lane.waiting.pop_front();
            lane.in_flight.clone_from(&next);
            if lane.is_empty() {
                self.0.remove(&printer_id);
            }
            return next;
        }
        None
    }

    /// Notes that the ledger has committed a send.
    pub fn mark_sent(&mut self, printer_id: Uuid, command_id: Uuid) {
        let in_lane = self
            .0
            .get_mut(&printer_id)
            .into_iter()
            .flat_map(|lane| lane.in_flight.iter_mut().chain(lane.overtaking.iter_mut()));
        for ticket in in_lane.filter(|ticket| ticket.command_id == command_id) {
            ticket.sent = true;
        }
    }

    /// What is in flight on a printer.
    pub fn in_flight(&self, printer_id: Uuid) -> Option<&Ticket> {
        self.0.get(&printer_id)?.in_flight.as_ref()
    }

    /// Commands of a printer that have not been sent, and that a cancel withdraws: whatever waits or is in flight
    /// unsent, but not another cancel.
    pub fn withdrawable(&self, printer_id: Uuid) -> Vec<Uuid> {
        let Some(lane) = self.0.get(&printer_id) else { return Vec::new() };
        let starts = |ticket: &&Ticket| ticket.command.heats();
        lane.in_flight
            .iter()
            .filter(|ticket| !ticket.sent && ticket.command != Command::Cancel)
            .chain(lane.waiting.iter().filter(starts))
            .map(|ticket| ticket.command_id)
            .collect()
    }

    /// Every command of a printer that has not been sent.
    pub fn unsent(&self, printer_id: Uuid) -> Vec<Uuid> {
        let Some(lane) = self.0.get(&printer_id) else { return Vec::new() };
        let held = lane.in_flight.iter().chain(lane.overtaking.iter()).filter(|ticket| !ticket.sent);
        held.chain(lane.waiting.iter()).map(|ticket| ticket.command_id).collect()
    }

    /// Waiting commands whose time is over.
    pub fn expired(&self, now: DateTime<Utc>) -> Vec<(Uuid, Ticket)> {
        let over = |ticket: &&Ticket| ticket.expires_at.is_some_and(|at| at <= now);
        self.0
            .iter()
            .flat_map(|(printer_id, lane)| lane.waiting.iter().filter(over).map(|ticket| (*printer_id, ticket.clone())))
            .collect()
    }

    /// Keeps commands off a printer for something beside the job client. Fails with what is in flight.
    pub fn reserve(&mut self, printer_id: Uuid) -> Result<(), Option<Command>> {
        let lane = self.0.entry(printer_id).or_default();
        if let Some(ticket) = &lane.in_flight {
            return Err(Some(ticket.command));
        }
        if lane.reserved {
            return Err(None);
        }
        lane.reserved = true;
        Ok(())
    }

    /// Ends a reservation. Returns what is to be handed over next.
    pub fn release(&mut self, printer_id: Uuid) -> Option<Ticket> {
        self.0.get_mut(&printer_id)?.reserved = false;
        self.next(printer_id)
    }

    /// Forgets a printer: it was removed, and its rows have ended.
    pub fn forget(&mut self, printer_id: Uuid) {
        self.0.remove(&printer_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTER: Uuid = Uuid::from_u128(1);

    fn ticket(n: u128, command: Command) -> Ticket {
        Ticket { command_id: Uuid::from_u128(n), batch_id: Uuid::nil(), command, expires_at: None, sent: false }
    }

    #[test]
    fn the_same_command_again_waits_and_goes_afterwards() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.offer(PRINTER, ticket(1, Command::Pause)), Offer::Go);
        assert_eq!(lanes.offer(PRINTER, ticket(2, Command::Pause)), Offer::Wait);
        let next = lanes.end(PRINTER, Uuid::from_u128(1)).map(|ticket| ticket.command_id);
        assert_eq!(next, Some(Uuid::from_u128(2)));
        assert_eq!(lanes.end(PRINTER, Uuid::from_u128(2)), None);
        assert!(lanes.0.is_empty());
    }

    #[test]
    fn another_command_is_refused_and_a_cancel_overtakes() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.offer(PRINTER, ticket(1, Command::Start)), Offer::Go);
        assert_eq!(lanes.offer(PRINTER, ticket(2, Command::Pause)), Offer::Refuse(Command::Start));
        assert_eq!(lanes.offer(PRINTER, ticket(3, Command::Cancel)), Offer::Overtake);
        assert_eq!(lanes.offer(PRINTER, ticket(4, Command::Cancel)), Offer::Wait);
        assert_eq!(lanes.offer(PRINTER, ticket(5, Command::Start)), Offer::Refuse(Command::Cancel));
        assert_eq!(lanes.end(PRINTER, Uuid::from_u128(1)), None, "the cancel is with the actor already");
        assert_eq!(lanes.in_flight(PRINTER).map(|ticket| ticket.command_id), Some(Uuid::from_u128(3)));
    }

    #[test]
    fn a_cancel_withdraws_what_is_unsent_and_nothing_that_is_on_the_wire() {
        let mut lanes = Lanes::default();
        lanes.offer(PRINTER, ticket(1, Command::Start));
        lanes.offer(PRINTER, ticket(2, Command::Start));
        assert_eq!(lanes.withdrawable(PRINTER), [Uuid::from_u128(1), Uuid::from_u128(2)]);
        lanes.mark_sent(PRINTER, Uuid::from_u128(1));
        assert_eq!(lanes.withdrawable(PRINTER), [Uuid::from_u128(2)]);
    }

    #[test]
    fn a_reserved_printer_makes_commands_wait() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.reserve(PRINTER), Ok(()));
        assert_eq!(lanes.offer(PRINTER, ticket(1, Command::Cancel)), Offer::Wait);
        assert_eq!(lanes.release(PRINTER).map(|ticket| ticket.command), Some(Command::Cancel));
        assert_eq!(lanes.reserve(PRINTER), Err(Some(Command::Cancel)));
    }
}
