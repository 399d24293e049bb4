//! The command line and the environment as clap parses them: plain values, nothing looked up.
//! `settings.rs` resolves them. One field per option, so there are many.

mod get;
mod requests;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use towline_engine::secret::shown_line;

pub(crate) use self::get::{DurabilityArg, FormatArg, GetArgs, ListArg, ProgressArg};
pub(crate) use self::requests::{HttpArgs, WhichArgs};
use crate::foreign::explained;
use crate::{config, values};

/// Where the shells look for completions.
const COMPLETIONS_BELONG: &str = "\
Where they belong:
  bash        ~/.local/share/bash-completion/completions/towline
  zsh         a file _towline in a directory of $fpath
  fish        ~/.config/fish/completions/towline.fish
  nushell     a file that config.nu loads with `source`
  elvish      append them to ~/.config/elvish/rc.elv
  powershell  append them to the file that $PROFILE names";
/// The table is in `docs/exit-codes.md`.
const EXIT_CODES: &str = "\
Exit codes: 0 everything is there, 1 a download failed, 2 wrong usage, 3 this machine is at fault,
4 a digest did not match; after a signal, that signal's.";
const UNITS: &str = "Sizes: k M G are 1024-based, kB MB GB 1000-based. Times: 10, 10s, 500ms, 2m, 1h.\n\
                     Every option can also be set in the environment as TOWLINE_<OPTION>, such as \
                     TOWLINE_LIMIT_RATE=2M.";

/// Download one file or a million over HTTP, fast, verified and resumable
#[derive(Debug, Parser)]
#[command(
    name = "towline",
    version,
    allow_negative_numbers = true,
    override_usage = "towline [OPTIONS] URL...\n       towline <COMMAND>",
    after_help = "`towline URL...` is the same as `towline get URL...`, and `towline get --help` lists its options."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Download files, and resume unfinished ones
    #[command(after_help = format!("{UNITS}\n\n{EXIT_CODES}"))]
    Get(Box<GetArgs>),
    /// Show what a server says about URLs, without fetching them
    #[command(after_help = UNITS)]
    Info(Box<InfoArgs>),
    /// List the files behind a link of a service, without fetching them
    #[command(after_help = UNITS)]
    Ls(Box<LsArgs>),
    /// Sign in to a service
    Login(Box<LoginArgs>),
    /// Forget an account
    Logout(LogoutArgs),
    /// List the accounts that you have signed in to
    Accounts,
    /// Show the status of the downloads in a directory, even while they run
    Status(StatusArgs),
    /// Compare files with what is recorded of them, or with a file of digests
    Verify(VerifyArgs),
    /// Show which options are set, and where each of them comes from
    Config(ConfigArgs),
    /// Download files from a server on this machine; needs no network
    Demo(DemoArgs),
    /// Print the completions for a shell
    #[command(after_help = COMPLETIONS_BELONG)]
    Completions(CompletionsArgs),
    /// Write the manual pages into a directory
    Man(ManArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Links to list
    #[arg(value_name = "LINK", required = true)]
    pub(crate) links: Vec<String>,
    /// Print JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten, next_help_heading = "Files of a service")]
    pub(crate) which: WhichArgs,
    #[command(flatten, next_help_heading = "Requests")]
    pub(crate) http: HttpArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// The service
    #[arg(value_enum)]
    pub(crate) service: ServiceArg,
    /// Id of your own application (docs/services.md says how to get one)
    #[arg(long, value_name = "ID", env = "TOWLINE_CLIENT_ID")]
    pub(crate) client_id: String,
    /// Directory of the account: common, organizations, consumers, or that of your organization
    #[arg(long, value_name = "NAME", default_value = "common", env = "TOWLINE_TENANT")]
    pub(crate) tenant: String,
    /// Only read your own files; without this, links of others can be opened too, for which the service wants more
    #[arg(long)]
    pub(crate) own_files: bool,
    #[command(flatten, next_help_heading = "Requests")]
    pub(crate) http: HttpArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// The service
    #[arg(value_enum)]
    pub(crate) service: ServiceArg,
}

