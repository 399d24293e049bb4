//! The response to a request for a range: written at its offset, or compared with the disk.

use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;

use super::body::ended_early;
use super::{Failure, Transfer};
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::{Evidence, Verdict};
use crate::message::{Demand, End, FetchKind, Message};
use crate::ranges::ByteRange;
use crate::source::http::answer::{Answer, Framing};
use crate::source::http::connection::Connection;
use crate::storage::PartFile;

/// A response to a sample that holds less shows too little.
const SAMPLE_BYTES_MIN: u64 = 16 << 10;

impl Transfer<'_> {
    pub(super) async fn piece(
        &mut self,
        connection: Connection,
        answer: &Answer,
        mut body: Incoming,
        sink: Option<Arc<dyn PartFile>>,
    ) -> Result<End, Failure> {
        let FetchKind::Piece { range, overlap_bytes, expect, demand, .. } = &self.fetch.kind else {
            return Err(Error::new(ErrorKind::Internal, "an answer to a range that was not asked for").into());
        };
        let asked = ByteRange::new(range.start - overlap_bytes, range.end);
        let got = match check_range(answer, asked, expect, *demand) {
            Ok(got) => got,
            Err(end) => return Ok(self.not_used(end)),
        };
        // A response that may be longer than its range may be anything labelled as the range: only the bytes
        // before it can show that it is the range.
        if !answer.head.tells_length && *overlap_bytes == 0 {
            let text = "the length of the server's answer is not that of its range";
            let error = Error::new(ErrorKind::Protocol, text);
            return Ok(self.not_used(End::WrongRange { head: answer.head.clone(), error }));
        }
        let Some(sink) = sink else {
            return Err(Error::new(ErrorKind::Internal, "a piece was asked for without a file").into());
        };
        // The response may hold less than requested.
        self.fetch.piece.shorten(got.end.max(range.start));
        let mut rest = Bytes::new();
        if *overlap_bytes > 0 {
            let overlap = ByteRange::new(asked.start, range.start.min(got.end));
            match self.compare(&mut body, &*sink, overlap).await? {
                Some(after) => rest = after,
                None => return Ok(self.not_used(End::OtherOverlap(answer.head.clone()))),
            }
        }
        // A head alone proves nothing: some servers break off behind it each time.
        if rest.is_empty() {
            rest = self.next(&mut body).await?.unwrap_or_default();
        }
        if !rest.is_empty() {
            self.shared.report(Message::Proven(self.fetch.transfer, answer.head.clone()));
        }
        let framing = answer.framing;
        match self.stream(&mut body, vec![rest], &*sink, framing, Some(got.end)).await {
            Ok(is_reusable) => {
                self.keep(connection, is_reusable);
                Ok(End::Complete)
            }
            Err(error) if error.kind() == ErrorKind::Protocol => {
                Ok(End::WrongRange { head: answer.head.clone(), error })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// After a response that is not used, the next one only counts over another connection.
    pub(super) fn not_used(&self, end: End) -> End {
        self.shared.forget_connection(self.fetch.slot);
        end
    }

    /// Compares the next bytes of a body with those on the disk. Returns the bytes that follow, or `None` if
    /// they differ.
    pub(super) async fn compare(
        &self,
        body: &mut Incoming,
        sink: &dyn PartFile,
        range: ByteRange,
    ) -> Result<Option<Bytes>> {
        let mut position = range.start;
        while position < range.end {
            let Some(mut data) = self.next(body).await? else { return Err(ended_early()) };
            let rest = data.split_off(data.len().min((range.end - position) as usize));
            self.pay(data.len()).await;
            let mut there = vec![0; data.len()];
            sink.read_at(&mut there, position).map_err(|source| self.cannot("read", source))?;
            if there != data {
                return Ok(None);
            }
            position += data.len() as u64;
            if position == range.end {
                return Ok(Some(rest));
            }
        }
        Ok(Some(Bytes::new()))
    }

    /// Fetches a range of existing data and compares it with the disk.
    pub(super) async fn sample(
        &mut self,
        connection: Connection,
        answer: &Answer,
        mut body: Incoming,
        range: ByteRange,
        expect: &Evidence,
        sink: Option<Arc<dyn PartFile>>,
    ) -> Result<End, Failure> {
        let range = match check_range(answer, range, expect, Demand::NotDifferent) {
            Ok(got) if got == range => got,
            // Some servers hold less in one response; that much is compared.
            Ok(got) if sink.is_some() && got.len() >= SAMPLE_BYTES_MIN && answer.head.total_bytes != Some(got.end) => {
                self.fetch.piece.shorten(got.end);
                got
            }
            Ok(got) => return Ok(self.not_used(shorter_range(answer, got))),
            Err(end) => return Ok(self.not_used(end)),
        };
        self.shared.report(Message::Identified(self.fetch.transfer, answer.head.clone()));
        let mut fresh = Vec::with_capacity(range.len() as usize);
        while fresh.len() < range.len() as usize {
            let Some(data) = self.next_paid(&mut body).await? else { return Err(ended_early().into()) };
            if fresh.len() + data.len() > range.len() as usize {
                return Err(Error::new(ErrorKind::Protocol, "the server sent more than the range asked for").into());
            }
            fresh.extend_from_slice(&data);
        }
        // If the framing ends with the range, nothing more can follow.
        self.keep(connection, answer.framing == Framing::Length(range.len()));
        let Some(sink) = sink else { return Ok(End::Gathered(vec![fresh.into()])) };
        let mut there = vec![0; range.len() as usize];
        sink.read_at(&mut there, range.start).map_err(|source| self.cannot("read", source))?;
        Ok(End::Sampled { same: fresh == there })
    }
}

/// The part of the requested range that a 206 holds, or why it cannot be used. RFC 9110, section 15.3.7: it
/// must say which range it holds, and may hold less than requested.
fn check_range(answer: &Answer, asked: ByteRange, expect: &Evidence, demand: Demand) -> Result<ByteRange, End> {
    let head = || answer.head.clone();
    let wrong = |what: String| End::WrongRange { head: head(), error: Error::new(ErrorKind::Protocol, what) };
    let evidence = &answer.head.evidence;
    if evidence.content_encoding.is_some() && (evidence.is_encoded_on_the_way() || !expect.has_same_encoding(evidence))
    {
        return Err(wrong("the server encoded a range, which cannot be put together".to_owned()));
    }
    let Some(content_range) = &answer.content_range else {
        return Err(wrong("the server answered a range without saying which (no usable Content-Range)".to_owned()));
    };
    // A total that the response leaves out is assumed to be the file's.
    let told = Evidence { total_bytes: evidence.total_bytes.or(expect.total_bytes), ..evidence.clone() };
    let verdict = expect.compare(&told);
    let is_page = evidence.is_html && !expect.is_html && expect.tells_version();
    if verdict == Verdict::Unknown && !evidence.is_html && expect.has_other_length(evidence) {
        return Err(wrong(
            "the server answered a range of a file of another length, and does not say of which".to_owned(),
        ));
    }
    let suffices = match demand {
        Demand::Same => verdict.joins(),
        Demand::SameWeakly => verdict.is_same(),
        Demand::NotDifferent => !verdict.is_different(),
    };
    if !suffices || is_page {
        return Err(End::NotJoined { head: head(), verdict });
    }
    match content_range.range {
        Some(got) if got.start == asked.start => Ok(ByteRange::new(got.start, got.end.min(asked.end))),
        got => {
            let got = got.map_or("none".to_owned(), |got| format!("{}-{}", got.start, got.end - 1));
            let asked = format!("{}-{}", asked.start, asked.end - 1);
            Err(wrong(format!("the server answered another range than the one asked for ({got} instead of {asked})")))
        }
    }
}

fn shorter_range(answer: &Answer, got: ByteRange) -> End {
    let error = match answer.head.total_bytes {
        // The server is right: a range ends with its file.
        Some(total) if total == got.end => {
            Error::new(ErrorKind::Changed, "the file on the server is shorter than what has come")
        }
        _ => Error::new(ErrorKind::Protocol, "the server answered a shorter range than the one asked for"),
    };
    End::WrongRange { head: answer.head.clone(), error }
}
