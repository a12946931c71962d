//! Tests of the fleet's actors: they are started, reconfigured, retired and removed.

use super::*;
use crate::{
    domain::{plate::PlateState, printer_access::PrinterAccess},
    outbound::{Networks, Outbound},
};

/// A printer at an address that does not reply.
fn actor_config(id: u128) -> ActorConfig {
    let outbound = Outbound::new(Networks::default()).expect("an outbound client");
    let url = "http://127.0.0.1:9/".parse().expect("a url");
    let client = OctoPrint::new(url, &PrinterAccess::default(), outbound).expect("a client");
    ActorConfig::new(Uuid::from_u128(id), client)
}

fn occupied_plate() -> Plate {
    Plate::occupied(Uuid::from_u128(7), DateTime::UNIX_EPOCH)
}

async fn wait_until(condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), holds).await.expect("the condition becomes true");
}

#[tokio::test]
async fn an_actor_ends_when_its_printer_is_removed_or_the_server_stops() {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let (fleet, _inbox) = Fleet::new(Settings::default(), &tasks, stop.clone());
    for id in [1, 2] {
        fleet.start_actor(actor_config(id));
        assert!(fleet.view().get(actor_config(id).id).is_some(), "the entry exists at once");
    }
    fleet.remove(actor_config(1).id);
    wait_until(|| fleet.inner.tasks.len() == 1).await;
    assert_eq!(fleet.drop_command(actor_config(1).id, Uuid::nil()), Err(ActorUnavailable::NoActor));
    assert!(fleet.view().get(actor_config(1).id).is_none());
    assert_eq!(fleet.drop_command(actor_config(2).id, Uuid::nil()), Ok(()), "the other actor continues");
    stop.cancel();
    fleet.start_actor(actor_config(3));
    tasks.close();
    tokio::time::timeout(Duration::from_secs(20), tasks.wait()).await.expect("all actors end");
    assert!(fleet.ended().is_cancelled());
    assert!(!fleet.running_actors().contains(&actor_config(3).id));
    let dropped = fleet.drop_command(actor_config(2).id, Uuid::nil());
    assert_eq!(dropped, Err(ActorUnavailable::Busy), "its commands do not end like those of a disabled printer");
}

#[tokio::test]
async fn the_wanted_state_reaches_an_actor_with_a_full_mailbox() {
    let (fleet, _inbox) = Fleet::new(Settings::default(), &TaskTracker::new(), CancellationToken::new());
    let id = actor_config(1).id;
    let print_id = Some(Uuid::from_u128(7));
    fleet.start_actor(ActorConfig { plate: Plate { print_id, ..occupied_plate() }, ..actor_config(1) });
    // The actor has had no turn yet: the test runs on one thread.
    while fleet.drop_command(id, Uuid::nil()).is_ok() {}
    fleet.clear_plate(id, ClearedPlate { print_id, by: "ann".to_owned(), at: DateTime::UNIX_EPOCH });
    fleet.retire(id);
    wait_until(|| !fleet.running_actors().contains(&id)).await;
    let live = fleet.view().get(id).expect("the printer is still in the snapshot");
    assert_eq!((live.plate.state, live.plate.cleared_by.as_deref()), (PlateState::Clear, Some("ann")));
}

#[tokio::test]
async fn a_print_that_began_in_the_meantime_stays_on_its_plate() {
    let (fleet, _inbox) = Fleet::new(Settings::default(), &TaskTracker::new(), CancellationToken::new());
    let id = actor_config(1).id;
    let cleared =
        |id| ClearedPlate { print_id: Some(Uuid::from_u128(id)), by: String::new(), at: DateTime::UNIX_EPOCH };
    fleet.start_actor(ActorConfig { plate: occupied_plate(), ..actor_config(1) });
    fleet.clear_plate(id, cleared(6));
    fleet.retire(id);
    wait_until(|| !fleet.running_actors().contains(&id)).await;
    fleet.clear_plate(id, cleared(6));
    assert_eq!(fleet.view().get(id).map(|live| live.plate.clone()), Some(occupied_plate()));
    fleet.clear_plate(id, cleared(7));
    assert_eq!(fleet.view().get(id).map(|live| live.plate.state), Some(PlateState::Clear), "also without an actor");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_is_enabled_while_its_actor_ends_has_an_actor() {
    let (fleet, _inbox) = Fleet::new(Settings::default(), &TaskTracker::new(), CancellationToken::new());
    let id = actor_config(1).id;
    for round in 0..500 {
        fleet.start_actor(actor_config(1));
        fleet.retire(id);
        // A moment between the actor's last turn and its end.
        for _ in 0..round % 50 {
            tokio::task::yield_now().await;
        }
        fleet.start_actor(actor_config(1));
        for _ in 0..10 {
            tokio::task::yield_now().await;
            assert!(fleet.running_actors().contains(&id), "round {round}");
        }
        assert_ne!(fleet.drop_command(id, Uuid::nil()), Err(ActorUnavailable::NoActor), "round {round}");
    }
}
