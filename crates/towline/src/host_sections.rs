//! The sections of the configuration file for single hosts: `[host."example.org"]`, or `[host."*.example.org"]` for those
//! below it. They set what the options of the same names set for all hosts.

use std::env;
use std::fmt::Write as _;
use std::path::Path;

use http::header::AUTHORIZATION;
use toml::{Table, Value};
use towline_engine::http::is_reserved;
use towline_engine::options::{HostOptions, OfHosts};
use towline_engine::secret::printable;

use crate::complaint::Complaint;
use crate::config;
use crate::settings::{authorization, headers, read_text};
use crate::values;

/// The key of the sections.
pub(crate) const KEY: &str = "host";

const KEYS: &str = "max-per-host, limit-rate, delay, header, user";

/// Reads the sections.
///
/// # Errors
/// Wrong configuration; nothing was started.
pub(crate) fn of_hosts() -> Result<OfHosts, Complaint> {
    let mut hosts = OfHosts::default();
    let Some((path, mut table)) = config::read().map_err(Complaint::usage)? else { return Ok(hosts) };
    let wrong = |why: String| Complaint::usage(format!("{}: {why}", path.display()));
    let sections = match table.remove(KEY) {
        None => return Ok(hosts),
        Some(Value::Table(sections)) => sections,
        Some(_) => return Err(wrong("host is for sections such as [host.\"example.org\"]".to_owned())),
    };
    for (host, section) in sections {
        let shown = values::shown_name(&host);
        let Value::Table(section) = section else {
            return Err(wrong(format!("host.{shown} is no section; a name with dots needs quotes")));
        };
        if !is_host(&host) {
            return Err(wrong(format!("[host.\"{shown}\"] names no host; allowed: example.org, *.example.org")));
        }
        let options = options(section).map_err(|why| wrong(format!("[host.\"{shown}\"]: {why}")))?;
        hosts.add(&host, options);
    }
    Ok(hosts)
}

/// The sections as they are, without their secrets.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn shown() -> Result<String, String> {
    let mut text = String::new();
    let Some(Value::Table(sections)) = config::read()?.and_then(|(_, mut table)| table.remove(KEY)) else {
        return Ok(text);
    };
    for (host, section) in sections {
        let Value::Table(section) = section else { continue };
        for (key, value) in section {
            // A key that does not exist may be a secret's.
            let is_plain = matches!(&*key.replace('_', "-"), "max-per-host" | "limit-rate" | "delay");
            let shown = text_of(&value).filter(|_| is_plain);
            let value = shown.unwrap_or_else(|| "…".to_owned());
            let _ = writeln!(
                text,
                "[host.\"{}\"] {} = {}  # from the file",
                values::shown_name(&host),
                printable(&key),
                printable(&value)
            );
        }
    }
    Ok(text)
}

fn is_host(text: &str) -> bool {
    let bare = text.strip_prefix("*.").unwrap_or(text);
    let is_name = |text: &str| text.chars().all(|char| char.is_alphanumeric() || matches!(char, '.' | '-' | '_' | ':'));
    !bare.is_empty() && is_name(bare)
}

fn options(section: Table) -> Result<HostOptions, String> {
    let mut options = HostOptions::default();
    for (key, value) in section {
        let text = text_of(&value);
        let text = || text.clone().ok_or_else(|| format!("{key} has a value of the wrong kind"));
        let of_key = |why: String| format!("{key}: {why}");
        match &*key.replace('_', "-") {
            "max-per-host" => options.max_connections = Some(values::count(&text()?).map_err(of_key)?),
            "limit-rate" => options.limit_rate_bps = Some(values::rate(&text()?).map_err(of_key)?),
            "delay" => options.delay = Some(values::time(&text()?).map_err(of_key)?),
            "user" => {
                options.authorization = Some(authorization(&named(&text()?)?).map_err(|why| why.message().to_owned())?)
            }
            "header" => add_headers(&mut options, value)?,
            _ => return Err(format!("{} is no key of a host; allowed: {KEYS}", printable(&key))),
        }
    }
    Ok(options)
}

/// The value of a key that has only one.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

fn add_headers(options: &mut HostOptions, value: Value) -> Result<(), String> {
    let given = match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(texts) => texts.into_iter().map(|text| text.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    let given = given.ok_or("header has a value of the wrong kind")?;
    for text in headers(&given).map_err(|why| why.message().to_owned())? {
        let (name, mut value) = values::header(&text).map_err(|why| format!("header: {why}"))?;
        if is_reserved(&name) {
            return Err(format!("header: Towline sets the field {name} itself"));
        }
        if name == AUTHORIZATION {
            options.authorization = Some(value);
            continue;
        }
        value.set_sensitive(true);
        options.headers.append(name, value);
    }
    Ok(())
}

/// Credentials are named, not written down: the content of a file (`@FILE`) or of a variable (`$NAME`).
fn named(text: &str) -> Result<String, String> {
    let found = match (text.strip_prefix('@'), text.strip_prefix('$')) {
        (Some(file), _) => read_text(Path::new(file)).map_err(|why| format!("user: {}: {why}", printable(file)))?,
        (None, Some(name)) => env::var(name).map_err(|_| format!("user: there is no variable {}", printable(name)))?,
        (None, None) => return Err("user: allowed: @FILE or $VARIABLE, which holds NAME:PASSWORD".to_owned()),
    };
    Ok(found.trim_end_matches(['\n', '\r']).to_owned())
}
