//! Where interrupts come from, and how they reach the supervisor.

use std::fmt;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::hub::Hub;
use super::interrupt::Interrupt;

/// Where a supervisor's interrupts come from.
///
/// ```
/// use towline_threads::supervisor::{Interrupt, InterruptSink, InterruptSource};
/// use towline_threads::thread;
///
/// /// Interrupts a run when a line is typed.
/// struct Enter;
///
/// impl InterruptSource for Enter {
///     fn start(self: Box<Self>, sink: InterruptSink) {
///         thread::Builder::new()
///             .daemon(true)
///             .spawn(move || {
///                 let mut line = String::new();
///                 if std::io::stdin().read_line(&mut line).is_ok() {
///                     sink.send(Interrupt::Requested);
///                 }
///             })
///             .expect("a thread");
///     }
/// }
/// # let _: Box<dyn InterruptSource> = Box::new(Enter);
/// ```
pub trait InterruptSource: Send {
    /// Starts sending interrupts to `sink`. Called once, when the run begins; must not block.
    fn start(self: Box<Self>, sink: InterruptSink);
}

/// Where a source sends its interrupts. Clones lead to the same supervisor.
#[derive(Clone)]
pub struct InterruptSink {
    hub: Weak<Hub>,
}

/// A source for tests and for programs that interrupt themselves.
///
/// ```
/// use std::io;
/// use towline_threads::supervisor::{
///     Crew, Interrupt, ManualInterrupt, Outcome, Supervised, Supervisor,
/// };
///
/// struct Patient;
///
/// impl Supervised for Patient {
///     fn init_threads(&mut self, crew: &Crew) -> io::Result<()> {
///         let token = crew.cancel_token().clone();
///         crew.spawn("waits", move || {
///             token.wait();
///         })
///     }
/// }
///
/// let (source, trigger) = ManualInterrupt::new();
/// trigger.send(Interrupt::Requested); // before the run or during it
/// let outcome = Supervisor::new(1).interrupts(source).run(&mut Patient).unwrap();
/// assert_eq!(outcome, Outcome::Interrupted(Interrupt::Requested));
/// ```
pub struct ManualInterrupt {
    relay: Arc<Relay>,
}

/// The other end of a [`ManualInterrupt`]. Clones are the same trigger.
#[derive(Clone)]
pub struct InterruptTrigger {
    relay: Arc<Relay>,
}

/// Holds interrupts until there is a sink, then passes them on.
pub(super) struct Relay {
    state: Mutex<RelayState>,
}

enum RelayState {
    Early(Vec<Interrupt>),
    Connected(InterruptSink),
    /// There will be no sink.
    Closed,
}

impl InterruptSink {
    pub(super) fn new(hub: &Arc<Hub>) -> Self {
        Self { hub: Arc::downgrade(hub) }
    }

    /// Sends an interrupt to the supervisor; false if its run is over and the interrupt has no
    /// effect.
    pub fn send(&self, interrupt: Interrupt) -> bool {
        self.hub.upgrade().is_some_and(|hub| hub.interrupt(interrupt))
    }
}

impl fmt::Debug for InterruptSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InterruptSink").finish_non_exhaustive()
    }
}

impl ManualInterrupt {
    /// A source for [`Supervisor::interrupts`](super::Supervisor::interrupts), and its trigger.
    pub fn new() -> (Self, InterruptTrigger) {
        let relay = Arc::new(Relay::new());
        let trigger = InterruptTrigger { relay: Arc::clone(&relay) };
        (Self { relay }, trigger)
    }
}

impl InterruptSource for ManualInterrupt {
    fn start(self: Box<Self>, sink: InterruptSink) {
        self.relay.connect(sink);
    }
}

impl Drop for ManualInterrupt {
    /// Tells the triggers that there will be no run; does nothing once a run has begun.
    fn drop(&mut self) {
        self.relay.close();
    }
}

impl fmt::Debug for ManualInterrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualInterrupt").finish_non_exhaustive()
    }
}

impl InterruptTrigger {
    /// Interrupts the run, now or as soon as it begins; false if it is over.
    pub fn send(&self, interrupt: Interrupt) -> bool {
        self.relay.send(interrupt)
    }
}

impl fmt::Debug for InterruptTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InterruptTrigger").finish_non_exhaustive()
    }
}

impl Relay {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(RelayState::Early(Vec::new())) }
    }

    /// False if the interrupt has no effect.
    pub(super) fn send(&self, interrupt: Interrupt) -> bool {
        match &mut *self.state.lock() {
            RelayState::Early(early) => {
                early.push(interrupt);
                true
            }
            RelayState::Connected(sink) => sink.send(interrupt),
            RelayState::Closed => false,
        }
    }

    /// Like [`send`](Self::send), but holds nothing: false unless a run has begun.
    #[cfg(all(unix, feature = "signals"))]
    pub(super) fn send_to_run(&self, interrupt: Interrupt) -> bool {
        match &*self.state.lock() {
            RelayState::Connected(sink) => sink.send(interrupt),
            RelayState::Early(_) | RelayState::Closed => false,
        }
    }

    pub(super) fn connect(&self, sink: InterruptSink) {
        let mut state = self.state.lock();
        if let RelayState::Early(early) = &mut *state {
            for interrupt in early.drain(..) {
                sink.send(interrupt);
            }
        }
        *state = RelayState::Connected(sink);
    }

    /// Gives up waiting for a sink; returns the interrupts held so far. Does nothing once
    /// connected.
    pub(super) fn close(&self) -> Vec<Interrupt> {
        let mut state = self.state.lock();
        match &mut *state {
            RelayState::Early(early) => {
                let early = std::mem::take(early);
                *state = RelayState::Closed;
                early
            }
            RelayState::Connected(_) | RelayState::Closed => Vec::new(),
        }
    }
}
