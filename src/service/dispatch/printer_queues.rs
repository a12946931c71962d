//! Order of the commands to one printer: one is in flight, the same command again waits, a cancel or an emergency stop
//! overtakes, any other command is refused.
//!
//! Queues are in memory only. They are rebuilt from the command log at every start.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::command::Command;

/// A command in a printer's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub command_id: Uuid,
    pub batch_id: Uuid,
    pub command: Command,
    pub expires_at: Option<DateTime<Utc>>,
    /// The command log has a committed send of this command.
    pub sent: bool,
}

/// What to do with a released command.
#[derive(Debug, PartialEq, Eq)]
pub enum OfferResult {
    /// Hand it to the printer's actor.
    Deliver,
    /// Hand it to the printer's actor. A cancel ends the command in flight first; an emergency stop does not wait for it.
    Overtake,
    /// The same command is in flight, or this is a cancel after an emergency stop. It is decided after the end of that one.
    Wait,
    /// Another command is in flight.
    Refuse(Command),
}

#[derive(Debug, Default)]
struct PrinterQueue {
    in_flight: Option<Ticket>,
    overtaking: Option<Ticket>,
    /// The emergency stop that was handed to the actor beside the command in flight.
    stop: Option<Ticket>,
    waiting: VecDeque<Ticket>,
    /// An operation outside the job client uses the printer, such as the selection of a file.
    reserved: bool,
    /// Until this time, the previous server may still send to the printer. Only a cancel and an emergency stop are permitted.
    held_until: Option<Instant>,
}

impl PrinterQueue {
    /// Returns whether a command may be sent to the printer while none is in flight.
    fn admits(&self, command: Command, now: Instant) -> bool {
        match command {
            Command::EmergencyStop => true,
            Command::Cancel => !self.reserved,
            Command::Start
            | Command::Pause
            | Command::Resume
            | Command::Toggle
            | Command::Restart
            | Command::Connect
            | Command::Disconnect => !self.reserved && self.held_until.is_none_or(|until| now >= until),
        }
    }

    /// Returns the commands that the printer's actor has.
    fn held_by_actor(&self) -> impl Iterator<Item = &Ticket> {
        self.in_flight.iter().chain(&self.overtaking).chain(&self.stop)
    }

    fn is_empty(&self) -> bool {
        self.in_flight.is_none()
            && self.overtaking.is_none()
            && self.stop.is_none()
            && self.waiting.is_empty()
            && !self.reserved
            && self.held_until.is_none()
    }
}

/// The queues of all printers.
#[derive(Debug, Default)]
pub struct PrinterQueues(HashMap<Uuid, PrinterQueue>);

impl PrinterQueues {
    /// Offers a released command to its printer's queue.
    pub fn offer(&mut self, printer_id: Uuid, ticket: Ticket) -> OfferResult {
        let queue = self.0.entry(printer_id).or_default();
        let Some(in_flight) = queue.in_flight.as_ref() else {
            // A recovered command is already in flight: the previous server sent it.
            if !ticket.sent && !queue.admits(ticket.command, Instant::now()) {
                queue.waiting.push_back(ticket);
                return OfferResult::Wait;
            }
            queue.in_flight = Some(ticket);
            return OfferResult::Deliver;
        };
        let last = queue.stop.as_ref().or(queue.overtaking.as_ref()).unwrap_or(in_flight).command;
        match ticket.command {
            Command::EmergencyStop if ticket.command.overtakes(last) => {
                queue.stop = Some(ticket);
                OfferResult::Overtake
            }
            Command::Cancel if ticket.command.overtakes(last) => {
                queue.overtaking = Some(ticket);
                OfferResult::Overtake
            }
            // A cancel after an emergency stop finds no print, which only a new reading shows.
            command if command == last || command == Command::Cancel => {
                queue.waiting.push_back(ticket);
                OfferResult::Wait
            }
            _ => OfferResult::Refuse(last),
        }
    }

    /// Removes a command that has ended. Returns the command to hand over next.
    pub fn end_command(&mut self, printer_id: Uuid, command_id: Uuid) -> Option<Ticket> {
        let queue = self.0.get_mut(&printer_id)?;
        queue.waiting.retain(|ticket| ticket.command_id != command_id);
        if queue.overtaking.as_ref().is_some_and(|ticket| ticket.command_id == command_id) {
            queue.overtaking = None;
        }
        if queue.stop.as_ref().is_some_and(|ticket| ticket.command_id == command_id) {
            queue.stop = None;
        }
        if queue.in_flight.as_ref().is_some_and(|ticket| ticket.command_id == command_id) {
            // The actor already has the overtaking command.
            queue.in_flight = queue.overtaking.take().or_else(|| queue.stop.take());
        }
        self.take_next(printer_id)
    }

    fn take_next(&mut self, printer_id: Uuid) -> Option<Ticket> {
        let queue = self.0.get_mut(&printer_id)?;
        if queue.in_flight.is_none() {
            let now = Instant::now();
            let position = queue.waiting.iter().position(|ticket| queue.admits(ticket.command, now));
            let next = position.and_then(|position| queue.waiting.remove(position));
            queue.in_flight.clone_from(&next);
            if queue.is_empty() {
                self.0.remove(&printer_id);
            }
            return next;
        }
        None
    }

