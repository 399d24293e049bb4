//! One transfer: sends a request, checks its response and writes the bytes to the disk. Runs as a task on a
//! worker's runtime; dropping it aborts the transfer.

mod body;
mod document;
mod range;
mod whole;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::AUTHORIZATION;
use http::{Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use tokio::sync::oneshot;

use super::pace::Pace;
use super::shared::{Grant, Shared};
use super::timeout::{Elapsed, patient};
use crate::error::{Error, ErrorKind, Result};
use crate::http::origin::Scheme;
use crate::message::{End, Ended, Fetch, FetchKind, Message};
use crate::secret::{self, Credentials, Shown};
use crate::source::http::answer::Answer;
use crate::source::http::connection::{self, Connection};
use crate::source::http::digest_auth::Challenged;
use crate::source::http::heads::Expected;
use crate::source::http::network::Network;
use crate::source::http::request::{self, no_answer};
use crate::storage::PartFile;

/// Tells a probe what to do with its body.
pub(crate) type Granted = oneshot::Receiver<Grant>;

/// Runs a transfer to its end and reports how it ended.
pub(crate) async fn run(shared: Rc<Shared>, fetch: Box<Fetch>, sink: Option<Arc<dyn PartFile>>, granted: Granted) {
    let _guard = PanicGuard { shared: &shared, fetch: &fetch };
    let end = match Transfer::run_of(&shared, &fetch, sink, granted).await {
        Ok(end) => end,
        Err(failure) => {
            tracing::debug!(error = %failure.error, "failed");
            if failure.error.kind() == ErrorKind::Stalled {
                // The retry must not reuse the same dead connection.
                shared.forget_connection(fetch.slot);
            }
            match connection::wants_other_protocol(&failure.error) {
                true => End::OtherProtocol { error: failure.error, retry_after: failure.retry_after },
                false => End::Failed { error: failure.error, retry_after: failure.retry_after },
            }
        }
    };
    shared.transfers.borrow_mut().remove(&fetch.transfer);
    // An HTTP/1.1 connection was put back only if it is reusable. If not, its own task has to run once to
    // close it before the slot is free again.
    let is_reusable = shared.has_connection(fetch.slot);
    if !is_reusable {
        tokio::task::yield_now().await;
    }
    tracing::debug!(end = end.name(), is_reusable, bytes = fetch.piece.brought().len(), "ended");
    shared.report(Message::Ended(Ended { transfer: fetch.transfer, end, is_reusable }));
}

/// The runtime catches a panicking task without telling anybody; its job must not wait for it.
struct PanicGuard<'a> {
    shared: &'a Shared,
    fetch: &'a Fetch,
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.transfers.borrow_mut().remove(&self.fetch.transfer);
            let error = Error::new(ErrorKind::Internal, "a transfer panicked; please report it");
            let end = End::Failed { error, retry_after: None };
            self.shared.report(Message::Ended(Ended { transfer: self.fetch.transfer, end, is_reusable: false }));
        }
    }
}

struct Transfer<'a> {
    shared: &'a Rc<Shared>,
    fetch: &'a Fetch,
    network: Arc<Network>,
    stall: Duration,
    /// The HTTP/1.1 connection is told when data comes.
    expected: Option<Expected>,
    pace: Pace,
    /// The last request had credentials in its `Authorization`.
    has_credentials: bool,
    /// All of its credentials.
    credentials: Credentials,
    /// A second head stood where the trailers of a body belong.
    has_second_head: Cell<bool>,
}

struct Failure {
    error: Error,
    retry_after: Option<Duration>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, retry_after: None }
    }
}

impl<'a> Transfer<'a> {
    async fn run_of(
        shared: &'a Rc<Shared>,
        fetch: &'a Fetch,
        sink: Option<Arc<dyn PartFile>>,
        granted: Granted,
    ) -> Result<End, Failure> {
        let network = shared.network(&fetch.profile).await?;
        let stall = network.options.stall_timeout;
        let mut transfer = Self {
            shared,
            fetch,
            network,
            stall,
            expected: None,
            pace: Pace::default(),
            has_credentials: false,
            credentials: Credentials::default(),
            has_second_head: Cell::new(false),
        };
        transfer.run(sink, granted).await
    }

