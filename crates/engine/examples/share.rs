//! Downloads a whole share with N threads of one's own: the program that somebody with hundreds of files and a
//! deadline writes, on Towline's supervisor.
//!
//! `cargo run -p towline-engine --example share -- DIR THREADS LINK`: a step saves the progress as `progress.json` in
//! DIR twice a second, and Ctrl-C ends all threads in order. The same command goes on where it was.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use towline_engine::provider::{Accounts, OneDrive, Providers};
use towline_engine::{JobSpec, Options, Result, Session, Summary};
use towline_threads::CancelToken;
use towline_threads::queue::Queue;
use towline_threads::supervisor::signals::Signals;
use towline_threads::supervisor::{Crew, Interrupt, Outcome, Supervised, Supervisor};

/// How each file stands, by its path.
type Progress = Arc<Mutex<BTreeMap<PathBuf, String>>>;

struct Share {
    dir: PathBuf,
    providers: Providers,
    files: Queue<JobSpec>,
    progress: Progress,
    threads: usize,
}

impl Supervised for Share {
    fn init_threads(&mut self, crew: &Crew) -> io::Result<()> {
        for number in 0..self.threads {
            let (dir, providers) = (self.dir.clone(), self.providers.clone());
            let (files, progress, cancel) =
                (self.files.clone(), Arc::clone(&self.progress), crew.cancel_token().clone());
            crew.spawn(format!("file-{number}"), move || {
                while let Ok(file) = files.try_get() {
                    if cancel.is_cancelled() {
                        return;
                    }
                    let path = file.output.clone().unwrap_or_default();
                    let ended = match fetch(dir.clone(), providers.clone(), file, &cancel) {
                        Ok(summary) if summary.failed_files > 0 => "failed".to_owned(),
                        Ok(summary) if summary.unfinished_files > 0 => "unfinished".to_owned(),
                        Ok(_) => "done".to_owned(),
                        Err(error) => error.to_string(),
                    };
                    progress.lock().unwrap_or_else(PoisonError::into_inner).insert(path, ended);
                }
            })?;
        }
        Ok(())
    }

    /// The step: saves how far it has come.
    fn run_step(&mut self) {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let saved = serde_json::to_vec_pretty(&progress).map_err(io::Error::other);
        let saved = saved.and_then(|text| std::fs::write(self.dir.join("progress.json"), text));
        if let Err(error) = saved {
            let _ = writeln!(io::stderr(), "the progress cannot be saved: {error}");
        }
    }

    fn run_interrupt(&mut self, _: Interrupt) {
        self.files.shutdown_immediate();
        self.run_step();
    }
}

/// Fetches one file, or stops when `cancel` says so; what has come by then is kept.
fn fetch(dir: PathBuf, providers: Providers, file: JobSpec, cancel: &CancelToken) -> Result<Summary> {
    let mut options = Options::default();
    options.dir = dir;
    let session = Session::builder(options).providers(providers).build()?;
    session.handle().add(file)?;
    session.handle().close();
    let handle = session.handle();
    let _stops = cancel.on_cancel(move |_| handle.stop());
    Ok(session.run()?.summary)
}

/// The files behind a link.
fn listed(dir: &std::path::Path, providers: &Providers, link: &url::Url) -> Result<Vec<JobSpec>> {
    let mut options = Options::default();
    options.dir = dir.to_owned();
    let session = Session::builder(options).build()?;
    let (handle, web) = (session.handle(), session.handle().web());
    std::thread::scope(|scope| {
        let listing = scope.spawn(move || {
            let files = providers.list(link, &web).and_then(Iterator::collect);
            handle.close();
            files
        });
        session.run()?;
        listing.join().expect("the listing does not panic")
    })
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: share DIR THREADS LINK");
    let (dir, threads, link) = (PathBuf::from(next()?), next()?.parse()?, next()?.parse()?);
    let mut onedrive = OneDrive::builder();
    if let Ok(graph) = std::env::var("TOWLINE_GRAPH_URL") {
        onedrive = onedrive.graph(&graph)?;
    }
    onedrive = match (std::env::var("TOWLINE_ONEDRIVE_TOKEN"), std::env::var("HOME")) {
        (Ok(token), _) => onedrive.token(token),
        (_, Ok(home)) => onedrive.accounts(Accounts::in_dir(format!("{home}/.config/towline/accounts"))),
        _ => onedrive,
    };
    let mut providers = Providers::default();
    providers.add(onedrive.build());

    let files = Queue::new();
    let all = listed(&dir, &providers, &link)?;
    let count = all.len();
    for file in all {
        files.put(file).map_err(|_| "nobody has shut the queue down")?;
    }
    let mut share = Share { dir, providers, files, progress: Progress::default(), threads };
    let outcome = Supervisor::new(threads)
        .run_sleep(Duration::from_millis(500))
        .interrupts(Signals::install()?)
        .run(&mut share)?;
    share.run_step();
    let progress = share.progress.lock().unwrap_or_else(PoisonError::into_inner);
    let done = progress.values().filter(|ended| *ended == "done").count();
    writeln!(io::stdout(), "{done} of {count} files are here")?;
    match outcome {
        // As for any program that a signal ends.
        Outcome::Interrupted(interrupt) => interrupt.raise_default(),
        _ => Ok(()),
    }
}
