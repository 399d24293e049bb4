//! The byte stream of a connection: plain, through a proxy, or inside TLS.

use tokio::io::{AsyncRead, AsyncWrite};

/// A connection's byte stream, whatever is below.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(crate) type BoxStream = Box<dyn Stream>;
