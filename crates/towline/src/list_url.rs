//! Fetches a list that has a URL, before the files in it: as safely as any file, and kept nowhere.

use std::fs::File;

use towline_engine::feed::ListSource;
use towline_engine::options::{Durability, HttpOptions};
use towline_engine::{JobSpec, Options, Session};
use url::Url;

use crate::advice;
use crate::complaint::Complaint;
use crate::exit_codes;
use crate::scratch::Scratch;
use crate::screen::summary;

/// A list that is longer is a mistake.
const LIST_BYTES_MAX: u64 = 1 << 30;
const NAME: &str = "list";

/// Fetches the list.
///
/// # Errors
/// What kept it from being fetched; nothing else was started.
pub(crate) fn fetch(url: Url, http: &HttpOptions) -> Result<ListSource, Complaint> {
    let cannot = |error| Complaint::machine(format!("cannot keep the list: {error}"));
    let place = Scratch::new(NAME).map_err(cannot)?;
    let mut options = Options::default();
    options.dir = place.path().to_owned();
    options.http = http.clone();
    options.durability = Durability::Process;
    options.max_size_bytes = Some(LIST_BYTES_MAX);
    let session = Session::builder(options).build()?;
    let handle = session.handle();
    handle.add(JobSpec::new(url).output(NAME))?;
    handle.close();
    let ended = session.run()?.summary;
    if let Some(failure) = ended.failures.first() {
        let code = exit_codes::from_summary(&ended.failure_kinds);
        let what = summary::failure_line(&failure.url, &failure.error);
        let complaint = Complaint::new(code, format!("cannot fetch the list: {what}"));
        return Err(match failure.error.advice {
            Some(advice) => complaint.hint(advice::words(advice)),
            None => complaint,
        });
    }
    let list = File::open(place.path().join(NAME)).map_err(cannot)?;
    Ok(ListSource::Reader(Box::new(list)))
}
