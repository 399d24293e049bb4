//! The arguments that several commands have: what is requested and how.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, ArgMatches, Args};
use http::HeaderValue;
use jiff::Timestamp;
use towline_engine::options::{HostAddress, Interface};

use super::is_given;
use crate::values;

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
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "~/.netrc", env = "TOWLINE_NETRC", value_parser = values::path())]
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

impl HttpArgs {
    /// The same for the versions of HTTP and of IP.
    pub(super) fn prefer_command_line(&mut self, matches: &ArgMatches) {
        if is_given(matches, "http1") || is_given(matches, "http2") {
            self.http1 &= is_given(matches, "http1");
            self.http2 &= is_given(matches, "http2");
        }
        if is_given(matches, "ipv4") || is_given(matches, "ipv6") {
            self.ipv4 &= is_given(matches, "ipv4");
            self.ipv6 &= is_given(matches, "ipv6");
        }
    }
}
