//! One token that tells many threads to stop, and why.
//!
//! A [`CancelToken`] can be cancelled several times, with a [`CancelReason`] that only escalates.
//! Threads check it between two units of work ([`CancelToken::is_cancelled`] is one atomic load) or
//! wait on it instead of sleeping ([`CancelToken::wait_timeout`]). Tokens form a tree: cancelling
//! one cancels everything below it and nothing above.
//!
//! A node holds its parent strongly and its children weakly, so a cancelled ancestor always reaches
//! its descendants, and a dropped child does not occupy its parent for long. The reason is written
//! under the node's lock and may be read without it.
//!
//! ```
//! use std::time::Duration;
//! use towline_threads::{CancelReason, CancelToken, thread};
//!
//! let token = CancelToken::new();
//! let seen = token.clone();
//! let worker = thread::spawn(move || {
//!     // Between two units of work, wait for a moment or until told to stop.
//!     while seen.wait_timeout(Duration::from_millis(50)).is_none() {}
//!     seen.reason()
//! });
//! token.cancel(CancelReason::Stop);
//! assert_eq!(worker.join().unwrap(), Some(CancelReason::Stop));
//! ```

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::deadline;
use crate::facade::atomic::{AtomicU8, Ordering};
use crate::facade::{Condvar, Mutex};
use crate::naming::Name;
use crate::panic::drop_quietly;
use crate::waiting;

/// Why something should stop; later variants are more urgent.
///
/// ```
/// use towline_threads::CancelReason;
///
/// assert!(CancelReason::Stop < CancelReason::Terminate);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum CancelReason {
    /// The work is no longer wanted.
    Stop = 1,
    /// Something else failed, which makes this work pointless.
    Failed = 2,
    /// The user asked the program to end: finish the work in progress.
    Interrupt = 3,
    /// The user asked again: drop the work in progress.
    Terminate = 4,
}

/// A handle that tells threads to stop. Clones are the same token.
///
/// See the [module](self) for an example.
#[derive(Clone)]
pub struct CancelToken {
    node: Arc<Node>,
}

/// Keeps a callback of [`CancelToken::on_cancel`] registered until it is dropped.
#[must_use = "dropping it unregisters the callback at once"]
pub struct Registration {
    node: Weak<Node>,
    id: u64,
}

type Callback = Box<dyn FnOnce(CancelReason) + Send>;

struct Node {
    /// 0, or the reason as a number. Written under `links`, which orders it with the callbacks.
    level: AtomicU8,
    /// The reason that everything below this node has reached.
    reached: AtomicU8,
    links: Mutex<Links>,
    changed: Condvar,
    /// Held so that cancelling an ancestor reaches every living descendant.
    parent: Option<Arc<Self>>,
    name: Name,
}

struct Links {
    callbacks: Vec<(u64, Callback)>,
    next_id: u64,
    children: Vec<Weak<Node>>,
    /// The number of children at which dropped ones are removed.
    prune_at: usize,
}

const PRUNE_AT_MIN: usize = 16;

impl CancelReason {
    fn from_level(level: u8) -> Option<Self> {
        match level {
            0 => None,
            1 => Some(Self::Stop),
            2 => Some(Self::Failed),
            3 => Some(Self::Interrupt),
            _ => Some(Self::Terminate),
        }
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stop => "stopped",
            Self::Failed => "stopped by a failure elsewhere",
            Self::Interrupt => "interrupted",
            Self::Terminate => "terminated",
        })
    }
}

impl CancelToken {
    /// A token without a parent, not cancelled.
    #[track_caller]
    pub fn new() -> Self {
        Self { node: Node::new(0, None) }
    }

