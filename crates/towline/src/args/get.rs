//! The arguments of `towline get`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, ArgMatches, Args, ValueEnum};
use http::Method;
use towline_engine::Checksum;
use url::Url;

use super::is_given;
use super::requests::{HttpArgs, WhichArgs};
use crate::values;

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
    /// Discard the progress of an unfinished file and start over [default: resume]
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

impl GetArgs {
    /// A flag on the command line turns off conflicting flags from the environment.
    pub(super) fn prefer_command_line(&mut self, matches: &ArgMatches) {
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
