//! A switch that turns scripted rules on and off while the origin runs. The test flips it, the serving
//! threads read it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Turns rules on and off; initially off. Clones share their state. See
/// [`Scope::while_on`](crate::Scope::while_on).
///
/// ```
/// use towline_origin::{Fault, Page, Resource, Scope, Switch};
///
/// let portal = Switch::default();
/// let page = Fault::Page(Page::html("<html>please log in</html>"));
/// let resource = Resource::new("/a.bin", 1, 1000).fault(page.when(Scope::every().while_on(&portal)));
/// # drop(resource);
/// portal.on();
/// assert!(portal.is_on());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Switch {
    on: Arc<AtomicBool>,
}

impl Switch {
    /// Switches on for all later requests.
    pub fn on(&self) {
        self.on.store(true, Ordering::SeqCst);
    }

    /// Switches off for all later requests.
    pub fn off(&self) {
        self.on.store(false, Ordering::SeqCst);
    }

    /// Whether it is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::SeqCst)
    }
}

impl PartialEq for Switch {
    /// Whether both are clones of the same switch.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.on, &other.on)
    }
}

impl Eq for Switch {}
