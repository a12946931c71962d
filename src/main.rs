//! The command line: arguments in, one subcommand out.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
