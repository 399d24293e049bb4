//! All connections: their hosts, their workers and who uses them. A slot is the right to hold one connection;
//! caps are exact because a worker connects only with a slot.

use super::ids::IdMap;
use super::kept::Kept;
use super::pace::Pace;
use super::spoken::Spoken;
use crate::http::origin::{Origin, OriginMap, Scheme};
use crate::job::Profile;
use crate::message::{Alpn, Protocol, SlotId, Time};
use crate::options::{HostOptions, OfHosts};

/// An idle connection is closed after this.
const IDLE_MAX: Time = Time::from_secs(15);
/// It is closed after this if a new connection to its host waits as long for its first response: some servers serve one
/// connection after the other.
pub(crate) const IDLE_BEFORE_OTHERS_MAX: Time = Time::from_millis(500);
/// The same for connections to other hosts, which may be names of one server.
const IDLE_BEFORE_OTHER_HOSTS_MAX: Time = Time::from_secs(2);
/// The maximum number of streams on one HTTP/2 connection; servers commonly allow 100 or 128.
const STREAMS_MAX: usize = 100;
/// Up to this many hosts are remembered without a connection.
const HOSTS_KEPT_MAX: usize = 1024;
/// A refused connection lowers the host's cap for this long.
const REFUSAL_LASTS: Time = Time::from_secs(60);

/// A shared connection is given up after so many answers in a row that the server cannot serve anybody.
const SICK_ANSWERS_MAX: u32 = 4;
/// A connection that has not told its protocol for longer is not worth waiting for if there are others.
const UNSPOKEN_MAX: Time = Time::from_secs(1);

/// Requests that are this far apart make others wait.
const SLOW: Time = Time::from_millis(100);

/// What a transfer needs from a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// For a whole file: HTTP/2 is welcome.
    Whole,
    /// For a piece of a large file: an HTTP/1.1 connection of its own.
    Own,
    /// For a whole file whose shared connection broke: one that nobody else uses, over either protocol.
    Apart,
}

/// All connection slots of a session.
#[derive(Debug)]
pub(crate) struct Slots {
    slots: IdMap<SlotId, Slot>,
    hosts: OriginMap<Host>,
    next: u64,
    max_per_host: usize,
    max_total: usize,
    http2: bool,
    http2_for_pieces: bool,
    /// The least time between two requests to one host.
    delay: Time,
    /// Where a host has its own.
    of_hosts: OfHosts,
    /// The number of slots of each worker.
    workers: Vec<usize>,
}

#[derive(Debug)]
struct Slot {
    host: Origin,
    profile: Profile,
    worker: usize,
    alpn: Alpn,
    protocol: Option<Protocol>,
    users: usize,
    /// There were several users since it was last idle.
    is_shared: bool,
    idle_since: Time,
    is_retiring: bool,
    /// It has carried a response.
    has_served: bool,
    /// How many responses in a row said that the server cannot serve anybody.
    sick_answers: u32,
    /// The number of requests sent over it.
    requests: u32,
}

/// The connections to a host, and what is known of how it takes them.
#[derive(Debug, Default)]
struct Host {
    slots: Vec<SlotId>,
    /// The next request may be sent then, if there is to be a delay between them.
    next_at: Time,
    /// How far apart it lets us send requests.
    pace: Pace,
    /// A lowered cap, and until when.
    lowered: Option<(usize, Time)>,
    /// How often it refused an additional connection.
    refusals: u32,
    protocol: Option<Protocol>,
    spoken: Spoken,
    kept: Kept,
}

/// A slot that was assigned to a transfer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) slot: SlotId,
    pub(crate) worker: usize,
    pub(crate) alpn: Alpn,
}

impl Slots {
    pub(crate) fn new(max_per_host: usize, max_total: usize, http2: bool, http2_for_pieces: bool) -> Self {
        Self {
            slots: IdMap::default(),
            hosts: OriginMap::default(),
            next: 0,
            max_per_host,
            max_total,
            http2,
            http2_for_pieces,
            delay: Time::ZERO,
            of_hosts: OfHosts::default(),
            workers: Vec::new(),
        }
    }

