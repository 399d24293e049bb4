//! Parsers for option values: sizes, times, rates, headers. Pure. Their errors say what is allowed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::builder::{PathBufValueParser, TypedValueParser};
use http::{HeaderName, HeaderValue, Method};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use towline_engine::Checksum;
use towline_engine::options::{HostAddress, Interface};
use towline_engine::secret::{printable, shown_line};
use url::Url;

use crate::args::ListArg;

/// Name and value of a request header.
pub(crate) type Header = (HeaderName, HeaderValue);

const SIZES: &str = "allowed: bytes, or a number with k, M, G, T or KiB, MiB, GiB, TiB (1024-based) \
                     or kB, MB, GB, TB (1000-based)";
const TIMES: &str = "allowed: seconds, or a number with ms, s, m or h, more than 0 and up to a year";
const COUNT_MAX: usize = 10_000;
const TIME_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A local path. A URL is refused, because later messages would show it with its secrets.
pub(crate) fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match path.to_string_lossy().contains("://") {
        true => Err("expected a file or directory, not a URL"),
        false => Ok(path),
    })
}

/// What was given as the name of a file, a section or a host, for an error. If it may be a URL, without its secrets.
pub(crate) fn shown_name(given: &str) -> String {
    if given.contains([':', '@']) { shown_line(given) } else { printable(given).into_owned() }
}

/// An input file. A header is refused for the same reason, unless a file has that name.
pub(crate) fn file_to_read() -> impl TypedValueParser<Value = PathBuf> {
    path().try_map(|path| match is_header(&path.to_string_lossy()) && !path.exists() {
        true => Err("expected a file, not a header"),
        false => Ok(path),
    })
}

/// A list: `-`, a URL or a file.
pub(crate) fn list(text: &str) -> Result<ListArg, String> {
    match Url::parse(text) {
        _ if text == "-" => Ok(ListArg::Stdin),
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(ListArg::Url(url)),
        _ if text.contains("://") => Err("expected a file, an http or https URL, or -".to_owned()),
        _ if text.is_empty() => Err("expected a file, a URL, or -".to_owned()),
        _ if is_header(text) && !Path::new(text).exists() => Err("expected a file, not a header".to_owned()),
        _ => Ok(ListArg::File(text.into())),
    }
}

/// Whether a text looks like `Name: value`, or like the value of `Authorization`.
fn is_header(text: &str) -> bool {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let scheme = text.split_once(' ').map_or("", |(scheme, _)| scheme);
    let is_scheme = ["bearer", "basic", "digest", "token"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    is_scheme || text.split_once(": ").is_some_and(|(name, _)| is_name(name))
}

/// Bytes: `512`, `64k`, `1.5M`, `2GB`, `1GiB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    towline_engine::size::parse(text).ok_or_else(|| SIZES.to_owned())
}

/// A size of at least one byte.
pub(crate) fn size_not_0(text: &str) -> Result<u64, String> {
    match size(text)? {
        0 => Err(format!("must be more than 0; {SIZES}")),
        bytes => Ok(bytes),
    }
}

/// Bytes per second: a size, with or without `/s`.
pub(crate) fn rate(text: &str) -> Result<u64, String> {
    size_not_0(text.strip_suffix("/s").unwrap_or(text))
}

/// A time: `10`, `10s`, `500ms`, `2m`, `1h`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let factor = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(TIMES.to_owned()),
    };
    let seconds: f64 = number.parse().map_err(|_| TIMES.to_owned())?;
    match Duration::try_from_secs_f64(seconds * factor) {
        Ok(time) if time > Duration::ZERO && time <= TIME_MAX => Ok(time),
        _ => Err(TIMES.to_owned()),
    }
}

/// A day, which begins at midnight, or a moment; without an offset or a zone, both are those of this machine.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    let here = || TimeZone::system().to_timestamp(text.parse::<DateTime>().ok()?).ok();
    let moment = match text.contains('[') {
        true => text.parse::<ZonedDateTime>().ok().map(|moment| moment.timestamp()),
        false => text.parse().ok().or_else(here),
    };
    moment.ok_or_else(|| "allowed: 2026-01-31, or 2026-01-31T18:00:00Z".to_owned())
}

/// A count of at least one.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=COUNT_MAX).contains(&count) => Ok(count),
        _ => Err(format!("allowed: 1..{COUNT_MAX}")),
    }
}

/// A number, which may be 0.
pub(crate) fn whole(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "allowed: 0, 1, 2 and so on".to_owned())
}

/// A status of an error.
pub(crate) fn error_status(text: &str) -> Result<u16, String> {
    let status = text.trim().parse().ok().filter(|status| (400..=599).contains(status));
    status.ok_or_else(|| "allowed: statuses from 400 to 599, such as 404,410".to_owned())
}

/// A method whose response may be a file.
pub(crate) fn method(text: &str) -> Result<Method, String> {
    let allowed = [Method::GET, Method::POST, Method::PUT, Method::PATCH];
    allowed
        .into_iter()
        .find(|method| method.as_str() == text)
        .ok_or_else(|| "allowed: GET, POST, PUT, PATCH".to_owned())
}

/// `Name: value`.
pub(crate) fn header(text: &str) -> Result<Header, String> {
    const FORM: &str = "allowed: 'Name: value'";
    let (name, value) = text.split_once(':').ok_or(FORM)?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| format!("not a header name; {FORM}"))?;
    let value = HeaderValue::from_bytes(value.trim().as_bytes())
        .map_err(|_| format!("control character in the value; {FORM}"))?;
    Ok((name, value))
}

