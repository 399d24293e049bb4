//! `towline get`: builds a session of the engine, runs it under the process's signals, and reports how
//! it ended. Runs on the main thread, which is the session's supervisor.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use towline_engine::event::Summary;
use towline_engine::feed::{Batch, ListSource};
use towline_engine::report::{Many, StatusFile};
use towline_engine::{Error, Session};
use towline_threads::supervisor::signals::Signals;

use crate::args::GetArgs;
use crate::complaint::Complaint;
use crate::cookie_jar::JarFile;
use crate::on_complete::{self, OnComplete};
use crate::say::say;
use crate::screen::{Collected, Collector, Keys, Screen, View, Worded, summary};
use crate::settings::{self, Settings};
use crate::stream::{Delivery, Stream};
use crate::{dry_run, exit_codes};

/// Up to this many URLs get a line each if nothing can be redrawn.
const FEW_FILES: usize = 20;
const STATUS_FILE_EVERY: Duration = Duration::from_millis(500);
/// After a signal, the process ends within this time, whatever it waits for. The engine's threads get a
/// little less; the rest is for the final messages, which may block on a pipe that nobody reads.
const END_MAX: Duration = Duration::from_millis(1950);

/// Downloads, and returns the exit code. An interrupted run ends by its signal instead.
pub(crate) fn run(args: GetArgs) -> Result<u8, Complaint> {
    // Before anything that may block: a named pipe, a slow disk, output that nobody reads.
    let signals = Signals::install_with_limit(END_MAX)
        .map_err(|error| Complaint::machine(format!("cannot catch signals: {error}")))?;
    let settings = settings::resolve(args)?;
    let logging = settings.log.start()?;
    if settings.options.http.insecure {
        say("towline: --insecure: certificates are not verified");
    }
    if settings.is_dry_run {
        let code = dry_run::run(settings, signals)?;
        return Ok(code.max(said([logging.end()])));
    }
    let view = view(&settings);
    let expected_files = settings.jobs.len() as u64;
    let collected = Arc::new(Collected::default());
    let mut settings = settings;
    let may_read_keys = may_read_keys(&settings);
    let stream = settings.stream.take();
    let cookie_jar = settings.cookie_jar.take();
    let programs = settings.on_complete.take().map(|program| on_complete::start(program.into())).transpose()?;
    let (finished, programs) = programs.unzip();
    let screen = Screen::new(&view, &collected);
    let (pressable, connections) = (screen.canvas().filter(|_| may_read_keys), settings.options.connections);
    let session = session(settings, &collected, screen, signals, stream.as_ref(), finished)?;
    let keys = pressable.and_then(|canvas| Keys::start(session.handle(), canvas, connections));
    let writing = stream.map(|stream| stream.start(session.handle())).transpose()?;
    let ended = session.run()?;
    drop(keys);
    let kept_cookies = cookie_jar.as_ref().map_or(Ok(()), JarFile::save);
    let passed_on = match (writing, &ended.interrupt) {
        (Some(writing), interrupt) if interrupt.is_none() || writing.has_stopped() => {
            writing.end(ended.summary.done_files == 1).map(Some)
        }
        // A reader that takes nothing must not hold up the end.
        _ => Ok(None),
    };
    if let (Ok(Some(Delivery::Partly)), 0) = (&passed_on, ended.summary.failed_files) {
        // Its reader wants no more.
        let _ = logging.end();
        return Ok(said([kept_cookies]));
    }
    if passed_on.as_ref().is_ok_and(Option::is_none) || ended.summary.failed_files > 0 {
        say_end(&ended.summary, &view, &collected, ended.interrupt.is_some());
    }
    let is_cut = passed_on.is_err();
    let ran = match programs {
        Some(programs) if ended.interrupt.is_none() => programs.end(),
        _ => Ok(()),
    };
    let written = said([passed_on.map(drop), ran, kept_cookies, events_written(&collected), logging.end()]);
    if let Some(interrupt) = ended.interrupt.filter(|_| !is_cut) {
        interrupt.raise_default();
    }
    Ok(code(&ended.summary, expected_files).max(written))
}

/// Says what could not be written. Returns the exit code for it.
fn said<const N: usize>(written: [Result<(), Complaint>; N]) -> u8 {
    let complaints: Vec<Complaint> = written.into_iter().filter_map(Result::err).collect();
    complaints.iter().for_each(Complaint::say);
    complaints.iter().map(Complaint::code).fold(exit_codes::DONE, u8::max)
}

