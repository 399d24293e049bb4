//! Redirects: [`crate::source::redirect_rules`] decides where one leads and whether it may be followed; this file
//! decides what it moves.

use url::Url;

use super::Core;
use super::connect::Request;
use crate::backoff;
use crate::dispatch::job::{PendingRedirect, Phase, Transfer};
use crate::error::{Error, ErrorKind};
use crate::http::origin::Origin;
use crate::job::JobId;
use crate::message::{End, FetchKind, Redirect, Time};
use crate::plan::TransferId;
use crate::plan::piece::Piece;
use crate::secret;
use crate::source::redirect_rules;

/// The longest pause before looking again whether a redirect's target has a free connection.
const REDIRECT_WAIT_MAX: Time = Time::from_secs(2);

impl Core {
    pub(super) fn redirected(&mut self, now: Time, id: JobId, transfer: &Transfer, redirect: &Redirect) {
        let allow_downgrade = self.settings.allow_downgrade;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        // With a new cookie, even the same URL may respond differently.
        let cookies = job.own.cookies.add(&transfer.url, &redirect.cookies);
        let redirect = &Redirect { cookies, ..redirect.clone() };
        let before = if transfer.is_probe { job.lead().chain.len() } else { transfer.chain.len() };
        match redirect_rules::next((&transfer.url, &transfer.host), redirect, before + 1, allow_downgrade) {
            Ok(target) if transfer.is_probe => self.file_redirected(now, id, transfer, target),
            Ok(target) => self.piece_redirected(now, id, transfer, target),
            Err(error) if !transfer.is_probe && matches!(job.phase, Phase::Moving) && self.others_bring(id) => {
                self.piece_went_astray(now, id, transfer, error);
            }
            Err(error) => self.leads_nowhere(now, id, transfer, error),
        }
    }