    /// Keeps this much time between two requests to one host.
    pub(crate) fn set_delay(&mut self, delay: Time) {
        self.delay = delay;
    }

    /// Lets some hosts have their own limits.
    pub(crate) fn set_of_hosts(&mut self, of_hosts: OfHosts) {
        self.of_hosts = of_hosts;
    }

    pub(crate) fn set_max_per_host(&mut self, max: usize) {
        self.max_per_host = max.max(1);
    }

    /// Raises the caps so that one file can have this many connections.
    pub(crate) fn make_room_for(&mut self, connections: usize) {
        self.max_per_host = self.max_per_host.max(connections);
        self.max_total = self.max_total.max(connections);
    }

    pub(crate) fn set_max_total(&mut self, max: usize) {
        self.max_total = max.max(1);
    }

    /// Connections open or being opened.
    pub(crate) fn open(&self) -> usize {
        self.slots.len()
    }

    /// A worker was added: it gets a fair share of the slots, each once it is idle. Returns those that are
    /// idle now, which must be closed.
    pub(crate) fn add_worker(&mut self, worker: usize) -> Vec<(SlotId, usize)> {
        self.workers.resize(self.workers.len().max(worker + 1), 0);
        let share = self.slots.len() / self.workers.len();
        let mut most: Vec<_> = self.slots.iter_mut().collect();
        most.sort_by_key(|(id, slot)| (std::cmp::Reverse(self.workers[slot.worker]), **id));
        let mut idle = Vec::new();
        for (id, slot) in most.into_iter().take(share) {
            slot.is_retiring = true;
            if slot.users == 0 {
                idle.push((*id, slot.worker));
            }
        }
        for (slot, _) in &idle {
            self.remove(*slot);
        }
        idle
    }

    /// The host refused another connection while `working` work.
    pub(crate) fn refuse(&mut self, host: &Origin, working: usize, now: Time) {
        let state = self.hosts.entry(host.clone()).or_default();
        // A host that has done so before has a fixed limit: that is remembered for the whole run.
        let is_known = state.refusals > 0 && state.lowered.is_none_or(|(_, until)| until <= now);
        state.refusals += 1;
        let until = if is_known { Time::MAX } else { now + REFUSAL_LASTS };
        let before = state.lowered.filter(|(_, until)| *until > now);
        state.lowered = Some((working.max(1), before.map_or(until, |(_, before)| before.max(until))));
    }

    /// It was not the number of connections that the host had refused.
    pub(crate) fn forgive(&mut self, host: &Origin) {
        if let Some(state) = self.hosts.get_mut(host) {
            (state.lowered, state.refusals) = (None, 0);
        }
    }

    /// Removes and returns all connections that have been idle since then or longer.
    pub(crate) fn drop_all_idle(&mut self, since: Time) -> Vec<(SlotId, usize)> {
        let idle = self.slots.iter().filter(|(_, state)| state.users == 0 && state.idle_since <= since);
        let idle: Vec<_> = idle.map(|(slot, state)| (*slot, state.worker)).collect();
        for (slot, _) in &idle {
            self.remove(*slot);
        }
        idle
    }

    /// A connection has carried a response.
    pub(crate) fn served(&mut self, slot: SlotId) {
        let Some(state) = self.slots.get_mut(&slot) else { return };
        state.has_served = true;
        state.sick_answers = 0;
        let is_kept = state.requests > 1;
        let Some(host) = self.hosts.get_mut(&state.host) else { return };
        if let Some(protocol) = state.protocol {
            host.spoken.answered(protocol);
        }
        if is_kept {
            host.kept.served();
        }
    }

