//! The simulated printers as the fault panel uses them, the faults that come by themselves, and approvals of keys.

use std::{sync::Arc, time::Duration};

use printyard::{
    service::demo::{DemoFarm, DemoFault},
    simulator::{Fault, MachineAction, SimulatedPrinter},
};

use super::plan::FIRMWARE_ERROR;

/// Delay of each reply under [`DemoFault::Slow`].
const SLOW: Duration = Duration::from_secs(2);
/// Mean time between two faults that come by themselves, with a dozen printers.
const FAULT_PERIOD: Duration = Duration::from_secs(240);
/// Shortest mean time between two such faults.
const MIN_FAULT_PERIOD: Duration = Duration::from_secs(60);
/// No faults come by themselves while one of this many printers waits for a person.
const MIN_PRINTERS_PER_FAULT: usize = 3;
/// How long a connection has a fault that came by itself.
const CONNECTION_FAULT_TIME: Duration = Duration::from_secs(120);
/// Time between two searches for requests for a key.
const APPROVAL_PERIOD: Duration = Duration::from_secs(2);

/// The simulated printers of a demo.
pub struct SimulatedFarm {
    pub printers: Vec<SimulatedPrinter>,
    pub has_random_faults: bool,
}

impl DemoFarm for SimulatedFarm {
    fn has_random_faults(&self) -> bool {
        self.has_random_faults
    }

    fn cause(&self, url: &str, fault: DemoFault) -> bool {
        self.printers.iter().find(|printer| printer.url() == url).is_some_and(|printer| cause_fault(printer, fault))
    }

    fn reset(&self) {
        for printer in &self.printers {
            printer.set_fault(None);
            printer.restore_key();
            printer.perform(MachineAction::Connect);
        }
    }
}

fn cause_fault(printer: &SimulatedPrinter, fault: DemoFault) -> bool {
    let is_printing = printer.state_text() == "Printing";
    match fault {
        DemoFault::FirmwareError => printer.perform(MachineAction::FirmwareError(FIRMWARE_ERROR.to_owned())),
        DemoFault::FilamentRunsOut if is_printing => printer.perform(MachineAction::M600),
        DemoFault::PausedAtPrinter if is_printing => printer.perform(MachineAction::Pause),
        DemoFault::PrintFails if is_printing => printer.perform(MachineAction::Disconnect),
        DemoFault::FinishPrint if is_printing => printer.perform(MachineAction::FinishPrint),
        DemoFault::FilamentRunsOut | DemoFault::PausedAtPrinter | DemoFault::PrintFails | DemoFault::FinishPrint => {
            return false;
        }
        DemoFault::StopsAnswering => printer.set_fault(Some(Fault::Refuse)),
        DemoFault::Slow => printer.set_fault(Some(Fault::Slow(SLOW))),
        DemoFault::LosesEventSocket => printer.set_fault(Some(Fault::DropSocket)),
        DemoFault::AnswersAgain => printer.set_fault(None),
        DemoFault::KeyRefused => printer.revoke_key(),
        DemoFault::KeyRestored => printer.restore_key(),
    }
    true
}

/// Approves requests for keys, and causes faults by themselves. Never ends.
pub async fn run(farm: Arc<SimulatedFarm>) {
    tokio::join!(approve_keys(&farm), cause_random_faults(&farm));
}

/// Approves each request for a key, like a person at OctoPrint's own page.
async fn approve_keys(farm: &SimulatedFarm) {
    loop {
        tokio::time::sleep(APPROVAL_PERIOD).await;
        for printer in &farm.printers {
            printer.decide_app_key(true);
        }
    }
}

async fn cause_random_faults(farm: &SimulatedFarm) {
    if !farm.has_random_faults {
        return;
    }
    let farm_size = u32::try_from(farm.printers.len()).unwrap_or(u32::MAX).max(1);
    let period = (FAULT_PERIOD * 12 / farm_size).clamp(MIN_FAULT_PERIOD, FAULT_PERIOD);
    loop {
        tokio::time::sleep(period.mul_f64(rand::random_range(0.6..1.4))).await;
        let printer = &farm.printers[rand::random_range(0..farm.printers.len())];
        let fault = match rand::random_range(0..10) {
            0..4 => DemoFault::FilamentRunsOut,
            4..6 => DemoFault::PausedAtPrinter,
            6 => DemoFault::FirmwareError,
            7 | 8 => DemoFault::StopsAnswering,
            _ => DemoFault::Slow,
        };
        let waiting = farm.printers.iter().filter(|printer| waits_for_person(printer)).count();
        let is_allowed = waiting * MIN_PRINTERS_PER_FAULT < farm.printers.len() && printer.state_text() == "Printing";
        if !is_allowed || !cause_fault(printer, fault) {
            continue;
        }
        if matches!(fault, DemoFault::StopsAnswering | DemoFault::Slow) {
            tokio::time::sleep(CONNECTION_FAULT_TIME).await;
            printer.set_fault(None);
        }
    }
}

/// Returns whether a fault of the machine waits for a person.
fn waits_for_person(printer: &SimulatedPrinter) -> bool {
    matches!(printer.state_text().as_str(), "Paused" | "Offline" | "Offline after error")
}
