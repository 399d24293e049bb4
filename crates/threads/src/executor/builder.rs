//! The settings of a pool.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::ExecutorError;
use super::pool::ThreadPoolExecutor;
use super::shared::{Initializer, Settings};

static NEXT_POOL: AtomicU64 = AtomicU64::new(0);

/// The default number of workers never exceeds this.
const DEFAULT_WORKERS_MAX: usize = 32;

/// Creates a pool with chosen settings; from [`ThreadPoolExecutor::builder`].
///
/// ```
/// use towline_threads::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::builder()
///     .max_workers(3)
///     .thread_name_prefix("fetch")
///     .initializer(|| Ok(()))
///     .build()?;
/// assert_eq!(pool.max_workers(), 3);
/// # Ok::<(), towline_threads::executor::ExecutorError>(())
/// ```
#[derive(Default)]
#[must_use = "a builder makes nothing until `build`"]
pub struct ThreadPoolBuilder {
    max_workers: Option<usize>,
    prefix: Option<String>,
    initializer: Option<Initializer>,
}

impl ThreadPoolExecutor {
    /// A pool of at most `max_workers` threads, with the default names.
    ///
    /// # Errors
    ///
    /// [`ExecutorError::NoWorkers`] if `max_workers` is 0.
    ///
    /// ```
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// assert!(ThreadPoolExecutor::new(0).is_err());
    /// ```
    pub fn new(max_workers: usize) -> Result<Self, ExecutorError> {
        Self::builder().max_workers(max_workers).build()
    }

    /// A builder for a pool with chosen settings.
    pub fn builder() -> ThreadPoolBuilder {
        ThreadPoolBuilder::new()
    }
}

impl ThreadPoolBuilder {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Sets the maximum number of workers.
    ///
    /// By default, four more than the number of processors, at most 32.
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        self.max_workers = Some(max_workers);
        self
    }

    /// Sets what the workers' names begin with: `prefix_0`, `prefix_1`, …
    ///
    /// By default, the prefix is `ThreadPoolExecutor-N`.
    pub fn thread_name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Sets what each worker does first, in its own thread.
    ///
    /// If it fails or panics, the pool breaks: every pending task ends with
    /// [`TaskError::Broken`](super::TaskError::Broken), and `submit` refuses more.
    pub fn initializer<I>(mut self, initializer: I) -> Self
    where
        I: Fn() -> Result<(), Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
    {
        self.initializer = Some(Box::new(initializer));
        self
    }

    /// Creates the pool. Its threads start when there is work for them.
    ///
    /// # Errors
    ///
    /// [`ExecutorError::NoWorkers`] if `max_workers` is 0; [`ExecutorError::NameWithNul`] if the
    /// prefix contains a NUL byte.
    pub fn build(self) -> Result<ThreadPoolExecutor, ExecutorError> {
        let max_workers = self.max_workers.unwrap_or_else(default_workers);
        if max_workers == 0 {
            return Err(ExecutorError::NoWorkers);
        }
        let prefix = self.prefix.unwrap_or_else(|| {
            let number = NEXT_POOL.fetch_add(1, Ordering::Relaxed);
            format!("ThreadPoolExecutor-{number}")
        });
        if prefix.contains('\0') {
            return Err(ExecutorError::NameWithNul);
        }
        Ok(ThreadPoolExecutor::start(Settings { max_workers, prefix, initializer: self.initializer }))
    }
}

impl fmt::Debug for ThreadPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolBuilder")
            .field("max_workers", &self.max_workers)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

fn default_workers() -> usize {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    DEFAULT_WORKERS_MAX.min(cpus + 4)
}