    /// A request got no response over a slot's connection: because the host said that it does not serve it
    /// over this protocol (`is_told`), or because the connection broke. Returns whether another protocol is
    /// used from now on.
    pub(crate) fn unanswered(&mut self, slot: SlotId, is_told: bool, now: Time) -> bool {
        let Some(state) = self.slots.get(&slot) else { return false };
        let offers = self.http2 && state.host.scheme == Scheme::Https;
        let spoke = state.protocol.or((state.alpn == Alpn::Http1).then_some(Protocol::Http1));
        let (Some(protocol), Some(host)) = (spoke.filter(|_| offers), self.hosts.get_mut(&state.host)) else {
            return false;
        };
        // Another request may have been told so before.
        let is_known = state.alpn == Alpn::Http1 && host.spoken.only() == Some(Protocol::Http2);
        match is_told {
            true => is_known || host.spoken.refused(protocol),
            false => !state.has_served && host.spoken.failed(protocol, now),
        }
    }

    /// The server has answered over this connection that it cannot serve anybody. Returns whether that is all that it does
    /// there; a connection that others share gets a few chances.
    pub(crate) fn is_sick(&mut self, slot: SlotId) -> bool {
        let Some(state) = self.slots.get_mut(&slot) else { return false };
        state.sick_answers += 1;
        state.protocol != Some(Protocol::Http2) || state.sick_answers >= SICK_ANSWERS_MAX
    }

    /// Whether a connection has carried a response before.
    pub(crate) fn has_served(&self, slot: SlotId) -> bool {
        self.slots.get(&slot).is_some_and(|state| state.has_served)
    }

    /// A request failed. Returns whether that was over a reused connection, which may be the cause: a
    /// firewall has forgotten it, or the server serves one request only. If that keeps happening, each
    /// request to the host gets a new connection.
    pub(crate) fn failed_kept(&mut self, slot: SlotId, now: Time) -> bool {
        let Some(state) = self.slots.get(&slot).filter(|state| state.requests > 1) else { return false };
        if let Some(host) = self.hosts.get_mut(&state.host) {
            host.kept.failed(now);
        }
        true
    }

    /// Removes and returns the idle connections to a host: whatever forgot one connection has forgotten these too.
    pub(crate) fn drop_idle(&mut self, host: &Origin) -> Vec<(SlotId, usize)> {
        let of_host = self.hosts.get(host).map_or_else(Vec::new, |state| state.slots.clone());
        let idle = of_host.into_iter().filter(|slot| self.slots.get(slot).is_some_and(|state| state.users == 0));
        let idle: Vec<_> = idle.map(|slot| (slot, self.slots[&slot].worker)).collect();
        for (slot, _) in &idle {
            self.remove(*slot);
        }
        idle
    }

    /// Whether several transfers use a connection, or did so until it broke.
    pub(crate) fn is_shared(&self, slot: SlotId) -> bool {
        self.slots.get(&slot).is_some_and(|state| state.is_shared)
    }

    /// How many connections to a host have carried responses.
    pub(crate) fn serving(&self, host: &Origin) -> usize {
        let slots = self.hosts.get(host).map_or(&[][..], |state| &state.slots);
        slots.iter().filter(|slot| self.slots[slot].has_served).count()
    }

    /// A connection for one transfer, if the caps allow it. The second value is an idle connection that must
    /// be closed to make room.
    pub(crate) fn take(
        &mut self,
        host: &Origin,
        profile: &Profile,
        wanted: Wanted,
        now: Time,
    ) -> Option<(Taken, Option<(SlotId, usize)>)> {
        if self.hosts.get(host).is_some_and(|host| host.next_at > now) {
            return None;
        }
        let taken = self.take_now(host, profile, wanted, now)?;
        let delay = self.own(host, |own| own.delay).unwrap_or(self.delay);
        let delay = delay.max(self.hosts.get(host).map_or(Time::ZERO, |host| host.pace.apart()));
        if !delay.is_zero() {
            self.hosts.entry(host.clone()).or_default().next_at = now + delay;
        }
        Some(taken)
    }

    /// A host has served a request.
    pub(crate) fn keeps_pace(&mut self, host: &Origin, now: Time) {
        if let Some(state) = self.hosts.get_mut(host) {
            state.pace.served(now);
        }
    }

    /// Whether requests to a host are so far apart that what waits for it may wait for a while.
    pub(crate) fn is_slowed_down(&self, host: &Origin) -> bool {
        self.hosts.get(host).is_some_and(|state| state.pace.apart() >= SLOW)
    }

