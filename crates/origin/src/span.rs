//! The bytes of a body: pieces of text, and pieces of generated content that are made when they are
//! sent, in blocks that each serving thread keeps for reuse.

use std::cell::RefCell;

use bytes::Bytes;

use crate::content::fill;

/// Small enough for the second-level cache, large enough for few system calls.
pub(crate) const CHUNK_BYTES: usize = 128 * 1024;
/// Chunks below this are not worth a pooled block.
const POOLED_BYTES: usize = 32 * 1024;
const POOL_BLOCKS: usize = 16;

/// Where bytes come from.
enum Source {
    Text(Bytes),
    Content { seed: u64, offset: u64 },
}

/// So many bytes from one source; a body is a sequence of these.
pub(crate) struct Span {
    source: Source,
    len: u64,
}

impl Span {
    /// This text.
    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        Self { len: text.len() as u64, source: Source::Text(text) }
    }

    /// `len` bytes of the content `seed` from `offset` on.
    pub(crate) fn content(seed: u64, offset: u64, len: u64) -> Self {
        Self { source: Source::Content { seed, offset }, len }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// `count` of its bytes from its byte `start` on.
    pub(crate) fn bytes(&self, start: u64, count: usize) -> Bytes {
        match &self.source {
            Source::Text(text) => text.slice(start as usize..start as usize + count),
            Source::Content { seed, offset } => made(*seed, *offset + start, count),
        }
    }
}

thread_local! {
    /// Blocks that were sent, to be filled again without clearing.
    static BLOCKS: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A pooled block of which the first `len` bytes are on their way.
struct Block {
    bytes: Box<[u8]>,
    len: usize,
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        // A thread that is ending has no pool any more.
        let _ = BLOCKS.try_with(|blocks| {
            let mut blocks = blocks.borrow_mut();
            if blocks.len() < POOL_BLOCKS {
                blocks.push(bytes);
            }
        });
    }
}

/// `count` bytes of the content, at most [`CHUNK_BYTES`].
fn made(seed: u64, offset: u64, count: usize) -> Bytes {
    if count < POOLED_BYTES {
        let mut bytes = vec![0; count];
        fill(seed, offset, &mut bytes);
        return Bytes::from(bytes);
    }
    let pooled = BLOCKS.try_with(|blocks| blocks.borrow_mut().pop());
    let mut bytes = pooled.ok().flatten().unwrap_or_else(|| vec![0; CHUNK_BYTES].into_boxed_slice());
    fill(seed, offset, &mut bytes[..count]);
    Bytes::from_owner(Block { bytes, len: count })
}
