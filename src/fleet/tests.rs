//! Tests of the fleet's actors: they are started, reconfigured, retired and removed.

use super::*;
use crate::domain::{plate::PlateState, printer_access::PrinterAccess};
use crate::outbound::{Networks, Outbound};

/// A printer at an address that does not reply.
fn member(id: u128) -> ActorConfig {
    let outbound = Outbound::new(Networks::default()).expect("an outbound client");
    let url = "http://127.0.0.1:9/".parse().expect("a url");
    let client = OctoPrint::new(url, &PrinterAccess::default(), outbound).expect("a client");
    ActorConfig::fresh(Uuid::from_u128(id), client)
}

fn occupied() -> Plate {
    Plate::occupied(Uuid::from_u128(7), DateTime::UNIX_EPOCH)
}

async fn until(condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), holds).await.expect("the condition becomes true");
}

#[tokio::test]
async fn an_actor_ends_with_its_printer_or_with_the_server_whose_next_life_gets_its_commands() {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let (fleet, _inbox) = Fleet::new(Settings::default(), tasks.clone(), stop.clone());
    for id in [1, 2] {
        fleet.start_actor(member(id));
        assert!(fleet.view().get(member(id).id).is_some(), "the entry exists at once");
    }
    let before = tasks.len();
    fleet.remove(member(1).id);
    let one_less = async {
        while tasks.len() == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), one_less).await.expect("the actor ends");
    assert_eq!(fleet.drop_command(member(1).id, Uuid::nil()), Err(NotTaken::NoActor));
    assert!(fleet.view().get(member(1).id).is_none());
    assert_eq!(fleet.drop_command(member(2).id, Uuid::nil()), Ok(()), "the other actor continues");
    stop.cancel();
    fleet.start_actor(member(3));
    tasks.close();
    tokio::time::timeout(Duration::from_secs(20), tasks.wait()).await.expect("all actors end");
    assert!(!fleet.running().contains(&member(3).id));
    let dropped = fleet.drop_command(member(2).id, Uuid::nil());
    assert_eq!(dropped, Err(NotTaken::Busy), "its commands do not end like those of a disabled printer");
}

#[tokio::test]
async fn what_is_wanted_reaches_an_actor_whose_mailbox_is_full() {
    let (fleet, _inbox) = Fleet::new(Settings::default(), TaskTracker::new(), CancellationToken::new());
    let id = member(1).id;
    let print_id = Some(Uuid::from_u128(7));
    fleet.start_actor(ActorConfig { plate: Plate { print_id, ..occupied() }, ..member(1) });
    // The actor has had no turn yet: the test runs on one thread.
    while fleet.drop_command(id, Uuid::nil()).is_ok() {}
    fleet.clear_plate(id, ClearedPlate { print_id, by: "ann".to_owned(), at: DateTime::UNIX_EPOCH });
    fleet.retire(id);
    until(|| !fleet.running().contains(&id)).await;
    let live = fleet.view().get(id).expect("the printer is still in the snapshot");
    assert_eq!((live.plate.state, live.plate.cleared_by.as_deref()), (PlateState::Clear, Some("ann")));
}

#[tokio::test]
async fn a_print_that_began_meanwhile_stays_on_its_plate() {
    let (fleet, _inbox) = Fleet::new(Settings::default(), TaskTracker::new(), CancellationToken::new());
    let id = member(1).id;
    let cleared =
        |id| ClearedPlate { print_id: Some(Uuid::from_u128(id)), by: String::new(), at: DateTime::UNIX_EPOCH };
    fleet.start_actor(ActorConfig { plate: occupied(), ..member(1) });
    fleet.clear_plate(id, cleared(6));
    fleet.retire(id);
    until(|| !fleet.running().contains(&id)).await;
    fleet.clear_plate(id, cleared(6));
    assert_eq!(fleet.view().get(id).map(|live| live.plate.clone()), Some(occupied()));
    fleet.clear_plate(id, cleared(7));
    assert_eq!(fleet.view().get(id).map(|live| live.plate.state), Some(PlateState::Clear), "also without an actor");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_is_enabled_in_the_moment_in_which_its_actor_ends_has_an_actor() {
    let (fleet, _inbox) = Fleet::new(Settings::default(), TaskTracker::new(), CancellationToken::new());
    let id = member(1).id;
    for round in 0..500 {
        fleet.start_actor(member(1));
        fleet.retire(id);
        // A moment between the actor's last turn and its end.
        for _ in 0..round % 50 {
            tokio::task::yield_now().await;
        }
        fleet.start_actor(member(1));
        for _ in 0..10 {
            tokio::task::yield_now().await;
            assert!(fleet.running().contains(&id), "round {round}");
        }
        assert_ne!(fleet.drop_command(id, Uuid::nil()), Err(NotTaken::NoActor), "round {round}");
    }
}
