//! Follows the events of a session that is running, and pauses, resumes and cancels its files.
//!
//! `cargo run -p towline-engine --example session -- DIR URL URL URL`: the first file is paused as
//! soon as its bytes come, and resumed when the second has ended; the third is cancelled.

use std::io::{self, Write};

use towline_engine::{Event, JobSpec, Options, Session};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: session DIR URL URL URL";
    let mut options = Options::default();
    options.dir = arguments.next().ok_or(usage)?.into();

    let (events, inbox) = std::sync::mpsc::channel();
    let session = Session::builder(options).reporter(move |event: &Event| drop(events.send(event.clone()))).build()?;
    let handle = session.handle();
    let mut jobs = Vec::new();
    for url in arguments {
        jobs.push(handle.add(JobSpec::new(url.parse()?))?);
    }
    let [first, second, third] = jobs[..] else { return Err(usage.into()) };

    // The session runs on its own thread; this one follows its events.
    let running = towline_threads::thread::Builder::new().name("session").spawn(move || session.run())?;
    handle.cancel(third);
    let mut out = io::stdout();
    while let Ok(event) = inbox.recv() {
        match event {
            Event::Answered { job, .. } if job == first => handle.pause(first),
            Event::Paused { job } => writeln!(out, "paused {}", job.get())?,
            Event::Resumed { job } => writeln!(out, "resumed {}", job.get())?,
            Event::Cancelled { job, .. } => writeln!(out, "cancelled {}", job.get())?,
            Event::Failed { job, error, .. } => writeln!(out, "failed {}: {}", job.get(), error.message)?,
            Event::Finished { job, bytes, .. } => {
                writeln!(out, "finished {} with {bytes} bytes", job.get())?;
                if job == second {
                    handle.resume(first);
                    handle.close();
                }
            }
            Event::Summary(summary) => {
                writeln!(out, "{} done, {} cancelled", summary.done_files, summary.cancelled_files)?;
                break;
            }
            _ => {}
        }
    }
    running.join()??;
    Ok(())
}
