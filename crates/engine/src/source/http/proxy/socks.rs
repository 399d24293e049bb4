//! A connection through a SOCKS5 proxy (RFC 1928, with username/password authentication as in RFC 1929).

use std::net::IpAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::error::Result;
use crate::http::origin::Origin;
use crate::source::http::proxy::Proxy;
use crate::source::http::proxy::refusal;
use crate::source::http::stream::BoxStream;

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;
const PASSWORD_VERSION: u8 = 1;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// The destination for the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    Address(IpAddr),
    /// The proxy looks it up.
    Name(String),
}

/// Asks the proxy at the other end of `stream` to connect to the destination, which is the origin's host.
pub(crate) async fn open(
    mut stream: BoxStream,
    proxy: &Proxy,
    origin: &Origin,
    destination: &Destination,
) -> Result<BoxStream> {
    let broke = |source| refusal::broke(proxy, origin, source);
    let refused = |why: &str| refusal::not_connected(proxy, origin, why);
    let request =
        request(destination, origin.port).ok_or_else(|| refused("SOCKS5 has no room for so long a host name"))?;
    let greeting: &[u8] = match proxy.credentials() {
        Some(_) => &[VERSION, 2, NO_AUTHENTICATION, PASSWORD],
        None => &[VERSION, 1, NO_AUTHENTICATION],
    };
    send(&mut stream, greeting).await.map_err(broke)?;
    let [version, method] = receive::<2>(&mut stream).await.map_err(broke)?;
    if version != VERSION {
        return Err(refused("its answer is not SOCKS5"));
    }
    match (method, proxy.credentials()) {
        (NO_AUTHENTICATION, _) => {}
        (PASSWORD, Some(credentials)) => {
            let login = login(&credentials.user, &credentials.password);
            send(&mut stream, &login).await.map_err(broke)?;
            let [_, status] = receive::<2>(&mut stream).await.map_err(broke)?;
            if status != 0 {
                return Err(refused("it refused the credentials"));
            }
        }
        (NONE_ACCEPTABLE, None) => return Err(refused("it wants credentials")),
        (NONE_ACCEPTABLE, Some(_)) => return Err(refused("it takes neither a password nor none")),
        _ => return Err(refused("it wants a kind of authentication that was not offered")),
    }
    send(&mut stream, &request).await.map_err(broke)?;
    let [version, reply] = receive::<2>(&mut stream).await.map_err(broke)?;
    if version != VERSION {
        return Err(refused("its answer is not SOCKS5"));
    }
    if reply != 0 {
        let (why, is_transient) = words(reply);
        return Err(refusal::not_beyond(proxy, origin, why).with_transient(is_transient));
    }
    // The address that the proxy uses; the server's data follows it.
    let [_, kind] = receive::<2>(&mut stream).await.map_err(broke)?;
    let address_bytes = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => {
            let [bytes] = receive::<1>(&mut stream).await.map_err(broke)?;
            usize::from(bytes)
        }
        _ => return Err(refused("its answer is not SOCKS5")),
    };
    let mut address_and_port = [0; u8::MAX as usize + 2];
    stream.read_exact(&mut address_and_port[..address_bytes + 2]).await.map_err(broke)?;
    Ok(stream)
}

