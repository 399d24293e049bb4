//! The response to a provider's request, held in memory.

use hyper::body::Incoming;

use super::body::{has_length, proven};
use super::{Failure, Transfer};
use crate::error::{Error, ErrorKind};
use crate::message::{End, WebAnswer};
use crate::source::http::answer::{Answer, Framing};
use crate::source::http::connection::Connection;

/// The maximum length of a service's response.
const DOCUMENT_BYTES_MAX: usize = 8 << 20;

impl Transfer<'_> {
    /// Reads a document, or the words of a refusal, which must end as its framing says.
    pub(super) async fn document(
        &mut self,
        connection: Connection,
        answer: Answer,
        mut body: Incoming,
    ) -> Result<End, Failure> {
        let mut document = Vec::new();
        while let Some(data) = self.next(&mut body).await? {
            if document.len() + data.len() > DOCUMENT_BYTES_MAX {
                return Err(Error::new(ErrorKind::Protocol, "the service's answer is too long").into());
            }
            document.extend_from_slice(&data);
        }
        proven(&body, answer.framing, document.len() as u64)?;
        has_length(document.len() as u64, answer.head.total_bytes)?;
        self.keep(connection, answer.framing != Framing::Close);
        let answer = WebAnswer::new(self.fetch.url.clone(), answer.status, answer.content_type, document.into());
        Ok(End::Document(Box::new(answer)))
    }
}