    /// Holds back every command except a cancel and an emergency stop until `until`.
    pub fn hold(&mut self, printer_id: Uuid, until: Instant) {
        self.0.entry(printer_id).or_default().held_until = Some(until);
    }

    /// Ends the holds that are over. Returns the commands to hand over next.
    pub fn end_holds(&mut self, now: Instant) -> Vec<Ticket> {
        let over: Vec<Uuid> = self
            .0
            .iter_mut()
            .filter(|(_, queue)| queue.held_until.is_some_and(|until| now >= until))
            .map(|(printer_id, queue)| {
                queue.held_until = None;
                *printer_id
            })
            .collect();
        over.into_iter().filter_map(|printer_id| self.take_next(printer_id)).collect()
    }

    /// Marks a command as sent: its send is committed in the command log.
    pub fn mark_sent(&mut self, printer_id: Uuid, command_id: Uuid) {
        let held = self
            .0
            .get_mut(&printer_id)
            .into_iter()
            .flat_map(|queue| queue.in_flight.iter_mut().chain(&mut queue.overtaking).chain(&mut queue.stop));
        for ticket in held.filter(|ticket| ticket.command_id == command_id) {
            ticket.sent = true;
        }
    }

    /// Returns the command in flight on a printer.
    pub fn in_flight(&self, printer_id: Uuid) -> Option<&Ticket> {
        self.0.get(&printer_id)?.in_flight.as_ref()
    }

    /// Returns the commands that a printer's actor has: the one in flight and those that overtake it.
    pub fn actor_commands(&self, printer_id: Uuid) -> Vec<Uuid> {
        let Some(queue) = self.0.get(&printer_id) else { return Vec::new() };
        queue.held_by_actor().map(|ticket| ticket.command_id).collect()
    }

    /// Returns the unsent commands of a printer that a cancel or an emergency stop withdraws: those that it overtakes, and
    /// the waiting commands that must not follow it.
    pub fn withdrawable(&self, printer_id: Uuid, by: Command) -> Vec<Uuid> {
        let Some(queue) = self.0.get(&printer_id) else { return Vec::new() };
        queue
            .held_by_actor()
            .filter(|ticket| !ticket.sent && by.overtakes(ticket.command))
            .chain(queue.waiting.iter().filter(|ticket| by.withdraws(ticket.command)))
            .map(|ticket| ticket.command_id)
            .collect()
    }

    /// Returns every unsent command of a printer.
    pub fn unsent(&self, printer_id: Uuid) -> Vec<Uuid> {
        let Some(queue) = self.0.get(&printer_id) else { return Vec::new() };
        let held = queue.held_by_actor().filter(|ticket| !ticket.sent);
        held.chain(queue.waiting.iter()).map(|ticket| ticket.command_id).collect()
    }

    /// Returns the waiting commands that have expired.
    pub fn expired(&self, now: DateTime<Utc>) -> Vec<(Uuid, Ticket)> {
        let over = |ticket: &&Ticket| ticket.expires_at.is_some_and(|at| at <= now);
        self.0
            .iter()
            .flat_map(|(printer_id, queue)| {
                queue.waiting.iter().filter(over).map(|ticket| (*printer_id, ticket.clone()))
            })
            .collect()
    }

    /// Reserves a printer for an operation outside the job client, which blocks its commands. Fails with the command in
    /// flight, or with `None` if the printer is already reserved.
    pub fn reserve(&mut self, printer_id: Uuid) -> Result<(), Option<Command>> {
        let queue = self.0.entry(printer_id).or_default();
        if let Some(ticket) = &queue.in_flight {
            return Err(Some(ticket.command));
        }
        if queue.reserved {
            return Err(None);
        }
        queue.reserved = true;
        Ok(())
    }

    /// Ends a reservation. Returns the command to hand over next.
    pub fn end_reservation(&mut self, printer_id: Uuid) -> Option<Ticket> {
        self.0.get_mut(&printer_id)?.reserved = false;
        self.take_next(printer_id)
    }

    /// Drops the queue of a printer that was removed and whose rows have ended.
    pub fn remove(&mut self, printer_id: Uuid) {
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
        let mut queues = PrinterQueues::default();
        assert_eq!(queues.offer(PRINTER, ticket(1, Command::Pause)), OfferResult::Deliver);
        assert_eq!(queues.offer(PRINTER, ticket(2, Command::Pause)), OfferResult::Wait);
        let next = queues.end_command(PRINTER, Uuid::from_u128(1)).map(|ticket| ticket.command_id);
        assert_eq!(next, Some(Uuid::from_u128(2)));
        assert_eq!(queues.end_command(PRINTER, Uuid::from_u128(2)), None);
        assert!(queues.0.is_empty());
    }