    /// A host has refused a request because there are too many.
    pub(crate) fn slows_down(&mut self, host: &Origin, now: Time) {
        if let Some(state) = self.hosts.get_mut(host) {
            state.pace.refused(now);
        }
    }

    fn take_now(
        &mut self,
        host: &Origin,
        profile: &Profile,
        wanted: Wanted,
        now: Time,
    ) -> Option<(Taken, Option<(SlotId, usize)>)> {
        if wanted != Wanted::Apart
            && let Some(slot) = self.find(host, profile, wanted, now)
        {
            return Some((self.occupy(slot), None));
        }
        let alpn = self.alpn(host, wanted);
        if alpn == Alpn::Any && wanted == Wanted::Whole && self.must_wait_for_protocol(host, profile, now) {
            return None;
        }
        if self.count(host) > self.cap(host, now) || self.slots.len() > self.max_total {
            // A cap was lowered: the next connections that end are not replaced.
            return None;
        }
        let is_of_use = |slot: &Slot| wanted != Wanted::Apart && slot.alpn == alpn && slot.profile == *profile;
        let mut closed = None;
        if self.count(host) >= self.cap(host, now) {
            closed = Some(self.idle_of(|slot| slot.host == *host && !is_of_use(slot))?);
        } else if self.slots.len() >= self.max_total {
            closed = Some(self.idle_of(|slot| slot.host != *host || !is_of_use(slot))?);
        }
        if let Some((slot, _)) = closed {
            self.remove(slot);
        }
        Some((self.open_slot(host, profile, alpn, wanted == Wanted::Apart, now), closed))
    }

    /// Records the protocol that a connection speaks.
    pub(crate) fn connected(&mut self, slot: SlotId, protocol: Protocol) {
        if let Some(state) = self.slots.get_mut(&slot) {
            state.protocol = Some(protocol);
            if state.alpn == Alpn::Any {
                self.hosts.entry(state.host.clone()).or_default().protocol = Some(protocol);
            }
        }
    }

    /// A transfer is done with its connection. Returns the worker if the connection must be closed.
    pub(crate) fn give_back(&mut self, slot: SlotId, is_reusable: bool, now: Time) -> Option<usize> {
        let state = self.slots.get_mut(&slot)?;
        let worker = state.worker;
        state.users = state.users.saturating_sub(1);
        state.idle_since = now;
        let is_kept = self.hosts.get_mut(&state.host).is_none_or(|host| host.kept.keeps());
        if !is_reusable || !is_kept {
            // The other users of a broken HTTP/2 connection will end too.
            state.is_retiring = true;
        }
        if state.users == 0 && state.is_retiring {
            self.remove(slot);
            return Some(worker);
        }
        None
    }

