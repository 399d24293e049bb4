//! Commands to a session, from any thread, and questions about it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use towline_threads::queue::Queue;
use towline_threads::supervisor::{Interrupt, InterruptSink, InterruptSource};

use super::subscription::{Subscribers, Subscription};
use crate::dispatch::driver::Queues;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Progress;
use crate::job::{FEED_JOBS_FROM, JobId, JobSpec};
use crate::message::{Command, Message};
use crate::provider::Web;
use crate::status::{JobChange, JobFilter, JobPage, JobStatus};

/// An answer takes no longer, unless something is wrong.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Commands a session, from any thread. Cheap to clone.
///
/// Commands to a session that has ended do nothing.
#[derive(Clone)]
pub struct SessionHandle {
    inner: Arc<HandleInner>,
}

struct HandleInner {
    queues: Queues,
    numbers: Mutex<Numbers>,
    sink: Mutex<SinkState>,
    subscribers: Arc<Subscribers>,
}

/// The numbers that jobs were given.
#[derive(Default)]
struct Numbers {
    next: u64,
    /// Those that callers gave, from `next` on.
    given: BTreeSet<u64>,
}

impl Numbers {
    fn take(&mut self) -> JobId {
        while self.given.remove(&self.next) {
            self.next += 1;
        }
        let id = JobId(self.next);
        self.next += 1;
        id
    }

    fn claim(&mut self, id: JobId) -> bool {
        id.0 >= self.next && self.given.insert(id.0)
    }
}

/// Where a stop goes: it may be asked for before the session runs.
enum SinkState {
    Early(bool),
    /// And whether it was asked for since.
    Connected(InterruptSink, bool),
}

