//! A session: the running engine. It takes commands at any time, from any thread, and ends when it is stopped,
//! or when it is closed and all jobs have ended.
//!
//! The session is a supervised run of the toolkit: its threads are the supervisor's, its step saves progress,
//! and an interrupt from the injected source stops it in order.

mod feeding;
mod handle;
mod run;
mod subscription;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use towline_threads::cancel::CancelToken;
use towline_threads::supervisor::{Interrupt, InterruptSource, Outcome, SuperviseError, Supervisor};

use self::handle::Interrupts;
pub use self::handle::SessionHandle;
use self::run::Run;
pub use self::subscription::{Envelope, Subscription, SubscriptionError};
use crate::dispatch::driver::Queues;
use crate::error::{Advice, Error, ErrorKind, Result, find, plain_io};
use crate::event::{Reporter, Summary};
use crate::feed::Feed;
use crate::options::Options;
use crate::provider::{Providers, Web};
use crate::rate_limit::RateLimit;
use crate::source::http::network::Network;
use crate::source::http::resolve::{Resolve, SystemResolver};
use crate::storage::Storage;
use crate::storage::disk::Disk;

/// How long threads have to end after an interrupt; the core gives up its own work before that.
const GRACE: Duration = Duration::from_millis(1800);

/// Builds a [`Session`].
#[must_use]
pub struct SessionBuilder {
    options: Options,
    reporter: Option<Box<dyn Reporter>>,
    feed: Option<Box<dyn Feed>>,
    providers: Providers,
    interrupts: Option<Box<dyn InterruptSource>>,
    resolver: Arc<dyn Resolve>,
    storage: Arc<dyn Storage>,
    handle: SessionHandle,
    ends: EndsCommands,
}

impl SessionBuilder {
    /// Returns a client for a listing, which is made before the session. Its requests wait until the session runs.
    pub fn web(&self) -> Web {
        self.handle.web()
    }

    /// Sends the session's events to this reporter, on its own thread.
    pub fn reporter(mut self, reporter: impl Reporter + 'static) -> Self {
        self.reporter = Some(Box::new(reporter));
        self
    }

    /// Takes jobs from this feed, in addition to those added one by one.
    pub fn feed(mut self, feed: impl Feed + 'static) -> Self {
        self.feed = Some(Box::new(feed));
        self
    }

    /// Uses these providers to locate the URLs that they know.
    pub fn providers(mut self, providers: Providers) -> Self {
        self.providers = providers;
        self
    }

    /// Sets the source of interrupts. Without one, only [`SessionHandle::stop`] ends the session early.
    pub fn interrupts(mut self, source: impl InterruptSource + 'static) -> Self {
        self.interrupts = Some(Box::new(source));
        self
    }

    /// Uses this resolver for host names instead of the system's.
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// Stores files in this storage instead of the file system.
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = storage;
        self
    }

    /// Checks whatever can be checked before a run; creates nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] for an unusable CA file or proxy.
    pub fn check(&self) -> Result<()> {
        let limit = Arc::new(RateLimit::new(None));
        Network::new(self.options.http.clone(), limit, Arc::clone(&self.resolver)).map(drop)
    }

    /// Checks whatever can be checked before a run, and creates the directory.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] for an unusable CA file, [`ErrorKind::Storage`] for a directory that cannot be
    /// created.
    pub fn build(self) -> Result<Session> {
        let limit = Arc::new(RateLimit::new(self.options.limit_rate_bps));
        let network = Network::new(self.options.http.clone(), limit, self.resolver)?;
        self.storage
            .create_dirs(&self.options.dir, Path::new(""))
            .map_err(|source| Error::storage("create the directory", &self.options.dir, source))?;
        Ok(Session {
            ends: self.ends,
            handle: self.handle,
            options: self.options,
            reporter: self.reporter,
            feed: self.feed,
            providers: self.providers,
            interrupts: self.interrupts,
            storage: self.storage,
            network: Arc::new(network),
        })
    }
}

/// Ends the wait of everybody who waits for an answer of the session, however it ends: also if it never runs.
struct EndsCommands(Queues);

impl Drop for EndsCommands {
    fn drop(&mut self) {
        self.0.messages.shutdown_immediate();
    }
}

/// A session that is set up but not started.
#[must_use]
pub struct Session {
    ends: EndsCommands,
    handle: SessionHandle,
    options: Options,
    reporter: Option<Box<dyn Reporter>>,
    feed: Option<Box<dyn Feed>>,
    providers: Providers,
    interrupts: Option<Box<dyn InterruptSource>>,
    storage: Arc<dyn Storage>,
    network: Arc<Network>,
}

/// How a session ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What was done.
    pub summary: Summary,
    /// What interrupted it, if anything did.
    pub interrupt: Option<Interrupt>,
}

impl Session {
    /// Starts building a session.
    pub fn builder(options: Options) -> SessionBuilder {
        let handle = SessionHandle::new();
        SessionBuilder {
            ends: EndsCommands(handle.queues()),
            handle,
            options,
            reporter: None,
            feed: None,
            providers: Providers::default(),
            interrupts: None,
            resolver: Arc::new(SystemResolver),
            storage: Arc::new(Disk::new()),
        }
    }

    /// A handle for commands, before and while it runs.
    pub fn handle(&self) -> SessionHandle {
        self.handle.clone()
    }

    /// Runs the session on the calling thread until it is interrupted, or until it is closed (see
    /// [`SessionHandle::close`]) and all jobs have ended.
    ///
    /// Failed files are not an error of the session; they are in the summary.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`] if its threads cannot be started, [`ErrorKind::Internal`] if one of them
    /// panicked; files with a final name are correct even then.
    pub fn run(self) -> Result<Ended> {
        let cancel = CancelToken::new();
        let mut supervisor = Supervisor::new(self.options.threads.max(1))
            .run_sleep(self.options.save_interval.max(Duration::from_millis(1)))
            .grace(GRACE)
            .cancel_token(cancel);
        let source = Interrupts { handle: self.handle.clone(), outer: self.interrupts };
        supervisor = supervisor.interrupts(source);
        let ended: Arc<Mutex<Option<Summary>>> = Arc::new(Mutex::new(None));
        let mut run = Run {
            queues: self.handle.queues(),
            subscribers: self.handle.subscribers(),
            options: self.options,
            reporter: self.reporter,
            feed: self.feed,
            providers: self.providers,
            storage: self.storage,
            network: self.network,
            ended: Arc::clone(&ended),
            span: tracing::info_span!("session"),
            _ends: self.ends,
        };
        let outcome = supervisor.run(&mut run);
        let interrupt = match outcome.map_err(not_run)? {
            Outcome::Interrupted(interrupt) => Some(interrupt),
            _ => None,
        };
        let summary = ended.lock().take();
        let summary = match summary {
            Some(summary) => summary,
            // The dispatcher did not end; its work stands, but nobody counted it.
            None => Summary { interrupted: interrupt.is_some(), ..Summary::default() },
        };
        Ok(Ended { summary, interrupt })
    }
}

/// Why a session could not run: the machine refused a thread or the memory for one, or there is a bug in
/// Towline.
fn not_run(source: SuperviseError) -> Error {
    let refused = find::<io::Error>(&source).map(plain_io);
    let error = match refused {
        Some(why) => Error::new(ErrorKind::Storage, format!("this machine gives the engine too few threads ({why})"))
            .with_advice(Advice::RaiseLimitsOrUseFewerThreads),
        None => Error::new(ErrorKind::Internal, "a thread of the engine failed"),
    };
    error.with_source(source)
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("options", &self.options).finish_non_exhaustive()
    }
}
