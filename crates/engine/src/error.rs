//! What can go wrong, whose fault it is, and what to do about it.
//!
//! One opaque [`Error`] for the whole crate: an [`ErrorKind`] to branch on, the context that a person needs
//! (URL without secrets, path, attempts), and the cause.

mod advice;

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

pub use self::advice::Advice;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, for a program to branch on.
///
/// Serialised as one word ([`ErrorKind::name`]); a status number has its own field in events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A URL, option or list that cannot be used as it stands.
    Usage,
    /// A line of the input list cannot be read.
    ListLine,
    /// The host name has no address.
    Resolve,
    /// No connection could be made.
    Connect,
    /// The TLS handshake or the certificate's verification failed.
    Tls,
    /// The proxy refused or is unreachable.
    Proxy,
    /// The server responded with this status.
    Status(u16),
    /// The connection broke, or the body ended early.
    Broken,
    /// No data arrived within the stall timeout.
    Stalled,
    /// The response violates HTTP or does not match the request.
    Protocol,
    /// Too many redirects, a redirect loop, or a redirect that is not allowed.
    Redirect,
    /// The file on the server changed too often during the download, or a new URL leads to another file than
    /// the one in progress.
    Changed,
    /// The content does not have the expected digest.
    Digest,
    /// The file is larger than the user allows.
    TooLarge,
    /// The server sent an HTML page where a file was expected.
    Page,
    /// The final name is taken by another file.
    NameTaken,
    /// There is not enough disk space.
    DiskFull,
    /// A file or directory cannot be read or written, or this machine refused something else that the work
    /// needs.
    Storage,
    /// Another process is working on the same partial file.
    Locked,
    /// The journal was written by a newer version.
    JournalVersion,
    /// The user cancelled the job; it can be resumed.
    Cancelled,
    /// The run was interrupted; the job can be resumed.
    Interrupted,
    /// A bug in Towline.
    Internal,
}

impl ErrorKind {
    /// The kind as one word, as in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::ListLine => "list_line",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Proxy => "proxy",
            Self::Status(_) => "status",
            Self::Broken => "broken",
            Self::Stalled => "stalled",
            Self::Protocol => "protocol",
            Self::Redirect => "redirect",
            Self::Changed => "changed",
            Self::Digest => "digest",
            Self::TooLarge => "too_large",
            Self::Page => "page",
            Self::NameTaken => "name_taken",
            Self::DiskFull => "disk_full",
            Self::Storage => "storage",
            Self::Locked => "locked",
            Self::JournalVersion => "journal_version",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status, if this is one.
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status),
            _ => None,
        }
    }

    /// Whose fault it is.
    pub fn blame(self) -> Blame {
        match self {
            Self::Usage | Self::ListLine | Self::TooLarge | Self::NameTaken | Self::Cancelled | Self::Interrupted => {
                Blame::User
            }
            Self::DiskFull | Self::Storage | Self::Locked | Self::JournalVersion => Blame::Machine,
            Self::Internal => Blame::Towline,
            _ => Blame::Peer,
        }
    }

    /// Whether the same request may succeed a little later, judging by the kind alone; [`Error::is_transient`]
    /// knows more.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Status(code) => {
                // Server errors pass, including those that proxies invented (520 to 530, 598, 599), except the
                // ones that mean "never".
                let is_for_good = matches!(code, 501 | 505 | 506 | 508 | 510 | 511);
                matches!(code, 408 | 425 | 429) || (500..=599).contains(&code) && !is_for_good
            }
            Self::Resolve | Self::Connect | Self::Broken | Self::Stalled => true,
            _ => false,
        }
    }

    fn advice(self) -> Option<Advice> {
        Some(match self {
            Self::Status(401 | 403) => Advice::GiveCredentials,
            Self::Status(407) => Advice::GiveProxyCredentials,
            Self::Status(408 | 425) | Self::Broken | Self::Stalled | Self::Connect => Advice::RunAgain,
            Self::Interrupted | Self::Cancelled => Advice::RunAgain,
            Self::Status(429 | 503) => Advice::RunAgainWhenLessBusy,
            // The response will be the same tomorrow.
            Self::Status(501 | 505 | 506 | 508 | 510) => Advice::CheckUrl,
            Self::Status(511) => Advice::LogInToNetwork,
            Self::Status(500..=599) => Advice::RunAgainWhenServerWorks,
            Self::Status(_) => Advice::CheckUrl,
            Self::Resolve => Advice::CheckHostNameAndNetwork,
            Self::Protocol => Advice::AskOwnerOrTryOtherNetwork,
            Self::Redirect => Advice::OpenInBrowser,
            Self::Proxy => Advice::CheckProxy,
            Self::Tls => Advice::GiveAuthority,
            Self::Digest => Advice::RunAgainOrCheckDigest,
            Self::Page => Advice::LogInOrAcceptPage,
            Self::TooLarge => Advice::AllowLargerFile,
            Self::NameTaken => Advice::ChooseExisting,
            Self::DiskFull => Advice::MakeRoom,
            Self::Locked => Advice::WaitForOtherProcess,
            Self::JournalVersion => Advice::UseNewerVersionOrRestart,
            Self::Changed => Advice::RunAgainWhenFileIsSettled,
            Self::Usage | Self::ListLine | Self::Storage | Self::Internal => return None,
        })
    }
}

