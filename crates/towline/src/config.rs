//! The configuration file: options that hold unless the command line or the environment says otherwise.
//!
//! Its keys are the long options of a command. They are put before the user's own words, so that one parser checks both,
//! and later words count more. `[profile.NAME]` has options that hold with `--profile NAME`; `[host."NAME"]` is for single
//! hosts (`host_sections.rs`).

use std::env;
use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use toml::{Table, Value};
use towline_engine::secret::shown_line;

use crate::host_sections;
use crate::values::shown_name;

/// A longer file is none.
const FILE_BYTES_MAX: u64 = 1 << 20;
const FILE: &str = "TOWLINE_CONFIG";
const PROFILE: &str = "TOWLINE_PROFILE";
/// Options that name what to fetch, or where this one run differs: they belong on the command line.
const REFUSED: [&str; 8] = ["output", "input-file", "mirror", "checksum", "restart", "data", "method", "profile"];

/// Of these, only one can be meant.
const GROUPS: [&[&str]; 4] =
    [&["overwrite", "auto-rename", "skip-existing"], &["http1.1", "http2"], &["ipv4", "ipv6"], &["quiet", "verbose"]];

/// An option that a file sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) option: String,
    /// `None` is a flag.
    pub(crate) value: Option<String>,
    /// The profile that it is of.
    pub(crate) profile: Option<String>,
}

impl Setting {
    /// The name of the header that it sets.
    fn header_name(&self) -> Option<String> {
        let (name, _) = self.value.as_ref()?.split_once(':')?;
        Some(name.trim().to_ascii_lowercase())
    }

    fn word(&self) -> OsString {
        match &self.value {
            Some(value) => format!("--{}={value}", self.option).into(),
            None => format!("--{}", self.option).into(),
        }
    }
}

/// Whether the user names the file, so that it has to be there.
fn is_named() -> bool {
    env::var_os(FILE).is_some_and(|path| !path.is_empty())
}

/// Where the file is: `TOWLINE_CONFIG`, or `towline/config.toml` in the configuration directory (XDG Base Directory
/// Specification).
pub(crate) fn path() -> Option<PathBuf> {
    if let Some(path) = env::var_os(FILE).filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    Some(config?.join("towline").join("config.toml"))
}

/// Puts what the file sets between the command and the user's words.
///
/// # Errors
/// If the file cannot be read, or sets what cannot be set.
pub(crate) fn with_file(command: &clap::Command, mut args: Vec<OsString>) -> Result<Vec<OsString>, String> {
    let Some(sub) = args.get(1).and_then(|name| command.find_subcommand(name)) else { return Ok(args) };
    if !sub.get_arguments().any(|arg| arg.get_long() == Some("profile")) || asks_for_help(&args) {
        return Ok(args);
    }
    let settings = settings(sub, profile(&args).as_deref())?;
    // What the environment and the user's own words say counts more, also where they say something else of the same.
    let is_said = |option: &str| is_in_environment(sub, option) || is_in_words(sub, &args, option);
    let headers = header_names(&args);
    let counts = |setting: &&Setting| {
        if setting.option == "header" && setting.header_name().is_some_and(|name| headers.contains(&name)) {
            return false;
        }
        let mut group = GROUPS.iter().filter(|group| group.contains(&&*setting.option)).flat_map(|group| group.iter());
        !is_in_environment(sub, &setting.option) && !group.any(|option| is_said(option))
    };
    let words: Vec<_> = settings.iter().filter(counts).map(Setting::word).collect();
    args.splice(2..2, words);
    Ok(args)
}

