//! The command line and the environment as clap parses them: plain values, nothing looked up.
//! `settings.rs` resolves them. One field per option, so there are many.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use http::{HeaderValue, Method};
use jiff::Timestamp;
use towline_engine::Checksum;
use towline_engine::options::{HostAddress, Interface};
use towline_engine::secret::shown_line;
use url::Url;

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
    #[command(after_help = UNITS)]
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
pub(crate) struct GetArgs {
    /// URLs to download, one per file
    #[arg(value_name = "URL")]
    pub(crate) urls: Vec<String>,
    /// Save as this file, relative to --dir, or write to standard output with - [default: name from the
    /// server]
    #[arg(short, long, value_name = "FILE", env = "TOWLINE_OUTPUT", value_parser = values::path())]
    pub(crate) output: Option<PathBuf>,
    /// Save in this directory, created if missing [default: .]
    #[arg(short, long, value_name = "DIR", env = "TOWLINE_DIR", value_parser = values::path())]
    pub(crate) dir: Option<PathBuf>,
    /// Fetch the files in this list: a file, a URL, or - for standard input
    #[arg(short, long, value_name = "LIST", env = "TOWLINE_INPUT_FILE", value_parser = values::list)]
    pub(crate) input_file: Option<ListArg>,
    /// Format of the list [default: recognised by its content]
    #[arg(long, value_name = "FORMAT", value_enum, env = "TOWLINE_INPUT_FORMAT")]
    pub(crate) input_format: Option<FormatArg>,
    /// Start nothing if the list has a bad line or an unknown option
    #[arg(long, env = "TOWLINE_STRICT", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) strict: bool,
    /// Take brackets and braces in URLs literally, not as [001-300], [a-z] or {one,two}
    #[arg(long, env = "TOWLINE_NO_GLOB", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) no_glob: bool,
    /// Keep the directories of the URL's path below --dir
    #[arg(long, env = "TOWLINE_KEEP_DIRS", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) keep_dirs: bool,
    /// Leave out the first N of these directories; implies --keep-dirs
    #[arg(long, value_name = "N", env = "TOWLINE_CUT_DIRS", value_parser = values::whole)]
    pub(crate) cut_dirs: Option<u32>,
    /// Another URL for the same file (repeatable)
    #[arg(long, value_name = "URL", env = "TOWLINE_MIRROR")]
    pub(crate) mirror: Vec<String>,
    /// Open up to this many connections per file [default: up to 8, while each one adds speed]
    #[arg(short = 'x', long, value_name = "N", env = "TOWLINE_CONNECTIONS", value_parser = values::count)]
    pub(crate) connections: Option<usize>,
    /// Download this many files at once [default: 16]
    #[arg(short, long, value_name = "N", env = "TOWLINE_JOBS", value_parser = values::count)]
    pub(crate) jobs: Option<usize>,
    /// Open at most this many connections to one host [default: 16, or -x or -j if larger]
    #[arg(long, value_name = "N", env = "TOWLINE_MAX_PER_HOST", value_parser = values::count)]
    pub(crate) max_per_host: Option<usize>,
    /// Open at most this many connections in total [default: 64, or -x or -j if larger]
    #[arg(long, value_name = "N", env = "TOWLINE_MAX_CONNECTIONS", value_parser = values::count)]
    pub(crate) max_connections: Option<usize>,
    /// Use at most this many worker threads [default: one per core, up to 8]
    #[arg(long, value_name = "N", env = "TOWLINE_THREADS", value_parser = values::count)]
    pub(crate) threads: Option<usize>,
    /// Split files into pieces of at least this size [default: 1M]
    #[arg(long, value_name = "SIZE", env = "TOWLINE_PIECE_SIZE", value_parser = values::size_not_0)]
    pub(crate) piece_size: Option<u64>,
    /// Save progress this often [default: 0.5s]
    #[arg(long, value_name = "TIME", env = "TOWLINE_SAVE_INTERVAL", value_parser = values::time)]
    pub(crate) save_interval: Option<Duration>,
    /// Discard existing progress and start over [default: resume]
    #[arg(long, env = "TOWLINE_RESTART", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) restart: bool,
    /// Replace a different file of the same name
    #[arg(long, env = "TOWLINE_OVERWRITE", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) overwrite: bool,
    /// Save under a numbered name if a different file has the name
    #[arg(long, env = "TOWLINE_AUTO_RENAME", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) auto_rename: bool,
    /// Keep a different file of the same name, and count the download as done
    #[arg(long, env = "TOWLINE_SKIP_EXISTING", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) skip_existing: bool,
    /// Treat an existing file of the same size as already downloaded
    #[arg(long, env = "TOWLINE_TRUST_SIZE", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) trust_size: bool,
    /// Resume a file that another program has begun under the final name, if samples of it match
    #[arg(long, env = "TOWLINE_ADOPT", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) adopt: bool,
    /// Accept an HTML page even if the name suggests another type of file
    #[arg(long, env = "TOWLINE_ACCEPT_HTML", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) accept_html: bool,
    /// Verify the file against this digest: sha-256, sha-512, sha-1, md5, blake3 or crc32c
    #[arg(long, value_name = "ALGO=HEX", env = "TOWLINE_CHECKSUM", value_parser = values::checksum)]
    pub(crate) checksum: Option<Checksum>,
    /// Verify files against the digests in this file, such as SHA256SUMS
    #[arg(long, value_name = "FILE", env = "TOWLINE_CHECKSUM_FILE", value_parser = values::file_to_read())]
    pub(crate) checksum_file: Option<PathBuf>,
    /// Ignore the digests that servers send
    #[arg(long, env = "TOWLINE_NO_SERVER_DIGEST", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) no_server_digest: bool,
    /// Resume even if the server cannot prove that the file is the same, as long as samples match
    #[arg(long, env = "TOWLINE_SAME_CONTENT", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) same_content: bool,
    /// Refuse files larger than this
    #[arg(long, value_name = "SIZE", env = "TOWLINE_MAX_SIZE", value_parser = values::size)]
    pub(crate) max_size: Option<u64>,
    /// Retry list entries that failed permanently in an earlier run
    #[arg(long, env = "TOWLINE_RETRY_FAILED", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) retry_failed: bool,
    /// Limit the total speed, in bytes per second [default: unlimited]
    #[arg(long, value_name = "RATE", env = "TOWLINE_LIMIT_RATE", value_parser = values::rate)]
    pub(crate) limit_rate: Option<u64>,
    /// Limit the speed from each host, in bytes per second [default: unlimited]
    #[arg(long, value_name = "RATE", env = "TOWLINE_LIMIT_RATE_PER_HOST", value_parser = values::rate)]
    pub(crate) limit_rate_per_host: Option<u64>,
    /// Wait at least this long between two requests to one host
    #[arg(long, value_name = "TIME", env = "TOWLINE_DELAY_PER_HOST", value_parser = values::time)]
    pub(crate) delay_per_host: Option<Duration>,
    /// Give files the modification time that the server states
    #[arg(long, env = "TOWLINE_REMOTE_TIME", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) remote_time: bool,
    /// `full` syncs data before it counts as saved; `process` survives a crash of Towline but not of the machine
    #[arg(long, value_enum, value_name = "WHAT", default_value = "full", env = "TOWLINE_DURABILITY")]
    pub(crate) durability: DurabilityArg,
    /// Show what would be fetched, and under which names, and fetch nothing
    #[arg(long, env = "TOWLINE_DRY_RUN", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) dry_run: bool,
    /// Run this program for each finished file, with its path; also for files that are already there
    #[arg(long, value_name = "PROGRAM", env = "TOWLINE_ON_COMPLETE", value_parser = values::path())]
    pub(crate) on_complete: Option<PathBuf>,
    /// Show progress as bars, lines, JSON events on standard output, or not at all; `auto` means bars on a terminal,
    /// lines elsewhere
    #[arg(long, value_enum, value_name = "HOW", default_value = "auto", env = "TOWLINE_PROGRESS")]
    pub(crate) progress: ProgressArg,
    /// Print errors only
    #[arg(short, long, env = "TOWLINE_QUIET", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) quiet: bool,
    /// Also print retries, ranges, protocols, redirects and the share of each mirror; -vv also prints the log
    #[arg(short, long, env = "TOWLINE_VERBOSE", action = ArgAction::Count, value_parser = values::level)]
    pub(crate) verbose: u8,
    /// Write a log of every job, request and connection to this file
    #[arg(long, value_name = "FILE", env = "TOWLINE_LOG", value_parser = values::path())]
    pub(crate) log: Option<PathBuf>,
    /// Send this with the request, as a form's fields, or the content of a file, without newlines at its end, with @FILE
    /// (repeatable; joined by &)
    #[arg(long, value_name = "DATA", env = "TOWLINE_DATA", help_heading = "Requests")]
    pub(crate) data: Vec<String>,
    /// Request method [default: GET, or POST with --data]
    #[arg(long, value_name = "METHOD", env = "TOWLINE_METHOD", value_parser = values::method, help_heading = "Requests")]
    pub(crate) method: Option<Method>,
    /// Write the cookies of this run to this file, those that servers set and those of --cookies
    #[arg(long, value_name = "FILE", env = "TOWLINE_COOKIE_JAR", value_parser = values::path(), help_heading = "Requests")]
    pub(crate) cookie_jar: Option<PathBuf>,
    /// Keep a JSON snapshot of progress in this file
    #[arg(long, value_name = "FILE", env = "TOWLINE_STATUS_FILE", value_parser = values::path())]
    pub(crate) status_file: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Files of a service")]
    pub(crate) which: WhichArgs,
    #[command(flatten, next_help_heading = "Requests")]
    pub(crate) http: HttpArgs,
}

