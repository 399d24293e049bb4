//! Connections over TLS, and HTTP/2, which only TLS can agree on. The other modules know them as a trait
//! object that [`OriginBuilder::tls`](crate::OriginBuilder::tls) alone creates: a program that never calls
//! it, such as the demo, is linked without TLS servers and HTTP/2 servers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::conn::Conn;
use crate::gate::Gate;
use crate::respond::{Via, respond};
use crate::socket::Socket;
use crate::state::Shared;
use crate::tls::{Certificate, Identity};
use crate::worker::drive_http1;

/// Creates the TLS side of an origin that offers these protocols.
pub(crate) type Generate = fn(&[&[u8]], Certificate) -> io::Result<Box<dyn Secure>>;

/// Serves a connection until it ends.
pub(crate) type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The TLS side of an origin.
pub(crate) trait Secure: Send + Sync {
    /// The certificate of the authority that clients must trust.
    fn ca_pem(&self) -> &str;

    /// Shakes hands and serves the protocol that was agreed on.
    fn serve(&self, socket: Socket, conn: Arc<Conn>, shared: Arc<Shared>) -> Serving;
}

/// A new authority and certificate.
pub(crate) fn generate(protocols: &[&[u8]], certificate: Certificate) -> io::Result<Box<dyn Secure>> {
    Ok(Box::new(Identity::generate(protocols, certificate)?))
}

impl Secure for Identity {
    fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    fn serve(&self, socket: Socket, conn: Arc<Conn>, shared: Arc<Shared>) -> Serving {
        let acceptor = self.acceptor.clone();
        Box::pin(async move {
            let Ok(stream) = acceptor.accept(socket).await else { return };
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2".as_slice());
            let gate = Gate::new(stream, Arc::clone(&conn));
            match http2 {
                true => drive_http2(gate, conn, shared).await,
                false => drive_http1(gate, conn, shared).await,
            }
        })
    }
}

/// Serves HTTP/2 until either side ends the connection. Ignores errors, which the client sees.
async fn drive_http2<S>(gate: Gate<S>, conn: Arc<Conn>, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let of_requests = Arc::clone(&conn);
    let service = service_fn(move |request| {
        let via = Via::Http2(of_requests.next_stream());
        respond(Arc::clone(&shared), Arc::clone(&of_requests), via, request)
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    // The script decides about `Date`.
    builder.auto_date_header(false);
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(gate), service));
    loop {
        tokio::select! {
            _ = &mut serving => return,
            () = conn.aborted() => return,
            // The next iteration polls the stack, which flushes.
            () = conn.nudged() => {}
        }
    }
}
