# Commands for contributors (https://just.systems). CONTRIBUTING.md describes them; without `just`, run the lines by hand.

set shell := ["bash", "-euo", "pipefail", "-c"]
set positional-arguments

# List the recipes
default:
    @just --list

# Run a server with twelve simulated printers
demo *arguments:
    cargo run --locked --release -- demo "$@"

# Check format, lints and documentation, as tests/run does
check:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items --lib --examples

# Run the tests that need only Rust; NAME selects tests by a part of their name
test *name:
    #!/usr/bin/env bash
    set -euo pipefail
    # Hundreds of simulated printers need thousands of sockets.
    ulimit -Sn "$(ulimit -Hn)" || true
    threads=$(($(nproc) + 1))
    if cargo nextest --version >/dev/null 2>&1; then
      NEXTEST_TEST_THREADS="${NEXTEST_TEST_THREADS:-$threads}" \
        cargo nextest run --locked --lib --bins --examples --tests "$@"
      cargo test --locked --doc -- "$@"
    else
      RUST_TEST_THREADS="${RUST_TEST_THREADS:-$threads}" cargo test --locked --no-fail-fast -- "$@"
    fi

# Run the tests that need Rust and PostgreSQL; starts a temporary PostgreSQL
test-db *name:
    tests/run --databases "$@"

# Run these tests, and those that need real OctoPrint or a browser
test-printers *name:
    tests/run --printers "$@"

# Run everything, as CI does
ci:
    tests/run

# Fuzz the readers of files: 100,000 mutated files for each, then SECONDS of coverage-guided fuzzing for each
fuzz seconds="60":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo fuzz --version || { echo "install it: cargo install cargo-fuzz --locked"; exit 1; }
    PRINTYARD_FUZZ_RUNS=100000 cargo test --locked --lib --test it mutated_ -- --nocapture
    # libFuzzer needs flags of the nightly compiler, but no sanitizer: the readers have no unsafe code.
    export RUSTC_BOOTSTRAP=1
    run() { # TARGET SAMPLES OPTION...
      mkdir -p "target/fuzz/corpus/$1"
      cargo fuzz run --sanitizer none --fuzz-dir tests/fuzz --target-dir target/fuzz "$1" "target/fuzz/corpus/$1" "$2" \
        -- -max_total_time="{{seconds}}" -print_final_stats=1 -artifact_prefix=target/fuzz/ "${@:3}"
    }
    run gcode tests/gcode-samples -dict=tests/fuzz/gcode.dict
    run bgcode tests/fixtures/bgcode

# Measure the planner: its speed, and generated weeks of 500 printers beside simpler rules. Fails below the targets
bench-planner:
    cargo bench --locked --bench planner
    cargo bench --locked --bench planner_week