    /// A redirect of the first request moves the file.
    fn file_redirected(&mut self, now: Time, id: JobId, transfer: &Transfer, target: (Url, Origin)) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let host = target.1.clone();
        let lead = job.lead_mut();
        lead.chain.push(transfer.host.clone());
        let is_back = lead.chain.has(&host) || lead.own_origin == host;
        let redirects = lead.chain.len();
        lead.go_to(target);
        lead.was_requested = false;
        job.phase = Phase::Ready;
        let has_failed = job.has_failed_at(0);
        if has_failed {
            // The connection that brought the redirect may be the one too many.
            self.make_room(now);
        }
        if is_back && redirects > self.circles_free(&host) {
            self.redirected_in_circle(now, id, transfer, &host, redirects);
        } else if has_failed {
            self.redirected_as_retry(now, id, transfer, &host);
        }
    }

    /// A redirect of a piece moves only that piece: others may well be served where they are requested.
    fn piece_redirected(&mut self, now: Time, id: JobId, transfer: &Transfer, target: (Url, Origin)) {
        let Some(job) = self.jobs.get(&id) else { return };
        let has_failed = job.has_failed_at(transfer.piece.start());
        let (host, redirects) = (&target.1, transfer.chain.len() + 1);
        // A host may send a request around within itself. One to which another host sends it back brings nothing.
        let is_back = if *host == transfer.host { self.hosts.is_paced(host) } else { transfer.chain.has(host) };
        let waits = if is_back && redirects > self.circles_free(host) {
            self.redirected_in_circle(now, id, transfer, host, redirects)
        } else {
            has_failed && self.redirected_as_retry(now, id, transfer, host)
        };
        if !waits {
            return self.follow_piece(now, id, transfer, target);
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            job.ranges.trial_ended();
            job.pending_redirects.keep(PendingRedirect::of(now, transfer, target));
        }
    }

    /// How many redirects back to a known host are free before the request waits: where nothing succeeds, one.
    fn circles_free(&self, host: &Origin) -> u32 {
        if self.hosts.is_paced(host) { 1 } else { 2 }
    }

    /// A host redirects a request to itself, or back. Where nothing succeeds, that is like a retry, and waits like one.
    /// Whether it waits, or is given up.
    fn redirected_in_circle(
        &mut self,
        now: Time,
        id: JobId,
        transfer: &Transfer,
        host: &Origin,
        redirects: u32,
    ) -> bool {
        self.hosts.failed(host, now);
        if self.hosts.is_given_up(host, &self.profile_of(id), redirects, now) {
            let text = format!("{redirects} redirects, and nothing has come from this host for a while");
            let error = Error::new(ErrorKind::Redirect, text).with_url(secret::shown_url(&transfer.url));
            self.give_up(now, id, error);
            return true;
        }
        self.waits_as_retry(now, id, transfer, host)
    }

    /// A retry is redirected: to another host, on which nothing succeeds, it is a retry there too. Whether it waits.
    fn redirected_as_retry(&mut self, now: Time, id: JobId, transfer: &Transfer, host: &Origin) -> bool {
        *host != transfer.host && self.hosts.is_paced(host) && self.waits_as_retry(now, id, transfer, host)
    }

    /// Whether a redirected request has to wait until this host may get one more retry.
    fn waits_as_retry(&mut self, now: Time, id: JobId, transfer: &Transfer, host: &Origin) -> bool {
        let at = self.hosts.retry_at(host, &self.profile_of(id), now);
        let Some(job) = self.jobs.get_mut(&id).filter(|_| at > now) else { return false };
        // The whole file's piece begins at 0 too.
        job.wait_at_least_for_host(transfer.piece.start(), at);
        if transfer.in_race {
            job.ranges.trials.retry_at = job.ranges.trials.retry_at.max(at);
        }
        true
    }

    /// Redirects loop or may not be followed. A provider's location may have expired, and lead to such a place since.
    fn leads_nowhere(&mut self, now: Time, id: JobId, transfer: &Transfer, error: Error) {
        let may_ask_again = self.retries(id) > 0;
        if !transfer.is_probe && transfer.chain.len() > 2 {
            self.hosts.failed(&transfer.host, now);
        }
        let Some(job) = self.jobs.get(&id) else { return };
        if !(may_ask_again && job.lead().is_provided && self.resolves_again(now, id, job.sources.lead())) {
            return self.give_up(now, id, error);
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if transfer.is_probe {
            job.phase = Phase::Ready;
        } else {
            job.ranges.trial_ended();
        }
    }

    /// The redirects of a piece loop or may not be followed, while other transfers fetch the file.
    fn piece_went_astray(&mut self, now: Time, id: JobId, transfer: &Transfer, error: Error) {
        let end = End::Failed { error: error.clone(), retry_after: None };
        match self.is_optional(id, transfer, &end) {
            true => self.optional_failed(now, id, transfer, end),
            false => self.put_off(now, id, transfer.piece.start(), &error),
        }
    }

    /// Sends the same request to the redirect's target, now or as soon as that may have one.
    pub(super) fn follow_piece(&mut self, now: Time, id: JobId, transfer: &Transfer, target: (Url, Origin)) {
        let redirect = PendingRedirect::of(now, transfer, target);
        let piece = Piece::new(transfer.piece.start(), transfer.piece.end());
        self.follow_redirect(now, id, redirect, transfer.kind.clone(), piece);
    }

    /// The same for a request that may have waited.
    pub(super) fn follow_redirect(
        &mut self,
        now: Time,
        id: JobId,
        redirect: PendingRedirect,
        kind: FetchKind,
        piece: Piece,
    ) -> Option<TransferId> {
        let PendingRedirect { source, target, chain, .. } = redirect.clone();
        let Some(sent) = self.send_to(now, id, Request { source, target, chain, kind, piece }) else {
            self.put_redirect_aside(now, id, redirect);
            return None;
        };
        let state = self.transfers.get_mut(&sent)?;
        (state.location, state.in_race) = (redirect.location, redirect.in_race);
        let racer = state.clone();
        self.set_in_race(&racer, true);
        Some(sent)
    }

    /// The target has no free connection, or is asked slowly: each time, the wait is a little longer.
    fn put_redirect_aside(&mut self, now: Time, id: JobId, redirect: PendingRedirect) {
        let waits = self.jobs.get(&id).map_or(0, |job| job.ranges.redirect_waits) + 1;
        let wait = backoff::wait(waits, &mut self.random).min(REDIRECT_WAIT_MAX);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.ranges.redirect_waits = waits;
        job.ranges.trial_ended();
        job.wait_until(redirect.start, now + wait);
        job.ranges.trials.retry_at = now + wait;
        job.pending_redirects.keep(redirect);
    }
}