    /// Removes and returns the connections that have been idle too long.
    pub(crate) fn reap(&mut self, now: Time) -> Vec<(SlotId, usize)> {
        let is_old = |slot: &Slot, most: Time| slot.idle_since + most <= now;
        let waits = |slot: &Slot| slot.users > 0 && !slot.has_served && is_old(slot, IDLE_BEFORE_OTHERS_MAX);
        let is_in_the_way = |idle: &Slot| {
            let are_old = (is_old(idle, IDLE_BEFORE_OTHERS_MAX), is_old(idle, IDLE_BEFORE_OTHER_HOSTS_MAX));
            let may_be_of_one_server = |slot: &Slot| are_old.0 && slot.host == idle.host || are_old.1;
            are_old.0 && self.slots.iter().any(|(_, slot)| may_be_of_one_server(slot) && waits(slot))
        };
        let old: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.users == 0 && (is_old(slot, IDLE_MAX) || is_in_the_way(slot)))
            .map(|(id, slot)| (*id, slot.worker))
            .collect();
        for (slot, _) in &old {
            self.remove(*slot);
        }
        if self.hosts.len() > HOSTS_KEPT_MAX {
            self.hosts.retain(|_, host| {
                let is_lowered = host.lowered.is_some_and(|(_, until)| until > now);
                let is_limited = is_lowered || host.refusals > 0 || host.next_at > now;
                !host.slots.is_empty() || is_limited || host.spoken.only().is_some()
            });
        }
        old
    }

    fn cap(&self, host: &Origin, now: Time) -> usize {
        let max = self.own(host, |own| own.max_connections).map_or(self.max_per_host, |own| own.max(1));
        match self.hosts.get(host).and_then(|state| state.lowered) {
            Some((lowered, until)) if until > now => lowered.min(max),
            _ => max,
        }
    }

    /// A setting of this host's own.
    fn own<T>(&self, host: &Origin, setting: impl Fn(&HostOptions) -> Option<T>) -> Option<T> {
        if self.of_hosts.is_empty() { None } else { setting(&self.of_hosts.of(&host.host)) }
    }

    fn count(&self, host: &Origin) -> usize {
        self.hosts.get(host).map_or(0, |state| state.slots.len())
    }

    fn alpn(&self, host: &Origin, wanted: Wanted) -> Alpn {
        let offers = self.http2 && host.scheme == Scheme::Https;
        let only = self.hosts.get(host).and_then(|state| state.spoken.only());
        match (wanted, only) {
            _ if !offers => Alpn::Http1,
            (_, Some(Protocol::Http1)) => Alpn::Http1,
            (Wanted::Whole | Wanted::Apart, _) | (Wanted::Own, Some(Protocol::Http2)) => Alpn::Any,
            (Wanted::Own, None) if self.http2_for_pieces => Alpn::Any,
            (Wanted::Own, None) => Alpn::Http1,
        }
    }

    /// Until the first connection shows whether the host speaks HTTP/2, more would be a waste.
    pub(crate) fn must_wait_for_protocol(&self, host: &Origin, profile: &Profile, now: Time) -> bool {
        if host.scheme != Scheme::Https {
            return false;
        }
        let Some(state) = self.hosts.get(host) else { return false };
        let shared = || self.shared_slots(state, profile).count();
        match state.protocol {
            Some(Protocol::Http1) => false,
            Some(Protocol::Http2) => {
                let shared = shared();
                shared > 0 && shared >= self.shared_max(host, now) && !self.all_streams_taken(state, profile)
            }
            None => shared() > 0,
        }
    }

    /// Whether no request can be sent to a host now, whatever there is to ask: it has as many connections as it may have, and
    /// all are busy, or it is not its time.
    pub(crate) fn has_no_room(&self, host: &Origin, now: Time) -> bool {
        let Some(state) = self.hosts.get(host) else { return false };
        let are_busy = || state.slots.iter().all(|slot| self.slots[slot].users > 0);
        let is_full = || state.slots.len() >= self.cap(host, now) && are_busy();
        state.next_at > now || is_full()
    }

    /// Whether a host has not told for a while which protocol it speaks.
    pub(crate) fn is_mute(&self, host: &Origin, profile: &Profile, now: Time) -> bool {
        let Some(state) = self.hosts.get(host).filter(|state| state.protocol.is_none()) else { return false };
        let is_old = |slot: &Slot| slot.protocol.is_none() && slot.idle_since + UNSPOKEN_MAX <= now;
        self.shared_slots(state, profile).any(is_old)
    }

    /// Whether there are connections to a host.
    pub(crate) fn has_any(&self, host: &Origin) -> bool {
        self.count(host) > 0
    }

    /// Connections that may carry streams, except retiring ones.
    fn shared_slots<'a>(&'a self, host: &'a Host, profile: &Profile) -> impl Iterator<Item = &'a Slot> {
        let slots = host.slots.iter().map(|slot| &self.slots[slot]);
        slots.filter(move |slot| slot.alpn == Alpn::Any && !slot.is_retiring && slot.profile == *profile)
    }

    /// For HTTP/2, one connection per worker is enough.
    fn shared_max(&self, host: &Origin, now: Time) -> usize {
        self.workers.len().min(self.cap(host, now)).max(1)
    }

    fn all_streams_taken(&self, host: &Host, profile: &Profile) -> bool {
        self.shared_slots(host, profile).all(|slot| slot.users >= STREAMS_MAX)
    }

    /// An open connection that can take one more transfer.
    fn find(&self, host: &Origin, profile: &Profile, wanted: Wanted, now: Time) -> Option<SlotId> {
        let state = self.hosts.get(host)?;
        let streams_suit = match (wanted, state.spoken.only()) {
            (_, Some(only)) => only == Protocol::Http2,
            (wanted, None) => wanted == Wanted::Whole || self.http2_for_pieces,
        };
        let fits = |slot: &Slot| {
            if slot.is_retiring || slot.profile != *profile {
                return false;
            }
            match slot.protocol {
                Some(Protocol::Http2) => streams_suit && slot.users < STREAMS_MAX,
                Some(Protocol::Http1) => slot.users == 0,
                None => false,
            }
        };
        let found = state
            .slots
            .iter()
            .map(|id| (*id, &self.slots[id]))
            .filter(|(_, slot)| fits(slot))
            // Whole files avoid the connections that pieces want, and vice versa; then the one with the
            // fewest users, then the one used last, which is the least likely to be closed.
            .min_by_key(|(_, slot)| {
                let suits = (wanted == Wanted::Whole) == (slot.alpn == Alpn::Any);
                (!suits, slot.users, std::cmp::Reverse(slot.idle_since))
            })?;
        let is_shared = found.1.users > 0;
        // A busy HTTP/2 connection is shared only once each worker has one.
        (!is_shared || self.shared_slots(state, profile).count() >= self.shared_max(host, now)).then_some(found.0)
    }

    fn occupy(&mut self, slot: SlotId) -> Taken {
        let state = self.slots.get_mut(&slot).expect("the slot was just found");
        state.is_shared = state.users > 0;
        state.users += 1;
        state.requests += 1;
        Taken { slot, worker: state.worker, alpn: state.alpn }
    }

    fn open_slot(&mut self, host: &Origin, profile: &Profile, alpn: Alpn, is_retiring: bool, now: Time) -> Taken {
        let worker = (0..self.workers.len()).min_by_key(|worker| self.workers[*worker]).unwrap_or(0);
        let id = SlotId(self.next);
        self.next += 1;
        let protocol = None;
        let slot = Slot {
            host: host.clone(),
            profile: profile.clone(),
            worker,
            alpn,
            protocol,
            users: 1,
            is_shared: false,
            idle_since: now,
            is_retiring,
            has_served: false,
            sick_answers: 0,
            requests: 1,
        };
        self.slots.insert(id, slot);
        self.hosts.entry(host.clone()).or_default().slots.push(id);
        self.workers[worker] += 1;
        Taken { slot: id, worker, alpn }
    }

    fn idle_of(&self, fits: impl Fn(&Slot) -> bool) -> Option<(SlotId, usize)> {
        self.slots
            .iter()
            .filter(|(_, slot)| slot.users == 0 && fits(slot))
            .min_by_key(|(_, slot)| slot.idle_since)
            .map(|(id, slot)| (*id, slot.worker))
    }

    fn remove(&mut self, slot: SlotId) {
        let Some(state) = self.slots.remove(&slot) else { return };
        self.workers[state.worker] -= 1;
        if let Some(host) = self.hosts.get_mut(&state.host) {
            host.slots.retain(|other| *other != slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_asked_apart_has_a_connection_that_nobody_else_gets() {
        let host = Origin::of(&"https://h/".parse().unwrap()).unwrap();
        let mut slots = Slots::new(8, 8, true, false);
        let profile = Profile::default();
        slots.add_worker(0);
        let mut take = |wanted| slots.take(&host, &profile, wanted, Time::ZERO).map(|(taken, _)| taken);
        let first = take(Wanted::Whole).unwrap();
        assert!(take(Wanted::Whole).is_none(), "its protocol is not known yet");
        let apart = take(Wanted::Apart).unwrap();
        assert_eq!((first.alpn, apart.alpn), (Alpn::Any, Alpn::Any));
        slots.connected(first.slot, Protocol::Http2);
        slots.connected(apart.slot, Protocol::Http2);
        let second = slots.take(&host, &profile, Wanted::Whole, Time::ZERO).unwrap().0;
        assert_eq!(second.slot, first.slot);
        // It counts as shared for the last user too.
        slots.give_back(first.slot, false, Time::ZERO);
        assert!(slots.is_shared(first.slot) && !slots.is_shared(apart.slot));
        assert_eq!(slots.give_back(apart.slot, true, Time::ZERO), Some(0), "it is closed after its one request");
    }

    #[test]
    fn whoever_is_asked_apart_has_the_place_of_an_idle_connection() {
        let host = Origin::of(&"https://h/".parse().unwrap()).unwrap();
        for [per_host, total] in [[1, 8], [8, 1]] {
            let mut slots = Slots::new(per_host, total, true, false);
            slots.add_worker(0);
            let take = |slots: &mut Slots| slots.take(&host, &Profile::default(), Wanted::Apart, Time::ZERO);
            let idle = slots.take(&host, &Profile::default(), Wanted::Whole, Time::ZERO).unwrap().0.slot;
            slots.connected(idle, Protocol::Http2);
            assert!(take(&mut slots).is_none(), "it is in use");
            slots.give_back(idle, true, Time::ZERO);
            assert_eq!(take(&mut slots).unwrap().1, Some((idle, 0)));
        }
    }

    #[test]
    fn an_idle_connection_is_closed_soon_if_others_wait_for_their_first_response() {
        let host = Origin::of(&"http://h/".parse().unwrap()).unwrap();
        let other = Origin::of(&"http://other/".parse().unwrap()).unwrap();
        let mut slots = Slots::new(8, 8, true, false);
        slots.add_worker(0);
        let profile = Profile::default();
        let mut take = |host: &Origin| slots.take(host, &profile, Wanted::Own, Time::ZERO).unwrap().0.slot;
        let (first, second, elsewhere) = (take(&host), take(&host), take(&other));
        for slot in [first, elsewhere] {
            slots.served(slot);
            slots.give_back(slot, true, Time::from_millis(100));
        }
        assert_eq!(slots.reap(Time::from_millis(599)), []);
        assert_eq!(slots.reap(Time::from_millis(600)), [(first, 0)], "nobody waits at the other host");
        slots.served(second);
        slots.give_back(second, true, Time::from_millis(700));
        assert_eq!(slots.reap(Time::from_secs(10)), [], "nobody waits any more");
    }

    #[test]
    fn a_connection_to_a_server_that_serves_nobody_is_given_up() {
        let host = Origin::of(&"https://h/".parse().unwrap()).unwrap();
        let mut slots = Slots::new(8, 8, true, false);
        slots.add_worker(0);
        let mut open = |protocol| {
            let slot = slots.take(&host, &Profile::default(), Wanted::Apart, Time::ZERO).unwrap().0.slot;
            slots.connected(slot, protocol);
            slot
        };
        let (own, shared) = (open(Protocol::Http1), open(Protocol::Http2));
        assert!(slots.is_sick(own), "another may lead to another server");
        let answers: Vec<_> = (0..3).map(|_| slots.is_sick(shared)).collect();
        assert_eq!(answers, [false; 3], "others use it");
        slots.served(shared);
        let answers: Vec<_> = (0..4).map(|_| slots.is_sick(shared)).collect();
        assert_eq!(answers, [false, false, false, true]);
    }

    #[test]
    fn what_was_in_use_a_moment_ago_makes_no_room() {
        let host = Origin::of(&"http://h/".parse().unwrap()).unwrap();
        let mut slots = Slots::new(8, 8, true, false);
        slots.add_worker(0);
        let slot = slots.take(&host, &Profile::default(), Wanted::Own, Time::ZERO).unwrap().0.slot;
        assert_eq!(slots.drop_all_idle(Time::from_secs(1)), [], "it is in use");
        slots.give_back(slot, true, Time::from_secs(2));
        assert_eq!(slots.drop_all_idle(Time::from_secs(1)), []);
        assert_eq!(slots.drop_all_idle(Time::from_secs(2)), [(slot, 0)]);
    }
}
