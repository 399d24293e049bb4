//! Providers' questions to their services: small documents, requested before files. Each takes a connection
//! within the caps of its host, and has the retries and the backoff of the session; a service that sends
//! `Retry-After` gets no other question meanwhile, while files continue.

use std::sync::Arc;

use super::Core;
use super::protocol::without_protocol;
use super::transfer_end::was_served;
use crate::backoff;
use crate::dispatch::asks::{Pending, Running};
use crate::dispatch::connection_slots::Wanted;
use crate::error::{Error, ErrorKind, Result};
use crate::job::JobId;
use crate::message::{Ask, Effect, End, Ended, Fetch, FetchKind, Redirect, Time, WorkRequest};
use crate::plan::piece::{OPEN_END, Piece};
use crate::secret;
use crate::source::redirect_rules;

/// A service's longer `Retry-After` is left to the provider.
const PATIENCE_MAX: Time = Time::from_secs(60);

impl Core {
    pub(super) fn ask(&mut self, ask: Box<Ask>) {
        // Dropping it answers it: the session is ending.
        if self.course.stopped.is_none() {
            let at = (ask.request.url.clone(), ask.origin.clone());
            self.asks.waiting.push_back(Box::new(Pending {
                ask,
                at,
                redirects: 0,
                attempts: 0,
                not_before: Time::ZERO,
            }));
        }
    }

    /// Sends those that get a connection.
    pub(super) fn send_asks(&mut self, now: Time) {
        let mut from = 0;
        while let Some((at, pending)) = self.asks.next(now, from) {
            if let Err(pending) = self.send_ask(now, pending) {
                self.asks.waiting.insert(at, pending);
                from = at + 1;
            }
        }
    }

    fn send_ask(&mut self, now: Time, pending: Box<Pending>) -> Result<(), Box<Pending>> {
        let (url, host) = pending.at.clone();
        let held_for = self.hosts.held_until(&host).saturating_sub(now);
        if held_for > PATIENCE_MAX {
            // As if it had answered so itself.
            let text = format!("the host {} asks for a wait of {} s", host.host, held_for.as_secs());
            pending.ask.reply.answer(Err(Error::new(ErrorKind::Status(429), text)));
            return Ok(());
        }
        if !held_for.is_zero() {
            return Err(pending);
        }
        let profile = pending.ask.profile.clone();
        let Some((taken, closed)) = self.slots.take(&host, &profile, Wanted::Whole, now) else { return Err(pending) };
        if let Some((slot, worker)) = closed {
            self.effects.push(Effect::Work(worker, WorkRequest::CloseSlot(slot)));
        }
        let transfer = self.numbers.transfer();
        let is_own = host == pending.ask.origin;
        let fetch = Fetch {
            transfer,
            job: JobId::NONE,
            slot: taken.slot,
            alpn: taken.alpn,
            url,
            // The user's headers and credentials are for the files, not for the service.
            is_own_origin: false,
            keeps_credentials: false,
            given: None,
            place: None,
            headers: is_own.then(|| Arc::new(pending.ask.request.headers.clone())),
            limits: self.limits.of(&host, None),
            span: tracing::debug_span!("ask", id = transfer.0, slot = taken.slot.0, %host),
            origin: host,
            profile,
            cookie: None,
            newer_than: None,
            kind: FetchKind::Document(Arc::clone(&pending.ask.request)),
            piece: Arc::new(Piece::new(0, OPEN_END)),
        };
        let running = Running { pending, slot: taken.slot, worker: taken.worker };
        self.asks.running.insert(transfer, running);
        self.effects.push(Effect::Work(taken.worker, WorkRequest::Fetch(Box::new(fetch))));
        Ok(())
    }

    /// Handles the end of a provider's request; gives any other end back.
    pub(super) fn was_ask(&mut self, now: Time, ended: Ended) -> Result<(), Ended> {
        let Some(Running { pending, slot, .. }) = self.asks.running.remove(&ended.transfer) else {
            return Err(ended);
        };
        if was_served(&ended.end) {
            self.slots.served(slot);
        }
        let is_otherwise = self.is_asked_otherwise(now, slot, &ended.end);
        let end = without_protocol(ended.end, is_otherwise);
        self.let_connection_go(now, slot, &pending.at.1, &end, ended.is_reusable);
        match end {
            End::Document(answer) => {
                self.hosts.succeeded(&pending.at.1);
                pending.ask.reply.answer(Ok(*answer));
            }
            End::Redirect(redirect) => self.ask_redirected(now, pending, &redirect),
            End::Failed { error, retry_after } => self.ask_failed(now, pending, error, retry_after),
            _ => pending.ask.reply.answer(Err(Error::new(ErrorKind::Interrupted, "a question was broken off"))),
        }
        Ok(())
    }

    fn ask_redirected(&mut self, now: Time, mut pending: Box<Pending>, redirect: &Redirect) {
        if !pending.ask.request.follows() {
            let to = redirect.location.as_deref().and_then(|to| pending.at.0.join(to).ok());
            let to = to.map_or_else(|| "elsewhere".to_owned(), |to| format!("to {}", secret::shown_url(&to)));
            let text = format!("the service redirects a {} {to}, which is not followed", pending.ask.request.method);
            let error = Error::new(ErrorKind::Redirect, text).with_url(secret::shown_url(&pending.at.0));
            return pending.ask.reply.answer(Err(error));
        }
        pending.redirects += 1;
        let (url, host) = &pending.at;
        match redirect_rules::next((url, host), redirect, pending.redirects, self.settings.allow_downgrade) {
            Ok(place) => {
                pending.at = place;
                pending.not_before = now;
                self.asks.waiting.push_front(pending);
            }
            Err(error) => pending.ask.reply.answer(Err(error)),
        }
    }

    fn ask_failed(&mut self, now: Time, mut pending: Box<Pending>, error: Error, retry_after: Option<Time>) {
        let host = pending.at.1.clone();
        pending.attempts += 1;
        let attempts = pending.attempts;
        let asked = retry_after.unwrap_or_default();
        self.hosts.failed_with(&error, &host, &pending.ask.profile, now);
        let is_last =
            attempts > self.settings.retries || self.hosts.is_given_up(&host, &pending.ask.profile, attempts, now);
        if !error.is_transient() || is_last || asked > PATIENCE_MAX {
            let error = error.or_url(|| secret::shown_url(&pending.at.0));
            let error = if attempts > 1 { error.with_attempts(attempts) } else { error };
            return pending.ask.reply.answer(Err(error));
        }
        let wait = asked.max(backoff::wait(attempts, &mut self.random));
        pending.not_before = self.hosts.retry_at(&host, &pending.ask.profile, now + wait);
        // The URL that redirects led to may be what is wrong.
        pending.at = (pending.ask.request.url.clone(), pending.ask.origin.clone());
        pending.redirects = 0;
        self.asks.held.retain(|_, until| *until > now);
        if asked > Time::ZERO {
            let until = self.asks.held.entry(host).or_default();
            *until = (*until).max(now + asked);
        }
        self.asks.waiting.push_back(pending);
    }

    /// The session stops: drops all questions without an answer.
    pub(super) fn drop_asks(&mut self) {
        self.asks.waiting.clear();
        for (transfer, running) in std::mem::take(&mut self.asks.running) {
            self.effects.push(Effect::Work(running.worker, WorkRequest::Drop(transfer)));
        }
    }
}
