//! The response to a provider's request, held in memory.

use std::time::{Duration, Instant};

use hyper::body::Incoming;

use super::body::has_length;
use super::whole::first_part;
use super::{Failure, Transfer};
use crate::error::{Error, ErrorKind};
use crate::message::{End, WebAnswer};
use crate::source::http::answer::{Answer, Framing};
use crate::source::http::connection::Connection;

/// The maximum length of a service's response.
const DOCUMENT_BYTES_MAX: usize = 8 << 20;
/// After this time, a response must have brought so many bytes a second: whoever waits for it waits for nothing else.
const DRIPS_AFTER: Duration = Duration::from_secs(20);
const DRIP_BYTES_PER_SECOND: u64 = 256;

impl Transfer<'_> {
    /// Reads a document, or the words of a refusal, which must end as its framing says.
    pub(super) async fn document(
        &mut self,
        connection: Connection,
        answer: Answer,
        mut body: Incoming,
    ) -> Result<End, Failure> {
        if first_part(&answer)?.is_some() {
            let text = "the server sends a part of the page where the whole was asked for";
            return Err(Error::new(ErrorKind::Protocol, text).into());
        }
        let mut document = Vec::new();
        let began = Instant::now();
        while let Some(data) = self.next_paid(&mut body).await? {
            if is_dripping(began.elapsed(), document.len() + data.len()) {
                let text =
                    format!("the service's answer drips: {} bytes in {} s", document.len(), began.elapsed().as_secs());
                return Err(Error::new(ErrorKind::Stalled, text).into());
            }
            if document.len() + data.len() > DOCUMENT_BYTES_MAX {
                return Err(Error::new(ErrorKind::Protocol, "the service's answer is too long").into());
            }
            document.extend_from_slice(&data);
        }
        self.proven(&body, answer.framing, document.len() as u64)?;
        has_length(document.len() as u64, answer.head.total_bytes)?;
        if let Some(digest) = answer.head.evidence.digest.as_ref().filter(|_| answer.status == 200)
            && digest.checksum().is_of(&mut &document[..]).is_ok_and(|is_right| !is_right)
        {
            return Err(Error::new(ErrorKind::Digest, "what came does not have the digest that the server gave").into());
        }
        self.keep(connection, answer.framing != Framing::Close);
        let answer = WebAnswer::new(self.fetch.url.clone(), answer.status, answer.content_type, document.into());
        Ok(End::Document(Box::new(answer)))
    }
}

/// Whether a response that has brought this much so far is not worth waiting for.
fn is_dripping(elapsed: Duration, bytes: usize) -> bool {
    elapsed > DRIPS_AFTER && (bytes as u64) < elapsed.as_secs() * DRIP_BYTES_PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_line_does_not_drip() {
        assert!(!is_dripping(Duration::from_secs(20), 10), "it may have just begun");
        assert!(is_dripping(Duration::from_secs(21), 21 * 5));
        assert!(!is_dripping(Duration::from_secs(21), 21 * 1000));
        assert!(!is_dripping(Duration::from_secs(600), 600 * 256));
    }
}
