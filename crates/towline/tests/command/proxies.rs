//! Proxies, from the command line and the environment. Names that nobody knows prove that the proxy
//! was used.

use towline_origin::{Origin, Resource};

use crate::common::proxy::Proxy;
use crate::common::{MIB, Outcome, Place};

const SIZE: u64 = 3 * MIB;
/// The base64 of `user:SECRET-PW`.
const BASIC: &str = "dXNlcjpTRUNSRVQtUFc=";

fn origin() -> Origin {
    Origin::builder().resource(Resource::new("/a.bin", 1, SIZE)).start().unwrap()
}

fn arrived(place: &Place, outcome: Outcome) {
    outcome.code(0).writes_nothing().hides("SECRET").hides(BASIC);
    place.check("a.bin", 1, SIZE);
    assert_eq!(place.leftovers(), ["a.bin"]);
}

#[test]
fn plain_requests_are_forwarded_by_an_http_proxy() {
    let (origin, place) = (origin(), Place::new());
    let proxy = Proxy::http(origin.addr());
    let url = proxy.url("http://user:SECRET-PW@");
    let args = ["-v", "-x", "4", "--proxy", &url, "-d", "out", "http://files.invalid/a.bin"];
    arrived(&place, place.towline(&args).run());
    assert!(proxy.has_seen("GET http://files.invalid/a.bin HTTP/1.1"), "{:?}", proxy.seen());
    assert!(proxy.has_seen(&format!("Basic {BASIC}")), "{:?}", proxy.seen());
    assert!(origin.requests().iter().all(|request| request.header("host") == Some("files.invalid")));
}

#[test]
fn tls_goes_through_a_tunnel_of_an_http_proxy() {
    let origin = Origin::builder().tls(true).resource(Resource::new("/a.bin", 1, SIZE)).start().unwrap();
    let place = Place::new();
    place.write("ca.pem", origin.ca_pem().unwrap());
    let proxy = Proxy::http(origin.addr());
    let url = proxy.url("http://user:SECRET-PW@");
    let args = ["-v", "--proxy", &url, "--ca-file", "ca.pem", "-d", "out", "https://localhost:4433/a.bin"];
    arrived(&place, place.towline(&args).run());
    assert!(proxy.has_seen("CONNECT localhost:4433 HTTP/1.1"), "{:?}", proxy.seen());
    assert!(proxy.has_seen(&format!("Basic {BASIC}")), "{:?}", proxy.seen());
}

#[test]
fn the_environment_names_a_proxy_and_what_needs_none() {
    let origin = origin();
    let proxy = Proxy::http(origin.addr());
    let place = Place::new();
    let through = place.towline(&["-v", "-d", "out", "http://files.invalid/a.bin"]);
    arrived(&place, through.env("http_proxy", &proxy.url("http://user:SECRET-PW@")).run());
    let seen = proxy.seen().len();
    assert!(seen > 0);

    let place = Place::new();
    let url = origin.url("/a.bin");
    let direct = place.towline(&["-d", "out", &url]);
    let direct = direct.env("http_proxy", &proxy.url("http://")).env("no_proxy", "localhost,127.0.0.1");
    arrived(&place, direct.run());
    assert_eq!(proxy.seen().len(), seen);

    let place = Place::new();
    let direct = place.towline(&["--no-proxy", "*", "-d", "out", &url]);
    arrived(&place, direct.env("http_proxy", &proxy.url("http://")).run());
    assert_eq!(proxy.seen().len(), seen);
}

#[test]
fn a_socks5_proxy_gets_the_name_and_its_password() {
    let (origin, place) = (origin(), Place::new());
    let proxy = Proxy::socks5(origin.addr(), true);
    let url = proxy.url("socks5h://user:SECRET-PW@");
    let args = ["-v", "-x", "4", "--proxy", &url, "-d", "out", "http://files.invalid/a.bin"];
    arrived(&place, place.towline(&args).run());
    assert!(proxy.has_seen("user:SECRET-PW"), "{:?}", proxy.seen());
    assert!(proxy.has_seen("files.invalid:80"), "{:?}", proxy.seen());
}

#[test]
fn a_socks5_proxy_may_want_a_password_with_names_looked_up_here() {
    let (origin, place) = (origin(), Place::new());
    let proxy = Proxy::socks5(origin.addr(), true);
    let url = proxy.url("socks5://user:SECRET-PW@");
    arrived(&place, place.towline(&["--proxy", &url, "-d", "out", "http://127.0.0.1:81/a.bin"]).run());
    assert!(proxy.has_seen("user:SECRET-PW"), "{:?}", proxy.seen());
    assert!(proxy.has_seen("127.0.0.1:81"), "{:?}", proxy.seen());
}

#[test]
fn a_socks5_proxy_may_want_no_password_and_carries_tls() {
    let origin = Origin::builder().tls(true).http2(true).resource(Resource::new("/a.bin", 1, SIZE)).start().unwrap();
    let place = Place::new();
    place.write("ca.pem", origin.ca_pem().unwrap());
    let proxy = Proxy::socks5(origin.addr(), false);
    let url = proxy.url("socks5h://");
    let args = ["--proxy", &url, "--ca-file", "ca.pem", "-d", "out", "https://localhost:4433/a.bin"];
    arrived(&place, place.towline(&args).run());
    assert!(proxy.has_seen("localhost:4433"), "{:?}", proxy.seen());
}

#[test]
fn a_proxy_that_cannot_be_reached_is_named_without_its_password() {
    // Nobody listens there.
    let closed = "127.0.0.1:1";
    let place = Place::new();
    for scheme in ["http", "socks5h"] {
        let proxy = format!("{scheme}://user:SECRET-PW@{closed}");
        place
            .towline(&["-v", "--retries", "0", "--proxy", &proxy, "-d", "out", "http://files.invalid/a.bin"])
            .run()
            .code(1)
            .says(&["http://files.invalid/a.bin", "proxy", closed])
            .hides("SECRET");
    }
    place
        .towline(&["--proxy", "ftp://user:SECRET-PW@h", "http://files.invalid/a.bin"])
        .run()
        .code(2)
        .says(&["--proxy", "socks5h://"])
        .hides("SECRET");
}
