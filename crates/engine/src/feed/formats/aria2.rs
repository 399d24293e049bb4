//! Input files of aria2 (`aria2c -i`): a line has the URLs of one file, separated by tabs; the indented lines below it
//! are its options, `NAME=VALUE`.

use std::io::BufRead;
use std::path::{Component, Path, PathBuf};

use http::HeaderName;
use http::header::{AUTHORIZATION, REFERER, USER_AGENT};

use super::fields::{self, add_header, add_header_pair, add_mirror, set_checksum};
use super::{Ended, Lines, Sink};
use crate::http::credentials;
use crate::job::JobSpec;
use crate::name::safe::check_output;
use crate::options::ProxyChoice;
use crate::secret::shown_line;
use crate::size;

/// Options that ask for what Towline does anyway.
const GRANTED: [(&str, &str); 4] =
    [("continue", "true"), ("always-resume", "true"), ("check-integrity", "true"), ("check-certificate", "true")];
/// aria2 tries without end when it is told to try 0 times. Each try waits longer, up to a minute.
const RETRIES_MAX: u32 = 1000;

/// Whether a line can only be of such a file: an option, or several URLs.
pub(super) fn is_line_of(line: &[u8]) -> bool {
    let is_indented = line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'));
    let name = line.trim_ascii_start().split(|byte| *byte == b'=').next().unwrap_or_default();
    let is_option = is_indented
        && name.len() < line.trim_ascii_start().len()
        && !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-');
    let has_scheme = |part: &&[u8]| part.windows(3).any(|window| window == b"://");
    is_option || line.split(|byte| *byte == b'\t').filter(has_scheme).count() > 1
}

pub(super) fn read(list: impl BufRead, sink: &mut Sink<'_>) -> Result<(), Ended> {
    let mut lines = Lines::new(list);
    let mut entry: Option<Entry> = None;
    while let Some((number, line)) = lines.next()? {
        let line = match line {
            Ok(line) => line,
            Err(what) => {
                match &mut entry {
                    // It may have been an option of this one.
                    Some(entry) => entry.spoil(number, what),
                    None => sink.bad(number, what)?,
                }
                continue;
            }
        };
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            let Some(entry) = &mut entry else {
                sink.bad(number, "an option above the first URL")?;
                continue;
            };
            entry.add(number, line.trim(), sink)?;
            continue;
        }
        if let Some(before) = entry.replace(Entry::new(number, line)) {
            before.end(sink)?;
        }
    }
    match entry {
        Some(entry) => entry.end(sink),
        None => Ok(()),
    }
}

/// The entry that is being read.
struct Entry {
    line: u64,
    spec: Result<JobSpec, (u64, String)>,
    split: Option<usize>,
    per_server: Option<usize>,
    user: Option<String>,
    password: Option<String>,
    is_paused: bool,
}

impl Entry {
    fn new(line: u64, urls: &str) -> Self {
        Self {
            line,
            spec: spec_of(urls).map_err(|what| (line, what)),
            split: None,
            per_server: None,
            user: None,
            password: None,
            is_paused: false,
        }
    }

    /// Something in it is wrong. Only the first such thing is said.
    fn spoil(&mut self, line: u64, what: impl Into<String>) {
        if self.spec.is_ok() {
            self.spec = Err((line, what.into()));
        }
    }

    fn add(&mut self, line: u64, option: &str, sink: &mut Sink<'_>) -> Result<(), Ended> {
        // The line is not repeated: it may be a secret.
        let Some((name, value)) = option.split_once('=') else {
            self.spoil(line, "an option is written NAME=VALUE");
            return Ok(());
        };
        let (name, value) = (name.trim(), value.trim());
        let set = match self.set(name, value, sink.dir()) {
            Some(set) => set,
            None => sink.unknown(line, "option", name)?,
        };
        if let Err(what) = set {
            self.spoil(line, format!("{name}: {what}"));
        }
        Ok(())
    }

    /// Sets an option; `None` if it is not known.
    fn set(&mut self, name: &str, value: &str, dir: &Path) -> Option<Result<(), String>> {
        if GRANTED.contains(&(name, value)) {
            return Some(Ok(()));
        }
        let Ok(spec) = &mut self.spec else { return Some(Ok(())) };
        Some(match name {
            "out" => fields::set_output(spec, value),
            "dir" => below(dir, value).map(|below| spec.options.dir = below),
            "checksum" => set_checksum(spec, value),
            "header" => add_header(spec, value),
            "user-agent" => set_header(spec, &USER_AGENT, value),
            // The URL itself.
            "referer" if value == "*" => {
                let mut url = spec.url.clone();
                url.set_fragment(None);
                let _ = url.set_username("").and_then(|()| url.set_password(None));
                set_header(spec, &REFERER, url.as_str())
            }
            "referer" => set_header(spec, &REFERER, value),
            "split" => count(value).map(|count| self.split = Some(count)),
            "max-connection-per-server" => count(value).map(|count| self.per_server = Some(count)),
            "max-tries" => tries(value).map(|retries| spec.options.retries = Some(retries)),
            "max-download-limit" => rate(value).map(|rate| spec.options.limit_rate_bps = rate),
            "http-user" => {
                self.user = Some(value.to_owned());
                Ok(())
            }
            "http-passwd" => {
                self.password = Some(value.to_owned());
                Ok(())
            }
            "all-proxy" => proxy(value).map(|proxy| spec.options.proxy = Some(proxy)),
            "pause" => flag(value).map(|is_paused| self.is_paused = is_paused),
            _ => return None,
        })
    }

