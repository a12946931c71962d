//! Disk faults with SQLite: a full disk, and a missing database file.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use reqwest::StatusCode;

use super::farm::ServedFarm;
use crate::support::{
    process::{PRINTYARD, ServerProcess, sqlite_url},
    report_skipped,
};

/// How long each fault lasts after `/readyz` has reported it.
const FAULT_DURATION: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_file_sizes_that_is_hit_for_a_moment_costs_no_command_and_no_print() {
    let dir = tempfile::tempdir().expect("a folder");
    let farm = ServedFarm::start(dir.path(), &sqlite_url(dir.path())).await;
    let starts = farm.start_prints().await;
    limit_file_size(farm.server.pid(), "4096:unlimited");
    farm.assert_not_all_sent(&starts);
    farm.until_writes_fail().await;
    farm.until_not_ready("database").await;
    farm.until_a_print_ends(&starts).await;
    farm.assert_stays_not_ready(FAULT_DURATION).await;
    limit_file_size(farm.server.pid(), "unlimited:unlimited");
    farm.assert_recovers(&starts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_for_a_moment_costs_no_command_and_no_print() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(server) = server_on_small_disk(dir.path()) else { return };
    let farm = ServedFarm::with_server(server).await;
    let starts = farm.start_prints().await;
    // The disk is visible only in the mount namespace of the server.
    let disk = PathBuf::from(format!("/proc/{}/root{}", farm.server.pid(), dir.path().display()));
    let filler = fill_disk(&disk);
    farm.assert_not_all_sent(&starts);
    farm.until_writes_fail().await;
    farm.until_not_ready("database").await;
    farm.until_a_print_ends(&starts).await;
    farm.assert_stays_not_ready(FAULT_DURATION).await;
    fs::remove_file(filler).expect("the disk has room again");
    farm.assert_recovers(&starts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_file_that_is_gone_takes_no_writes_until_it_is_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let (file, elsewhere) = (dir.path().join("printyard.db"), dir.path().join("elsewhere.db"));
    let farm = ServedFarm::start(dir.path(), &sqlite_url(dir.path())).await;
    let starts = farm.start_prints().await;
    fs::rename(&file, &elsewhere).expect("moved away");
    farm.assert_not_all_sent(&starts);
    assert_eq!(farm.try_write().await, Some(StatusCode::SERVICE_UNAVAILABLE), "no batch goes into a file that is gone");
    let answer = farm.until_not_ready("database").await;
    assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains("database file")), "{answer}");
    // A copy in the same place is not the database.
    fs::copy(&elsewhere, &file).expect("copied");
    assert_eq!(
        farm.try_write().await,
        Some(StatusCode::SERVICE_UNAVAILABLE),
        "no batch goes into a file that was replaced"
    );
    farm.until_a_print_ends(&starts).await;
    farm.assert_stays_not_ready(FAULT_DURATION).await;
    fs::rename(&elsewhere, &file).expect("moved back");
    farm.assert_recovers(&starts).await;
}

/// Sets the file size limit of a process: soft and hard, in bytes.
fn limit_file_size(process: u32, limit: &str) {
    let limited = Command::new("prlimit").args(["--pid", &process.to_string(), &format!("--fsize={limit}")]).status();
    assert!(limited.expect("prlimit of util-linux").success());
}

/// Starts a server whose folder is a small disk of its own, in a mount namespace that ends with the server. Returns
/// `None` with a message where this user may not mount a disk.
fn server_on_small_disk(dir: &Path) -> Option<ServerProcess> {
    let namespace = |command: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", command]).arg(PRINTYARD);
        unshare
    };
    let mount = format!("mount -t tmpfs -o size=16m tmpfs '{}'", dir.display());
    let may_mount = namespace(&mount).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !may_mount {
        report_skipped("the right to mount a tmpfs in a namespace (`unshare --user --map-root-user --mount`)");
        return None;
    }
    let program = namespace(&format!("{mount} && exec \"$0\" \"$@\""));
    Some(ServerProcess::spawn_through(program, dir, &sqlite_url(dir), &[], &[("RUST_LOG", "off")], Stdio::inherit()))
}

/// Fills a disk completely. Returns the path of the file that uses the space.
fn fill_disk(disk: &Path) -> PathBuf {
    let path = disk.join("filler");
    let mut file = File::create(&path).expect("a file");
    for size in [64 * 1024, 512, 1] {
        let block = vec![0; size];
        while file.write_all(&block).is_ok() {}
    }
    path
}
