//! What the engine's threads say to each other, each operation declared once: what the core is told
//! ([`Message`]), what it wants done ([`Effect`]), and with whom: the opener (`open`), the committer
//! (`commit`), the workers (`work`), providers (`ask`) and the feed (`feed`). Values only; no thread owns them.

mod ask;
pub(crate) mod commit;
pub(crate) mod feed;
pub(crate) mod open;
pub(crate) mod work;

use std::time::Duration;

use bytes::Bytes;
use towline_threads::queue::Queue;
use url::Url;

pub use self::ask::WebAnswer;
pub(crate) use self::ask::{Ask, Reply};
pub(crate) use self::commit::{CommitRequest, Fate, Publish, Published, Store};
pub(crate) use self::feed::FeedRequest;
pub(crate) use self::open::{Existing, Look, Note, Open, OpenRequest, Prepared};
pub(crate) use self::work::{
    Alpn, Demand, End, Ended, Fetch, FetchKind, Head, Protocol, Redirect, Shape, SlotId, WorkRequest,
};
use crate::error::{Error, Result};
use crate::event::{Event, Progress};
use crate::feed::{Fed, Owner, Settled};
use crate::job::{JobId, JobSpec, Located};
use crate::plan::TransferId;
use crate::status::{JobChange, JobFilter, JobPage, JobStatus};

/// Time since the session began: the core has no clock of its own.
pub(crate) type Time = Duration;

/// Something that the core is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// A user's command.
    Command(Command),
    /// The feed answered [`FeedRequest::Want`].
    Fed(Result<Fed>),
    /// The feed has something to say that stops nothing.
    Warned(String),
    /// The feed could not note something.
    FeedFailed(Error),
    /// A partial file was looked for.
    Prepared(JobId, Result<Box<Prepared>>),
    /// A partial file was opened; what was set aside for it.
    Opened(JobId, Result<Option<String>>),
    /// A part of the file that has the final name was compared: whether it is the same.
    Compared(JobId, Result<bool>),
    /// The feed says which other entry has this name, if any.
    Owned(JobId, Result<Owner>),
    /// A small file was written and published whole.
    Stored(JobId, Result<Published>),
    /// A journal was saved.
    Saved(JobId, Result<()>),
    /// A partial file was published.
    Published(JobId, Result<Published>),
    /// A partial file was not published: nobody has written to these parts of it.
    Hollow(JobId, Vec<(u64, u64)>),
    /// A digest was computed.
    Digested(JobId, Result<Vec<u8>>),
    /// The server answered a probe.
    Answered(TransferId, Box<Head>, Option<Vec<Bytes>>),
    /// An answer to a range was checked and is right.
    Proven(TransferId, Box<Head>),
    /// The same of an answer to a sample, whose bytes are still to be compared.
    Identified(TransferId, Box<Head>),
    /// A provider said where a source of a job is now.
    Located(JobId, usize, Result<Located>),
    /// A provider asks its service.
    Ask(Box<Ask>),
    /// A connection was made.
    Connected(SlotId, Protocol),
    /// A transfer ended.
    Ended(Ended),
    /// A worker thread was added.
    WorkerAdded(usize),
    /// Nothing happened, but it is time to look at the clock.
    Tick,
    /// The step: save what has come.
    Step,
    /// End now, orderly.
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
    SetJobs(usize),
    SetMaxPerHost(usize),
    SetMaxConnections(usize),
    SetLimitRate(Option<u64>),
    SetLimitRatePerHost(Option<u64>),
    Snapshot(Queue<Progress>),
    Close,
}

/// Where is this source of a job, which its provider knows by this URL?
#[derive(Debug)]
pub(crate) struct LocateRequest {
    pub(crate) job: JobId,
    pub(crate) source: usize,
    pub(crate) entry: Url,
}

/// Something that the core wants done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// By the opener.
    Open(OpenRequest),
    /// By the committer.
    Commit(CommitRequest),
    /// By the worker of this number.
    Work(usize, WorkRequest),
    /// By a provider.
    Locate(LocateRequest),
    /// By the feed.
    Feed(FeedRequest),
    /// The feed is told how an entry ended, in groups.
    Settle(Settled),
    /// The reporter is told.
    Report(Event),
    /// The rate limit changes.
    LimitRate(Option<u64>),
}