/// What the file sets for a command.
///
/// # Errors
/// As [`with_file`].
pub(crate) fn settings(sub: &clap::Command, profile: Option<&str>) -> Result<Vec<Setting>, String> {
    let Some((path, mut table)) = read()? else {
        return match profile {
            Some(profile) => {
                let name = shown_name(profile);
                Err(format!("there is no profile {name}, as there is no configuration file"))
            }
            None => Ok(Vec::new()),
        };
    };
    let wrong = |why: String| format!("{}: {why}", path.display());
    // Their own module reads them.
    table.remove(host_sections::KEY);
    let profiles = table.remove("profile");
    if profiles.as_ref().is_some_and(|profiles| !profiles.is_table()) {
        return Err(wrong(
            "profile is for sections such as [profile.night]; --profile or TOWLINE_PROFILE chooses one".to_owned(),
        ));
    }
    let mut settings = of_table(sub, table, None).map_err(wrong)?;
    let Some(name) = profile else { return Ok(settings) };
    let chosen = profiles.and_then(|profiles| match profiles {
        Value::Table(mut profiles) => profiles.remove(name),
        _ => None,
    });
    match chosen {
        Some(Value::Table(table)) => {
            let own = of_table(sub, table, Some(name)).map_err(wrong)?;
            // A header of the profile replaces those of its name.
            let names: Vec<_> =
                own.iter().filter(|own| own.option == "header").filter_map(Setting::header_name).collect();
            let is_replaced = |setting: &Setting| {
                setting.option == "header" && setting.header_name().is_some_and(|name| names.contains(&name))
            };
            settings.retain(|setting| !is_replaced(setting));
            settings.extend(own);
        }
        _ => return Err(wrong(format!("it has no section [profile.{}]", shown_name(name)))),
    }
    Ok(settings)
}

/// The file, if there is one.
///
/// # Errors
/// If it cannot be read, or is no TOML.
pub(crate) fn read() -> Result<Option<(PathBuf, Table)>, String> {
    let Some(path) = path() else { return Ok(None) };
    let wrong = |why: String| format!("{}: {why}", path.display());
    let mut text = String::new();
    match fs::File::open(&path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)) {
        Err(error) if error.kind() == ErrorKind::NotFound && !is_named() => return Ok(None),
        Err(error) => return Err(wrong(error.to_string())),
        Ok(_) if text.len() as u64 > FILE_BYTES_MAX => return Err(wrong("it is longer than 1 MiB".to_owned())),
        Ok(_) => {}
    }
    // The parser's message would repeat the line, which may be a secret.
    let table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        wrong(format!("line {line} is no TOML: {}", error.message()))
    })?;
    Ok(Some((path, table)))
}

fn of_table(sub: &clap::Command, table: Table, profile: Option<&str>) -> Result<Vec<Setting>, String> {
    let mut settings = Vec::new();
    for (key, value) in table {
        let option = key.replace('_', "-");
        let arg = sub.get_arguments().find(|arg| arg.get_long() == Some(&option));
        let is_known = arg.is_some() && !REFUSED.contains(&option.as_str());
        if !is_known {
            // Another command may have it.
            if is_option_of_get(&option) {
                continue;
            }
            return Err(match &*option {
                "profile" => {
                    "profile is for sections such as [profile.night]; --profile or TOWLINE_PROFILE chooses one"
                        .to_owned()
                }
                "hosts" => "hosts is no option; sections of single hosts are [host.\"example.org\"]".to_owned(),
                _ => format!("{key} is no option that a configuration file can set (docs/options.md lists them)"),
            });
        }
        let takes_value = arg.is_some_and(|arg| arg.get_action().takes_values());
        let may_be_alone = arg.and_then(clap::Arg::get_num_args).is_some_and(|range| range.min_values() == 0);
        for value in values(&key, value, takes_value, may_be_alone)? {
            settings.push(Setting { option: option.clone(), value, profile: profile.map(str::to_owned) });
        }
    }
    Ok(settings)
}

fn is_option_of_get(option: &str) -> bool {
    let command = crate::args::command();
    let get = command.find_subcommand("get");
    !REFUSED.contains(&option) && get.is_some_and(|get| get.get_arguments().any(|arg| arg.get_long() == Some(option)))
}

/// The values of a key: `None` is a flag that is on.
fn values(key: &str, value: Value, takes_value: bool, may_be_alone: bool) -> Result<Vec<Option<String>>, String> {
    let wrong = || Err(format!("{key} has a value of the wrong kind"));
    let text = |value: Value| match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        _ => None,
    };
    match value {
        // Options that need no value, such as `netrc`.
        Value::Boolean(is_on) if !takes_value || may_be_alone => Ok(if is_on { vec![None] } else { Vec::new() }),
        Value::Integer(times @ 0..=2) if !takes_value => Ok(vec![None; times as usize]),
        Value::Array(values) if takes_value => match values.into_iter().map(text).collect::<Option<Vec<_>>>() {
            Some(values) => Ok(values.into_iter().map(Some).collect()),
            None => wrong(),
        },
        value if takes_value => text(value).map_or_else(wrong, |text| Ok(vec![Some(text)])),
        _ => wrong(),
    }
}

