//! Limits and timeouts of the fleet: every queue has a limit, and every wait has a timeout.

use std::{num::NonZeroU32, time::Duration};

use governor::Quota;

/// Maximum number of messages that wait for one actor.
pub const MAILBOX: usize = 8;
/// Maximum number of simultaneous connection attempts. Commands need no such permit.
pub const CONNECTS: usize = 64;
/// Maximum number of messages of all actors that wait for the dispatcher.
pub const DISPATCHER_QUEUE: usize = 4_096;
/// Maximum number of messages that wait in an outbox for room in the dispatcher's queue. An actor with this many accepts no
/// new messages.
pub const OUTBOX: usize = 16;
/// Maximum number of facts about the prints of one printer that wait for the recorder.
pub const FACTS_KEPT: usize = 100;
/// The rate at which facts about the prints of one printer are stored. Further facts wait, and are merged beyond
/// [`FACTS_KEPT`].
pub const FACT_RATE: Quota =
    Quota::per_second(NonZeroU32::new(20).expect("not zero")).allow_burst(NonZeroU32::new(100).expect("not zero"));
/// The shortest time between two events `printer.noisy` of one printer.
pub const NOISY_EVERY: Duration = Duration::from_secs(60);
/// Timeout of a request that reads.
pub const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of a request that sends a command.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that actors have to finish their sends after a shutdown begins: a request that was just sent may take as long.
pub const END_WITHIN: Duration = SEND_TIMEOUT;
/// A permit to send is used only this long after its request. Another server that takes over the farm in the meantime relies
/// on this limit.
pub const PERMIT_AGE: Duration = Duration::from_secs(5);
/// Pings and routine readings start on a tick that all actors share. So the processor wakes once for many printers. Waking for
/// each printer would be most of the cost of an idle farm.
pub const TICK: Duration = Duration::from_millis(100);
/// Delay of the next reading after one that contradicts the events.
pub const RECHECK_DELAY: Duration = Duration::from_secs(1);
/// Time between pings on the event socket: OctoPrint sends no heartbeat of its own.
pub const PING_EVERY: Duration = Duration::from_secs(5);
/// Timeout of writing one ping.
pub const PING_WRITE_TIMEOUT: Duration = Duration::from_millis(500);
/// Maximum number of frames of one printer that are processed in one turn.
pub const FRAMES_PER_TURN: usize = 16;
/// `GET /api/printer` is sent for the state if `GET /api/job` takes longer than this.
pub const READ_HEDGE: Duration = Duration::from_secs(2);
/// Timeout of reading the version, before the first reading of a connection.
pub const VERSION_TIMEOUT: Duration = Duration::from_secs(3);
/// While events arrive, a reading or a state event is fresh enough to *send* a command for this long, because an idle printer
/// is read every 30 s. OctoPrint refuses a command that does not fit (409), and it is decided again on a new reading. The
/// decision not to send always needs a new reading.
pub const FRESH_BY_EVENTS: Duration = Duration::from_secs(40);
/// The event socket is alive if a frame or a pong arrived within this time. That proves nothing about the printer's state.
pub const SOCKET_ALIVE: Duration = Duration::from_secs(6);
/// A reading of the state is fresh for this long.
pub const FRESH_BY_READING: Duration = Duration::from_secs(2);
/// The socket is dead if no frame and no pong arrives for this long.
pub const SOCKET_TIMEOUT: Duration = Duration::from_secs(15);
/// The shortest backoff between attempts to connect. The backoff has full jitter.
pub const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// The longest backoff between attempts to connect.
pub const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Temperatures that can no longer be read are shown for this long.
pub const TEMPERATURES_KEPT: Duration = Duration::from_secs(90);
/// A lost socket that was open for this long is opened again at once. Others are opened after a backoff.
pub const SOCKET_STABLE_AFTER: Duration = Duration::from_secs(30);

/// How often a printer is read.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub job: Duration,
    pub heaters: Duration,
}

/// How long a printer counts as viewed after it was last viewed. A page that shows it renews this every 2 s.
pub const VIEWED_FOR: Duration = Duration::from_secs(10);

/// Returns the pace for a printer. It depends on whether the printer is active, its events are pushed, and a page shows it.
pub fn pace(active: bool, pushed: bool, viewed: bool) -> Pace {
    let s = Duration::from_secs;
    match (active, pushed, viewed) {
        (true, _, true) => Pace { job: s(1), heaters: s(2) },
        (false, _, true) => Pace { job: s(5), heaters: s(5) },
        (true, true, false) => Pace { job: s(4), heaters: s(8) },
        (true, false, false) => Pace { job: s(2), heaters: s(8) },
        (false, true, false) => Pace { job: s(30), heaters: s(60) },
        (false, false, false) => Pace { job: s(5), heaters: s(60) },
    }
}