    /// Cancels this token and everything below it.
    ///
    /// A later call has an effect only if its reason is more urgent. Whichever call returns first, everything below is
    /// cancelled by then. The callbacks of [`on_cancel`](Self::on_cancel) run in the thread whose call reached them, outside
    /// all locks, before that call returns.
    ///
    /// # Panics
    ///
    /// If a callback panics: with the first such panic, after all callbacks have run.
    pub fn cancel(&self, reason: CancelReason) {
        let mut callbacks: Vec<Callback> = Vec::new();
        let mut below = vec![Arc::clone(&self.node)];
        while let Some(node) = below.pop() {
            node.raise(reason, &mut callbacks, &mut below);
        }
        // From now on, a later call has nothing to do below.
        self.node.reached.fetch_max(reason as u8, Ordering::AcqRel);
        let mut first_panic = None;
        for callback in callbacks {
            let outcome = catch_unwind(AssertUnwindSafe(move || callback(reason)));
            match outcome {
                Err(payload) if first_panic.is_none() => first_panic = Some(payload),
                // Its destructor may panic, which must not keep the others from running.
                Err(payload) => drop_quietly(payload),
                Ok(()) => {}
            }
        }
        if let Some(payload) = first_panic {
            resume_unwind(payload);
        }
    }

    /// Whether the token has been cancelled: one atomic load.
    ///
    /// ```
    /// use towline_threads::{CancelReason, CancelToken};
    ///
    /// let token = CancelToken::new();
    /// assert!(!token.is_cancelled());
    /// token.cancel(CancelReason::Stop);
    /// assert!(token.is_cancelled());
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.node.level() != 0
    }

    /// The most urgent reason given so far; `None` while the token is not cancelled.
    pub fn reason(&self) -> Option<CancelReason> {
        CancelReason::from_level(self.node.level())
    }

    /// A token that is cancelled along with this one, and can also be cancelled alone.
    ///
    /// ```
    /// use towline_threads::{CancelReason, CancelToken};
    ///
    /// let all = CancelToken::new();
    /// let one = all.child();
    /// one.cancel(CancelReason::Failed);
    /// assert!(!all.is_cancelled());
    /// all.cancel(CancelReason::Interrupt);
    /// assert_eq!(one.reason(), Some(CancelReason::Interrupt));
    /// ```
    #[track_caller]
    pub fn child(&self) -> Self {
        let mut links = self.node.links.lock();
        // Under the lock: a cancellation either is seen here or finds the child in the list.
        let node = Node::new(self.node.level(), Some(Arc::clone(&self.node)));
        if links.children.len() >= links.prune_at {
            links.children.retain(|child| child.strong_count() > 0);
            links.prune_at = PRUNE_AT_MIN.max(links.children.len() * 2);
        }
        links.children.push(Arc::downgrade(&node));
        Self { node }
    }

    /// Waits until the token is cancelled.
    pub fn wait(&self) -> CancelReason {
        loop {
            if let Some(reason) = self.node.wait_until(None) {
                return reason;
            }
        }
    }

    /// Waits until the token is cancelled, but no longer than `timeout`; `None` if it is not.
    ///
    /// Call this instead of sleeping.
    ///
    /// ```
    /// use std::time::Duration;
    /// use towline_threads::{CancelReason, CancelToken};
    ///
    /// let token = CancelToken::new();
    /// assert_eq!(token.wait_timeout(Duration::from_millis(1)), None);
    /// token.cancel(CancelReason::Stop);
    /// assert_eq!(token.wait_timeout(Duration::from_secs(60)), Some(CancelReason::Stop));
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Option<CancelReason> {
        match deadline::after(timeout) {
            None => Some(self.wait()),
            deadline => self.node.wait_until(deadline),
        }
    }

    /// Calls `f` when the token is first cancelled, with the reason given then.
    ///
    /// `f` runs in the thread that cancels, outside all locks; it should be brief. If the token is
    /// already cancelled, `f` runs at once, in this thread. Dropping the [`Registration`]
    /// unregisters `f`, but does not wait for a call that has begun.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use towline_threads::{CancelReason, CancelToken};
    ///
    /// let token = CancelToken::new();
    /// let (told, hears) = mpsc::channel();
    /// let registration = token.on_cancel(move |reason| told.send(reason).unwrap());
    /// token.cancel(CancelReason::Stop);
    /// assert_eq!(hears.recv(), Ok(CancelReason::Stop));
    /// drop(registration);
    /// ```
    pub fn on_cancel<F>(&self, f: F) -> Registration
    where
        F: FnOnce(CancelReason) + Send + 'static,
    {
        let mut links = self.node.links.lock();
        if let Some(reason) = self.reason() {
            drop(links);
            f(reason);
            return Registration { node: Weak::new(), id: 0 };
        }
        let id = links.next_id;
        links.next_id += 1;
        links.callbacks.push((id, Box::new(f)));
        Registration { node: Arc::downgrade(&self.node), id }
    }
}

