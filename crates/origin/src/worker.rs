//! The threads of a running origin. The first accepts connections and distributes them round-robin;
//! each thread serves its share on its own runtime. Stopping the origin ends the threads and their
//! connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;

use crate::conn::{Conn, Ticket};
use crate::effects::Ending;
use crate::fault::Above;
use crate::gate::Gate;
use crate::raw::RawSlot;
use crate::respond::{Via, respond};
use crate::socket::Socket;
use crate::span::CHUNK_BYTES;
use crate::state::Shared;

/// Large enough for hundreds of connections at once.
const BACKLOG: u32 = 4096;
/// Pause after a failed accept, for example when no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// How long a refused connection may take to close.
const REFUSAL_MAX: Duration = Duration::from_secs(1);
/// A TLS record (RFC 8446, section 5.1) with the fatal alert `internal_error`.
const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];

/// A connection on its way to its serving thread.
type Handed = (std::net::TcpStream, Ticket);

/// The threads of a running origin.
pub(crate) struct Running {
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// Listens on `addr` and starts the threads; also returns the bound address.
    pub(crate) fn start(shared: &Arc<Shared>, addr: SocketAddr, threads: usize) -> io::Result<(Self, SocketAddr)> {
        let (stop, stopped) = watch::channel(false);
        let mut running = Self { stop, threads: Vec::new() };
        let first = runtime()?;
        let listener = listen(&first, addr)?;
        let addr = listener.local_addr()?;
        let mut peers = Vec::new();
        for _ in 1..threads {
            let (peer, inbox) = mpsc::unbounded_channel();
            peers.push(peer);
            let work = receive(inbox, Arc::clone(shared));
            running.spawn(runtime()?, stopped.clone(), work)?;
        }
        let work = accept(listener, Arc::clone(shared), peers);
        running.spawn(first, stopped, work)?;
        Ok((running, addr))
    }

    /// Closes the listener and all connections, and waits for the threads to end.
    pub(crate) fn stop(self) {
        // Fails only if all threads have already ended.
        let _ = self.stop.send(true);
        for thread in self.threads {
            // A panic has already been printed by the thread.
            let _ = thread.join();
        }
    }

    fn spawn(
        &mut self,
        runtime: Runtime,
        mut stopped: watch::Receiver<bool>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let name = format!("towline-origin-{}", self.threads.len());
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    _ = stopped.changed() => {}
                    () = work => {}
                }
            });
            // Dropping the runtime drops its connections.
        })?;
        self.threads.push(thread);
        Ok(())
    }
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()
}

fn listen(runtime: &Runtime, addr: SocketAddr) -> io::Result<TcpListener> {
    let _inside = runtime.enter();
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must get the same port while old connections are in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Accepts connections forever and distributes them round-robin over this thread and `peers`.
async fn accept(listener: TcpListener, shared: Arc<Shared>, peers: Vec<UnboundedSender<Handed>>) {
    let mut turn = 0;
    loop {
        let Ok((tcp, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let ticket = Ticket::new(&shared);
        let peer = turn;
        turn = (turn + 1) % (peers.len() + 1);
        match peers.get(peer) {
            None => {
                tokio::spawn(serve(tcp, ticket, Arc::clone(&shared)));
            }
            Some(peer) => {
                if let Ok(tcp) = tcp.into_std() {
                    // If the peer has stopped, dropping the connection is correct.
                    let _ = peer.send((tcp, ticket));
                }
            }
        }
    }
}

/// Serves the connections that the accepting thread hands over.
async fn receive(mut inbox: UnboundedReceiver<Handed>, shared: Arc<Shared>) {
    while let Some((tcp, ticket)) = inbox.recv().await {
        if let Ok(tcp) = TcpStream::from_std(tcp) {
            tokio::spawn(serve(tcp, ticket, Arc::clone(&shared)));
        }
    }
}

async fn serve(tcp: TcpStream, ticket: Ticket, shared: Arc<Shared>) {
    // A failure only delays small responses.
    let _ = tcp.set_nodelay(true);
    let conn = Arc::clone(&ticket.conn);
    let socket = Socket::new(tcp, ticket);
    match shared.rules().ends_at_accept(conn.id, conn.open_at_accept) {
        Some(Above::Reset) => {
            conn.end_now(Ending::Reset);
            return;
        }
        Some(Above::Alert) if shared.tls.is_some() => return refuse(socket, &ALERT).await,
        Some(Above::Alert | Above::Close) => return refuse(socket, &[]).await,
        _ => {}
    }
    match &shared.tls {
        None => drive_http1(Gate::new(socket, Arc::clone(&conn)), conn, shared).await,
        Some(secure) => {
            let cut = shared.rules().cuts_handshake(conn.id);
            let socket = socket.cut_after(cut.unwrap_or(u64::MAX));
            secure.serve(socket, conn, Arc::clone(&shared)).await;
        }
    }
}

/// Sends `answer` in reply to the client's first message, unless it is empty, and closes gracefully.
async fn refuse(mut socket: Socket, answer: &[u8]) {
    let closing = async {
        let mut unread = [0; 4096];
        if !answer.is_empty() && socket.read(&mut unread).await? > 0 {
            socket.write_all(answer).await?;
        }
        socket.shutdown().await?;
        // Closing with unread data would reset the connection.
        while socket.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    // The connection closes on drop, whatever the result.
    let _ = tokio::time::timeout(REFUSAL_MAX, closing).await;
}

/// Serves HTTP/1 until either side ends the connection. To write a raw answer, the HTTP stack is shut
/// down and then restarted on the same connection.
pub(crate) async fn drive_http1<S>(mut gate: Gate<S>, conn: Arc<Conn>, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let slot = Arc::new(RawSlot::default());
    loop {
        let (shared, conn, left) = (Arc::clone(&shared), Arc::clone(&conn), Arc::clone(&slot));
        let service = service_fn(move |request| {
            respond(Arc::clone(&shared), Arc::clone(&conn), Via::Http1(Arc::clone(&left)), request)
        });
        let mut builder = http1::Builder::new();
        builder.max_buf_size(CHUNK_BYTES).auto_date_header(false);
        let mut serving = builder.serve_connection(TokioIo::new(gate), service);
        // An error ends the connection, or means that the slot holds an answer.
        let _ = (&mut serving).await;
        let Some(answer) = slot.take() else { return };
        let parts = serving.into_parts();
        gate = parts.io.into_inner();
        gate.unread(&parts.read_buf);
        match answer.play(&mut gate).await {
            Ok(true) => {}
            Ok(false) => {
                // A failure means that the client has already closed.
                let _ = gate.shutdown().await;
                return;
            }
            Err(_) => return,
        }
    }
}