impl Serialize for ErrorKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The server, a proxy or the network.
    Peer,
    /// The user: an argument, a list, a name that is taken.
    User,
    /// This machine: disk, permissions, another process.
    Machine,
    /// Towline itself; please report it.
    Towline,
}

/// An error of the engine.
///
/// `Display` gives one line: what happened, where, and after how many attempts. What to do next is in
/// [`Error::advice`].
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    url: Option<String>,
    path: Option<PathBuf>,
    attempts: u32,
    is_transient: Option<bool>,
    advice: Option<Advice>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind; `message` is a clause without a full stop that says what happened.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Inner {
            kind,
            message,
            url: None,
            path: None,
            attempts: 0,
            is_transient: None,
            advice: None,
            source: None,
        }))
    }

    /// An error from reading or writing `path`. A full disk gets its own kind.
    pub fn storage(action: &str, path: &Path, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::DiskFull,
            _ => ErrorKind::Storage,
        };
        let is_too_large = source.kind() == io::ErrorKind::FileTooLarge;
        let error =
            Self::new(kind, format!("cannot {action}: {}", plain_io(&source))).with_path(path).with_source(source);
        if is_too_large { error.with_advice(Advice::SaveOnOtherDisk) } else { error }
    }

    /// Adds the URL; it must already be free of secrets (see [`crate::secret::shown_url`]).
    #[must_use]
    pub fn with_url(mut self, url: impl Into<String>) -> Self {
        self.0.url = Some(url.into());
        self
    }

    /// The same, unless it names one.
    #[must_use]
    pub(crate) fn or_url(self, url: impl FnOnce() -> String) -> Self {
        if self.url().is_some() { self } else { self.with_url(url()) }
    }

    /// Adds the path that the error is about.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.path = Some(path.into());
        self
    }

    /// Adds the number of attempts.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.0.attempts = attempts;
        self
    }

    /// Sets whether the error is transient, overriding the default of its kind.
    #[must_use]
    pub fn with_transient(mut self, is_transient: bool) -> Self {
        self.0.is_transient = Some(is_transient);
        self
    }

    /// Sets what to do next, overriding the default of its kind.
    #[must_use]
    pub fn with_advice(mut self, advice: Advice) -> Self {
        self.0.advice = Some(advice);
        self
    }

    /// Whether the error was marked as not worth a retry, whatever its kind.
    pub(crate) fn is_final(&self) -> bool {
        self.0.is_transient == Some(false)
    }

    /// Somebody else holds the lock; names the holder if known.
    pub(crate) fn locked(what: &str, path: &Path, source: io::Error) -> Self {
        let message = match source.get_ref() {
            Some(holder) => format!("{what}: {holder}"),
            None => what.to_owned(),
        };
        Self::new(ErrorKind::Locked, message).with_path(path).with_source(source)
    }

    /// Whether this machine ran out of something that becomes available again: descriptors, ports, threads.
    pub(crate) fn is_scarcity(&self) -> bool {
        if self.kind() == ErrorKind::Locked {
            // A lock that somebody else holds is EAGAIN too.
            return false;
        }
        self.has_errno(|errno| {
            matches!(errno, libc::EMFILE | libc::ENFILE | libc::EADDRNOTAVAIL | libc::ENOBUFS | libc::EAGAIN)
        })
    }

    /// Whether a device failed to read or write.
    pub(crate) fn is_of_device(&self) -> bool {
        self.has_errno(|errno| errno == libc::EIO)
    }

    /// Whether one of its causes is an error of the system with such a code.
    fn has_errno(&self, fits: impl Fn(i32) -> bool) -> bool {
        let mut cause = StdError::source(self);
        while let Some(error) = cause {
            if error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error).is_some_and(&fits) {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        self.0.kind.blame()
    }

    /// Whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        self.0.is_transient.unwrap_or_else(|| self.0.kind.is_transient())
    }

    /// What happened, without URL, path and attempts.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The URL, without secrets.
    pub fn url(&self) -> Option<&str> {
        self.0.url.as_deref()
    }

    /// The path that the error is about.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The number of attempts; 0 where retries do not apply.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// What the user can do next.
    pub fn advice(&self) -> Option<Advice> {
        self.0.advice.or_else(|| self.0.kind.advice())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(url) = &self.0.url {
            write!(f, "{url}: ")?;
        }
        if let Some(path) = &self.0.path {
            write!(f, "{}: ", crate::secret::printable(&path.to_string_lossy()))?;
        }
        f.write_str(&self.0.message)?;
        if self.0.attempts > 1 {
            write!(f, " (tried {} times)", self.0.attempts)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("url", &self.0.url)
            .field("path", &self.0.path)
            .field("attempts", &self.0.attempts)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// The first error of this type among `error` and its causes.
pub(crate) fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |cause| (*cause).source()).find_map(|cause| cause.downcast_ref())
}

