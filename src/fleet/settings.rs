//! The live side's numbers: every queue has one, every wait has an end.

use std::{num::NonZeroU32, time::Duration};

use governor::Quota;

/// Orders and questions that wait for one actor.
pub const MAILBOX: usize = 8;
/// Printers that are being connected to at once. Commands need no permit.
pub const CONNECTS: usize = 64;
/// Messages of all actors that wait for the dispatcher.
pub const UP_QUEUE: usize = 4_096;
/// Messages for which the dispatcher's queue has no room: an actor with so many of them takes no new mail.
pub const OUTBOX: usize = 16;
/// Facts about the prints of one printer that wait for the recorder.
pub const FACTS_KEPT: usize = 100;
/// Facts about the prints of one printer that are stored. Beyond it they wait, and are merged beyond [`FACTS_KEPT`].
pub const FACTS_STORED: Quota =
    Quota::per_second(NonZeroU32::new(20).expect("not zero")).allow_burst(NonZeroU32::new(100).expect("not zero"));
/// Between two events `printer.noisy` of one printer.
pub const NOISY_EVERY: Duration = Duration::from_secs(60);
/// One request that reads.
pub const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// One request that commands.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// A permit to send is used only this long after it was asked for. Another server may have taken over the farm since then,
/// and does not wait longer for what this one may still send.
pub const PERMIT_AGE: Duration = Duration::from_secs(5);
/// Pings and routine readings begin on a tick that all actors share. So the processor is woken for many printers at once
/// and not for each, which is most of what an idle farm costs.
pub const TICK: Duration = Duration::from_millis(100);
/// A reading that contradicts the events is followed by the next one after this.
pub const DOUBT: Duration = Duration::from_secs(1);
/// Between pings on the event socket: OctoPrint's side has no heartbeat.
pub const PING_EVERY: Duration = Duration::from_secs(5);
/// Writing one ping.
pub const PING_WRITE: Duration = Duration::from_millis(500);
/// Events of one printer that are taken in at once.
pub const NEWS_AT_ONCE: usize = 16;
/// `GET /api/printer` is asked for the state when `GET /api/job` takes longer than this.
pub const READ_HEDGE: Duration = Duration::from_secs(2);
/// The version is read for at most this long before the first reading of a connection.
pub const VERSION_TIMEOUT: Duration = Duration::from_secs(3);
/// While events arrive, a reading or a state event is fresh enough to *send* a command for this long: an idle printer is
/// read every 30 s. A command that does not fit is refused by OctoPrint (409), and decided again on a new reading; a
/// command that is not sent is decided on a new reading in any case.
pub const FRESH_BY_EVENTS: Duration = Duration::from_secs(40);
/// The event socket is alive while a frame or a pong came within this. It proves nothing about the printer's state.
pub const SOCKET_ALIVE: Duration = Duration::from_secs(6);
/// A state that was read is fresh for this long.
pub const FRESH_BY_READING: Duration = Duration::from_secs(2);
/// Without frame or pong for this long, the socket is dead.
pub const SILENCE: Duration = Duration::from_secs(15);
/// Backoff between attempts to connect, with full jitter.
pub const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// The longest pause between attempts to connect.
pub const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Temperatures that cannot be read any more are shown for this long.
pub const TEMPERATURES_KEPT: Duration = Duration::from_secs(90);
/// A socket that was open for this long is opened again at once when it is lost; others after a backoff.
pub const SOCKET_LASTED: Duration = Duration::from_secs(30);

/// How often a printer is read.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub job: Duration,
    pub heaters: Duration,
}

/// How long a printer counts as looked at after somebody has looked. A page that shows it says so every 2 s.
pub const WATCHED_FOR: Duration = Duration::from_secs(10);

/// The pace for a printer: by whether it works, whether its events are pushed, and whether somebody looks at it.
pub fn pace(active: bool, pushed: bool, watched: bool) -> Pace {
    let s = Duration::from_secs;
    match (active, pushed, watched) {
        (true, _, true) => Pace { job: s(1), heaters: s(2) },
        (false, _, true) => Pace { job: s(5), heaters: s(5) },
        (true, true, false) => Pace { job: s(4), heaters: s(8) },
        (true, false, false) => Pace { job: s(2), heaters: s(8) },
        (false, true, false) => Pace { job: s(30), heaters: s(60) },
        (false, false, false) => Pace { job: s(5), heaters: s(60) },
    }
}
