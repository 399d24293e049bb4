//! What the tasks of one worker share: its connections, its running transfers, and the queue to the
//! dispatcher. Used by one thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Mutex, Notify, oneshot};
use tokio::task::JoinHandle;
use towline_threads::queue::Queue;

use crate::error::{Error, ErrorKind, Result};
use crate::job::Profile;
use crate::message::{Message, SlotId};
use crate::plan::TransferId;
use crate::source::http::connection::Connection;
use crate::source::http::digest_auth::Challenges;
use crate::source::http::network::{Network, seconds};
use crate::storage::PartFile;

/// The networks of this many profiles are cached.
const PROFILES_KEPT_MAX: usize = 64;

/// The state that the tasks of one worker share.
pub(crate) struct Shared {
    network: Arc<Network>,
    /// For jobs that make their connections in another way than the session.
    networks: RefCell<HashMap<Profile, Arc<Network>>>,
    pub(crate) transfers: RefCell<HashMap<TransferId, Running>>,
    connections: RefCell<HashMap<SlotId, Connection>>,
    /// What servers have asked for with a 401.
    pub(super) challenges: Challenges,
    gates: RefCell<HashMap<SlotId, Rc<Mutex<()>>>>,
    reports: Queue<Message>,
    /// Reports that wait for the tasks that are ready: one wake-up of the dispatcher suffices for all.
    unsent: RefCell<Vec<Message>>,
    has_unsent: Notify,
}

impl Shared {
    pub(crate) fn new(network: Arc<Network>, reports: Queue<Message>) -> Self {
        Self {
            network,
            networks: RefCell::default(),
            transfers: RefCell::default(),
            connections: RefCell::default(),
            challenges: Challenges::default(),
            gates: RefCell::default(),
            reports,
            unsent: RefCell::default(),
            has_unsent: Notify::new(),
        }
    }

    /// The network that makes connections of this profile. Files that it needs are read on another thread, for
    /// they may be anywhere.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for a CA file or a proxy that cannot be used.
    pub(crate) async fn network(&self, profile: &Profile) -> Result<Arc<Network>> {
        if profile.is_of_session() {
            return Ok(Arc::clone(&self.network));
        }
        if let Some(network) = self.networks.borrow().get(profile) {
            return Ok(Arc::clone(network));
        }
        let (session, own) = (Arc::clone(&self.network), profile.clone());
        let made = tokio::task::spawn_blocking(move || session.of_profile(&own));
        let limit = self.network.options.connect_timeout;
        let network = match tokio::time::timeout(limit, made).await {
            Ok(Ok(network)) => Arc::new(network?),
            Ok(Err(_)) => return Err(Error::new(ErrorKind::Internal, "a proxy or CA file could not be read")),
            Err(_) => {
                let text = format!("the file of certificates cannot be read within {}", seconds(limit));
                return Err(Error::new(ErrorKind::Usage, text));
            }
        };
        let mut networks = self.networks.borrow_mut();
        if networks.len() >= PROFILES_KEPT_MAX {
            // Networks in use live on in their transfers.
            networks.clear();
        }
        networks.insert(profile.clone(), Arc::clone(&network));
        Ok(network)
    }

    pub(crate) fn report(&self, message: Message) {
        let mut unsent = self.unsent.borrow_mut();
        unsent.push(message);
        if unsent.len() == 1 {
            self.has_unsent.notify_one();
        }
    }

    /// Passes reports on, each time behind the tasks that were ready when the first of them came.
    pub(super) async fn pass_on_reports(&self) {
        loop {
            self.has_unsent.notified().await;
            // The dispatcher is gone only during teardown.
            let _ = self.reports.put_many(&mut self.unsent.borrow_mut());
        }
    }

    /// The slot's open connection, if it has one; HTTP/2 connections stay in the table.
    pub(crate) fn take_connection(&self, slot: SlotId) -> Option<Connection> {
        let mut connections = self.connections.borrow_mut();
        let shared = match connections.get(&slot) {
            Some(connection) if connection.is_closed() => {
                connections.remove(&slot);
                return None;
            }
            Some(connection) => connection.share(),
            None => return None,
        };
        shared.or_else(|| connections.remove(&slot))
    }

    pub(crate) fn put_connection(&self, slot: SlotId, connection: Connection) {
        self.connections.borrow_mut().insert(slot, connection);
    }

    pub(crate) fn forget_connection(&self, slot: SlotId) {
        self.connections.borrow_mut().remove(&slot);
    }

    /// Forgets the slot's connection, unless another task has made a new one in the meantime.
    pub(crate) fn forget_closed(&self, slot: SlotId) {
        self.connections.borrow_mut().retain(|other, connection| *other != slot || !connection.is_closed());
    }

    /// The holder of this lock may connect for the slot.
    pub(crate) fn gate(&self, slot: SlotId) -> Rc<Mutex<()>> {
        Rc::clone(self.gates.borrow_mut().entry(slot).or_default())
    }

    pub(crate) fn close_slot(&self, slot: SlotId) {
        self.forget_connection(slot);
        self.gates.borrow_mut().remove(&slot);
    }

    pub(crate) fn has_connection(&self, slot: SlotId) -> bool {
        self.connections.borrow().get(&slot).is_some_and(|connection| !connection.is_closed())
    }
}

/// What to do with the body of a probe.
pub(crate) enum Grant {
    /// Write it to this file.
    Write(Arc<dyn PartFile>),
    /// Return it, to be compared with an existing file.
    Gather,
}

/// The handles of a running transfer.
pub(crate) struct Running {
    pub(crate) slot: SlotId,
    pub(crate) task: JoinHandle<()>,
    pub(crate) grant: Option<oneshot::Sender<Grant>>,
}