/// A closed pipe is not a failure. Any other error in writing events is, even if all files arrived.
fn events_written(collected: &Collected) -> Result<(), Complaint> {
    match collected.stdout_error() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Complaint::machine(format!("cannot write the events to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

fn view(settings: &Settings) -> View {
    let has_list = settings.list.is_some() || settings.list_url.is_some() || !settings.links.is_empty();
    View {
        is_single: settings.jobs.len() == 1 && !has_list,
        is_stream: settings.stream.is_some(),
        is_few: settings.jobs.len() <= FEW_FILES && !has_list,
        is_quiet: settings.is_quiet,
        is_verbose: settings.is_verbose,
        progress: settings.progress,
    }
}

/// Whether keys may be read: the list does not come from the terminal, and no program runs beside this one that may ask for
/// keys itself.
fn may_read_keys(settings: &Settings) -> bool {
    let has_list = matches!(settings.list, Some(ListSource::Stdin));
    !has_list && settings.stream.is_none() && settings.on_complete.is_none()
}

/// Builds a session with all its jobs, ready to run.
fn session(
    mut settings: Settings,
    collected: &Arc<Collected>,
    screen: Screen,
    signals: Signals,
    stream: Option<&Stream>,
    finished: Option<OnComplete>,
) -> Result<Session, Complaint> {
    let options = settings.options.clone();
    // Reports unusable options before anything is created.
    Session::builder(options.clone()).check()?;
    let mut builder = Session::builder(options.clone()).providers(settings.providers.clone());
    let batch = match settings.list_source(builder.web())? {
        Some(list) => {
            if let ListSource::File(path) = &list {
                check_list(path)?;
            }
            std::fs::create_dir_all(&options.dir)
                .map_err(|source| Error::storage("create the directory", &options.dir, source))?;
            Some(Batch::open_as(list, settings.list_options, &options.dir, options.retry_failed, !options.resume)?)
        }
        None => None,
    };
    let mut reporters = Many::new().with(Collector(Arc::clone(collected))).with(screen);
    if let Some(finished) = finished {
        reporters = reporters.with(finished);
    }
    if let Some(path) = settings.status_file {
        reporters = reporters.with(StatusFile::new(path, STATUS_FILE_EVERY));
    }
    builder = builder.reporter(Worded(reporters)).interrupts(signals);
    if let Some(stream) = stream {
        builder = builder.storage(stream.storage.clone());
    }
    if let Some(batch) = batch {
        builder = builder.feed(batch);
    }
    let session = builder.build()?;
    let commands = session.handle();
    for job in settings.jobs {
        commands.add(job)?;
    }
    commands.close();
    Ok(session)
}

/// Checks the list before anything is created. Only a regular file is opened for this, never a pipe.
fn check_list(path: &Path) -> Result<(), Complaint> {
    let cannot = |why: String| Complaint::usage(format!("cannot read the list {}: {why}", path.display()));
    let metadata = path.metadata().map_err(|source| match source.kind() {
        ErrorKind::NotFound => cannot("no such file".to_owned()),
        _ => cannot(source.to_string()),
    })?;
    if metadata.is_dir() {
        return Err(cannot("it is a directory".to_owned()));
    }
    if metadata.is_file() {
        File::open(path).map_err(|source| cannot(source.to_string()))?;
    }
    Ok(())
}

fn say_end(summary: &Summary, view: &View, collected: &Collected, is_interrupted: bool) {
    let arrived = collected.arrived().filter(|_| view.is_single);
    let ended_files = summary.done_files + summary.failed_files + summary.cancelled_files;
    // An interrupt after the last file has interrupted nothing.
    let is_all = summary.total_files_exact && ended_files >= summary.total_files;
    let is_cut_short = is_interrupted && !is_all;
    if !is_cut_short
        && !view.is_quiet
        && let Some(text) = summary::came(summary, arrived.as_ref())
    {
        say(&text);
    }
    if let Some(text) = summary::failed(summary, view.is_single) {
        say(&text);
    }
    if is_cut_short && view.is_stream {
        say("Interrupted. What goes to a stream is not kept: the next run begins at the first byte.");
    } else if is_cut_short {
        let name = view.is_single.then(|| collected.name().unwrap_or_else(|| "the file".to_owned()));
        say(&summary::interrupted(summary, name.as_deref()));
    }
}

/// The exit code. Files without an outcome count as failed.
fn code(summary: &Summary, expected_files: u64) -> u8 {
    let code = exit_codes::from_summary(&summary.failure_kinds);
    let ended_files = summary.done_files + summary.failed_files + summary.cancelled_files;
    if code == exit_codes::DONE && (ended_files > summary.done_files || ended_files < expected_files) {
        return exit_codes::FAILED;
    }
    code
}

#[cfg(test)]
mod tests {
    use towline_engine::ErrorKind;

    use super::*;

    #[test]
    fn all_done_is_0_and_everything_else_is_not() {
        let done = Summary { done_files: 2, total_files: 2, ..Summary::default() };
        assert_eq!(code(&done, 2), exit_codes::DONE);
        assert_eq!(code(&done, 3), exit_codes::FAILED);
        let cancelled = Summary { cancelled_files: 1, ..done.clone() };
        assert_eq!(code(&cancelled, 3), exit_codes::FAILED);
        let full = Summary { failed_files: 1, failure_kinds: vec![ErrorKind::DiskFull], ..done };
        assert_eq!(code(&full, 3), exit_codes::MACHINE);
    }
}
