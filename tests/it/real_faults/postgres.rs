//! A PostgreSQL that crashes, hangs, refuses writes, or is slow.

use std::time::Duration;

use super::farm::{PRINTING, ServedFarm};
use crate::support::{
    postgres_server::PostgresServer,
    wait::{self, until},
};

/// Deadline for a condition on a busy machine.
const SOON: Duration = Duration::from_secs(60);
/// PostgreSQL ends the session that holds the farm's lock after 10 s of silence.
const LONGER_THAN_THE_LOCK: Duration = Duration::from_secs(12);
/// Seconds after which an actor no longer uses a requested permit.
const LONGER_THAN_A_PERMIT: &str = "6";

/// A farm with its own PostgreSQL server.
struct PostgresSetup {
    farm: ServedFarm,
    postgres: PostgresServer,
    // The last field, so the folder is removed after the server has ended.
    _folder: tempfile::TempDir,
}

impl PostgresSetup {
    async fn start() -> Option<Self> {
        let postgres = PostgresServer::start().await?;
        let folder = tempfile::tempdir().expect("a folder");
        let farm = ServedFarm::start(folder.path(), &postgres.url()).await;
        assert_eq!(read_epoch(&postgres).await, 1);
        Some(Self { farm, postgres, _folder: folder })
    }

    /// Asserts that the server holds the farm's lock, and that the epoch has grown by at most `grown`.
    async fn assert_lock_is_held(&self, grown: i64) {
        let locks = "select count(*) from pg_locks where locktype = 'advisory' and granted";
        until("the lock is held", SOON, async || self.postgres.query_number(locks).await == 1).await;
        let epoch = read_epoch(&self.postgres).await;
        assert!((1..=1 + grown).contains(&epoch), "epoch {epoch}");
    }
}

async fn read_epoch(postgres: &PostgresServer) -> i64 {
    postgres.query_number("select epoch from server_epoch where id = 1").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_postgresql_costs_no_command_and_no_print() {
    let Some(mut setup) = PostgresSetup::start().await else { return };
    let starts = setup.farm.start_prints().await;
    setup.postgres.crash().await;
    setup.farm.assert_not_all_sent(&starts);
    setup.farm.until_writes_fail().await;
    setup.farm.until_not_ready("database").await;
    setup.farm.until_a_print_ends(&starts).await;
    setup.postgres.restart().await;
    setup.farm.assert_recovers(&starts).await;
    setup.assert_lock_is_held(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_hangs_longer_than_the_lock_costs_no_command_and_no_print() {
    let Some(mut setup) = PostgresSetup::start().await else { return };
    let starts = setup.farm.start_prints().await;
    setup.postgres.pause().await;
    setup.farm.assert_not_all_sent(&starts);
    let sent = setup.farm.until_sends_stop(&starts).await;
    wait::assert_throughout("nothing is sent", LONGER_THAN_THE_LOCK, async || {
        setup.farm.count_received_starts(&starts) == sent
    })
    .await;
    setup.farm.until_not_ready("sending").await;
    setup.postgres.resume();
    assert_eq!(setup.farm.assert_recovers(&starts).await, PRINTING, "every start is confirmed");
    setup.assert_lock_is_held(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_only_reads_for_a_while_costs_no_command_and_no_print() {
    let Some(setup) = PostgresSetup::start().await else { return };
    let starts = setup.farm.start_prints().await;
    setup.postgres.execute("alter system set default_transaction_read_only = on").await;
    setup.postgres.execute("select pg_reload_conf()").await;
    setup.farm.assert_not_all_sent(&starts);
    setup.farm.until_writes_fail().await;
    setup.farm.until_not_ready("database").await;
    setup.farm.until_a_print_ends(&starts).await;
    setup.postgres.execute("alter system reset default_transaction_read_only").await;
    setup.postgres.execute("select pg_reload_conf()").await;
    setup.farm.assert_recovers(&starts).await;
    setup.assert_lock_is_held(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_expire_while_postgresql_is_full_block_no_queue() {
    let Some(setup) = PostgresSetup::start().await else { return };
    add_command_trigger(&setup.postgres, "raise sqlstate '53100'").await;
    let id = setup.farm.send_starts(serde_json::json!({"expires_in_s": 2, "window_s": 3})).await;
    wait::assert_throughout("nothing is sent", Duration::from_secs(6), async || {
        setup.farm.count_received_starts(&id) == 0
    })
    .await;
    remove_command_trigger(&setup.postgres).await;
    assert_eq!(setup.farm.verify_ended_batch(&id).await, 0, "every start has expired");
    setup.farm.assert_works().await;
    setup.assert_lock_is_held(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_postgresql_delays_starts_and_loses_none() {
    let Some(setup) = PostgresSetup::start().await else { return };
    add_command_trigger(&setup.postgres, &format!("perform pg_sleep({LONGER_THAN_A_PERMIT})")).await;
    let starts = setup.farm.send_starts(serde_json::json!({})).await;
    let asleep = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    until("a statement is slow", SOON, async || setup.postgres.query_number(asleep).await > 0).await;
    // One statement releases the rows, and the next one commits their sends. So the permits arrive too late.
    wait::assert_throughout("no late permit is used", LONGER_THAN_THE_LOCK + Duration::from_secs(2), async || {
        setup.farm.count_received_starts(&starts) == 0
    })
    .await;
    remove_command_trigger(&setup.postgres).await;
    assert_eq!(setup.farm.verify_ended_batch(&starts).await, PRINTING, "every start is confirmed");
    setup.farm.assert_works().await;
    setup.assert_lock_is_held(0).await;
}

/// Makes every update of commands run this statement too.
async fn add_command_trigger(postgres: &PostgresServer, statement: &str) {
    let function = "create function fault() returns trigger language plpgsql as $$ begin";
    postgres.execute(&format!("{function} {statement}; return null; end $$")).await;
    postgres
        .execute("create trigger fault before update on commands for each statement execute function fault()")
        .await;
}

async fn remove_command_trigger(postgres: &PostgresServer) {
    postgres.execute("drop function fault cascade").await;
}