    fn end(self, sink: &mut Sink<'_>) -> Result<(), Ended> {
        let mut spec = match self.spec {
            Ok(spec) => spec,
            Err((line, what)) => return Ok(sink.bad(line, &what)?),
        };
        if self.is_paused {
            return Ok(sink.warn(format!("line {}: it has pause=true, and is left out", self.line))?);
        }
        let servers = spec.mirrors.len() + 1;
        spec.options.connections = match (self.split, self.per_server) {
            (Some(split), Some(each)) => Some(split.min(each.saturating_mul(servers))),
            (split, each) => split.or(each),
        };
        if let Some(user) = &self.user
            && !spec.options.headers.iter().any(|(name, _)| *name == AUTHORIZATION)
        {
            let password = self.password.as_deref().unwrap_or_default();
            let value = credentials::basic_of(user.as_bytes(), password.as_bytes());
            spec.options.headers.push((AUTHORIZATION, value));
        }
        Ok(sink.entry(spec)?)
    }
}

/// Takes the URLs that can be fetched; the others would be mirrors by other protocols.
fn spec_of(line: &str) -> Result<JobSpec, String> {
    let urls: Vec<&str> = line.split('\t').map(str::trim).filter(|url| !url.is_empty()).collect();
    let is_fetchable = |url: &&&str| url.starts_with("http://") || url.starts_with("https://");
    let lead = urls.iter().find(is_fetchable).or(urls.first()).copied().unwrap_or_default();
    let mut spec = JobSpec::new(fields::url(lead)?);
    for url in urls.iter().filter(is_fetchable).filter(|url| **url != lead) {
        add_mirror(&mut spec, url)?;
    }
    Ok(spec)
}

fn set_header(spec: &mut JobSpec, name: &HeaderName, value: &str) -> Result<(), String> {
    spec.options.headers.retain(|(held, _)| held != name);
    add_header_pair(spec, name.as_str(), value)
}

/// A directory below that of the list: `dir`, which may be written in full.
fn below(dir: &Path, value: &str) -> Result<Option<PathBuf>, String> {
    let asked = Path::new(value);
    let relative = match asked.is_absolute() {
        true => std::path::absolute(dir).ok().and_then(|dir| asked.strip_prefix(dir).map(Path::to_owned).ok()),
        false => Some(asked.to_owned()),
    };
    let Some(relative) = relative else {
        return Err(format!("{} is not below the directory that is saved to (-d)", shown_line(value)));
    };
    let mut clean = PathBuf::new();
    for component in relative.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => clean.push(name),
            _ => return Err(format!("{} leaves the directory that is saved to", shown_line(value))),
        }
    }
    // Also no directory of ours.
    check_output(&clean.join("file")).map_err(|error| error.message().to_owned())?;
    Ok((!clean.as_os_str().is_empty()).then_some(clean))
}

fn count(value: &str) -> Result<usize, String> {
    value.parse().ok().filter(|count| *count > 0).ok_or_else(|| "a number from 1 on is expected".to_owned())
}

/// How often to try again where aria2 says how often to try.
fn tries(value: &str) -> Result<u32, String> {
    let tries: u32 = value.parse().map_err(|_| "a number is expected".to_owned())?;
    Ok(tries.checked_sub(1).unwrap_or(RETRIES_MAX).min(RETRIES_MAX))
}

/// A rate such as `100K`; 0 is none.
fn rate(value: &str) -> Result<Option<u64>, String> {
    let rate = size::parse(value).ok_or_else(|| "a rate such as 500K or 2M is expected".to_owned())?;
    Ok(Some(rate).filter(|rate| *rate > 0))
}

fn flag(value: &str) -> Result<bool, String> {
    value.parse().map_err(|_| "true or false is expected".to_owned())
}

fn proxy(value: &str) -> Result<ProxyChoice, String> {
    if value.is_empty() {
        return Ok(ProxyChoice::Direct);
    }
    // It may hold a password.
    let has_scheme = value.contains("://");
    let url = if has_scheme { value.to_owned() } else { format!("http://{value}") };
    ProxyChoice::parse(&url, "").map_err(|_| "not the URL of a proxy".to_owned())
}