    async fn run(&mut self, sink: Option<Arc<dyn PartFile>>, granted: Granted) -> Result<End, Failure> {
        let (connection, response) = self.answer_or_digest().await?;
        tracing::debug!(status = response.status().as_u16(), length = ?response.body().size_hint().exact(), "answered");
        let believes_digests = self.network.options.server_digests;
        let (url, now) = (&self.fetch.url, SystemTime::now());
        let is_given = self.fetch.given.is_none();
        let mut answer = Answer::read(&response, connection.protocol(), url, is_given, believes_digests, now)?;
        answer.hide_echoes(&self.credentials);
        if let Some(jar) = &self.network.options.cookie_jar {
            jar.add(url, &answer.cookies);
        }
        answer.check()?;
        let answer = answer.of_place(self.fetch.place);
        let body = response.into_body();
        if let Some(redirect) = answer.redirect() {
            let is_reusable = self.drain(body).await;
            self.keep(connection, is_reusable);
            self.credentials.echoed_in(url, redirect.location.as_deref()).iter().for_each(secret::hide);
            return Ok(End::Redirect(redirect));
        }
        let (end, is_reusable) = match (&self.fetch.kind, answer.status) {
            (FetchKind::Probe, 200 | 203 | 206) => return self.whole(connection, answer, body, granted).await,
            (FetchKind::Document(_), status) if is_answer(status) => {
                return self.document(connection, answer, body).await;
            }
            (FetchKind::Piece { .. }, 206) => return self.piece(connection, &answer, body, sink).await,
            (FetchKind::Probe, 304) if self.fetch.newer_than.is_some() => (End::Checked(None), self.drain(body).await),
            (FetchKind::Check { .. }, 304) => (End::Checked(None), self.drain(body).await),
            (FetchKind::Check { .. }, 200 | 203 | 206) => (End::Checked(Some(answer.head)), self.drain(body).await),
            (FetchKind::Sample { range, expect, .. }, 206) => {
                return self.sample(connection, &answer, body, *range, expect, sink).await;
            }
            (FetchKind::Piece { .. } | FetchKind::Sample { .. }, 200 | 203) => (End::NotRange(answer.head), false),
            (FetchKind::Piece { .. } | FetchKind::Sample { .. }, 416) => {
                let is_reusable = self.drain(body).await;
                (End::NotRange(answer.head), is_reusable)
            }
            // RFC 9110, section 15.5.20: this connection does not serve it, another may. Whoever refuses HTTP/1.1 may serve
            // HTTP/2, which was not offered.
            (_, 421 | 426 | 505) if self.fetch.origin.scheme == Scheme::Https => {
                let error = self.retried_if_asked(answer.refusal(connection.plain_proxy()));
                return Ok(End::OtherProtocol { error, retry_after: answer.retry_after });
            }
            (_, status) => {
                let error = match status {
                    200..=299 => Error::new(
                        ErrorKind::Protocol,
                        format!("the server answered {status} {}, which does not fit the request", answer.reason),
                    ),
                    _ => self.retried_if_asked(answer.refusal(connection.plain_proxy())),
                };
                let is_reusable = self.drain(body).await;
                self.keep(connection, is_reusable);
                return Err(Failure { error, retry_after: answer.retry_after });
            }
        };
        self.keep(connection, is_reusable);
        Ok(end)
    }

    /// The same; a server that asks for Digest authentication gets the request once more, with an answer.
    async fn answer_or_digest(&mut self) -> Result<(Connection, Response<Incoming>), Failure> {
        let (mut connection, mut response) = self.answer().await?;
        let is_refused = |response: &Response<Incoming>| response.status() == StatusCode::UNAUTHORIZED;
        for is_first in [true, false] {
            if !self.has_credentials || !is_refused(&response) {
                break;
            }
            let challenged = self.shared.challenges.note(&self.fetch.origin, response.headers());
            if challenged.is_none_or(|challenged| !is_first && challenged != Challenged::Stale) {
                break;
            }
            let is_reusable = self.drain(response.into_body()).await;
            self.keep(connection, is_reusable);
            (connection, response) = self.answer().await?;
        }
        self.shared.challenges.ended(&self.fetch.origin, is_refused(&response));
        Ok((connection, response))
    }

