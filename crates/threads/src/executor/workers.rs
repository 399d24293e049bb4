//! How a pool's threads start, live and end.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use super::backlog::Pushed;
use super::cell::Verdict;
use super::employer::{STACK_BEFORE_COMPENSATING, employ};
use super::shared::{Shared, settle_all};
use super::staff::Staff;
use super::task::Run;
use crate::agent;
use crate::panic::{self, drop_quietly};
use crate::registry::Waiting;
use crate::thread;
use crate::waiting;

/// The stack size of a worker: the standard library's, but large enough for `help.rs`.
static STACK_BYTES: LazyLock<usize> = LazyLock::new(|| {
    let asked = std::env::var("RUST_MIN_STACK").ok().and_then(|bytes| bytes.parse().ok());
    asked.unwrap_or(0).max(4 * STACK_BEFORE_COMPENSATING)
});

impl Shared {
    /// Hands a task to the workers, and hires another one if none will come for it; returns the
    /// task if the pool accepts no more.
    #[inline]
    pub(super) fn push(self: &Arc<Self>, task: Arc<dyn Run>) -> Result<(), Arc<dyn Run>> {
        if self.backlog.push(task)? == Pushed::Unheard && self.staff.may_grow() {
            self.hire();
        }
        Ok(())
    }

    /// Starts another worker, if the pool may grow.
    #[cold]
    fn hire(self: &Arc<Self>) {
        let Some(number) = self.staff.add_worker() else { return };
        let own = Arc::clone(self);
        if let Err(error) = self.start_thread(number, move || work(&own))
            && self.staff.worker_not_started(|| self.backlog.len() > 0)
        {
            self.break_down(format!("no thread could be started: {error}"));
        }
    }

    /// Runs `task` in a thread of its own, or in this one if no thread can be started.
    #[cold]
    pub(super) fn compensate(self: &Arc<Self>, task: Arc<dyn Run>) {
        let number = self.staff.add_compensating();
        let own = Arc::clone(self);
        let awaited = Arc::clone(&task);
        if self.start_thread(number, move || compensate_here(&own, &awaited)).is_err() {
            self.staff.compensating_ended(None);
            task.run();
        }
    }

    fn start_thread(&self, number: usize, f: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let name = format!("{}_{number}", self.settings.prefix);
        let handle = thread::Builder::new().name(name).daemon(true).stack_size(*STACK_BYTES).spawn(f)?;
        self.staff.keep(handle);
        Ok(())
    }

    fn initialize(&self) -> Result<(), String> {
        let Some(initializer) = &self.settings.initializer else {
            return Ok(());
        };
        // The error's text and destructor are user code as well.
        let run = || initializer().map_err(|error| error.to_string());
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("the initializer failed: {error}")),
            Err(payload) => {
                let reason = format!("the initializer panicked: {}", panic::message(&*payload));
                drop_quietly(payload);
                Err(reason)
            }
        }
    }
}

/// Counts out its worker, however that ends.
struct Employed<'a> {
    staff: &'a Staff,
    thread: u32,
}

impl Drop for Employed<'_> {
    fn drop(&mut self) {
        self.staff.worker_ended(self.thread);
    }
}

/// Does the same for a compensating thread.
struct StandingIn<'a> {
    staff: &'a Staff,
    thread: u32,
}

impl Drop for StandingIn<'_> {
    fn drop(&mut self) {
        self.staff.compensating_ended(Some(self.thread));
    }
}

/// The life of a worker.
fn work(shared: &Arc<Shared>) {
    let _employment = employ(shared);
    let thread = agent::current().thread();
    shared.staff.worker_began(thread);
    let _employed = Employed { staff: &shared.staff, thread };
    if let Err(reason) = shared.initialize() {
        shared.break_down(reason);
    }
    // A pool that has just broken has no backlog, and this loop ends at once.
    while let Some(task) = shared.backlog.pop(|| waiting::write(Waiting::Work)) {
        run_quietly(task);
    }
}

/// The life of a thread that stands in for a waiting worker.
fn compensate_here(shared: &Arc<Shared>, awaited: &Arc<dyn Run>) {
    let _employment = employ(shared);
    let thread = agent::current().thread();
    shared.staff.compensating_began(thread);
    let _standing_in = StandingIn { staff: &shared.staff, thread };
    match shared.initialize() {
        Ok(()) => run_quietly(Arc::clone(awaited)),
        Err(reason) => {
            shared.break_down(reason.clone());
            settle_all(VecDeque::from([Arc::clone(awaited)]), &Verdict::Broken(reason.into()));
        }
    }
}

/// Runs a task and drops it; if this is the last owner, the drop runs user code too.
fn run_quietly(task: Arc<dyn Run>) {
    let outcome = catch_unwind(AssertUnwindSafe(move || {
        task.run();
        drop(task);
    }));
    if let Err(payload) = outcome {
        drop_quietly(payload);
    }
}
