//! Disk faults with SQLite: a full disk, and a missing database file.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use reqwest::StatusCode;

use super::yard::Yard;
use crate::support::{
    leave_out,
    process::{PRINTYARD, ServerProcess, sqlite_in},
};

/// How long each fault lasts after `/readyz` has reported it.
const LASTS: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_file_sizes_that_is_hit_for_a_moment_costs_no_command_and_no_print() {
    let dir = tempfile::tempdir().expect("a folder");
    let yard = Yard::start(dir.path(), &sqlite_in(dir.path())).await;
    let starts = yard.start_prints().await;
    limit_file_size(yard.server.id(), "4096:unlimited");
    yard.assert_hit_in_the_middle(&starts);
    yard.until_writes_fail().await;
    yard.until_not_ready("database").await;
    yard.until_a_print_ends(&starts).await;
    yard.stays_not_ready(LASTS).await;
    limit_file_size(yard.server.id(), "unlimited:unlimited");
    yard.recovers(&starts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_for_a_moment_costs_no_command_and_no_print() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(server) = server_on_small_disk(dir.path()) else { return };
    let yard = Yard::around(server).await;
    let starts = yard.start_prints().await;
    // The disk is visible only in the mount namespace of the server.
    let disk = PathBuf::from(format!("/proc/{}/root{}", yard.server.id(), dir.path().display()));
    let filler = fill(&disk);
    yard.assert_hit_in_the_middle(&starts);
    yard.until_writes_fail().await;
    yard.until_not_ready("database").await;
    yard.until_a_print_ends(&starts).await;
    yard.stays_not_ready(LASTS).await;
    fs::remove_file(filler).expect("the disk has room again");
    yard.recovers(&starts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_file_that_is_gone_takes_no_writes_until_it_is_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let (file, elsewhere) = (dir.path().join("printyard.db"), dir.path().join("elsewhere.db"));
    let yard = Yard::start(dir.path(), &sqlite_in(dir.path())).await;
    let starts = yard.start_prints().await;
    fs::rename(&file, &elsewhere).expect("moved away");
    yard.assert_hit_in_the_middle(&starts);
    assert_eq!(yard.probe().await, Some(StatusCode::SERVICE_UNAVAILABLE), "no batch goes into a file that is gone");
    let answer = yard.until_not_ready("database").await;
    assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains("database file")), "{answer}");
    // A copy in the same place is not the database.
    fs::copy(&elsewhere, &file).expect("copied");
    assert_eq!(
        yard.probe().await,
        Some(StatusCode::SERVICE_UNAVAILABLE),
        "no batch goes into a file that was replaced"
    );
    yard.until_a_print_ends(&starts).await;
    yard.stays_not_ready(LASTS).await;
    fs::rename(&elsewhere, &file).expect("moved back");
    yard.recovers(&starts).await;
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
        leave_out("the right to mount a tmpfs in a namespace (`unshare --user --map-root-user --mount`)");
        return None;
    }
    let program = namespace(&format!("{mount} && exec \"$0\" \"$@\""));
    Some(ServerProcess::spawn_by(program, dir, &sqlite_in(dir), &[], &[("RUST_LOG", "off")], Stdio::inherit()))
}

/// Fills a disk completely. Returns the path of the file that uses the space.
fn fill(disk: &Path) -> PathBuf {
    let path = disk.join("filler");
    let mut file = File::create(&path).expect("a file");
    for size in [64 * 1024, 512, 1] {
        let block = vec![0; size];
        while file.write_all(&block).is_ok() {}
    }
    path
}
