//! A PostgreSQL that crashes, hangs, refuses writes, or is slow.

use std::time::Duration;

use super::yard::{PRINTING, Yard};
use crate::support::{
    own_postgres::OwnPostgres,
    wait::{self, until},
};

/// Deadline for a condition on a busy machine.
const SOON: Duration = Duration::from_secs(60);
/// PostgreSQL ends the session that holds the farm's lock after 10 s of silence.
const LONGER_THAN_THE_LOCK: Duration = Duration::from_secs(12);
/// Seconds after which an actor no longer uses a requested permit.
const LONGER_THAN_A_PERMIT: &str = "6";

/// A farm with its own PostgreSQL server.
struct OnPostgres {
    yard: Yard,
    postgres: OwnPostgres,
    // The last field, so the folder is removed after the server has ended.
    _folder: tempfile::TempDir,
}

impl OnPostgres {
    async fn start() -> Option<Self> {
        let postgres = OwnPostgres::start().await?;
        let folder = tempfile::tempdir().expect("a folder");
        let yard = Yard::start(folder.path(), &postgres.url()).await;
        assert_eq!(epoch(&postgres).await, 1);
        Some(Self { yard, postgres, _folder: folder })
    }

    /// Asserts that the server holds the farm's lock, and that the epoch has grown by at most `grown`.
    async fn assert_lock_is_held(&self, grown: i64) {
        let locks = "select count(*) from pg_locks where locktype = 'advisory' and granted";
        until("the lock is held", SOON, async || self.postgres.number(locks).await == 1).await;
        let epoch = epoch(&self.postgres).await;
        assert!((1..=1 + grown).contains(&epoch), "epoch {epoch}");
    }
}

async fn epoch(postgres: &OwnPostgres) -> i64 {
    postgres.number("select epoch from server_epoch where id = 1").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_postgresql_costs_no_command_and_no_print() {
    let Some(mut farm) = OnPostgres::start().await else { return };
    let starts = farm.yard.start_prints().await;
    farm.postgres.crash().await;
    farm.yard.assert_hit_in_the_middle(&starts);
    farm.yard.until_writes_fail().await;
    farm.yard.until_not_ready("database").await;
    farm.yard.until_a_print_ends(&starts).await;
    farm.postgres.start_again().await;
    farm.yard.recovers(&starts).await;
    farm.assert_lock_is_held(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_hangs_longer_than_the_lock_costs_no_command_and_no_print() {
    let Some(mut farm) = OnPostgres::start().await else { return };
    let starts = farm.yard.start_prints().await;
    farm.postgres.pause().await;
    farm.yard.assert_hit_in_the_middle(&starts);
    let sent = farm.yard.until_sends_stop(&starts).await;
    wait::throughout("nothing is sent", LONGER_THAN_THE_LOCK, async || farm.yard.received_starts(&starts) == sent)
        .await;
    farm.yard.until_not_ready("sending").await;
    farm.postgres.resume();
    assert_eq!(farm.yard.recovers(&starts).await, PRINTING, "every start is confirmed");
    farm.assert_lock_is_held(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_only_reads_for_a_while_costs_no_command_and_no_print() {
    let Some(farm) = OnPostgres::start().await else { return };
    let starts = farm.yard.start_prints().await;
    farm.postgres.execute("alter system set default_transaction_read_only = on").await;
    farm.postgres.execute("select pg_reload_conf()").await;
    farm.yard.assert_hit_in_the_middle(&starts);
    farm.yard.until_writes_fail().await;
    farm.yard.until_not_ready("database").await;
    farm.yard.until_a_print_ends(&starts).await;
    farm.postgres.execute("alter system reset default_transaction_read_only").await;
    farm.postgres.execute("select pg_reload_conf()").await;
    farm.yard.recovers(&starts).await;
    farm.assert_lock_is_held(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_expire_while_postgresql_is_full_block_no_queue() {
    let Some(farm) = OnPostgres::start().await else { return };
    on_updates_of_commands(&farm.postgres, "raise sqlstate '53100'").await;
    let id = farm.yard.order_starts(serde_json::json!({"expires_in_s": 2, "window_s": 3})).await;
    wait::throughout("nothing is sent", Duration::from_secs(6), async || farm.yard.received_starts(&id) == 0).await;
    undo(&farm.postgres).await;
    assert_eq!(farm.yard.end_of(&id).await, 0, "every start has expired");
    farm.yard.assert_works().await;
    farm.assert_lock_is_held(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_postgresql_delays_starts_and_loses_none() {
    let Some(farm) = OnPostgres::start().await else { return };
    on_updates_of_commands(&farm.postgres, &format!("perform pg_sleep({LONGER_THAN_A_PERMIT})")).await;
    let starts = farm.yard.order_starts(serde_json::json!({})).await;
    let asleep = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    until("a statement is slow", SOON, async || farm.postgres.number(asleep).await > 0).await;
    // One statement releases the rows, and the next one commits their sends. So the permits arrive too late.
    wait::throughout("no late permit is used", LONGER_THAN_THE_LOCK + Duration::from_secs(2), async || {
        farm.yard.received_starts(&starts) == 0
    })
    .await;
    undo(&farm.postgres).await;
    assert_eq!(farm.yard.end_of(&starts).await, PRINTING, "every start is confirmed");
    farm.yard.assert_works().await;
    farm.assert_lock_is_held(0).await;
}

/// Makes every update of commands run this statement too.
async fn on_updates_of_commands(postgres: &OwnPostgres, statement: &str) {
    let function = "create function fault() returns trigger language plpgsql as $$ begin";
    postgres.execute(&format!("{function} {statement}; return null; end $$")).await;
    postgres
        .execute("create trigger fault before update on commands for each statement execute function fault()")
        .await;
}

async fn undo(postgres: &OwnPostgres) {
    postgres.execute("drop function fault cascade").await;
}
