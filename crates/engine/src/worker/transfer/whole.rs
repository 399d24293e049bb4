//! The response to a request for the whole file: a small one is read and returned, a large one waits until
//! its partial file is open.

use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use tokio::time::{Instant as TokioInstant, timeout, timeout_at};

use super::body::{has_length, is_cut, too_much};
use super::{Failure, Granted, Transfer};
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::{page, samples};
use crate::http::origin::Scheme;
use crate::message::{End, Message, Shape};
use crate::ranges::ByteRange;
use crate::source::http::answer::{Answer, Framing};
use crate::source::http::connection::{Connection, broken};
use crate::storage::PartFile;
use crate::worker::shared::Grant;

/// A file up to this size is returned whole.
const WHOLE_BYTES_MAX: usize = 64 << 10;
/// A small file that takes longer than this is fetched like a large one.
const WHOLE_WITHIN: Duration = Duration::from_millis(300);
/// How long to wait for the first bytes of a body before anything is planned.
const FIRST_WITHIN: Duration = Duration::from_millis(100);

impl Transfer<'_> {
    /// The response to a probe: a small file is read and returned, a large one waits for its partial file.
    pub(super) async fn whole(
        &mut self,
        connection: Connection,
        answer: Answer,
        mut body: Incoming,
        granted: Granted,
    ) -> Result<End, Failure> {
        let framing = answer.framing;
        let part = first_part(&answer)?;
        let mut head = answer.head;
        head.is_part = part.is_some();
        let mut early = Vec::new();
        // A body that may have been cut needs a digest as proof, or a range that gives the length.
        let is_small = head.total_bytes.is_none_or(|total| total <= WHOLE_BYTES_MAX as u64)
            && !self.may_be_cut(framing)
            && part.is_none()
            && self.fetch.piece.end() > WHOLE_BYTES_MAX as u64;
        let is_complete = is_small && self.read_small(&mut body, framing, &mut early).await?;
        let is_html = head.evidence.is_html;
        if !is_complete && is_html {
            self.read_beginning(&mut body, &mut early).await?;
        } else if early.is_empty() {
            self.read_first(&mut body, &mut early).await?;
        }
        let beginning = page::beginning(&early);
        let begins_like_html = page::begins_like_html(&beginning);
        head.is_page =
            is_html && (beginning.is_empty() || head.evidence.content_encoding.is_some() || begins_like_html);
        head.may_be_page = head.is_page || begins_like_html || is_html && page::is_text(&beginning);
        // A page may repeat what was sent.
        let title = || page::title(&early).filter(|title| !self.credentials.are_in(title));
        head.page_title = if head.may_be_page { title() } else { None };
        head.is_message = answer.content_type.as_deref().is_some_and(|kind| page::is_message(kind, &beginning));
        if framing == Framing::Close && head.total_bytes.is_none() {
            head.remarks.push("the server does not tell the length: the file is as long as what came".to_owned());
        }
        if is_complete {
            let bytes: usize = early.iter().map(Bytes::len).sum();
            has_length(bytes as u64, head.total_bytes)?;
            head.total_bytes = Some(bytes as u64);
            head.evidence.total_bytes = head.total_bytes;
            self.keep(connection, framing != Framing::Close);
            self.shared.report(Message::Answered(self.fetch.transfer, head, Some(early)));
            self.pay(bytes).await;
            return Ok(End::Complete);
        }
        let told = part.map(|part| part.end).or(head.total_bytes);
        if let Some(end) = told {
            self.fetch.piece.shorten(end);
        }
        self.shared.report(Message::Answered(self.fetch.transfer, head, None));
        match granted.await {
            Ok(Grant::Write(sink)) => self.write_whole(connection, body, framing, told, early, &*sink).await,
            Ok(Grant::Gather) => self.gather(connection, body, framing, told, early).await,
            Err(_) => Ok(End::Dropped),
        }
    }

    /// Whether only the end of a TLS connection ends the body, so that somebody may have cut it.
    pub(super) fn may_be_cut(&self, framing: Framing) -> bool {
        framing == Framing::Close && self.fetch.origin.scheme == Scheme::Https
    }

    pub(super) async fn write_whole(
        &mut self,
        connection: Connection,
        mut body: Incoming,
        framing: Framing,
        told: Option<u64>,
        early: Vec<Bytes>,
        sink: &dyn PartFile,
    ) -> Result<End, Failure> {
        match self.stream(&mut body, early, sink, framing, told).await {
            Ok(is_reusable) => {
                self.keep(connection, is_reusable);
                Ok(End::Complete)
            }
            Err(error) if self.may_be_cut(framing) && is_cut(&error) => Ok(End::Unproven(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a whole body and returns it.
    pub(super) async fn gather(
        &mut self,
        connection: Connection,
        mut body: Incoming,
        framing: Framing,
        told: Option<u64>,
        mut content: Vec<Bytes>,
    ) -> Result<End, Failure> {
        let mut bytes = samples::len_of(&content);
        self.pay(bytes as usize).await;
        while let Some(data) = self.next_paid(&mut body).await? {
            bytes += data.len() as u64;
            if bytes > samples::GATHERED_BYTES_MAX && told.is_none() {
                // Longer than any file that it is compared with.
                content.push(data);
                return Ok(End::Gathered(content));
            }
            if bytes > samples::GATHERED_BYTES_MAX {
                return Err(too_much().into());
            }
            content.push(data);
        }
        self.proven(&body, framing, bytes)?;
        has_length(bytes, told)?;
        self.keep(connection, framing != Framing::Close);
        Ok(End::Gathered(content))
    }

    /// Reads a body that is probably small; false if it is large or slow.
    pub(super) async fn read_small(
        &self,
        body: &mut Incoming,
        framing: Framing,
        early: &mut Vec<Bytes>,
    ) -> Result<bool> {
        let deadline = TokioInstant::now() + WHOLE_WITHIN.min(self.stall);
        let mut bytes = 0;
        while bytes <= WHOLE_BYTES_MAX {
            if framing == Framing::Length(bytes as u64) {
                self.ends(body, framing).await?;
                return Ok(true);
            }
            let Ok(frame) = timeout_at(deadline, self.frame(body)).await else { return Ok(false) };
            match frame {
                None => return self.proven(body, framing, bytes as u64).map(|()| true),
                Some(Err(source)) => return Err(broken(&source)),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    bytes += data.len();
                    if matches!(framing, Framing::Length(length) if bytes as u64 > length) {
                        return Err(too_much());
                    }
                    early.push(data);
                }
            }
        }
        Ok(false)
    }

    /// Reads enough of a body to tell what it is.
    pub(super) async fn read_beginning(&self, body: &mut Incoming, early: &mut Vec<Bytes>) -> Result<()> {
        let mut bytes: usize = early.iter().map(Bytes::len).sum();
        while bytes < page::SNIFF_BYTES {
            let Some(data) = self.next(body).await? else { break };
            bytes += data.len();
            early.push(data);
        }
        Ok(())
    }

    /// Reads the first bytes of a body, which usually arrive with its head: it may be a page although its
    /// type says otherwise.
    pub(super) async fn read_first(&self, body: &mut Incoming, early: &mut Vec<Bytes>) -> Result<()> {
        let Ok(frame) = timeout(FIRST_WITHIN.min(self.stall), self.frame(body)).await else { return Ok(()) };
        match frame {
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { return Ok(()) };
                early.push(data);
                Ok(())
            }
            Some(Err(source)) => Err(broken(&source)),
            None => Ok(()),
        }
    }
}

/// The first part of the file, if a server sends a part although the whole was requested; `None` for the whole.
pub(super) fn first_part(answer: &Answer) -> Result<Option<ByteRange>> {
    let is_part_answer = answer.head.shape == Shape::Range;
    let told = answer.content_range;
    if !is_part_answer && answer.has_odd_range {
        let text = "the server's answer has a Content-Range that cannot be read, so that it may be a part of the file";
        return Err(Error::new(ErrorKind::Protocol, text));
    }
    let is_len = |len: u64| !matches!(answer.framing, Framing::Length(length) if length != len);
    let other_len = || Error::new(ErrorKind::Protocol, "the server's answer has another length than its range");
    let Some(range) = told.and_then(|told| told.range) else {
        let text = "the server sends a part of the file and does not say which, where the whole was asked for";
        return match told.and_then(|told| told.total) {
            _ if is_part_answer => Err(Error::new(ErrorKind::Protocol, text)),
            Some(total) if !is_len(total) => Err(other_len()),
            _ => Ok(None),
        };
    };
    let is_whole = range.start == 0 && told.and_then(|told| told.total) == Some(range.end);
    match (is_whole, is_part_answer && range.start == 0) {
        _ if !is_len(range.len()) => Err(other_len()),
        (true, _) => Ok(None),
        (false, true) => Ok(Some(range)),
        (false, false) => {
            let text = "the server sends a part of the file where the whole was asked for";
            Err(Error::new(ErrorKind::Protocol, text))
        }
    }
}
