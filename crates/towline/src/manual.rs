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
    // `towline URL` means `towline get URL`.
    let of_get: Vec<_> =
        command.find_subcommand("get").into_iter().flat_map(clap::Command::get_arguments).cloned().collect();
    command = command.args(of_get);
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
    let mut command = args::command().disable_help_subcommand(true);
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

#[cfg(test)]
mod tests {
    use std::env;
    use std::fmt::Write as _;
    use std::path::PathBuf;

    use clap::{Arg, ArgAction, Command};

    use super::*;

    /// The commands whose options the page lists.
    const COMMANDS: [&str; 12] = [
        "get",
        "info",
        "ls",
        "login",
        "logout",
        "accounts",
        "status",
        "verify",
        "config",
        "demo",
        "completions",
        "man",
    ];
    const BEGINNING: &str = "# Options\n\n\
        This page is made from the definitions that `towline help` and the manual pages are made from.\n\n\
        Sizes and rates: `k`, `M` and `G` are 1024-based, `kB`, `MB` and `GB` 1000-based. Times: `10`, `10s`, `2m`. \
        Options of `get`, `info`, `ls` and `login` can be set in the environment (the name is in the last column) and in \
        `~/.config/towline/config.toml`, under their long names. The command line counts more than the environment, and \
        that more than the file. `towline config` shows what is set, and where.\n";

    fn page() -> String {
        let mut text = BEGINNING.to_owned();
        let mut command = args::command();
        command.build();
        for name in COMMANDS {
            let Some(sub) = command.find_subcommand(name) else { continue };
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = write!(text, "\n## towline {name}\n\n{about}.\n");
            // The options for requests stand once.
            let is_repeated = |arg: &&Arg| name != "get" && arg.get_help_heading() == Some("Requests");
            let shown = |arg: &&Arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version");
            let all: Vec<&Arg> = sub.get_arguments().filter(shown).collect();
            let mut headings: Vec<Option<&str>> = all.iter().map(|arg| arg.get_help_heading()).collect();
            headings.sort_unstable();
            headings.dedup();
            for heading in headings {
                let args: Vec<&Arg> =
                    all.iter().copied().filter(|arg| arg.get_help_heading() == heading && !is_repeated(arg)).collect();
                if !args.is_empty() {
                    text += &table(heading, &args);
                }
            }
            if all.iter().any(is_repeated) {
                text += "\nAnd the [options for requests](#requests) of `get`.\n";
            }
        }
        text
    }

    fn table(heading: Option<&str>, args: &[&Arg]) -> String {
        let mut text = heading.map(|heading| format!("\n### {heading}\n")).unwrap_or_default();
        text += "\n| option | meaning | variable |\n|---|---|---|\n";
        for arg in args {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let help = help.replace('|', "\\|").replace('*', "\\*");
            let variable = arg.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
            let _ = writeln!(text, "| {} | {help}{} | {variable} |", names(arg), values(arg));
        }
        text
    }

    fn names(arg: &Arg) -> String {
        let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) && arg.get_long().is_some();
        let value = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
        let value = match (arg.get_long(), value) {
            (None, Some(value)) => return format!("`{value}`"),
            (_, Some(value)) if takes_value && arg.is_require_equals_set() => format!("[={value}]"),
            (_, Some(value)) if takes_value => format!(" {value}"),
            _ => String::new(),
        };
        let short = arg.get_short().map(|short| format!("-{short}"));
        let long = arg.get_long().map(|long| format!("--{long}"));
        let names: Vec<String> = short.into_iter().chain(long).collect();
        format!("`{}{value}`", names.join("`, `"))
    }

    /// What is possible, where that is a choice.
    fn values(arg: &Arg) -> String {
        let values: Vec<String> =
            arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
        let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
        if values.is_empty() || !takes_value { String::new() } else { format!(" ({})", values.join(", ")) }
    }

    fn names_of(command: &Command) -> Vec<&str> {
        command.get_subcommands().map(Command::get_name).collect()
    }

    #[test]
    fn the_page_of_options_is_up_to_date() {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/options.md"));
        let page = page();
        if env::var_os("TOWLINE_WRITE_DOCS").is_some() {
            fs::write(&path, &page).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == page,
            "write it anew: TOWLINE_WRITE_DOCS=1 cargo test -p towline --bin towline page_of_options"
        );
    }

    #[test]
    fn the_book_has_all_pages_and_their_links_lead_somewhere() {
        let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let pages: Vec<PathBuf> = fs::read_dir(root.join("docs"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
            .collect();
        let summary = fs::read_to_string(root.join("docs/SUMMARY.md")).unwrap();
        for page in &pages {
            let name = page.file_name().unwrap().to_str().unwrap();
            assert!(name == "SUMMARY.md" || summary.contains(&format!("({name})")), "{name} is not in the summary");
        }
        for page in pages.iter().chain([&root.join("README.md")]) {
            let text = fs::read_to_string(page).unwrap();
            let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            let is_file = |link: &&str| !link.contains("://") && !link.starts_with('#') && !link.contains(' ');
            for link in links.filter(is_file) {
                let target = page.parent().unwrap().join(link.split('#').next().unwrap());
                assert!(target.exists(), "{}: {link}", page.display());
            }
        }
    }

    #[test]
    fn the_page_of_options_has_all_commands() {
        let command = args::command();
        let mut known = names_of(&command);
        known.retain(|name| *name != "help");
        known.sort_unstable();
        let mut listed = COMMANDS.to_vec();
        listed.sort_unstable();
        assert_eq!(known, listed);
    }
}