    /// Sends the request, over the slot's connection or a new one, and waits for the response's head.
    async fn answer(&mut self) -> Result<(Connection, Response<Incoming>), Failure> {
        self.has_second_head.set(false);
        let (mut connection, is_fresh) = self.connection().await?;
        match self.request(&mut connection).await {
            Ok(response) => return Ok((connection, response)),
            Err(error) if !matches!(error.kind(), ErrorKind::Broken | ErrorKind::Protocol) => return Err(error.into()),
            Err(error) => {
                // Lets the task of an HTTP/2 connection notice that it is closed.
                tokio::task::yield_now().await;
                if !connection.may_have_been_closing(is_fresh) {
                    return Err(error.into());
                }
            }
        }
        self.shared.forget_closed(self.fetch.slot);
        let (mut connection, _) = self.connection().await?;
        let response = self.request(&mut connection).await?;
        Ok((connection, response))
    }

    /// The slot's connection, and whether it was made for this transfer. Transfers that share a slot
    /// wait for each other here: a slot is the right to one connection.
    async fn connection(&self) -> Result<(Connection, bool)> {
        let slot = self.fetch.slot;
        let gate = self.shared.gate(slot);
        let _turn = gate.lock().await;
        if let Some(connection) = self.shared.take_connection(slot) {
            return Ok((connection, false));
        }
        // Boxed because it is rare and large: every transfer's future would reserve room for it.
        let connection = Box::pin(self.open()).await?;
        tracing::debug!(protocol = connection.protocol().name(), "connected");
        self.shared.report(Message::Connected(slot, connection.protocol()));
        if let Some(shared) = connection.share() {
            self.shared.put_connection(slot, shared);
        }
        Ok((connection, true))
    }

    async fn open(&self) -> Result<Connection> {
        let connected = self.network.connect(&self.fetch.origin, self.fetch.alpn).await?;
        Connection::open(connected).await
    }

    async fn request(&mut self, connection: &mut Connection) -> Result<Response<Incoming>> {
        tracing::debug!(range = ?self.fetch.kind.asked(), url = %Shown(&self.fetch.url), "asks");
        let mut request = request::build(&self.network, self.fetch, connection.protocol(), connection.plain_proxy())?;
        self.has_credentials = request.headers().contains_key(AUTHORIZATION);
        let given = self.fetch.given.as_deref().unwrap_or(&self.fetch.url);
        let urls = [given, &self.fetch.url];
        self.credentials = Credentials::of(urls, request.headers(), request::form_of(&self.network));
        self.shared.challenges.answer(&self.fetch.origin, &mut request);
        let limit = self.network.options.response_timeout;
        self.expected = connection.expected().cloned();
        match patient(limit, connection.send(request)).await {
            Ok(response) => response,
            Err(Elapsed) => Err(no_answer(limit)),
        }
    }

    /// A final status counts as passing if the user says so.
    fn retried_if_asked(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Status(status) if self.network.options.retry_on.contains(&status) => error.with_transient(true),
            _ => error,
        }
    }

    /// Keeps an HTTP/1.1 connection for the next transfer; HTTP/2 ones are kept anyway.
    fn keep(&self, connection: Connection, is_reusable: bool) {
        if is_reusable && !connection.is_closed() {
            self.shared.put_connection(self.fetch.slot, connection);
        }
    }
}

/// Whether a service has answered with this status, so that nobody asks again.
fn is_answer(status: u16) -> bool {
    matches!(status, 200..=299 | 400..=499) && !matches!(status, 407 | 408 | 421 | 425 | 429)
}
