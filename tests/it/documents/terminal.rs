//! The machine of a reader: runs the blocks of a document with bash, and keeps the answers that curl gets.

use std::{
    cell::Cell,
    fs::{self, File},
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use super::markdown::Block;
use crate::support::{port, process::PRINTYARD, wait};

/// Deadline for each step on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// Replaces curl in the blocks. Runs the next curl of the path, and keeps the headers and the body of each answer.
const CURL: &str = r#"#!/usr/bin/env bash
set -euo pipefail
PATH=${PATH#*:}
answer=$(printf '%s/%04d' "$ANSWERS" "$(find "$ANSWERS" -name '*.headers' | wc -l)")
: >"$answer.headers"
curl --silent --show-error --dump-header "$answer.headers" "$@" | tee "$answer.body"
"#;

/// The machine of a reader, with a folder in which the blocks run.
pub struct Machine {
    folder: TempDir,
    /// Address and port of the server.
    pub address: String,
    /// What differs from the documents, in the order of the replacements.
    substitutions: Vec<(&'static str, String)>,
    blocks: Cell<usize>,
}

impl Machine {
    /// Creates a machine with the program and the examples.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["bin", "answers", "data"] {
            fs::create_dir(path(name)).expect("a folder");
        }
        symlink(PRINTYARD, path("bin/printyard")).expect("a link");
        symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"), path("examples")).expect("a link");
        fs::write(path("bin/curl"), CURL).expect("a written file");
        fs::set_permissions(path("bin/curl"), fs::Permissions::from_mode(0o755)).expect("permissions");
        let (address, receiver_port) = (format!("127.0.0.1:{}", port::pick_free_port()), port::pick_free_port());
        let substitutions = vec![
            ("cargo run --release -- demo", format!("printyard demo --listen {address}")),
            ("cargo run --release -- serve", format!("printyard serve --listen {address}")),
            ("cargo run --release -- ", "printyard ".to_owned()),
            ("0.0.0.0:8080", address.clone()),
            ("127.0.0.1:8080", address.clone()),
            ("127.0.0.1:8099", format!("127.0.0.1:{receiver_port}")),
            ("webhook_receiver.py 8099", format!("webhook_receiver.py {receiver_port}")),
            ("/var/lib/printyard", path("data").display().to_string()),
            ("/tmp/printyard-try", path("try").display().to_string()),
        ];
        Self { folder, address, substitutions, blocks: Cell::new(0) }
    }

    /// Returns the folder in which the blocks run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns a text of a document with the programs, ports and folders of this machine.
    pub fn adapt(&self, text: &str) -> String {
        self.substitutions.iter().fold(text.to_owned(), |text, (from, to)| text.replace(*from, to))
    }

    /// Opens a terminal without variables.
    pub fn open_terminal(&self) -> Terminal<'_> {
        Terminal { machine: self, variables: self.folder().join(format!("variables-{}", self.next_number())) }
    }

    /// Returns the answers that curl got since the last call, in their order.
    pub fn take_answers(&self) -> Vec<Answer> {
        let folder = self.folder().join("answers");
        let files = fs::read_dir(&folder).expect("a folder").map(|file| file.expect("a file").path());
        let mut headers: Vec<PathBuf> =
            files.filter(|path| path.extension().is_some_and(|extension| extension == "headers")).collect();
        headers.sort();
        let answers = headers.iter().map(|path| Answer::read(path)).collect();
        for path in &headers {
            fs::remove_file(path).expect("a removed file");
        }
        answers
    }

    fn next_number(&self) -> usize {
        self.blocks.set(self.blocks.get() + 1);
        self.blocks.get()
    }
}

/// A response that curl received.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body as JSON, or null.
    pub body: Value,
}

impl Answer {
    fn read(headers: &Path) -> Self {
        let text = fs::read_to_string(headers).expect("headers");
        let status = text.lines().rfind(|line| line.starts_with("HTTP/"));
        let status = status.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        let body = fs::read(headers.with_extension("body")).unwrap_or_default();
        Self {
            status: status.unwrap_or_else(|| panic!("no response: {text}")),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        }
    }
}

