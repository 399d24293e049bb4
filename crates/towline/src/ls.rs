//! `towline ls`: prints the files behind links of services.

use serde_json::json;
use towline_engine::inspect;
use towline_engine::options::HttpOptions;
use towline_engine::provider::{Entry, Providers, Web};
use towline_engine::secret::printable;
use towline_engine::{ErrorKind, Result, size};
use towline_threads::supervisor::signals::Signals;
use url::Url;

use crate::args::LsArgs;
use crate::complaint::Complaint;
use crate::say::answer;
use crate::services::{self, Talked};
use crate::which::Which;
use crate::{exit_codes, settings};

/// Lists each link in turn. A failure does not stop the others.
pub(crate) fn run(args: LsArgs) -> Result<u8, Complaint> {
    let signals = Signals::install().map_err(|error| Complaint::machine(format!("cannot catch signals: {error}")))?;
    let http = settings::http(args.http)?;
    let providers = services::providers(&args.which, &http.headers)?;
    let links = args.links.iter().map(|link| settings::link(link)).collect::<Result<Vec<_>, _>>()?;
    if let Some(other) = links.iter().find(|link| providers.of(link).is_none()) {
        let shown = towline_engine::secret::shown_url(other);
        let hint = match other.path().ends_with('/') {
            true => "use --recursive-index to list a server's index pages",
            false => "`towline info` shows what a server says of a plain URL",
        };
        return Err(Complaint::usage(format!("not a link of a service that can be listed: {shown}")).hint(hint));
    }
    let listing = Ls { providers, which: Which::new(&args.which)?, json: args.json, http: http.clone() };
    let talked = services::talk(http, signals, move |web| Ok(listing.links(&links, web)))?;
    match talked {
        Talked::Ended(code) => Ok(code),
        Talked::Interrupted(interrupt) => interrupt.raise_default(),
    }
}

struct Ls {
    providers: Providers,
    which: Which,
    json: bool,
    http: HttpOptions,
}

impl Ls {
    fn links(&self, links: &[Url], web: &Web) -> u8 {
        let mut code = exit_codes::DONE;
        for link in links {
            let entries = match self.providers.entries(link, web) {
                Ok(entries) => entries,
                Err(error) => Box::new(std::iter::once(Err(error))),
            };
            for entry in entries {
                match self.print(entry, web) {
                    Printed::Yes => {}
                    Printed::Failed(failure) => code = code.max(failure),
                    Printed::NobodyReads(failure) => return code.max(failure),
                }
            }
        }
        code
    }

    fn print(&self, entry: Result<Entry>, web: &Web) -> Printed {
        let entry = match entry {
            Ok(entry) if self.which.has(&entry) => entry,
            Ok(_) => return Printed::Yes,
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                return Printed::NobodyReads(exit_codes::DONE);
            }
            Err(error) => {
                let complaint = Complaint::from(error);
                complaint.say();
                return Printed::Failed(complaint.code());
            }
        };
        let entry = match self.named(entry, web) {
            Ok(entry) => entry,
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                return Printed::NobodyReads(exit_codes::DONE);
            }
            Err(error) => {
                let complaint = Complaint::from(error);
                complaint.say();
                return Printed::Failed(complaint.code());
            }
        };
        let line = if self.json { as_json(&entry) } else { as_text(&entry) };
        match answer(&line) {
            Ok(true) => Printed::Yes,
            Ok(false) => Printed::NobodyReads(exit_codes::DONE),
            Err(complaint) => {
                complaint.say();
                Printed::NobodyReads(complaint.code())
            }
        }
    }
}

impl Ls {
    /// A file that its server names: it is asked.
    fn named(&self, mut entry: Entry, web: &Web) -> Result<Entry> {
        if entry.path.as_os_str().is_empty() {
            let info = inspect::server_unless(&entry.url, &self.http, &|| web.has_ended())?;
            entry.path = info.file_name.into();
            entry.total_bytes = entry.total_bytes.or(info.total_bytes);
        }
        Ok(entry)
    }
}

enum Printed {
    Yes,
    Failed(u8),
    /// Nothing more can be printed; the code for why.
    NobodyReads(u8),
}

fn as_text(entry: &Entry) -> String {
    let length = entry.total_bytes.map_or_else(|| "?".to_owned(), size::bytes);
    let path = entry.safe_path();
    let day = entry.modified.as_deref().map_or("          ", |time| time.get(..10).unwrap_or(time));
    format!("{length:>10}  {}  {}", printable(day), printable(&path.to_string_lossy()))
}

fn as_json(entry: &Entry) -> String {
    let checksum = entry.checksum.as_ref().map(ToString::to_string);
    json!({
        "path": entry.safe_path().to_string_lossy(),
        "bytes": entry.total_bytes,
        "modified": entry.modified,
        "checksum": checksum,
        "url": towline_engine::secret::shown_url(&entry.url),
    })
    .to_string()
}