// Which files of a folder are meant.
#[derive(Debug, Args)]
pub(crate) struct WhichArgs {
    /// Only files that match this pattern, such as '*.pdf' or 'photos/**' (repeatable)
    #[arg(long, value_name = "GLOB", env = "TOWLINE_INCLUDE")]
    pub(crate) include: Vec<String>,
    /// No files that match this pattern (repeatable)
    #[arg(long, value_name = "GLOB", env = "TOWLINE_EXCLUDE")]
    pub(crate) exclude: Vec<String>,
    /// List the index pages of a server ("Index of /pub") below a URL that ends with /
    #[arg(long, env = "TOWLINE_RECURSIVE_INDEX", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) recursive_index: bool,
    /// List at most this many index pages below each other [default: all]
    #[arg(long, value_name = "N", env = "TOWLINE_LEVEL", value_parser = values::count)]
    pub(crate) level: Option<usize>,
    /// Only files changed on this day or later, or after this moment, such as 2026-01-31; also files of plain URLs
    #[arg(long, value_name = "DATE", env = "TOWLINE_NEWER", value_parser = values::moment)]
    pub(crate) newer: Option<Timestamp>,
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

// Options for requests. (Not a doc comment: it would become the subcommand's description.)
#[derive(Clone, Debug, Args)]
pub(crate) struct HttpArgs {
    /// Also use the options in this section of the configuration file
    #[arg(long, value_name = "NAME", env = "TOWLINE_PROFILE")]
    pub(crate) profile: Option<String>,
    /// Send this header to the URL's own server, or those in a file with @FILE (repeatable)
    #[arg(short = 'H', long, value_name = "NAME: VALUE", env = "TOWLINE_HEADER")]
    pub(crate) header: Vec<String>,
    /// Send this User-Agent [default: towline/VERSION]
    #[arg(short = 'A', long, value_name = "NAME", env = "TOWLINE_USER_AGENT", value_parser = values::header_value)]
    pub(crate) user_agent: Option<HeaderValue>,
    /// Send this Referer to the URL's own server
    #[arg(long, value_name = "URL", env = "TOWLINE_REFERER", value_parser = values::header_value)]
    pub(crate) referer: Option<HeaderValue>,
    /// Authenticate to the URL's own server with this name and password (Basic, or Digest if it asks for that)
    #[arg(long, value_name = "NAME:PASSWORD", env = "TOWLINE_USER")]
    pub(crate) user: Option<String>,
    /// Authenticate with the names and passwords in this file [default without a value: ~/.netrc]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "~/.netrc", env = "TOWLINE_NETRC")]
    pub(crate) netrc: Option<PathBuf>,
    /// Send the cookies in this file (Netscape's form) to the servers that they belong to
    #[arg(long, value_name = "FILE", env = "TOWLINE_COOKIES", value_parser = values::file_to_read())]
    pub(crate) cookies: Option<PathBuf>,
    /// Accept any TLS certificate
    #[arg(long, env = "TOWLINE_INSECURE", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) insecure: bool,
    /// Also trust the certificates in this PEM file
    #[arg(long, value_name = "FILE", env = "TOWLINE_CA_FILE", value_parser = values::file_to_read())]
    pub(crate) ca_file: Option<PathBuf>,
    /// Authenticate with the certificate in this PEM file
    #[arg(long, value_name = "FILE", env = "TOWLINE_CERT", value_parser = values::file_to_read())]
    pub(crate) cert: Option<PathBuf>,
    /// Key of that certificate [default: in the same file]
    #[arg(long, value_name = "FILE", env = "TOWLINE_KEY", value_parser = values::file_to_read())]
    pub(crate) key: Option<PathBuf>,
    /// Accept only servers with this public key, the SHA-256 of it in Base64 (repeatable)
    #[arg(long, value_name = "sha256//HASH", env = "TOWLINE_PINNED_KEY", value_delimiter = ';', value_parser = values::pinned_key)]
    pub(crate) pinned_key: Vec<[u8; 32]>,
    /// Connect to IPv4 addresses only
    #[arg(short = '4', long, env = "TOWLINE_IPV4", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) ipv4: bool,
    /// Connect to IPv6 addresses only
    #[arg(short = '6', long, env = "TOWLINE_IPV6", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) ipv6: bool,
    /// Connect from this network interface, or from this address of the machine
    #[arg(long, value_name = "NAME", env = "TOWLINE_INTERFACE", value_parser = values::interface)]
    pub(crate) interface: Option<Interface>,
    /// Connect to this address for HOST and PORT (repeatable)
    #[arg(long, value_name = "HOST:PORT:ADDRESS", env = "TOWLINE_RESOLVE", value_delimiter = ',', value_parser = values::host_address)]
    pub(crate) resolve: Vec<HostAddress>,
    /// Follow redirects from https to http
    #[arg(long, env = "TOWLINE_ALLOW_DOWNGRADE", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) allow_downgrade: bool,
    /// Give up connecting, including name lookup and TLS handshake, after this long [default: 10s]
    #[arg(long, value_name = "TIME", env = "TOWLINE_CONNECT_TIMEOUT", value_parser = values::time)]
    pub(crate) connect_timeout: Option<Duration>,
    /// Reconnect after this long without data [default: 30s]
    #[arg(long, value_name = "TIME", env = "TOWLINE_STALL_TIMEOUT", value_parser = values::time)]
    pub(crate) stall_timeout: Option<Duration>,
    /// Retry a request if its response does not begin within this time [default: 120s]
    #[arg(long, value_name = "TIME", env = "TOWLINE_RESPONSE_TIMEOUT", value_parser = values::time)]
    pub(crate) response_timeout: Option<Duration>,
    /// Reconnect where less than this per second comes for ten seconds
    #[arg(long, value_name = "RATE", env = "TOWLINE_MIN_SPEED", value_parser = values::rate)]
    pub(crate) min_speed: Option<u64>,
    /// Also retry these statuses, such as 404,410
    #[arg(long, value_name = "LIST", env = "TOWLINE_RETRY_ON", value_delimiter = ',', value_parser = values::error_status)]
    pub(crate) retry_on: Vec<u16>,
    /// Retries for a piece that makes no progress; 0 means none [default: 5]
    #[arg(long, value_name = "N", env = "TOWLINE_RETRIES", value_parser = values::whole)]
    pub(crate) retries: Option<u32>,
    /// Use this http, https, socks5 or socks5h proxy [default: from the environment]
    #[arg(long, value_name = "URL", env = "TOWLINE_PROXY")]
    pub(crate) proxy: Option<String>,
    /// Bypass proxies for these hosts, separated by commas, instead of those in no_proxy; * turns off every proxy
    #[arg(long, value_name = "LIST", env = "TOWLINE_NO_PROXY")]
    pub(crate) no_proxy: Option<String>,
    /// Use HTTP/1.1 only
    #[arg(long = "http1.1", env = "TOWLINE_HTTP1_1", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) http1: bool,
    /// Use HTTP/2 for all requests over TLS, if the server offers it
    #[arg(long, env = "TOWLINE_HTTP2", action = ArgAction::SetTrue, value_parser = values::switch)]
    pub(crate) http2: bool,
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

/// When data counts as saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DurabilityArg {
    Full,
    Process,
}

/// Where a list is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListArg {
    Stdin,
    File(PathBuf),
    Url(Url),
}