/// `sha256//BASE64`, as curl's `--pinnedpubkey` has it.
pub(crate) fn pinned_key(text: &str) -> Result<[u8; 32], String> {
    const FORM: &str = "allowed: sha256//HASH, the SHA-256 of the public key in Base64";
    let hash = text.strip_prefix("sha256//").ok_or(FORM)?;
    let bytes = STANDARD.decode(hash).map_err(|_| FORM)?;
    bytes.try_into().map_err(|_| FORM.to_owned())
}

/// Where Linux lists the interfaces.
const INTERFACES: &str = "/sys/class/net";

/// The names of the interfaces of this machine, where they can be told.
fn interfaces() -> Option<Vec<String>> {
    let all = std::fs::read_dir(INTERFACES).ok()?.flatten();
    let mut names: Vec<String> = all.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    Some(names)
}

/// The name of an interface, or an address.
pub(crate) fn interface(text: &str) -> Result<Interface, String> {
    let is_name = |text: &str| {
        // IFNAMSIZ, with its NUL.
        (1..16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
    };
    match text.parse() {
        Ok(address) => Ok(Interface::Address(address)),
        Err(_) if is_name(text) => match interfaces() {
            Some(names) if !names.iter().any(|name| name == text) => {
                Err(format!("there is no such interface; there are {}", printable(&names.join(", "))))
            }
            _ => Ok(Interface::Name(text.to_owned())),
        },
        Err(_) => Err("allowed: a name such as eth0, or an address of this machine".to_owned()),
    }
}

/// `HOST:PORT:ADDRESS`.
pub(crate) fn host_address(text: &str) -> Result<HostAddress, String> {
    const FORM: &str = "allowed: HOST:PORT:ADDRESS, such as example.org:443:192.0.2.1";
    let (host, rest) = text.split_once(':').ok_or(FORM)?;
    let (port, address) = rest.split_once(':').ok_or(FORM)?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let (port, address) = (port.parse().map_err(|_| FORM)?, address.parse().map_err(|_| FORM)?);
    match host.is_empty() {
        true => Err(FORM.to_owned()),
        false => Ok(HostAddress { host: host.to_owned(), port, address }),
    }
}

/// The value of a header.
pub(crate) fn header_value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_bytes(text.trim().as_bytes()).map_err(|_| "allowed: text without control characters".to_owned())
}

/// `ALGO=HEX`.
pub(crate) fn checksum(text: &str) -> Result<Checksum, String> {
    text.parse::<Checksum>().map_err(|error| error.to_string())
}

/// A flag from the environment; empty means unset.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("allowed: 1, true, yes, 0, false, no".to_owned()),
    }
}

/// The count of a repeated flag; in the environment, a switch will do.
pub(crate) fn level(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(level @ 0..=2) => Ok(level),
        _ => switch(text).map(u8::from).map_err(|_| "allowed: 0, 1, 2, true, yes, false, no".to_owned()),
    }
}

/// Splits an unsigned number from its unit.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_both_kinds() {
        let cases = [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("64k", 65_536),
            ("64K", 65_536),
            ("1.5M", 1_572_864),
            ("1G", 1 << 30),
            ("2 GiB", 2 << 30),
            ("1KiB", 1024),
            ("1kB", 1000),
            ("5MB", 5_000_000),
            ("2GB", 2_000_000_000),
        ];
        for (text, bytes) in cases {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_answered_with_what_is_allowed() {
        for text in ["", "M", "-1", "1x", "1.2.3", "99999999999G", "1e3", "1 000"] {
            assert!(size(text).unwrap_err().contains("allowed:"), "{text}");
        }
        assert!(size_not_0("0").unwrap_err().contains("more than 0"));
    }

    #[test]
    fn rates_are_sizes_a_second() {
        assert_eq!(rate("2M"), Ok(2 << 20));
        assert_eq!(rate("500k/s"), Ok(500 << 10));
        assert!(rate("0").is_err());
    }

    #[test]
    fn times_are_seconds_unless_they_say_otherwise() {
        let cases = [("10", 10_000), ("10s", 10_000), ("500ms", 500), ("0.5", 500), ("2m", 120_000), ("1h", 3_600_000)];
        for (text, ms) in cases {
            assert_eq!(time(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "0", "-1", "1d", "x", "9999999h"] {
            assert!(time(text).unwrap_err().contains("allowed:"), "{text}");
        }
    }

    #[test]
    fn counts_begin_at_one() {
        assert_eq!(count("8"), Ok(8));
        for text in ["0", "-1", "x", "", "10001"] {
            assert!(count(text).unwrap_err().contains("1.."), "{text}");
        }
    }

    #[test]
    fn headers_have_a_name_and_a_value() {
        let (name, value) = header("X-Key:  a: b ").unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("x-key", b"a: b".as_slice()));
        for text in ["X-Key", ": a", "a b: c", "a: b\nc: d"] {
            assert!(header(text).unwrap_err().contains("allowed:"), "{text}");
        }
    }

    #[test]
    fn flags_of_the_environment_can_be_off() {
        for text in ["1", "true", "Yes"] {
            assert_eq!(switch(text), Ok(true));
        }
        for text in ["0", "false", "no", ""] {
            assert_eq!(switch(text), Ok(false));
        }
        assert!(switch("maybe").unwrap_err().contains("1, true, yes"));
    }
}
