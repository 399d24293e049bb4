//! The phases of a job, and why it is closed.

use super::Answered;
use crate::error::Error;
use crate::event::How;
use crate::journal::Journal;
use crate::message::{Published, Time};
use crate::ranges::ByteRange;

/// The phase of a job.
#[derive(Debug)]
pub(crate) enum Phase {
    /// In the queue.
    Waiting,
    /// The opener checks what exists under its name, which may come from a response.
    Preparing(Option<Box<Answered>>),
    /// The digest of an existing file is computed.
    CheckingExisting(Option<Box<Answered>>),
    /// The feed is asked which entry owns an existing file.
    AskingOwner(Option<Box<Answered>>),
    /// Waits for a connection for its first request.
    Ready,
    /// Its first request is in flight.
    Probing,
    /// Its partial file is being opened.
    Opening,
    /// The file of another program becomes its partial file.
    Adopting,
    /// An existing file is compared with the server's.
    Comparing(Comparison),
    /// Bytes arrive (or it waits for a connection or a retry).
    Moving,
    /// All bytes are here. The closing check started at this time.
    Checking { since: Time },
    /// The digest of the partial file is computed.
    Verifying,
    /// It is being synced and renamed.
    Publishing,
    /// Its transfers are aborted; then its journal is saved.
    Closing(Closing),
    /// Stopped by a command; its partial file stays open.
    Paused,
}

/// The comparison of an existing file with the server's.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) answered: Box<Answered>,
    /// The ranges left to compare, which are requested one by one; `None` to compare the whole file with the
    /// response's body.
    pub(crate) samples: Option<Vec<ByteRange>>,
    /// It may be the beginning of the server's file, not all of it.
    pub(crate) is_half: bool,
}

/// Why a job is being closed, which decides what follows.
#[derive(Debug)]
pub(crate) enum Closing {
    Fail(Error),
    /// With `resumes`, the user has already resumed it.
    Pause {
        resumes: bool,
    },
    Cancel,
    Interrupt,
    /// The file already exists.
    There(How, Published),
    /// The file is complete; the transfers that are left have lost a race.
    Complete,
    /// Restart from the first byte, for this reason: a response reported another version, or bytes differ.
    Restart {
        reason: String,
        by: By,
    },
    /// Resume from the journal that was found under its name.
    TakeOver(Box<Journal>),
    /// Give up the current data and resume the version that is kept beside it.
    TakeBack,
    /// Make this source the lead.
    Lead(usize),
    /// Wait in the queue until this machine has more room for it.
    Requeue,
}

/// What shows that the file is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Responses report another version.
    Version,
    /// Refetched bytes differ.
    Bytes,
    /// The data does not have the promised digest: neither its bytes nor its length are those of the file.
    Digest,
}