/// The format of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// One URL per line
    Plain,
    /// Input files of aria2
    Aria2,
    /// One JSON object per line
    Jsonl,
    /// Comma-separated values below the names of their columns
    Csv,
    /// Metalink 3 or 4
    Metalink,
}

/// How to show progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressArg {
    Auto,
    Bar,
    Lines,
    Json,
    #[value(name = "none")]
    Nothing,
}

impl ProgressArg {
    /// Lines instead of bars.
    pub(crate) fn without_bars(self) -> Self {
        match self {
            Self::Auto | Self::Bar => Self::Lines,
            other => other,
        }
    }
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

impl GetArgs {
    /// A flag on the command line turns off conflicting flags from the environment.
    fn prefer_command_line(&mut self, matches: &ArgMatches) {
        if ["overwrite", "auto_rename", "skip_existing"].into_iter().any(|id| is_given(matches, id)) {
            self.overwrite &= is_given(matches, "overwrite");
            self.auto_rename &= is_given(matches, "auto_rename");
            self.skip_existing &= is_given(matches, "skip_existing");
        }
        if is_given(matches, "quiet") || is_given(matches, "verbose") {
            self.quiet &= is_given(matches, "quiet");
            self.verbose *= u8::from(is_given(matches, "verbose"));
        }
    }
}

impl HttpArgs {
    fn prefer_command_line(&mut self, matches: &ArgMatches) {
        if is_given(matches, "http1") || is_given(matches, "http2") {
            self.http1 &= is_given(matches, "http1");
            self.http2 &= is_given(matches, "http2");
        }
    }
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
