//! Who works for each pool.
//!
//! Each pool has one lock, which guards counts and lists; no user code runs under it. Submitters
//! read the number of workers without it. All staffs of the process are listed by their pools'
//! numbers, so that the search for deadlocks can ask who could begin a pending task.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex as PlainMutex;

use crate::deadlock::Progress;
use crate::facade::atomic::{AtomicUsize, Ordering};
use crate::facade::{Condvar, Mutex};
use crate::thread::{JoinHandle, ThreadInfo};

/// The threads of one pool.
pub(super) struct Staff {
    pool: u64,
    max_workers: usize,
    state: Mutex<State>,
    /// `state.workers`, for submitters that only want to know whether there may be more.
    workers: AtomicUsize,
    /// Notified when a thread has ended, for those who shut the pool down.
    ended: Condvar,
}

struct State {
    /// Workers that are starting, running or parked.
    workers: usize,
    /// Threads that run one awaited task and end.
    compensating: usize,
    /// The number in the name of the next thread.
    next_number: usize,
    /// The workers that have begun, by the numbers of their threads.
    threads: Vec<u32>,
    /// The compensating threads that have begun, likewise.
    standing_in: Vec<u32>,
    handles: Vec<JoinHandle<()>>,
    /// Why the pool broke.
    broken: Option<Arc<str>>,
}

/// The staffs of all pools, by the pools' numbers.
static STAFFS: PlainMutex<BTreeMap<u64, Weak<Staff>>> = PlainMutex::new(BTreeMap::new());

/// Who could begin a pending task of this pool.
pub(super) fn who_could_begin(pool: u64) -> Progress {
    let staff = STAFFS.lock().get(&pool).and_then(Weak::upgrade);
    match staff {
        Some(staff) => staff.who_could_begin(),
        None => Progress::Free,
    }
}

impl Staff {
    /// The staff of a new pool, without threads.
    pub(super) fn new(pool: u64, max_workers: usize) -> Arc<Self> {
        let staff = Arc::new(Self {
            pool,
            max_workers,
            state: Mutex::new(State {
                workers: 0,
                compensating: 0,
                next_number: 0,
                threads: Vec::new(),
                standing_in: Vec::new(),
                handles: Vec::new(),
                broken: None,
            }),
            workers: AtomicUsize::new(0),
            ended: Condvar::new(),
        });
        STAFFS.lock().insert(pool, Arc::downgrade(&staff));
        staff
    }

    pub(super) fn max_workers(&self) -> usize {
        self.max_workers
    }

    pub(super) fn workers(&self) -> usize {
        self.state.lock().workers
    }

    /// Whether there may be another worker. A hint: it is read without the lock.
    #[inline]
    pub(super) fn may_grow(&self) -> bool {
        self.workers.load(Ordering::Relaxed) < self.max_workers
    }

    /// Counts in a worker that is about to start, and returns the number for its name; `None` if
    /// the pool may not grow.
    pub(super) fn add_worker(&self) -> Option<usize> {
        let mut state = self.state.lock();
        if state.workers >= self.max_workers {
            return None;
        }
        state.workers += 1;
        self.workers.store(state.workers, Ordering::Relaxed);
        Some(state.next_number())
    }

    /// Counts in a compensating thread that is about to start, and returns the number for its name.
    pub(super) fn add_compensating(&self) -> usize {
        let mut state = self.state.lock();
        state.compensating += 1;
        state.next_number()
    }

    /// Keeps the handle of a thread that was started, for those who wait for its end.
    pub(super) fn keep(&self, handle: JoinHandle<()>) {
        // Whoever waits for the workers takes the handles when the last worker has ended. A thread
        // that ends before its handle is stored has left the list of threads by then as well, or
        // nearly.
        let mut state = self.state.lock();
        state.handles.retain(JoinHandle::is_alive);
        state.handles.push(handle);
    }

    /// Notes that a worker has begun, in the thread of this number.
    /// The live workers, by age.
    pub(super) fn infos(&self) -> Vec<ThreadInfo> {
        let state = self.state.lock();
        let mut infos: Vec<_> = state.handles.iter().map(JoinHandle::info).filter(ThreadInfo::is_alive).collect();
        infos.sort_by_key(ThreadInfo::id);
        infos
    }

    pub(super) fn worker_began(&self, thread: u32) {
        self.state.lock().threads.push(thread);
    }

    /// Notes that a compensating thread of this number has begun.
    pub(super) fn compensating_began(&self, thread: u32) {
        self.state.lock().standing_in.push(thread);
    }

    /// Counts out a worker that had begun.
    pub(super) fn worker_ended(&self, thread: u32) {
        let mut state = self.state.lock();
        state.threads.retain(|&other| other != thread);
        self.count_out(&mut state);
    }

    /// Counts out a worker that could not be started; true if tasks are left and no worker to run
    /// them.
    pub(super) fn worker_not_started(&self, has_tasks: impl FnOnce() -> bool) -> bool {
        let mut state = self.state.lock();
        self.count_out(&mut state);
        state.workers == 0 && has_tasks()
    }

    fn count_out(&self, state: &mut State) {
        state.workers -= 1;
        self.workers.store(state.workers, Ordering::Relaxed);
        self.ended.notify_all();
    }

    /// Counts out a compensating thread; `thread` is its number if it had begun.
    pub(super) fn compensating_ended(&self, thread: Option<u32>) {
        let mut state = self.state.lock();
        state.standing_in.retain(|&other| Some(other) != thread);
        state.compensating -= 1;
        self.ended.notify_all();
    }

    /// Why the pool broke, if it did.
    pub(super) fn broken(&self) -> Option<Arc<str>> {
        self.state.lock().broken.clone()
    }

    /// Notes why the pool broke; the first reason stays.
    pub(super) fn set_broken(&self, reason: &Arc<str>) {
        self.state.lock().broken.get_or_insert_with(|| Arc::clone(reason));
    }

    /// Wakes those who wait for the end, to check again.
    pub(super) fn notify(&self) {
        // Under the lock, so that no one is between the check and the wait.
        let _state = self.state.lock();
        self.ended.notify_all();
    }

    /// Waits until no thread works here and `has_tasks` is false; returns the threads' handles.
    pub(super) fn wait_until_gone(&self, has_tasks: impl Fn() -> bool) -> Vec<JoinHandle<()>> {
        let mut state = self.state.lock();
        while state.workers > 0 || state.compensating > 0 || has_tasks() {
            self.ended.wait(&mut state);
        }
        std::mem::take(&mut state.handles)
    }

    fn who_could_begin(&self) -> Progress {
        let state = self.state.lock();
        // A compensating thread that has not begun is about to run the awaited task.
        let all_have_begun = state.threads.len() == state.workers && state.standing_in.len() == state.compensating;
        if !all_have_begun || state.workers < self.max_workers {
            return Progress::Free;
        }
        Progress::PendingFor(state.threads.iter().chain(&state.standing_in).copied().collect())
    }
}

impl Drop for Staff {
    fn drop(&mut self) {
        STAFFS.lock().remove(&self.pool);
    }
}

impl State {
    fn next_number(&mut self) -> usize {
        let number = self.next_number;
        self.next_number += 1;
        number
    }
}