    #[test]
    fn another_command_is_refused_and_a_cancel_overtakes() {
        let mut queues = PrinterQueues::default();
        assert_eq!(queues.offer(PRINTER, ticket(1, Command::Start)), OfferResult::Deliver);
        assert_eq!(queues.offer(PRINTER, ticket(2, Command::Pause)), OfferResult::Refuse(Command::Start));
        assert_eq!(queues.offer(PRINTER, ticket(3, Command::Cancel)), OfferResult::Overtake);
        assert_eq!(queues.offer(PRINTER, ticket(4, Command::Cancel)), OfferResult::Wait);
        assert_eq!(queues.offer(PRINTER, ticket(5, Command::Start)), OfferResult::Refuse(Command::Cancel));
        assert_eq!(queues.end_command(PRINTER, Uuid::from_u128(1)), None, "the actor already has the cancel");
        assert_eq!(queues.in_flight(PRINTER).map(|ticket| ticket.command_id), Some(Uuid::from_u128(3)));
    }

    #[test]
    fn a_cancel_withdraws_what_is_unsent_and_nothing_that_is_on_the_wire() {
        let mut queues = PrinterQueues::default();
        queues.offer(PRINTER, ticket(1, Command::Start));
        queues.offer(PRINTER, ticket(2, Command::Start));
        assert_eq!(queues.withdrawable(PRINTER, Command::Cancel), [Uuid::from_u128(1), Uuid::from_u128(2)]);
        queues.mark_sent(PRINTER, Uuid::from_u128(1));
        assert_eq!(queues.withdrawable(PRINTER, Command::Cancel), [Uuid::from_u128(2)]);
    }

    #[test]
    fn an_emergency_stop_overtakes_every_other_command_and_withdraws_the_unsent_ones() {
        let ids = |range: std::ops::RangeInclusive<u128>| range.map(Uuid::from_u128).collect::<Vec<_>>();
        let mut queues = PrinterQueues::default();
        queues.offer(PRINTER, ticket(1, Command::Pause));
        queues.mark_sent(PRINTER, Uuid::from_u128(1));
        queues.offer(PRINTER, ticket(2, Command::Pause));
        assert_eq!(queues.offer(PRINTER, ticket(3, Command::Cancel)), OfferResult::Overtake);
        queues.offer(PRINTER, ticket(4, Command::Cancel));
        let mut withdrawn = queues.withdrawable(PRINTER, Command::EmergencyStop);
        withdrawn.sort_unstable();
        assert_eq!(withdrawn, ids(2..=4), "the pause was sent");
        for id in withdrawn {
            assert_eq!(queues.end_command(PRINTER, id), None);
        }
        assert_eq!(queues.offer(PRINTER, ticket(5, Command::EmergencyStop)), OfferResult::Overtake);
        assert_eq!(queues.offer(PRINTER, ticket(6, Command::EmergencyStop)), OfferResult::Wait);
        assert_eq!(queues.offer(PRINTER, ticket(7, Command::Start)), OfferResult::Refuse(Command::EmergencyStop));
        assert_eq!(queues.offer(PRINTER, ticket(8, Command::Cancel)), OfferResult::Wait);
        assert!(queues.withdrawable(PRINTER, Command::Cancel).is_empty(), "a cancel withdraws no emergency stop");
        assert_eq!(queues.end_command(PRINTER, Uuid::from_u128(1)), None, "the actor already has the stop");
        let next = queues.end_command(PRINTER, Uuid::from_u128(5)).map(|ticket| ticket.command_id);
        assert_eq!(next, Some(Uuid::from_u128(6)));
    }

    #[test]
    fn the_command_in_flight_outlives_an_emergency_stop() {
        let mut queues = PrinterQueues::default();
        queues.offer(PRINTER, ticket(1, Command::Pause));
        queues.offer(PRINTER, ticket(2, Command::EmergencyStop));
        assert_eq!(queues.end_command(PRINTER, Uuid::from_u128(2)), None);
        assert_eq!(queues.offer(PRINTER, ticket(3, Command::Start)), OfferResult::Refuse(Command::Pause));
    }

    #[test]
    fn neither_a_reservation_nor_the_previous_server_holds_back_an_emergency_stop() {
        let mut queues = PrinterQueues::default();
        assert_eq!(queues.reserve(PRINTER), Ok(()));
        queues.hold(PRINTER, Instant::now() + std::time::Duration::from_secs(60));
        assert_eq!(queues.offer(PRINTER, ticket(1, Command::EmergencyStop)), OfferResult::Deliver);
        assert_eq!(queues.end_reservation(PRINTER), None);
        assert_eq!(queues.offer(PRINTER, ticket(2, Command::Start)), OfferResult::Refuse(Command::EmergencyStop));
    }

    #[test]
    fn a_reserved_printer_makes_commands_wait() {
        let mut queues = PrinterQueues::default();
        assert_eq!(queues.reserve(PRINTER), Ok(()));
        assert_eq!(queues.offer(PRINTER, ticket(1, Command::Cancel)), OfferResult::Wait);
        assert_eq!(queues.end_reservation(PRINTER).map(|ticket| ticket.command), Some(Command::Cancel));
        assert_eq!(queues.reserve(PRINTER), Err(Some(Command::Cancel)));
    }
}
