//! Parse, choose, run; and say on one line what went wrong.

use std::io;
use std::process::ExitCode;

use clap::Parser;
use lmptop::cli::{self, Cli, Command, Usage};
use lmptop::command;

fn main() -> ExitCode {
    lmptop::memory::keep_little();
    lmptop::term::install_panic_hook();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) if e.exit_code() == 0 => {
            // Help and version go to standard output; nobody is left to tell when it is closed.
            let _ = e.print();
            return ExitCode::SUCCESS;
        }
        Err(e) => {
            complain(&cli::one_line(&e));
            return ExitCode::from(2);
        }
    };
    let done = run(&cli);
    lmptop::bpf::unhooked();
    match done {
        Ok(status) => ExitCode::from(status),
        Err(e) if closed(&e) => ExitCode::SUCCESS,
        Err(e) => {
            complain(&format!("{e:#}"));
            ExitCode::from(if e.is::<Usage>() { 2 } else { 1 })
        }
    }
}

/// Does what was asked for; returns the exit status.
fn run(cli: &Cli) -> anyhow::Result<u8> {
    let done = match &cli.command {
        Some(Command::Run(args)) => return command::run::run(args),
        None => command::live::run(&cli.live),
        Some(Command::Replay(args)) => command::replay::run(args),
        Some(Command::Record(args)) => command::record::run(args),
        Some(Command::Import(args)) => command::import::run(args),
        Some(Command::Export(args)) => command::export::run(args),
        Some(Command::Sessions(args)) => command::sessions::run(args),
        Some(Command::Print(args)) => command::print::run(args),
        Some(Command::Report(args)) => command::report::run(args),
        Some(Command::Columns(args)) => command::columns::run(args),
        Some(Command::Doctor(args)) => command::doctor::run(args),
        Some(Command::Panel(args)) => command::panel::run(args),
        Some(Command::Completions(args)) => command::completions::run(args),
        Some(Command::Man) => command::man::run(),
    };
    done.map(|()| 0)
}

/// One line on standard error, whatever the error holds.
fn complain(text: &str) {
    let line: Vec<&str> = text.split_whitespace().collect();
    eprintln!("lmptop: {}", lmptop::table::clean(&line.join(" ")));
}

/// Whether the reader of our output went away (`lmptop print net | head`): no failure of ours.
fn closed(error: &anyhow::Error) -> bool {
    error.chain().any(|e| {
        e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}