/// Services with accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServiceArg {
    #[value(name = "onedrive")]
    OneDrive,
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// URLs to inspect
    #[arg(value_name = "URL", required = true)]
    pub(crate) urls: Vec<String>,
    /// Print JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten, next_help_heading = "Requests")]
    pub(crate) http: HttpArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Directory to inspect
    #[arg(value_name = "DIR", default_value = ".", value_parser = values::path())]
    pub(crate) dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Size of the large file
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = values::size_not_0, hide = true)]
    pub(crate) size: u64,
    /// Number of small files
    #[arg(long, value_name = "N", default_value = "300", value_parser = values::count, hide = true)]
    pub(crate) files: usize,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Directories with downloads, or single files
    #[arg(value_name = "PATH", default_value = ".", value_parser = values::path())]
    pub(crate) paths: Vec<PathBuf>,
    /// Compare with the digests in this file, such as SHA256SUMS
    #[arg(long, value_name = "FILE", value_parser = values::file_to_read())]
    pub(crate) checksum_file: Option<PathBuf>,
    /// Also print files that are as they should be
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// With this section of the configuration file
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: ShellArg,
}

/// A shell that completes command lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShellArg {
    Bash,
    Zsh,
    Fish,
    Nushell,
    Elvish,
    Powershell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Directory to write to, created if missing
    #[arg(value_name = "DIR", value_parser = values::path())]
    pub(crate) dir: PathBuf,
}

/// Parses the command line, which starts with the program's name.
///
/// # Errors
/// The message to print, with values that look like secrets masked. Empty for `--help` and `--version`, which
/// are printed here.
pub(crate) fn parse(args: Vec<OsString>) -> Result<Cli, NoCommand> {
    read(args).map_err(|error| match error.use_stderr() {
        true => NoCommand::Wrong(without_secrets(&error)),
        false => NoCommand::Printed(error.print()),
    })
}

/// Arguments that name nothing to run.
#[derive(Debug)]
pub(crate) enum NoCommand {
    /// Help or the version, which are on standard output if that could be written.
    Printed(io::Result<()>),
    /// What is wrong with them.
    Wrong(String),
}

fn without_secrets(error: &clap::Error) -> String {
    let values = [ContextKind::InvalidValue, ContextKind::InvalidArg, ContextKind::InvalidSubcommand];
    let given = values.into_iter().filter_map(|kind| match error.get(kind) {
        Some(ContextValue::String(value)) => Some(value.as_str()),
        _ => None,
    });
    given
        .filter(|value| value.contains([':', '@', '=', ' ']))
        .fold(error.render().to_string(), |text, value| text.replace(value, &shown_line(value)))
}

fn read(args: Vec<OsString>) -> Result<Cli, clap::Error> {
    let mut command = command();
    let args = with_get(&command, args);
    let words = args.clone();
    let args = config::with_file(&command, args)
        .map_err(|why| clap::Error::raw(clap::error::ErrorKind::InvalidValue, format!("{why}\n")))?;
    let matches = command
        .try_get_matches_from_mut(args)
        .map_err(|error| config::with_place(&command, &words, explained(error)))?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    match (&mut cli.command, matches.subcommand()) {
        (Command::Get(args), Some((_, matches))) => {
            args.prefer_command_line(matches);
            args.http.prefer_command_line(matches);
        }
        (Command::Info(args), Some((_, matches))) => args.http.prefer_command_line(matches),
        (Command::Ls(args), Some((_, matches))) => args.http.prefer_command_line(matches),
        (Command::Login(args), Some((_, matches))) => args.http.prefer_command_line(matches),
        _ => {}
    }
    Ok(cli)
}

fn is_given(matches: &ArgMatches, id: &str) -> bool {
    matches.value_source(id) == Some(ValueSource::CommandLine)
}

