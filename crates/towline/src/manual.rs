//! Completions for shells, and manual pages: made from the definitions that the help is made from.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use clap_complete::{Shell, generate};
use clap_complete_nushell::Nushell;
use clap_mangen::Man;

use crate::args::{self, ShellArg};
use crate::complaint::Complaint;
use crate::exit_codes;

const NAME: &str = "towline";

/// Prints the completions for a shell.
pub(crate) fn completions(shell: ShellArg) -> Result<u8, Complaint> {
    let mut command = args::command();
    let mut text = Vec::new();
    match shell {
        ShellArg::Bash => generate(Shell::Bash, &mut command, NAME, &mut text),
        ShellArg::Zsh => generate(Shell::Zsh, &mut command, NAME, &mut text),
        ShellArg::Fish => generate(Shell::Fish, &mut command, NAME, &mut text),
        ShellArg::Elvish => generate(Shell::Elvish, &mut command, NAME, &mut text),
        ShellArg::Powershell => generate(Shell::PowerShell, &mut command, NAME, &mut text),
        ShellArg::Nushell => generate(Nushell, &mut command, NAME, &mut text),
    }
    match io::stdout().write_all(&text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Complaint::machine(format!("cannot write the completions: {error}")))
        }
        _ => Ok(exit_codes::DONE),
    }
}

/// Writes `towline.1` and a page for each command.
pub(crate) fn pages(dir: &Path) -> Result<u8, Complaint> {
    let cannot = |error: io::Error| Complaint::machine(format!("cannot write to {}: {error}", dir.display()));
    fs::create_dir_all(dir).map_err(cannot)?;
    let mut command = args::command();
    // The pages of commands are called towline-get and so on.
    command.build();
    let commands: Vec<_> = command.get_subcommands().filter(|sub| sub.get_name() != "help").cloned().collect();
    for sub in commands {
        let name = format!("{NAME}-{}", sub.get_name());
        // clap keeps names for as long as the program runs.
        let page = sub.name(&*String::leak(name));
        Man::new(page).generate_to(dir).map_err(cannot)?;
    }
    Man::new(command).generate_to(dir).map_err(cannot)?;
    Ok(exit_codes::DONE)
}
