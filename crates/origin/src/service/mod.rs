//! Mock services: what providers are tested against. Each answers requests of HTTP/1.1 in its own way; what they have
//! in common is here and in `talk.rs`: a listener whose connections have a thread each, over TCP or TLS, requests,
//! answers, and files with ranges.

mod cloud;
mod graph;
mod nextcloud;
mod sites;
mod talk;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub use self::cloud::{Cloud, CloudBuilder, CloudStats};
pub use self::graph::{Graph, GraphBuilder, GraphStats};
pub use self::nextcloud::{Nextcloud, NextcloudBuilder, NextcloudStats};
pub use self::sites::{Access, Sites, SitesBuilder, SitesStats};
use self::talk::{Request, Stream, Talk};

/// A listener that serves. Dropping it stops it.
#[derive(Debug)]
struct Serving {
    addr: SocketAddr,
    is_stopped: Arc<AtomicBool>,
    /// Connections that are served now.
    open: Arc<AtomicUsize>,
    accepting: Option<JoinHandle<()>>,
}

impl Serving {
    /// Answers each request on a free port of 127.0.0.1 by `answer`, over TLS if there is a configuration.
    fn start(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&mut Talk, &Request) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let is_stopped = Arc::new(AtomicBool::new(false));
        let open = Arc::new(AtomicUsize::new(0));
        let (stopped, counted, answer) = (Arc::clone(&is_stopped), Arc::clone(&open), Arc::new(answer));
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                let (Ok(stream), tls, answer) = (stream, tls.clone(), Arc::clone(&answer)) else { continue };
                let (stopped, counted) = (Arc::clone(&stopped), Arc::clone(&counted));
                counted.fetch_add(1, Ordering::AcqRel);
                thread::spawn(move || {
                    // An error means that the client has gone.
                    drop(serve(stream, tls, addr, stopped, &*answer));
                    counted.fetch_sub(1, Ordering::AcqRel);
                });
            }
        });
        Ok(Self { addr, is_stopped, open, accepting: Some(accepting) })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Release);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.addr);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn serve(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    addr: SocketAddr,
    is_stopped: Arc<AtomicBool>,
    answer: &dyn Fn(&mut Talk, &Request) -> io::Result<()>,
) -> io::Result<()> {
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(stream),
        Some(config) => {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            Box::new(StreamOwned::new(connection, stream))
        }
    };
    let mut talk = Talk::new(stream, addr, is_stopped);
    while let Some(request) = talk.request()? {
        answer(&mut talk, &request)?;
    }
    Ok(())
}
