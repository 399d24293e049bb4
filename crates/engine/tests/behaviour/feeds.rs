//! A feed other than a list: its entries have their own options, may be taken by others once released, and need
//! heartbeats while they are worked on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;
use towline_engine::feed::{EntryId, Fed, FedEntry, Feed, Settled, SettledState};
use towline_engine::options::Existing;
use towline_engine::{Error, Event, JobSpec, Session};
use towline_origin::{Fault, Origin, Resource};

use crate::common::{LONG, Live, MIB, Place, fetch_with, spec, until, with_watchdog};

/// The calls that a queue received.
#[derive(Default)]
struct Told {
    settled: BTreeMap<u64, &'static str>,
    beats: u32,
}

/// A queue of specs.
struct Queue {
    specs: Vec<JobSpec>,
    given: u64,
    told: Arc<Mutex<Told>>,
}

impl Queue {
    fn new(specs: Vec<JobSpec>) -> (Self, Arc<Mutex<Told>>) {
        let told = Arc::default();
        (Self { specs, given: 0, told: Arc::clone(&told) }, told)
    }
}

impl Feed for Queue {
    fn next(&mut self, max: usize, _patience: Duration) -> Result<Fed, Error> {
        let count = max.min(self.specs.len());
        let first = self.given;
        self.given += count as u64;
        let entries = (first..)
            .zip(self.specs.drain(..count))
            .map(|(number, spec)| FedEntry::Job { entry: EntryId(number), spec, name: None })
            .collect();
        let ended = self.specs.is_empty();
        Ok(Fed { entries, read_entries: self.given, read_all: ended, ended })
    }

    fn settle(&mut self, settled: Vec<Settled>) -> Result<(), Error> {
        for one in settled {
            let how = match one.state {
                SettledState::Named(_) => continue,
                SettledState::Done { .. } => "done",
                SettledState::Skipped => "skipped",
                SettledState::Released => "released",
                SettledState::Unknown => "unknown",
                SettledState::Cancelled => "cancelled",
                SettledState::Failed { .. } => "failed",
            };
            assert_eq!(self.told.lock().settled.insert(one.entry.0, how), None, "it ends once");
        }
        Ok(())
    }

    fn heartbeat_every(&self) -> Option<Duration> {
        Some(Duration::from_millis(5))
    }

    fn heartbeat(&mut self) -> Result<(), Error> {
        self.told.lock().beats += 1;
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn entries_of_a_queue_have_options_and_each_ends_once() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().files("/{}.bin", 4, 50_000, 20).start().unwrap();
        let place = Place::new();
        std::fs::create_dir_all(place.file("sub")).unwrap();
        std::fs::write(place.file("sub/2.bin"), "mine").unwrap();
        let (queue, told) = Queue::new(vec![
            spec(&origin, "/0.bin"),
            spec(&origin, "/1.bin").dir("sub").output("one.bin"),
            spec(&origin, "/2.bin").dir("sub").existing(Existing::Skip),
            spec(&origin, "/missing.bin"),
        ]);
        fetch_with(Session::builder(place.options()).feed(queue), []);
        place.assert_content("0.bin", 20, 50_000);
        place.assert_content("sub/one.bin", 21, 50_000);
        assert_eq!(std::fs::read(place.file("sub/2.bin")).unwrap(), b"mine");
        let settled: Vec<_> = told.lock().settled.values().copied().collect();
        assert_eq!(settled, ["done", "done", "skipped", "failed"]);
    });
}

/// A queue whose entries come only when the session has been told to stop.
struct Late {
    queue: Queue,
    is_stopped: mpsc::Receiver<()>,
    is_asked: mpsc::Sender<()>,
}

impl Feed for Late {
    fn next(&mut self, max: usize, patience: Duration) -> Result<Fed, Error> {
        let _ = self.is_asked.send(());
        // Told once; then there is nothing to wait for.
        let _ = self.is_stopped.recv();
        self.queue.next(max, patience)
    }

    fn settle(&mut self, settled: Vec<Settled>) -> Result<(), Error> {
        self.queue.settle(settled)
    }

    fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn entries_that_come_after_a_stop_are_released() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().files("/{}.bin", 3, 1000, 20).start().unwrap();
        let place = Place::new();
        let specs = (0..3).map(|number| spec(&origin, &format!("/{number}.bin"))).collect();
        let (queue, told) = Queue::new(specs);
        let ((is_asked, asked), (stopped, is_stopped)) = (mpsc::channel(), mpsc::channel());
        let live = Live::start(Session::builder(place.options()).feed(Late { queue, is_stopped, is_asked }));
        asked.recv().unwrap();
        live.handle.stop();
        stopped.send(()).unwrap();
        live.end();
        let settled: Vec<_> = told.lock().settled.values().copied().collect();
        assert_eq!(settled, ["released"; 3]);
        assert_eq!(origin.stats().requests, 0);
    });
}

#[test]
fn what_is_interrupted_is_released_and_what_is_worked_on_has_a_heartbeat() {
    with_watchdog(LONG, || {
        let slow = Resource::new("/slow.bin", 7, 8 * MIB).fault(Fault::RatePerConnection(200_000));
        let origin = Origin::builder().resource(slow).files("/{}.bin", 30, 1000, 20).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        (options.jobs, options.connections) = (1, Some(1));
        let mut specs = vec![spec(&origin, "/slow.bin")];
        specs.extend((0..30).map(|number| spec(&origin, &format!("/{number}.bin"))));
        let (queue, told) = Queue::new(specs);
        let mut live = Live::start(Session::builder(options).feed(queue));
        live.wait_for("the slow one's first bytes", |event| match event {
            Event::Progress(progress) => progress.done_bytes > 0,
            _ => false,
        });
        let before = told.lock().beats;
        until("three more heartbeats", || told.lock().beats >= before + 3);
        live.handle.stop();
        live.end();
        let told = told.lock();
        assert_eq!(told.settled.len(), 31, "each has ended");
        assert_eq!(told.settled[&0], "released");
        assert!(told.settled.values().all(|how| ["released", "done"].contains(how)), "{:?}", told.settled);
    });
}
