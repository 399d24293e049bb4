//! The bytes of a body, as spans of text or of generated content. Content is generated when it is sent,
//! into blocks that each serving thread reuses.

use std::cell::RefCell;

use bytes::Bytes;

use crate::content::fill;

/// Small enough for the L2 cache, large enough to need few system calls.
pub(crate) const CHUNK_BYTES: usize = 128 * 1024;
/// Smaller chunks are not worth a pooled block.
const POOLED_BYTES: usize = 32 * 1024;
const POOL_BLOCKS: usize = 16;

/// Where bytes come from.
enum Source {
    Text(Bytes),
    Content { seed: u64, offset: u64 },
}

/// Consecutive bytes from one source; a body is a sequence of spans.
pub(crate) struct Span {
    source: Source,
    len: u64,
}

impl Span {
    /// A span of this text.
    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        Self { len: text.len() as u64, source: Source::Text(text) }
    }

    /// A span of `len` bytes of the content `seed`, starting at `offset`.
    pub(crate) fn content(seed: u64, offset: u64, len: u64) -> Self {
        Self { source: Source::Content { seed, offset }, len }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// `count` bytes of the span, starting at its byte `start`.
    pub(crate) fn bytes(&self, start: u64, count: usize) -> Bytes {
        match &self.source {
            Source::Text(text) => text.slice(start as usize..start as usize + count),
            Source::Content { seed, offset } => made(*seed, *offset + start, count),
        }
    }
}

thread_local! {
    /// Blocks ready for reuse; they are not cleared.
    static BLOCKS: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A block in use, which returns to the pool when dropped. Only its first `len` bytes are content.
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
        // A thread that is exiting has already dropped its pool.
        let _ = BLOCKS.try_with(|blocks| {
            let mut blocks = blocks.borrow_mut();
            if blocks.len() < POOL_BLOCKS {
                blocks.push(bytes);
            }
        });
    }
}

/// Generates `count` bytes of the content, at most [`CHUNK_BYTES`].
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