impl Default for CancelToken {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("reason", &self.reason()).finish_non_exhaustive()
    }
}

impl Registration {
    /// Keeps the callback registered for as long as the token lives.
    pub fn detach(mut self) {
        self.node = Weak::new();
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(node) = self.node.upgrade() {
            let callback = {
                let mut links = node.links.lock();
                let place = links.callbacks.iter().position(|(id, _)| *id == self.id);
                place.map(|place| links.callbacks.remove(place))
            };
            // What the callback owns is dropped outside the lock.
            drop(callback);
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").finish_non_exhaustive()
    }
}

impl Node {
    #[track_caller]
    fn new(level: u8, parent: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self {
            level: AtomicU8::new(level),
            reached: AtomicU8::new(0),
            links: Mutex::new(Links {
                callbacks: Vec::new(),
                next_id: 1,
                children: Vec::new(),
                prune_at: PRUNE_AT_MIN,
            }),
            changed: Condvar::new(),
            parent,
            name: Name::here(),
        })
    }

    fn level(&self) -> u8 {
        self.level.load(Ordering::Acquire)
    }

    /// Raises this node to `reason`, and adds its callbacks and children to the lists.
    ///
    /// If the node already has that reason or a more urgent one, another thread has raised it, and may still be on its way
    /// to the children: they are added all the same, so that no call returns before they are cancelled.
    fn raise(&self, reason: CancelReason, callbacks: &mut Vec<Callback>, below: &mut Vec<Arc<Self>>) {
        if self.reached.load(Ordering::Acquire) >= reason as u8 {
            return;
        }
        let mut links = self.links.lock();
        if self.level() >= reason as u8 {
            below.extend(links.children.iter().filter_map(Weak::upgrade));
            return;
        }
        self.level.store(reason as u8, Ordering::Release);
        callbacks.extend(links.callbacks.drain(..).map(|(_, callback)| callback));
        below.extend(links.children.iter().filter_map(Weak::upgrade));
        self.changed.notify_all();
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Option<CancelReason> {
        if let Some(reason) = CancelReason::from_level(self.level()) {
            return Some(reason);
        }
        let _note = waiting::note("CancelToken", &self.name);
        let mut links = self.links.lock();
        loop {
            if let Some(reason) = CancelReason::from_level(self.level()) {
                return Some(reason);
            }
            if !deadline::wait_until(&self.changed, &mut links, deadline) {
                return CancelReason::from_level(self.level());
            }
        }
    }
}

impl Drop for Node {
    /// Drops the ancestors one by one: dropping a long chain recursively would overflow the stack.
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(mut node) = parent.and_then(Arc::into_inner) {
            parent = node.parent.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_a_million_tokens_is_dropped_without_using_up_the_stack() {
        let mut token = CancelToken::new();
        for _ in 0..1_000_000 {
            token = token.child();
        }
        drop(token);
    }

    #[test]
    fn children_that_are_gone_do_not_pile_up_in_their_parent() {
        let parent = CancelToken::new();
        for _ in 0..10_000 {
            drop(parent.child());
        }
        let kept = parent.node.links.lock().children.len();
        assert!(kept <= PRUNE_AT_MIN, "{kept} children kept");
    }

    #[test]
    fn a_registration_that_is_dropped_leaves_nothing_behind() {
        let token = CancelToken::new();
        drop(token.on_cancel(|_| panic!("never called")));
        assert!(token.node.links.lock().callbacks.is_empty());
        token.cancel(CancelReason::Stop);
    }

    #[test]
    fn a_node_between_two_tokens_lives_as_long_as_the_lower_one() {
        let top = CancelToken::new();
        let bottom = top.child().child();
        top.cancel(CancelReason::Stop);
        assert!(bottom.is_cancelled());
    }
}