async fn send(stream: &mut BoxStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

async fn receive<const N: usize>(stream: &mut BoxStream) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Neither part exceeds a length byte: the proxy's URL would have been refused.
fn login(user: &[u8], password: &[u8]) -> Vec<u8> {
    let length = |part: &[u8]| u8::try_from(part.len()).unwrap_or(u8::MAX);
    [&[PASSWORD_VERSION, length(user)][..], user, &[length(password)], password].concat()
}

/// `None` if the name's length does not fit into a byte.
fn request(destination: &Destination, port: u16) -> Option<Vec<u8>> {
    let mut request = vec![VERSION, CONNECT, 0];
    match destination {
        Destination::Address(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend_from_slice(&address.octets());
        }
        Destination::Address(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend_from_slice(&address.octets());
        }
        Destination::Name(name) => {
            request.extend_from_slice(&[NAME, u8::try_from(name.len()).ok()?]);
            request.extend_from_slice(name.as_bytes());
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    Some(request)
}

/// The meaning of a refusal, and whether it is transient.
fn words(reply: u8) -> (&'static str, bool) {
    match reply {
        1 => ("it failed", true),
        2 => ("its rules do not allow it", false),
        3 => ("the network is unreachable from there", true),
        4 => ("the host is unreachable from there", true),
        5 => ("connection refused", true),
        6 => ("it took too long from there", true),
        7 => ("it does not make connections", false),
        8 => ("it does not know this kind of address", false),
        _ => ("it refused", false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// The result with a proxy that sends all of `says` at once, and everything that it received.
    fn ask(url: &str, destination: &Destination, says: &[u8]) -> (Result<BoxStream>, Vec<u8>) {
        let proxy = Proxy::new(&Proxy::url(url).unwrap()).unwrap();
        let origin = Origin::of(&"https://h.example/a".parse().unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (client, mut server) = tokio::io::duplex(4096);
            server.write_all(says).await.unwrap();
            server.shutdown().await.unwrap();
            let opened = open(Box::new(client), &proxy, &origin, destination).await;
            let mut told = vec![0; 4096];
            let count = server.read(&mut told).await.unwrap_or(0);
            told.truncate(count);
            (opened, told)
        })
    }

    fn name() -> Destination {
        Destination::Name("h.example".to_owned())
    }

    #[test]
    fn a_name_is_sent_as_it_is_and_what_follows_the_answer_is_the_servers() {
        let (opened, told) = ask("socks5h://p", &name(), b"\x05\0\x05\0\0\x01abcdefearly");
        assert_eq!(told, b"\x05\x01\0\x05\x01\0\x03\x09h.example\x01\xbb");
        let mut stream = opened.unwrap_or_else(|error| panic!("{error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut bytes = Vec::new();
        runtime.block_on(stream.read_to_end(&mut bytes)).unwrap();
        assert_eq!(bytes, b"early");
    }

    #[test]
    fn addresses_and_every_form_of_answer_are_understood() {
        let (v4, v6) = ("10.0.0.1".parse().unwrap(), "::1".parse().unwrap());
        let (opened, told) = ask("socks5://p", &Destination::Address(v4), b"\x05\0\x05\0\0\x03\x02ab\0\0");
        assert!(opened.is_ok());
        assert_eq!(told, b"\x05\x01\0\x05\x01\0\x01\x0a\0\0\x01\x01\xbb");
        let answer = [&b"\x05\0\x05\0\0\x04"[..], &[0; 18]].concat();
        let (opened, told) = ask("socks5://p", &Destination::Address(v6), &answer);
        assert!(opened.is_ok());
        assert_eq!(told[..7], *b"\x05\x01\0\x05\x01\0\x04");
    }

    #[test]
    fn credentials_go_to_a_proxy_that_wants_them_and_to_no_other() {
        let url = "socks5h://us%40er:p%3Aw@p";
        let (opened, told) = ask(url, &name(), b"\x05\x02\x01\0\x05\0\0\x01abcdef");
        assert!(opened.is_ok());
        assert!(told.starts_with(b"\x05\x02\0\x02\x01\x05us@er\x03p:w\x05\x01"), "{told:?}");
        let (opened, told) = ask(url, &name(), b"\x05\0\x05\0\0\x01abcdef");
        assert!(opened.is_ok());
        assert!(told.starts_with(b"\x05\x02\0\x02\x05\x01"), "{told:?}");
    }

    #[test]
    fn a_refusal_says_why() {
        let with = "socks5h://NOBODY:SECRET@p";
        #[rustfmt::skip]
        let table: &[(&str, &[u8], &str, bool)] = &[
            ("socks5h://p", b"\x05\xff", "wants credentials", false),
            ("socks5h://p", b"\x05\x02", "not offered", false),
            (with, b"\x05\xff", "neither", false),
            (with, b"\x05\x01", "not offered", false),
            (with, b"\x05\x02\x01\x01", "refused the credentials", false),
            (with, b"\x05\x02", "closed the connection", true),
            (with, b"HTTP/1.1 400 Bad Request", "not SOCKS5", false),
            (with, b"", "closed the connection", true),
            ("socks5h://p", b"\x05\0\x05\x01", "it failed", true),
            ("socks5h://p", b"\x05\0\x05\x02", "rules", false),
            ("socks5h://p", b"\x05\0\x05\x05", "connection refused", true),
            ("socks5h://p", b"\x05\0\x05\x08", "kind of address", false),
            ("socks5h://p", b"\x05\0\x05\x63", "refused", false),
            ("socks5h://p", b"\x05\0\x05\0\0\x09", "not SOCKS5", false),
        ];
        for (url, says, expected, is_transient) in table {
            let Err(error) = ask(url, &name(), says).0 else { panic!("{expected}: connected") };
            let text = error.to_string();
            assert!(text.contains(expected), "{expected}: {text}");
            assert!(!text.contains("SECRET") && !text.contains("NOBODY"), "{text}");
            assert_eq!(error.kind(), ErrorKind::Proxy);
            assert_eq!(error.is_transient(), *is_transient, "{text}");
        }
        let long = Destination::Name("x".repeat(256));
        assert!(ask("socks5h://p", &long, b"").0.is_err_and(|error| error.to_string().contains("so long")));
    }
}
