//! Tiny proxies: HTTP (whole URLs, and CONNECT) and SOCKS5 (with and without a password). Whatever
//! host they are asked for, they connect to one address; so a name that nobody knows proves that a
//! request went through them.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A running proxy; its threads end with the test's process.
pub(crate) struct Proxy {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// A proxy that speaks HTTP. Each request head is seen.
    pub(crate) fn http(target: SocketAddr) -> Self {
        Self::start(move |client, seen| serve_http(client, target, seen))
    }

    /// A proxy that speaks SOCKS5. Each `user:password` and each `host:port` is seen.
    pub(crate) fn socks5(target: SocketAddr, wants_password: bool) -> Self {
        Self::start(move |client, seen| serve_socks5(client, target, wants_password, seen))
    }

    /// A proxy that speaks HTTP and gives these answers to its first requests and the last of them to all
    /// others. After a 2xx to CONNECT it is a tunnel.
    pub(crate) fn answering(target: SocketAddr, answers: &[&str]) -> Self {
        let answers: Vec<String> = answers.iter().map(ToString::to_string).collect();
        let given = AtomicUsize::new(0);
        Self::start(move |mut client, seen| {
            let head = read_head(&mut client)?;
            seen.lock().unwrap().push(head);
            let answer = &answers[given.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
            client.write_all(answer.as_bytes())?;
            let last = answer.rmatch_indices("HTTP/1.").next().map_or(0, |(at, _)| at);
            if answer[last..].split(' ').nth(1).is_some_and(|status| status.starts_with('2')) {
                return tunnel(client, TcpStream::connect(target)?);
            }
            client.shutdown(Shutdown::Write)?;
            // A connection that is closed with something unread would be reset.
            io::copy(&mut client, &mut io::sink()).map(|_| ())
        })
    }

    fn start(serve: impl Fn(TcpStream, &Mutex<Vec<String>>) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let keeps = Arc::clone(&seen);
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (serve, keeps) = (Arc::clone(&serve), Arc::clone(&keeps));
                // A client that goes away in the middle is no failure.
                thread::spawn(move || {
                    let _ = serve(client, &keeps);
                });
            }
        });
        Self { addr, seen }
    }

    /// Its URL: `scheme` may be followed by credentials, as in `http://user:pw@`.
    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}{}", self.addr)
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Whether something that it saw contains the text.
    pub(crate) fn has_seen(&self, text: &str) -> bool {
        self.seen().iter().any(|seen| seen.contains(text))
    }
}

fn serve_http(mut client: TcpStream, target: SocketAddr, seen: &Mutex<Vec<String>>) -> io::Result<()> {
    let head = read_head(&mut client)?;
    seen.lock().unwrap().push(head.clone());
    let mut server = TcpStream::connect(target)?;
    if head.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        return tunnel(client, server);
    }
    server.write_all(forwarded(&head).as_bytes())?;
    io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}

fn read_head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// A request with a whole URL as its server wants it: only the path, and one for each connection.
fn forwarded(head: &str) -> String {
    let mut lines = head.trim_end().lines();
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(' ');
    let (method, url) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let behind_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = behind_scheme.find('/').map_or("/", |at| &behind_scheme[at..]);
    let mut request = format!("{method} {path} HTTP/1.1\r\n");
    for line in lines {
        let lower = line.to_ascii_lowercase();
        if !lower.starts_with("proxy-") && !lower.starts_with("connection:") {
            request += line;
            request += "\r\n";
        }
    }
    request + "Connection: close\r\n\r\n"
}

fn serve_socks5(
    mut client: TcpStream,
    target: SocketAddr,
    wants_password: bool,
    seen: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let [_, methods] = bytes::<2>(&mut client)?;
    many(&mut client, methods)?;
    if wants_password {
        client.write_all(&[5, 2])?;
        let [_, user_bytes] = bytes::<2>(&mut client)?;
        let user = many(&mut client, user_bytes)?;
        let [password_bytes] = bytes::<1>(&mut client)?;
        let password = many(&mut client, password_bytes)?;
        seen.lock().unwrap().push(format!("{user}:{password}"));
        client.write_all(&[1, 0])?;
    } else {
        client.write_all(&[5, 0])?;
    }
    let [_, _, _, kind] = bytes::<4>(&mut client)?;
    let host = match kind {
        1 => bytes::<4>(&mut client)?.map(|part| part.to_string()).join("."),
        3 => {
            let [name_bytes] = bytes::<1>(&mut client)?;
            many(&mut client, name_bytes)?
        }
        _ => return Err(io::Error::other("IPv6 is not for this test")),
    };
    let port = u16::from_be_bytes(bytes::<2>(&mut client)?);
    seen.lock().unwrap().push(format!("{host}:{port}"));
    let server = TcpStream::connect(target)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    tunnel(client, server)
}

fn bytes<const N: usize>(client: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn many(client: &mut TcpStream, count: u8) -> io::Result<String> {
    let mut bytes = vec![0; usize::from(count)];
    client.read_exact(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn tunnel(client: TcpStream, server: TcpStream) -> io::Result<()> {
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let (mut from_server, mut to_client) = (server, client);
    io::copy(&mut from_server, &mut to_client)?;
    to_client.shutdown(Shutdown::Both)
}