/// An error of the parser's, with the place of a value that is not among the user's words: the file, or a variable.
pub(crate) fn with_place(command: &clap::Command, words: &[OsString], error: clap::Error) -> clap::Error {
    if error.kind() != clap::error::ErrorKind::ValueValidation {
        return error;
    }
    let option = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(name)) => name.split([' ', '=', '[']).next().unwrap_or_default().to_owned(),
        _ => return error,
    };
    let sub = words.get(1).and_then(|name| command.find_subcommand(name));
    let arg = sub.and_then(|sub| sub.get_arguments().find(|arg| arg.get_long() == option.strip_prefix("--")));
    let Some((sub, arg)) = sub.zip(arg) else { return error };
    if is_in_words(sub, words, option.trim_start_matches('-')) {
        return error;
    }
    let variable = arg.get_env().filter(|name| env::var_os(name).is_some());
    let place = match variable {
        Some(name) => name.to_string_lossy().into_owned(),
        None => path().map_or_else(|| FILE.to_owned(), |path| path.display().to_string()),
    };
    let value = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => shown_line(value),
        _ => String::new(),
    };
    let why = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    let text = format!("{place}: invalid value '{value}' for {option}{why}\n");
    clap::Error::raw(clap::error::ErrorKind::ValueValidation, text)
}

/// The name after `--profile`, or that in the environment.
pub(crate) fn profile(args: &[OsString]) -> Option<String> {
    let words = || args.iter().take_while(|word| *word != "--").filter_map(|word| word.to_str());
    let given = words().filter_map(|word| word.strip_prefix("--profile=").map(str::to_owned)).last();
    let after = words().zip(words().skip(1)).filter(|(word, _)| *word == "--profile").map(|(_, name)| name.to_owned());
    given.or_else(|| after.last()).or_else(|| env::var(PROFILE).ok().filter(|name| !name.is_empty()))
}

fn is_in_environment(sub: &clap::Command, option: &str) -> bool {
    let arg = sub.get_arguments().find(|arg| arg.get_long() == Some(option));
    arg.and_then(clap::Arg::get_env).is_some_and(|name| env::var_os(name).is_some())
}

fn is_in_words(sub: &clap::Command, args: &[OsString], option: &str) -> bool {
    let short = sub.get_arguments().find(|arg| arg.get_long() == Some(option)).and_then(clap::Arg::get_short);
    let words = args.iter().skip(2).take_while(|word| *word != "--").filter_map(|word| word.to_str());
    let is_it = |word: &str| match (word.strip_prefix("--"), word.strip_prefix('-')) {
        (Some(long), _) => long.split('=').next() == Some(option),
        (None, Some(shorts)) => short.is_some_and(|short| shorts.contains(short)),
        (None, None) => false,
    };
    words.into_iter().any(is_it)
}

/// The names of the headers among the user's words.
fn header_names(args: &[OsString]) -> Vec<String> {
    let words: Vec<&str> = args.iter().take_while(|word| *word != "--").filter_map(|word| word.to_str()).collect();
    let after = |name: &str| {
        let pairs = words.windows(2).filter(move |pair| pair[0] == name);
        pairs.map(|pair| pair[1]).collect::<Vec<_>>()
    };
    let joined = |start: &str| words.iter().filter_map(|word| word.strip_prefix(start)).collect::<Vec<_>>();
    let given = [after("-H"), after("--header"), joined("--header="), joined("-H")].concat();
    given.iter().filter_map(|text| text.split_once(':')).map(|(name, _)| name.trim().to_ascii_lowercase()).collect()
}

fn asks_for_help(args: &[OsString]) -> bool {
    args.iter().any(|word| word == OsStr::new("--help") || word == OsStr::new("-h"))
}
