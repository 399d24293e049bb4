//! `towline get --dry-run`: prints what a run would fetch, and under which names. Services, and the servers of single
//! URLs, are asked as for `ls` and `info`; the entries of a list are not. Nothing is written below the directory: the
//! ledger's decisions are made on a copy of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use towline_engine::feed::{FedEntry, ListOptions, ListSource, Rehearsal};
use towline_engine::inspect::{self, ServerInfo};
use towline_engine::options::Existing;
use towline_engine::provider::Web;
use towline_engine::secret::{printable, shown_url};
use towline_engine::{Error, ErrorKind, JobSpec, Options, size};
use towline_threads::supervisor::signals::Signals;

use crate::args::ProgressArg;
use crate::complaint::Complaint;
use crate::exit_codes;
use crate::say::{answer, say};
use crate::scratch::Scratch;
use crate::services::{self, Talked};
use crate::settings::Settings;

/// How many entries are looked at together.
const ENTRIES: usize = 256;
/// How long to wait for more of a list before looking whether somebody has pressed Ctrl-C.
const PATIENCE: Duration = Duration::from_millis(100);

/// Prints what would be fetched.
pub(crate) fn run(settings: Settings, signals: Signals) -> Result<u8, Complaint> {
    let http = settings.options.http.clone();
    match services::talk(http, signals, move |web| plan(settings, web))? {
        Talked::Ended(code) => Ok(code),
        Talked::Interrupted(interrupt) => interrupt.raise_default(),
    }
}

fn plan(mut settings: Settings, web: &Web) -> Result<u8, Complaint> {
    let list = settings.list_source(web.clone())?;
    let mut plan = Plan {
        options: settings.options,
        list: settings.list_options,
        is_json: settings.progress == ProgressArg::Json,
        files: 0,
        bytes: Some(0),
        compared: 0,
        there: 0,
        not_newer: 0,
        code: exit_codes::DONE,
    };
    let mut is_read = true;
    for spec in settings.jobs {
        is_read = is_read && !web.has_ended() && plan.ask(&spec, web)?;
    }
    if let Some(list) = list
        && is_read
    {
        is_read = plan.rehearse(list, web)?;
    }
    if is_read && !settings.is_quiet {
        plan.sum_up();
    }
    Ok(plan.code)
}

struct Plan {
    options: Options,
    list: ListOptions,
    is_json: bool,
    /// Files to fetch, and what is missing of them if that is known of all.
    files: u64,
    bytes: Option<u64>,
    /// Files whose names others have, or whose content may be right already.
    compared: u64,
    there: u64,
    not_newer: u64,
    code: u8,
}

/// A file that would be fetched.
struct Planned<'a> {
    spec: &'a JobSpec,
    path: PathBuf,
    total_bytes: Option<u64>,
    is_changed: bool,
}

/// What it means that a page comes, where a service sends none for its files.
fn page_means<'a>(spec: &'a JobSpec, info: &ServerInfo) -> Option<&'a str> {
    let is_page = info.content_type.as_deref().is_some_and(|kind| kind.starts_with("text/html"));
    let is_named = [".html", ".htm"].iter().any(|end| info.file_name.to_ascii_lowercase().ends_with(end));
    let listed = spec.listed.as_ref().filter(|_| is_page && !is_named)?;
    let known = listed.page_means.iter().find(|(sign, _)| info.final_url.contains(sign));
    known.map(|(_, means)| means.as_str())
}

impl<'a> Planned<'a> {
    /// A file with this name, in its directory.
    fn called(spec: &'a JobSpec, name: PathBuf, options: &Options) -> Self {
        let path = spec.directory(options.keep_dirs).map_or_else(|| name.clone(), |dir| dir.join(&name));
        Self { spec, path, total_bytes: None, is_changed: false }
    }
}

impl Plan {
    /// Asks the server of a URL for the name and the length. Returns whether anybody still reads the answers, as the
    /// other functions here do.
    fn ask(&mut self, spec: &JobSpec, web: &Web) -> Result<bool, Complaint> {
        let info = match inspect::server_unless(&spec.url, &self.options.http, &|| web.has_ended()) {
            Ok(info) => info,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(false),
            Err(error) => {
                self.complain(error);
                return Ok(true);
            }
        };
        if let Some(means) = page_means(spec, &info) {
            let text = format!("the server sends an HTML page instead of the file: {means}");
            self.complain(Error::new(ErrorKind::Page, text).with_url(info.url));
            return Ok(true);
        }
        let changed = info.last_modified_time().filter(|_| spec.listed.is_none());
        if self.options.newer_than.zip(changed).is_some_and(|(than, changed)| changed <= than) {
            self.not_newer += 1;
            return Ok(true);
        }
        let name = spec.output.clone().unwrap_or_else(|| info.file_name.into());
        let planned = Planned::called(spec, name, &self.options);
        self.print(&Planned { total_bytes: info.total_bytes, ..planned })
    }