/// The operating system's message without "(os error N)", which tells a person nothing.
pub(crate) fn plain_io(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::FileTooLarge && error.raw_os_error().is_some() {
        return "file too large for this file system, or for `ulimit -f`".to_owned();
    }
    let text = error.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart_from_other_storage_errors() {
        let full = Error::storage("write", Path::new("a"), io::Error::from_raw_os_error(28));
        assert_eq!(full.kind(), ErrorKind::DiskFull);
        assert_eq!(full.blame(), Blame::Machine);
        assert_eq!(full.to_string(), "a: cannot write: no space left on device");
        assert!(StdError::source(&full).is_some());
    }

    #[test]
    fn the_line_names_url_and_tries() {
        let error = Error::new(ErrorKind::Status(503), "the server answered 503 Service Unavailable")
            .with_url("http://h/a")
            .with_attempts(5);
        assert_eq!(error.to_string(), "http://h/a: the server answered 503 Service Unavailable (tried 5 times)");
        assert!(error.kind().is_transient());
    }

    #[test]
    fn an_error_may_know_better_than_its_kind_whether_it_passes() {
        let error = Error::new(ErrorKind::Proxy, "the proxy is busy");
        assert!(!error.is_transient());
        assert!(error.with_transient(true).is_transient());
        assert!(Error::new(ErrorKind::Connect, "refused").is_transient());
        assert!(!Error::new(ErrorKind::Connect, "refused").with_transient(false).is_transient());
    }

    #[test]
    fn the_advice_on_a_status_is_of_use() {
        let cases: [(&[u16], Advice); 6] = [
            (&[204, 304, 400, 402, 404, 405, 406, 410, 414, 416, 418, 451, 501, 505], Advice::CheckUrl),
            (&[401, 403], Advice::GiveCredentials),
            (&[407], Advice::GiveProxyCredentials),
            (&[408, 425], Advice::RunAgain),
            (&[429, 503], Advice::RunAgainWhenLessBusy),
            (&[500, 502, 504, 507, 520, 599], Advice::RunAgainWhenServerWorks),
        ];
        for (statuses, advice) in cases {
            for status in statuses {
                assert_eq!(Error::new(ErrorKind::Status(*status), "no").advice(), Some(advice), "{status}");
            }
        }
    }

    #[test]
    fn what_broke_off_is_gone_on_with() {
        for kind in [ErrorKind::Broken, ErrorKind::Stalled, ErrorKind::Connect] {
            assert_eq!(Error::new(kind, "no").advice(), Some(Advice::RunAgain));
        }
    }

    #[test]
    fn advice_of_its_own_comes_before_that_of_the_kind() {
        let error = Error::new(ErrorKind::Changed, "another file");
        assert_eq!(error.advice(), Some(Advice::RunAgainWhenFileIsSettled));
        assert_eq!(error.with_advice(Advice::GiveChecksum).advice(), Some(Advice::GiveChecksum));
    }
}
