//! The command `towline`: parses arguments, runs a subcommand and returns its exit code. The engine
//! downloads; this crate has the terminal, the signals and the exit codes.

#![forbid(unsafe_code)]

mod advice;
mod args;
mod complaint;
mod config;
mod cookie_jar;
mod demo;
mod dry_run;
mod exit_codes;
mod foreign;
mod get;
mod globs;
mod host_sections;
mod info;
mod list_url;
mod log;
mod login;
mod ls;
mod manual;
mod on_complete;
mod patient;
mod patterns;
mod process;
mod say;
mod scratch;
mod screen;
mod services;
mod settings;
mod settings_shown;
mod status;
mod stream;
mod values;
mod verify;
mod which;

use std::panic;
use std::process::ExitCode;

use crate::args::{Command, NoCommand};
use crate::complaint::Complaint;
use crate::say::{read_by_somebody, say};

fn main() -> ExitCode {
    process::prepare();
    panic::set_hook(Box::new(|panic| {
        say(&format!("towline: this is a bug, please report it: {panic}"));
    }));
    ExitCode::from(panic::catch_unwind(run).unwrap_or(exit_codes::FAILED))
}

fn run() -> u8 {
    let cli = match args::parse(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(NoCommand::Printed(printed)) => return code(read_by_somebody(printed).map(|_| exit_codes::DONE)),
        Err(NoCommand::Wrong(error)) => {
            say(error.trim_end());
            return exit_codes::USAGE;
        }
    };
    code(run_command(cli.command))
}

fn run_command(command: Command) -> Result<u8, Complaint> {
    match command {
        Command::Get(args) => get::run(*args),
        Command::Info(args) => info::run(*args),
        Command::Ls(args) => ls::run(*args),
        Command::Login(args) => login::run(*args),
        Command::Logout(args) => login::out(&args),
        Command::Accounts => login::accounts(),
        Command::Status(args) => status::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Config(args) => settings_shown::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Completions(args) => manual::completions(args.shell),
        Command::Man(args) => manual::pages(&args.dir),
    }
}

/// The exit code, after a complaint has been said.
fn code(ended: Result<u8, Complaint>) -> u8 {
    ended.unwrap_or_else(|complaint| {
        complaint.say();
        complaint.code()
    })
}
