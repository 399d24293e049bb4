//! Commands and queries to a session, from any thread.

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

/// A reply takes at most this long, unless something is wrong.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Sends commands to a session, from any thread. Cheap to clone.
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

/// The job numbers assigned so far.
#[derive(Default)]
struct Numbers {
    next: u64,
    /// Numbers that callers chose, from `next` on.
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

/// Where a stop request goes; it may come before the session runs.
enum SinkState {
    Early(bool),
    /// With whether a stop was requested since.
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

    /// Adds a file, which starts when its turn comes. It gets the lowest unused number.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if the session has ended. Errors in the spec are reported as the job's failure.
    pub fn add(&self, spec: JobSpec) -> Result<JobId> {
        let id = self.inner.numbers.lock().take();
        self.send_add(id, spec)
    }

    /// Adds a file under a number that the caller chose in order to keep it beyond the session.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if the number was used before in this session or is not below 2⁴⁰, or if the
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

    /// The state of a job, or its outcome; `None` if the session does not know it (any more), has not started
    /// or does not reply within a second.
    pub fn status(&self, job: JobId) -> Option<JobStatus> {
        self.ask(|reply| Command::Status(job, reply)).flatten()
    }

    /// Up to `max` jobs (at most 1,000) that match the filter and come after `after`, in order of their
    /// numbers. Of the ended jobs that were added one by one, the session remembers the last 1,024. Empty where
    /// [`SessionHandle::status`] is `None`.
    pub fn jobs(&self, filter: JobFilter, after: Option<JobId>, max: usize) -> JobPage {
        self.ask(|reply| Command::Jobs { filter, after, max, reply }).unwrap_or_default()
    }

    /// Changes a job; false if there is no such job or it has ended.
    pub fn change(&self, job: JobId, change: JobChange) -> bool {
        self.ask(|reply| Command::Change(job, change, reply)).unwrap_or(false)
    }

    /// Moves a waiting job to this position in its host's queue, 0 being next; hosts take turns, and position 0
    /// also gives the host the next turn. False if the job is not waiting.
    pub fn move_to(&self, job: JobId, position: usize) -> bool {
        self.ask(|reply| Command::Move(job, position, reply)).unwrap_or(false)
    }

    /// Returns a client for providers, whose requests are sent like the session's own.
    pub fn web(&self) -> Web {
        Web::new(self.inner.queues.messages.clone())
    }

    /// Subscribes to the session's events from now on, without delaying it; use the
    /// [`Reporter`](crate::Reporter) if no event may be missed.
    pub fn subscribe(&self) -> Subscription {
        self.inner.subscribers.subscribe()
    }

    /// Pauses a file; what has arrived is saved and its connections are freed.
    pub fn pause(&self, job: JobId) {
        self.command(Command::Pause(job));
    }

    /// Resumes a paused file.
    pub fn resume(&self, job: JobId) {
        self.command(Command::Resume(job));
    }

    /// Pauses all files, and begins none.
    pub fn pause_all(&self) {
        self.command(Command::PauseAll);
    }

    /// Resumes all files that are paused.
    pub fn resume_all(&self) {
        self.command(Command::ResumeAll);
    }

    /// Cancels a file. What has arrived stays on disk, and a later run can resume it.
    pub fn cancel(&self, job: JobId) {
        self.command(Command::Cancel(job));
    }

    /// Sets up to how many connections each file gets, except for those with a number of their own. Limits that are lower
    /// are raised.
    pub fn set_connections(&self, connections: usize) {
        self.command(Command::SetConnections(connections));
    }

    /// Sets how many files to fetch at once; running ones are not interrupted.
    pub fn set_jobs(&self, jobs: usize) {
        self.command(Command::SetJobs(jobs));
    }

    /// Sets the maximum number of connections per host; open ones stay.
    pub fn set_max_per_host(&self, connections: usize) {
        self.command(Command::SetMaxPerHost(connections));
    }

    /// Sets the maximum number of connections in total; open ones stay.
    pub fn set_max_connections(&self, connections: usize) {
        self.command(Command::SetMaxConnections(connections));
    }

    /// Sets the total rate limit, in bytes per second.
    pub fn set_limit_rate(&self, bps: Option<u64>) {
        self.command(Command::SetLimitRate(bps));
    }

    /// Sets the rate limit per host, in bytes per second.
    pub fn set_limit_rate_per_host(&self, bps: Option<u64>) {
        self.command(Command::SetLimitRatePerHost(bps));
    }

    /// Overall progress; `None` if the session has not started, does not reply within a second or has ended.
    pub fn snapshot(&self) -> Option<Progress> {
        self.ask(Command::Snapshot)
    }

    /// Closes the session for new files: it ends once all files have ended.
    pub fn close(&self) {
        self.command(Command::Close);
    }

    /// Stops the session now, in order: what has arrived is saved and can be resumed.
    pub fn stop(&self) {
        let mut sink = self.inner.sink.lock();
        match &mut *sink {
            SinkState::Early(is_stopped) => *is_stopped = true,
            SinkState::Connected(sink, is_stopped) => {
                // A second interrupt would end the run immediately.
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

    /// Returns whether the session still accepts commands.
    fn command(&self, command: Command) -> bool {
        self.inner.queues.messages.put(Message::Command(command)).is_ok()
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionHandle").finish_non_exhaustive()
    }
}

/// The injected interrupt source, together with [`SessionHandle::stop`].
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