/// The help states the naming rule of environment variables once, so options do not repeat it.
pub(crate) fn command() -> clap::Command {
    let hide = |command: clap::Command| command.mut_args(|arg| arg.hide_env(true));
    let with_file = |command: clap::Command| hide(command).args_override_self(true);
    let names = ["get", "info", "ls", "login"];
    names.into_iter().fold(Cli::command(), |command, name| command.mut_subcommand(name, with_file))
}

/// The command that may be meant by a word that is none.
pub(crate) fn command_like(word: &str) -> Option<String> {
    let command = command();
    let names = command.get_subcommands().map(|sub| sub.get_name().to_owned());
    let is_like = |name: &String| word.len() > 2 && (name.starts_with(word) || word.starts_with(name.as_str()));
    names.into_iter().find(is_like)
}

/// `towline URL` means `towline get URL`.
fn with_get(command: &clap::Command, mut args: Vec<OsString>) -> Vec<OsString> {
    if args.is_empty() {
        args.push("towline".into());
    }
    let is_known = match args.get(1).and_then(|first| first.to_str()) {
        Some("-h" | "--help" | "-V" | "--version" | "help") => true,
        Some(first) => command.get_subcommands().any(|known| known.get_name() == first),
        None => false,
    };
    if !is_known {
        args.insert(1, "get".into());
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Cli, clap::Error> {
        read(words.iter().map(OsString::from).collect())
    }

    fn wrong(words: &[&str]) -> String {
        match parse(words.iter().map(OsString::from).collect()) {
            Err(NoCommand::Wrong(said)) => said,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_url_in_the_place_of_another_value_is_shown_without_its_secrets() {
        let url = "http://user:SECRET@h/a?token=SECRET";
        let options = ["-o", "-d", "-x", "-j", "--ca-file", "--status-file", "--max-size", "--limit-rate"];
        let more = ["--durability", "--progress", "--checksum", "--retries", "--piece-size", "--connect-timeout"];
        for option in options.into_iter().chain(more) {
            let said = wrong(&["towline", "get", option, url]);
            assert!(!said.contains("SECRET") && said.contains("http://"), "{option}: {said}");
        }
        let said = wrong(&["towline", "status", url]);
        assert!(!said.contains("SECRET"), "{said}");
    }

    fn got(words: &[&str]) -> GetArgs {
        match parsed(words).unwrap().command {
            Command::Get(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definitions_are_sound() {
        command().debug_assert();
    }

    #[test]
    fn get_may_be_left_out() {
        assert_eq!(got(&["towline", "http://h/a"]).urls, ["http://h/a"]);
        let args = got(&["towline", "-x", "4", "http://h/a", "http://h/b"]);
        assert_eq!((args.connections, args.urls.len()), (Some(4), 2));
        assert_eq!(got(&["towline", "get", "http://h/a"]).urls, ["http://h/a"]);
        assert!(got(&["towline"]).urls.is_empty());
        assert!(matches!(parsed(&["towline", "status"]).unwrap().command, Command::Status(_)));
    }

    #[test]
    fn a_bad_value_says_what_is_allowed() {
        let error = parsed(&["towline", "-x", "0", "http://h/a"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("1.."), "{error}");
        let error = parsed(&["towline", "--piece-size", "big", "http://h/a"]).unwrap_err();
        assert!(error.to_string().contains("1024-based"), "{error}");
    }

    #[test]
    fn what_counts_as_the_file_can_be_said_in_the_environment_too() {
        let command = command();
        let get = command.find_subcommand("get").unwrap();
        for (id, name) in [("trust_size", "TOWLINE_TRUST_SIZE"), ("accept_html", "TOWLINE_ACCEPT_HTML")] {
            let arg = get.get_arguments().find(|arg| arg.get_id() == id).unwrap();
            assert_eq!(arg.get_env().and_then(|env| env.to_str()), Some(name));
        }
    }

    #[test]
    fn headers_may_be_given_again() {
        let args = got(&["towline", "-H", "A: 1", "--header", "B: 2", "http://h/a"]);
        assert_eq!(args.http.header.len(), 2);
    }
}
