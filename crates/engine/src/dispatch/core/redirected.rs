//! Redirects: [`crate::source::redirect_rules`] decides where one leads and whether it may be followed; this file
//! decides what it moves.

use url::Url;

use super::Core;
use crate::backoff;
use crate::dispatch::job::{Onward, Phase, Transfer};
use crate::error::{Error, ErrorKind};
use crate::http::origin::Origin;
use crate::job::JobId;
use crate::message::{End, FetchKind, Redirect, Time};
use crate::plan::TransferId;
use crate::plan::piece::Piece;
use crate::secret;
use crate::source::redirect_rules;

/// The longest wait for a target of a redirect.
const STRAY_MAX: Time = Time::from_secs(2);

impl Core {
    /// A redirect of the first request moves the file. A redirect of a piece moves only that piece: others
    /// may well be served where they are requested.
    pub(super) fn redirected(&mut self, now: Time, id: JobId, transfer: &Transfer, redirect: &Redirect) {
        let allow_downgrade = self.settings.allow_downgrade;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        // With a new cookie, even the same URL may respond differently.
        let cookies = job.own.cookies.add(&transfer.url, &redirect.cookies);
        let redirect = &Redirect { cookies, ..redirect.clone() };
        let redirects = if transfer.is_probe { job.lead().redirects } else { transfer.redirects } + 1;
        let place = match redirect_rules::next((&transfer.url, &transfer.host), redirect, redirects, allow_downgrade) {
            Ok(place) => place,
            Err(error) if !transfer.is_probe && matches!(job.phase, Phase::Moving) && self.others_bring(id) => {
                return self.piece_went_astray(now, id, transfer, error);
            }
            Err(error) => return self.leads_nowhere(now, id, transfer, error),
        };
        if transfer.is_probe {
            let lead = job.lead_mut();
            lead.passed.push(transfer.host.clone());
            let is_back = lead.passed.contains(&place.1) || Origin::of(&lead.given).as_ref() == Some(&place.1);
            let host = place.1.clone();
            lead.redirects = redirects;
            lead.go_to(place);
            lead.was_requested = false;
            job.phase = Phase::Ready;
            let has_failed = job.has_failed_at(0);
            if has_failed {
                // The connection that brought the redirect may be the one too many.
                self.make_room(now);
                self.wait_for_target(now, id, transfer, &host, 0);
            }
            if is_back && redirects > self.redirects_free(&host) {
                self.sent_around(now, id, transfer, &host, redirects, 0);
            }
            return;
        }
        // A host may send a request around within itself. One to which another host sends it back brings nothing.
        let is_back = place.1 == transfer.host && self.hosts.is_paced(&place.1)
            || place.1 != transfer.host && transfer.passed.contains(&place.1);
        let is_vain = is_back && redirects > self.redirects_free(&place.1);
        if is_vain && self.sent_around(now, id, transfer, &place.1, redirects, transfer.piece.start()) {
            if let Some(job) = self.jobs.get_mut(&id) {
                job.ranges.trial_ended();
                job.onwards.keep(Onward::of(now, transfer, place, redirects));
            }
            return;
        }
        let start = transfer.piece.start();
        let has_failed = self.jobs.get(&id).is_some_and(|job| job.has_failed_at(start));
        if has_failed && self.wait_for_target(now, id, transfer, &place.1, start) {
            if let Some(job) = self.jobs.get_mut(&id) {
                job.ranges.trial_ended();
                job.onwards.keep(Onward::of(now, transfer, place, redirects));
            }
            return;
        }
        self.follow_piece(now, id, transfer, place, redirects);
    }

    /// A retry is redirected to another host, on which nothing succeeds: it is a retry there too. Whether it waits.
    fn wait_for_target(&mut self, now: Time, id: JobId, transfer: &Transfer, target: &Origin, start: u64) -> bool {
        if *target == transfer.host || !self.hosts.is_paced(target) {
            return false;
        }
        let at = self.hosts.retry_at(target, &self.profile_of(id), now);
        if let Some(job) = self.jobs.get_mut(&id).filter(|_| at > now) {
            job.wait_at_least_for_host(start, at);
        }
        at > now
    }

    /// How often a request may be sent back to a host where it was before nobody waits for that: where nothing succeeds, once.
    fn redirects_free(&self, host: &Origin) -> u32 {
        if self.hosts.is_paced(host) { 1 } else { 2 }
    }

    /// Redirects loop or may not be followed. A provider's location may have expired, and lead to such a place since.
    fn leads_nowhere(&mut self, now: Time, id: JobId, transfer: &Transfer, error: Error) {
        let may_ask_again = self.retries(id) > 0;
        if !transfer.is_probe && transfer.redirects > 2 {
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

    /// A host redirects a file to itself, or back. Where nothing succeeds, that is like a retry, and waits like one.
    /// Whether it waits, or is given up.
    fn sent_around(
        &mut self,
        now: Time,
        id: JobId,
        transfer: &Transfer,
        host: &Origin,
        redirects: u32,
        start: u64,
    ) -> bool {
        self.hosts.failed(host, now);
        let profile = self.profile_of(id);
        if self.hosts.is_given_up(host, &profile, redirects, now) {
            let text = format!("{redirects} redirects, and nothing has come from this host for a while");
            let error = Error::new(ErrorKind::Redirect, text).with_url(secret::shown_url(&transfer.url));
            self.give_up(now, id, error);
            return true;
        }
        let at = self.hosts.retry_at(host, &profile, now);
        if let Some(job) = self.jobs.get_mut(&id).filter(|_| at > now) {
            job.wait_at_least_for_host(start, at);
        }
        at > now
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
    pub(super) fn follow_piece(
        &mut self,
        now: Time,
        id: JobId,
        transfer: &Transfer,
        place: (Url, Origin),
        redirects: u32,
    ) {
        let onward = Onward::of(now, transfer, place, redirects);
        let piece = Piece::new(transfer.piece.start(), transfer.piece.end());
        self.send_onward(now, id, onward, transfer.kind.clone(), piece);
    }

    /// The same for a request that may have waited.
    pub(super) fn send_onward(
        &mut self,
        now: Time,
        id: JobId,
        onward: Onward,
        kind: FetchKind,
        piece: Piece,
    ) -> Option<TransferId> {
        let sent = self.send_to(now, id, onward.source, onward.place.clone(), kind, piece, true);
        let Some(state) = sent.and_then(|sent| self.transfers.get_mut(&sent)) else {
            self.waits_to_go_on(now, id, onward);
            return None;
        };
        state.redirects = onward.redirects;
        state.passed = onward.passed;
        state.location = onward.location;
        state.in_race = onward.in_race;
        sent
    }

    /// The target has no free connection, or is asked slowly: each time, the wait is a little longer.
    fn waits_to_go_on(&mut self, now: Time, id: JobId, onward: Onward) {
        let strays = self.jobs.get(&id).map_or(0, |job| job.ranges.strays) + 1;
        let wait = backoff::wait(strays, &mut self.random).min(STRAY_MAX);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.ranges.strays = strays;
        job.ranges.trial_ended();
        job.wait_until(onward.start, now + wait);
        job.ranges.trials.retry_at = now + wait;
        job.onwards.keep(onward);
    }
}
