//! The bytes of a connection, plain, through a proxy or within TLS.

use tokio::io::{AsyncRead, AsyncWrite};

/// A connection's bytes, whatever is below.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(crate) type BoxStream = Box<dyn Stream>;