impl SessionHandle {
    pub(super) fn new() -> Self {
        let inner = HandleInner {
            queues: Queues::new(),
            numbers: Mutex::default(),
            sink: Mutex::new(SinkState::Early(false)),
            subscribers: Arc::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(super) fn queues(&self) -> Queues {
        self.inner.queues.clone()
    }

    pub(super) fn subscribers(&self) -> Arc<Subscribers> {
        Arc::clone(&self.inner.subscribers)
    }

    /// Adds a file; it begins when it is its turn. Its number is the lowest that was not given before.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if the session has ended. What is wrong with the spec is told as the job's
    /// failure.
    pub fn add(&self, spec: JobSpec) -> Result<JobId> {
        let id = self.inner.numbers.lock().take();
        self.send_add(id, spec)
    }

    /// Adds a file under a number of the caller's, who keeps it beyond the session.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if the number was given before in this session or is not below 2⁴⁰, or if the
    /// session has ended.
    pub fn add_as(&self, id: JobId, spec: JobSpec) -> Result<JobId> {
        if id.0 >= FEED_JOBS_FROM || !self.inner.numbers.lock().claim(id) {
            let text = format!("the number {} cannot be given to a job: it is too large or was given before", id.0);
            return Err(Error::new(ErrorKind::Usage, text));
        }
        self.send_add(id, spec)
    }

    fn send_add(&self, id: JobId, spec: JobSpec) -> Result<JobId> {
        match self.command(Command::Add(id, Box::new(spec))) {
            true => Ok(id),
            false => Err(Error::new(ErrorKind::Usage, "the session has ended, and takes no more files")),
        }
    }

    /// How a job stands, or how it ended; `None` if the session does not know it (any more), has not begun
    /// or does not answer within a second.
    pub fn status(&self, job: JobId) -> Option<JobStatus> {
        self.ask(|reply| Command::Status(job, reply)).flatten()
    }

    /// Up to `max` (1,000 at most) of the jobs that the filter wants, in the order of their numbers, those
    /// behind `after`. Of the ended ones it knows the last 1,024 that were added one by one. Empty where
    /// [`SessionHandle::status`] is `None`.
    pub fn jobs(&self, filter: JobFilter, after: Option<JobId>, max: usize) -> JobPage {
        self.ask(|reply| Command::Jobs { filter, after, max, reply }).unwrap_or_default()
    }

    /// Changes a job; false if there is none of this number that has not ended.
    pub fn change(&self, job: JobId, change: JobChange) -> bool {
        self.ask(|reply| Command::Change(job, change, reply)).unwrap_or(false)
    }

    /// Gives a job that waits this place among those of its host, 0 being the next; hosts take turns, and
    /// with 0 it has the next turn too. False if it does not wait.
    pub fn move_to(&self, job: JobId, position: usize) -> bool {
        self.ask(|reply| Command::Move(job, position, reply)).unwrap_or(false)
    }

    /// Makes requests for providers, as this session makes those for its files.
    pub fn web(&self) -> Web {
        Web::new(self.inner.queues.messages.clone())
    }

    /// Listens to the session's events from now on, without holding it up; for who must miss nothing there
    /// is the [`Reporter`](crate::Reporter).
    pub fn subscribe(&self) -> Subscription {
        self.inner.subscribers.subscribe()
    }

    /// Stops a file; what has come is saved and its connections are freed.
    pub fn pause(&self, job: JobId) {
        self.command(Command::Pause(job));
    }

    /// Lets a paused file go on.
    pub fn resume(&self, job: JobId) {
        self.command(Command::Resume(job));
    }

    /// Gives a file up. What has come stays on the disk, and a later run can resume it.
    pub fn cancel(&self, job: JobId) {
        self.command(Command::Cancel(job));
    }

    /// Changes how many files are fetched at once; running ones are not broken off.
    pub fn set_jobs(&self, jobs: usize) {
        self.command(Command::SetJobs(jobs));
    }

    /// Changes how many connections go to one host; open ones are not broken off.
    pub fn set_max_per_host(&self, connections: usize) {
        self.command(Command::SetMaxPerHost(connections));
    }

    /// Changes how many connections there are in all; open ones are not broken off.
    pub fn set_max_connections(&self, connections: usize) {
        self.command(Command::SetMaxConnections(connections));
    }

    /// Changes the rate limit, bytes a second over everything.
    pub fn set_limit_rate(&self, bps: Option<u64>) {
        self.command(Command::SetLimitRate(bps));
    }

    /// Changes the rate limit of each host, bytes a second.
    pub fn set_limit_rate_per_host(&self, bps: Option<u64>) {
        self.command(Command::SetLimitRatePerHost(bps));
    }

    /// How everything stands; `None` if the session has not begun, does not answer within a second or has
    /// ended.
    pub fn snapshot(&self) -> Option<Progress> {
        self.ask(Command::Snapshot)
    }

    /// Nothing will be added any more: the session ends when everything has ended.
    pub fn close(&self) {
        self.command(Command::Close);
    }

    /// Ends the session now, in order: what has come is saved and can be resumed.
    pub fn stop(&self) {
        let mut sink = self.inner.sink.lock();
        match &mut *sink {
            SinkState::Early(is_stopped) => *is_stopped = true,
            SinkState::Connected(sink, is_stopped) => {
                // A second interrupt would end the run at once.
                if !std::mem::replace(is_stopped, true) {
                    sink.send(Interrupt::Requested);
                }
            }
        }
    }

    fn ask<T>(&self, command: impl FnOnce(Queue<T>) -> Command) -> Option<T> {
        let reply = Queue::bounded(1);
        if !self.command(command(reply.clone())) {
            return None;
        }
        reply.get_timeout(ANSWER_WITHIN).ok()
    }

    /// Says whether the session takes commands still.
    fn command(&self, command: Command) -> bool {
        self.inner.queues.messages.put(Message::Command(command)).is_ok()
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionHandle").finish_non_exhaustive()
    }
}

/// The injected source, and [`SessionHandle::stop`].
pub(super) struct Interrupts {
    pub(super) handle: SessionHandle,
    pub(super) outer: Option<Box<dyn InterruptSource>>,
}

impl InterruptSource for Interrupts {
    fn start(self: Box<Self>, sink: InterruptSink) {
        if let Some(outer) = self.outer {
            outer.start(sink.clone());
        }
        let mut state = self.handle.inner.sink.lock();
        let is_stopped = matches!(*state, SinkState::Early(true));
        if is_stopped {
            sink.send(Interrupt::Requested);
        }
        *state = SinkState::Connected(sink, is_stopped);
    }
}
