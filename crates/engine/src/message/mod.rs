//! The messages between the engine's threads, each operation declared once: the core's input ([`Message`]),
//! its output ([`Effect`]), and the requests to the opener (`open`), the committer (`commit`), the workers
//! (`work`) and the feed (`feed`), and providers' questions (`ask`). Values only; no thread owns them.

mod ask;
pub(crate) mod commit;
pub(crate) mod feed;
pub(crate) mod open;
pub(crate) mod work;

use std::time::Duration;

use bytes::Bytes;
use towline_threads::queue::Queue;
use url::Url;

pub(crate) use self::ask::{Ask, Reply};
pub use self::ask::{WebAnswer, WebRequest};
pub(crate) use self::commit::{CommitRequest, Fate, ListedOffice, Publish, Published, Store};
pub(crate) use self::feed::FeedRequest;
pub(crate) use self::open::{Adopt, Adopted, Existing, Look, Note, Open, OpenRequest, Prepared, Survey};
pub(crate) use self::work::{
    Alpn, Demand, End, Ended, Fetch, FetchKind, Head, Protocol, Redirect, Shape, SlotId, WorkRequest,
};
use crate::error::{Error, Result};
use crate::event::{Event, Progress};
use crate::feed::{Fed, Owner, Settled};
use crate::job::{JobId, JobSpec, Located, Profile};
use crate::plan::TransferId;
use crate::ranges::ByteRange;
use crate::status::{JobChange, JobFilter, JobPage, JobStatus};

/// Time since the session started: the core has no clock.
pub(crate) type Time = Duration;

/// Input to the core.
#[derive(Debug)]
pub(crate) enum Message {
    /// A user's command.
    Command(Command),
    /// The feed answered [`FeedRequest::Want`].
    Fed(Result<Fed>),
    /// A warning of the feed, which stops nothing.
    Warned(String),
    /// The feed could not record something.
    FeedFailed {
        action: &'static str,
        error: Error,
    },
    /// The opener checked for existing files.
    Prepared(JobId, Result<Box<Prepared>>),
    /// A partial file was opened; a warning if something was set aside for it.
    Opened(JobId, Result<Option<String>>),
    /// The file of another program is a partial file now.
    Adopted(JobId, Result<Box<Adopted>>),
    /// A range of the existing file was compared: whether it is the same.
    Surveyed(JobId, Result<Survey>),
    Compared(JobId, Result<bool>),
    /// The feed looked up which other entry has this name, if any.
    Owned(JobId, Result<Owner>),
    /// A complete small file was written and published.
    Stored(JobId, Result<Published>),
    /// A journal was saved.
    Saved(JobId, Result<()>),
    /// A partial file was published.
    Published(JobId, Result<Published>),
    /// A partial file was not published: these ranges of it were never written.
    Hollow(JobId, Vec<(u64, u64)>),
    /// A digest was computed.
    Digested(JobId, Result<Vec<u8>>),
    /// The pieces with another digest than their own.
    PiecesDigested(JobId, Result<Vec<ByteRange>>),
    /// The server responded to a probe. A small body comes with the head.
    Answered(TransferId, Box<Head>, Option<Vec<Bytes>>),
    /// The response to a range was checked and is right.
    Proven(TransferId, Box<Head>),
    /// The same for the response to a sample, whose bytes are still to be compared.
    Identified(TransferId, Box<Head>),
    /// A provider located a source of a job.
    Located(JobId, usize, Result<Located>),
    /// A provider asks its service.
    Ask(Box<Ask>),
    /// A connection was made.
    Connected(SlotId, Protocol),
    /// A transfer ended.
    Ended(Ended),
    /// A worker thread was added.
    WorkerAdded(usize),
    /// Nothing happened; time has passed.
    Tick,
    /// The step: save progress.
    Step,
    /// Shut down cleanly, now.
    Stop,
}

/// A user's command.
#[derive(Debug)]
pub(crate) enum Command {
    Add(JobId, Box<JobSpec>),
    Pause(JobId),
    Resume(JobId),
    Cancel(JobId),
    Change(JobId, JobChange, Queue<bool>),
    Move(JobId, usize, Queue<bool>),
    Status(JobId, Queue<Option<JobStatus>>),
    Jobs { filter: JobFilter, after: Option<JobId>, max: usize, reply: Queue<JobPage> },
    PauseAll,
    ResumeAll,
    SetConnections(usize),
    SetJobs(usize),
    SetMaxPerHost(usize),
    SetMaxConnections(usize),
    SetLimitRate(Option<u64>),
    SetLimitRatePerHost(Option<u64>),
    Snapshot(Queue<Progress>),
    Close,
}

/// Asks a provider where this source of a job is now. The provider knows it as `entry`.
#[derive(Debug)]
pub(crate) struct LocateRequest {
    pub(crate) job: JobId,
    pub(crate) source: usize,
    pub(crate) entry: Url,
    pub(crate) profile: Profile,
}

/// Output of the core: something to be done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// For the opener.
    Open(OpenRequest),
    /// For the committer.
    Commit(CommitRequest),
    /// For the worker with this number.
    Work(usize, WorkRequest),
    /// For a provider.
    Locate(LocateRequest),
    /// For the feed.
    Feed(FeedRequest),
    /// Tell the feed how an entry ended; the driver groups these.
    Settle(Settled),
    /// For the reporter.
    Report(Event),
    /// Change the rate limit.
    LimitRate(Option<u64>),
}
