//! The queue between submitters and workers.
//!
//! # The protocol
//!
//! Two queues under two locks. Submitters append to the *inbox*; workers take from the *outbox*,
//! and when that is empty, a worker swaps the two. So the two sides contend once for a whole batch
//! instead of once for each task, and the order stays first-in, first-out. A thread that needs both
//! locks takes the outbox's first.
//!
//! A worker that finds nothing *searches* (polls for a few microseconds), and then *parks*. Why no
//! task stays queued while a worker could run it:
//!
//! * A worker begins to search, and later parks, under the inbox's lock, and only if both queues
//!   are empty at that moment. The outbox is filled under both locks, so its length, read under the
//!   inbox's lock, is never too small.
//! * A submitter appends under the same lock, and sees how many workers search and how many are
//!   parked. If the two queues hold more tasks than there are searchers, it wakes a parked worker,
//!   or has a new one hired. A searcher always looks once more before it parks, so each of them is
//!   good for one task. So while any worker is parked, there are never more tasks than searchers
//!   and workers that are waking up.
//! * A wake-up is a token (`wakeups`); whoever gives it subtracts it from the number of parked
//!   workers. A worker that wakes spuriously finds no token and sleeps on; one token wakes one
//!   worker.
//! * Closing wakes all workers.

use std::collections::VecDeque;

use super::spin::spin;
use crate::facade::atomic::{AtomicUsize, Ordering};
use crate::facade::{Condvar, MAY_SPIN, Mutex};

/// One to two microseconds, in which a busy submitter appends about ten tasks.
const PAUSES_IN_STREAM: u32 = 100;

pub(super) struct Backlog<T> {
    inbox: Mutex<Inbox<T>>,
    /// With `inbox`: notified when a wake-up has been given, or the backlog is closed.
    woken: Condvar,
    outbox: Mutex<VecDeque<T>>,
    /// Lengths for searching workers; each is written under its queue's lock.
    inbox_length: AtomicUsize,
    outbox_length: AtomicUsize,
    /// How many tasks the last swap brought: shows whether they come singly or in a stream.
    last_batch: AtomicUsize,
}

struct Inbox<T> {
    tasks: VecDeque<T>,
    searching: usize,
    parked: usize,
    wakeups: usize,
    closed: bool,
}

/// What happens to a submission.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// A worker will come for it.
    Heard,
    /// All workers are busy: hire another if the pool may grow.
    Unheard,
}

impl<T> Backlog<T> {
    pub(super) fn new() -> Self {
        Self {
            inbox: Mutex::new(Inbox { tasks: VecDeque::new(), searching: 0, parked: 0, wakeups: 0, closed: false }),
            woken: Condvar::new(),
            outbox: Mutex::new(VecDeque::new()),
            inbox_length: AtomicUsize::new(0),
            outbox_length: AtomicUsize::new(0),
            last_batch: AtomicUsize::new(0),
        }
    }

    /// Appends a task; returns it if the backlog is closed.
    pub(super) fn push(&self, task: T) -> Result<Pushed, T> {
        let mut inbox = self.inbox.lock();
        if inbox.closed {
            return Err(task);
        }
        inbox.tasks.push_back(task);
        self.inbox_length.store(inbox.tasks.len(), Ordering::Relaxed);
        let waiting = inbox.tasks.len() + self.outbox_length.load(Ordering::Relaxed);
        if waiting <= inbox.searching {
            return Ok(Pushed::Heard);
        }
        if inbox.parked == 0 {
            return Ok(Pushed::Unheard);
        }
        inbox.parked -= 1;
        inbox.wakeups += 1;
        drop(inbox);
        self.woken.notify_one();
        Ok(Pushed::Heard)
    }

    /// Takes the first task; waits for one. `None` once the backlog is closed and empty.
    ///
    /// `parking` runs when the worker is about to go to sleep; what it returns is kept until it
    /// wakes up.
    pub(super) fn pop<N>(&self, parking: impl Fn() -> N) -> Option<T> {
        loop {
            if let Some(task) = self.take_first() {
                return Some(task);
            }
            if !self.begin_search() {
                continue;
            }
            if MAY_SPIN && self.last_batch.load(Ordering::Relaxed) > 1 {
                // A stream: contending with its submitter less often makes both faster.
                for _ in 0..PAUSES_IN_STREAM {
                    std::hint::spin_loop();
                }
            }
            let found = spin(|| self.looks_busy());
            let mut inbox = self.inbox.lock();
            inbox.searching -= 1;
            if found || !inbox.tasks.is_empty() || self.outbox_length.load(Ordering::Relaxed) > 0 {
                continue;
            }
            if inbox.closed {
                return None;
            }
            let _asleep = parking();
            inbox.parked += 1;
            while inbox.wakeups == 0 && !inbox.closed {
                self.woken.wait(&mut inbox);
            }
            if inbox.wakeups > 0 {
                inbox.wakeups -= 1;
            } else {
                inbox.parked -= 1;
            }
        }
    }

    /// Accepts no more tasks; with `take`, returns all that are queued.
    pub(super) fn close(&self, take: bool) -> VecDeque<T> {
        let mut outbox = self.outbox.lock();
        let mut inbox = self.inbox.lock();
        inbox.closed = true;
        self.woken.notify_all();
        if !take {
            return VecDeque::new();
        }
        self.inbox_length.store(0, Ordering::Relaxed);
        self.outbox_length.store(0, Ordering::Relaxed);
        let mut all = std::mem::take(&mut *outbox);
        all.append(&mut inbox.tasks);
        all
    }

    /// Removes up to four of the last tasks for which `is_shell` is true.
    pub(super) fn take_shells(&self, is_shell: impl Fn(&T) -> bool) -> [Option<T>; 4] {
        let mut inbox = self.inbox.lock();
        let shells = std::array::from_fn(|_| {
            let last_is_shell = inbox.tasks.back().is_some_and(&is_shell);
            if last_is_shell { inbox.tasks.pop_back() } else { None }
        });
        self.inbox_length.store(inbox.tasks.len(), Ordering::Relaxed);
        shells
    }

    /// How many tasks are queued.
    pub(super) fn len(&self) -> usize {
        self.outbox_length.load(Ordering::Relaxed) + self.inbox_length.load(Ordering::Relaxed)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.inbox.lock().closed
    }

    fn take_first(&self) -> Option<T> {
        let mut outbox = self.outbox.lock();
        if outbox.is_empty() {
            let mut inbox = self.inbox.lock();
            if inbox.tasks.is_empty() {
                return None;
            }
            std::mem::swap(&mut *outbox, &mut inbox.tasks);
            self.last_batch.store(outbox.len(), Ordering::Relaxed);
            self.inbox_length.store(0, Ordering::Relaxed);
            // Before the inbox's lock is released, for those who read it under that lock.
            self.outbox_length.store(outbox.len(), Ordering::Relaxed);
        }
        let task = outbox.pop_front();
        self.outbox_length.store(outbox.len(), Ordering::Relaxed);
        task
    }

    /// Counts this worker as searching, if there is still nothing to do.
    fn begin_search(&self) -> bool {
        let mut inbox = self.inbox.lock();
        let nothing = inbox.tasks.is_empty() && self.outbox_length.load(Ordering::Relaxed) == 0;
        if nothing {
            inbox.searching += 1;
        }
        nothing
    }

    fn looks_busy(&self) -> bool {
        self.len() > 0
    }
}