    /// Lets the batch decide on a copy of its ledger.
    fn rehearse(&mut self, list: ListSource, web: &Web) -> Result<bool, Complaint> {
        let scratch = Scratch::new("rehearsal")
            .map_err(|error| Complaint::machine(format!("cannot make a directory for temporary files: {error}")))?;
        let options = &self.options;
        let mut rehearsal = Rehearsal::open(
            list,
            self.list.clone(),
            &options.dir,
            scratch.path(),
            options.retry_failed,
            !options.resume,
        )?;
        loop {
            let fed = rehearsal.next(ENTRIES, PATIENCE)?;
            for warning in rehearsal.take_warnings() {
                say(&format!("towline: {warning}"));
            }
            for entry in fed.entries {
                if web.has_ended() || !self.take(entry, web)? {
                    return Ok(false);
                }
            }
            if fed.ended || web.has_ended() {
                return Ok(fed.ended);
            }
        }
    }

    fn take(&mut self, entry: FedEntry, web: &Web) -> Result<bool, Complaint> {
        match entry {
            FedEntry::Job { spec, name, .. } => {
                // A link to one file has its name where its bytes are. The entries of a list are too many to ask.
                if name.is_none() && spec.output.is_none() && spec.listed.is_some() {
                    return self.ask(&spec, web);
                }
                let given = spec.output.clone().unwrap_or_else(|| spec.name_in_url());
                let planned = Planned::called(&spec, given, &self.options);
                let total_bytes = spec.listed.as_ref().and_then(|listed| listed.total_bytes);
                let is_changed = spec.left.is_some_and(|left| left.is_changed);
                return self.print(&Planned { path: name.unwrap_or(planned.path), total_bytes, is_changed, ..planned });
            }
            FedEntry::There { .. } => self.there += 1,
            FedEntry::FailedBefore { url, error, .. } | FedEntry::NotListed { url, error } => {
                self.complain(if error.url().is_some() { error } else { error.with_url(url) });
            }
            FedEntry::Bad { error, .. } => self.complain(error),
        }
        Ok(true)
    }

    fn print(&mut self, file: &Planned<'_>) -> Result<bool, Complaint> {
        if let Some(error) = self.too_large(file) {
            self.complain(error);
            return Ok(true);
        }
        let (state, held_bytes) = self.state(file);
        match state {
            "exists" if self.options.existing == Existing::Skip => {
                self.there += 1;
                return Ok(true);
            }
            "exists" => self.compared += 1,
            _ => {
                self.files += 1;
                let missing = file.total_bytes.map(|total| total.saturating_sub(held_bytes));
                self.bytes = self.bytes.zip(missing).map(|(sum, bytes)| sum.saturating_add(bytes));
            }
        }
        let line = match self.is_json {
            true => json!({
                "state": state,
                "path": file.path.to_string_lossy(),
                "total_bytes": file.total_bytes,
                "url": shown_url(&file.spec.url),
            })
            .to_string(),
            false => {
                let length = file.total_bytes.map_or_else(|| "?".to_owned(), size::bytes);
                format!("{state:<10}  {length:>10}  {}", printable(&file.path.to_string_lossy()))
            }
        };
        answer(&line)
    }

    /// Why a file would be refused for its length.
    fn too_large(&self, file: &Planned<'_>) -> Option<Error> {
        let (total, most) = file.total_bytes.zip(self.options.max_size_bytes).filter(|(total, most)| total > most)?;
        let text = format!("the file has {}, and at most {} are allowed", size::bytes(total), size::bytes(most));
        Some(Error::new(ErrorKind::TooLarge, text).with_url(shown_url(&file.spec.url)))
    }

    /// What is there of a file, and how much of it if it is unfinished.
    fn state(&self, file: &Planned<'_>) -> (&'static str, u64) {
        let path = self.options.dir.join(&file.path);
        let has = |path: &Path| path.symlink_metadata().is_ok();
        let mut journal = path.clone().into_os_string();
        journal.push(".towline.json");
        let begun = inspect::partial(Path::new(&journal)).filter(|_| self.options.resume);
        match begun {
            Some(begun) => ("unfinished", begun.done_bytes),
            None if file.is_changed => ("changed", 0),
            None if has(&path) => ("exists", 0),
            None => ("new", 0),
        }
    }

    fn complain(&mut self, error: Error) {
        if error.kind() == ErrorKind::Interrupted {
            return;
        }
        let complaint = Complaint::from(error);
        complaint.say();
        self.code = self.code.max(complaint.code());
    }

    fn sum_up(&self) {
        let files = if self.files == 1 { "1 file".to_owned() } else { format!("{} files", self.files) };
        let bytes =
            self.bytes.filter(|_| self.files > 0).map_or_else(String::new, |bytes| format!(", {}", size::bytes(bytes)));
        let old = if self.not_newer > 0 { format!(", {} not newer", self.not_newer) } else { String::new() };
        let compared = match self.compared {
            0 => String::new(),
            1 => " 1 exists and would be compared,".to_owned(),
            many => format!(" {many} exist and would be compared,"),
        };
        say(&format!("towline: would fetch {files}{bytes};{compared} {} already there{old}", self.there));
    }
}
