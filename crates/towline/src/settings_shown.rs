//! `towline config`: the options that are set, and where each of them comes from.

use std::fmt::Write as _;

use clap::ArgAction;
use towline_engine::secret::{printable, shown_line};

use crate::args::{self, ConfigArgs};
use crate::complaint::Complaint;
use crate::config;
use crate::exit_codes;
use crate::host_sections;
use crate::say::answer;

/// Values of these are not shown: they may be secrets.
const HIDDEN: [&str; 6] = ["header", "data", "user", "proxy", "referer", "netrc"];

/// Prints them.
pub(crate) fn run(args: &ConfigArgs) -> Result<u8, Complaint> {
    let command = args::command();
    let Some(get) = command.find_subcommand("get") else { return Ok(exit_codes::DONE) };
    let profile = args.profile.clone().or_else(|| config::profile(&[]));
    let settings = config::settings(get, profile.as_deref()).map_err(Complaint::usage)?;
    let file = config::path().map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    let mut text = format!("# file: {file}\n");
    let shown = |option: &str, value: &str| match () {
        () if HIDDEN.contains(&option) => "…".to_owned(),
        () if value.contains([':', '@']) => shown_line(value),
        () => printable(value).into_owned(),
    };
    for arg in get.get_arguments() {
        let Some(option) = arg.get_long() else { continue };
        if let Some((name, value)) = arg.get_env().and_then(|name| Some((name, std::env::var(name).ok()?))) {
            let _ = writeln!(text, "{option} = {}  # from {}", shown(option, &value), name.display());
            continue;
        }
        let all: Vec<_> = settings.iter().filter(|setting| setting.option == option).collect();
        // Of an option that is given again, the last one counts; of one that may be repeated, all.
        let is_list = matches!(arg.get_action(), ArgAction::Append);
        for setting in &all[if is_list { 0 } else { all.len().saturating_sub(1) }..] {
            let value = setting.value.as_deref().map_or_else(|| "true".to_owned(), |value| shown(option, value));
            let from = setting.profile.as_ref().map_or_else(|| "the file".to_owned(), |name| format!("profile {name}"));
            let _ = writeln!(text, "{option} = {value}  # from {from}");
        }
    }
    text.push_str(&host_sections::shown().map_err(Complaint::usage)?);
    text.push_str("# everything else: the defaults that `towline get --help` lists");
    answer(&text)?;
    Ok(exit_codes::DONE)
}
