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