/// A terminal, whose variables stay from block to block.
pub struct Terminal<'a> {
    machine: &'a Machine,
    /// The file with the variables.
    variables: PathBuf,
}

impl Terminal<'_> {
    /// Starts a block, with the reader's values in place of the placeholders of the document.
    pub fn start(&self, block: &Block, values: &[(&str, &str)]) -> RunningBlock {
        let mut text = self.machine.adapt(&block.text);
        for (placeholder, value) in values {
            assert!(text.contains(placeholder), "{}: `{placeholder}` is not in the block", block.place);
            text = text.replace(placeholder, value);
        }
        assert!(!text.contains('…'), "{}: a placeholder is not replaced: {text}", block.place);
        let variables = self.variables.display();
        // A reader's shell keeps variables that are not exported. Here each block is a shell of its own.
        let script = format!("set -a\n[ ! -e '{variables}' ] || . '{variables}'\n{text}\nexport -p >'{variables}'\n");
        let file = self.machine.folder().join(format!("block-{}", self.machine.next_number()));
        fs::write(&file, script).expect("a written file");
        RunningBlock::start(self.machine, &file, &block.place)
    }

    /// Runs a block to its end, checks that it succeeds, and returns its output.
    pub async fn run(&self, block: &Block, values: &[(&str, &str)]) -> String {
        self.start(block, values).until_success().await
    }
}

/// A running block. Dropping it kills its processes.
pub struct RunningBlock {
    child: Child,
    place: String,
    output: PathBuf,
    errors: PathBuf,
}

impl RunningBlock {
    fn start(machine: &Machine, script: &Path, place: &str) -> Self {
        let (output, errors) = (script.with_extension("out"), script.with_extension("err"));
        let mut command = Command::new("bash");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PRINTYARD_")) {
            command.env_remove(name);
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .args(["-euo", "pipefail"])
            .arg(script)
            .current_dir(machine.folder())
            .env("PATH", format!("{}:{path}", machine.folder().join("bin").display()))
            .env("ANSWERS", machine.folder().join("answers"))
            .env("TMPDIR", machine.folder())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(File::create(&output).expect("a file"))
            .stderr(File::create(&errors).expect("a file"))
            .process_group(0);
        Self { child: command.spawn().expect("bash starts"), place: place.to_owned(), output, errors }
    }

    /// Returns the output so far.
    pub fn read_output(&self) -> String {
        read_text(&self.output)
    }

    /// Waits until the output contains a text. Returns the output.
    pub async fn until_output(&self, part: &str) -> String {
        wait::until(&format!("{} prints `{part}`", self.place), DEADLINE, async || {
            let output = self.read_output();
            if output.contains(part) { Ok(output) } else { Err(output + &read_text(&self.errors)) }
        })
        .await
    }

    async fn until_success(mut self) -> String {
        let status = self.until_ended().await;
        assert!(status.success(), "{}: {status}\n{}{}", self.place, self.read_output(), read_text(&self.errors));
        self.read_output()
    }

    async fn until_ended(&mut self) -> ExitStatus {
        let (child, what) = (&mut self.child, format!("{} has ended", self.place));
        wait::until(&what, DEADLINE, async || child.try_wait().expect("a child")).await
    }

    /// Presses Ctrl-C, and checks that the program ends without an error.
    pub async fn interrupt(mut self) {
        signal_group("INT", self.child.id());
        let status = self.until_ended().await;
        assert!(status.success(), "{}: {status} after Ctrl-C\n{}", self.place, read_text(&self.errors));
    }
}

impl Drop for RunningBlock {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            signal_group("KILL", self.child.id());
            let _ = self.child.wait();
        }
    }
}

fn read_text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Sends a signal to a block and its programs.
fn signal_group(name: &str, group: u32) {
    let _ = Command::new("bash").args(["-c", &format!("kill -{name} -- -{group}")]).stderr(Stdio::null()).status();
}
