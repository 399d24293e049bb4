//! Proxies, from the command line and the environment. Names that nobody knows prove that the proxy
//! was used.

use towline_origin::{Origin, Resource};
use towline_testkit::MIB;

use crate::common::proxy::Proxy;
use crate::common::{Outcome, Place};

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

/// The origin is asked only by way of the proxy that a variable names, and never without it.
#[test]
fn a_variable_that_names_no_proxy_that_can_be_used_is_an_error_and_nothing_is_sent() {
    let origin = origin();
    let url = origin.url("/a.bin");
    let values =
        ["socks", "socks4", "socks4a", "ftp", "htp", "https5"].map(|kind| format!("{kind}://u:SECRET@127.0.0.1:1"));
    let more = ["http://u:SECRET@[bad", "http://u:SECRET@127.0.0.1:99999", "127.0.0.1:0", "http://"].map(str::to_owned);
    for value in values.into_iter().chain(more) {
        for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"] {
            let place = Place::new();
            let run = place.towline(&["-d", "out", &url]).env(name, &value).run();
            run.code(2).says(&["variable", name, "proxy"]).hides("SECRET");
            assert_eq!(place.leftovers(), Vec::<String>::new());
        }
        let place = Place::new();
        place.towline(&["--proxy", &value, "-d", "out", &url]).run().code(2).says(&["--proxy"]).hides("SECRET");
    }
    assert!(origin.requests().is_empty());
}

#[test]
fn the_list_of_what_needs_no_proxy_is_understood_in_all_its_forms() {
    let origin = origin();
    let proxy = Proxy::http(origin.addr());
    let url = origin.url("/a.bin");
    let here = origin.addr().to_string();
    for list in ["*", "a, *", "127.0.0.1", "127.0.0.0/8", "LOCALHOST , 127.0.0.1", here.as_str()] {
        for name in ["no_proxy", "NO_PROXY"] {
            let place = Place::new();
            let run = place.towline(&["-d", "out", &url]).env("all_proxy", &proxy.url("http://")).env(name, list);
            arrived(&place, run.run());
        }
        let place = Place::new();
        let address = proxy.url("http://");
        arrived(&place, place.towline(&["--proxy", &address, "--no-proxy", list, "-d", "out", &url]).run());
    }
    assert_eq!(proxy.seen(), Vec::<String>::new());
    for list in ["127.0.0.1:1", "128.0.0.0/8", "0.0.1", "localhost"] {
        let seen = proxy.seen().len();
        let place = Place::new();
        let run = place.towline(&["-d", "out", &url]).env("all_proxy", &proxy.url("http://")).env("no_proxy", list);
        arrived(&place, run.run());
        assert!(proxy.seen().len() > seen, "{list}");
    }
}

#[test]
fn in_a_cgi_program_only_the_variable_that_requests_can_set_is_passed_over() {
    let origin = origin();
    let proxy = Proxy::http(origin.addr());
    let evil = Proxy::answering(origin.addr(), &["HTTP/1.1 500 No\r\n\r\n"]);
    let place = Place::new();
    let run = place.towline(&["-d", "out", "http://files.invalid/a.bin"]).env("REQUEST_METHOD", "GET");
    arrived(&place, run.env("HTTP_PROXY", &evil.url("http://")).env("all_proxy", &proxy.url("http://")).run());
    assert_eq!(evil.seen(), Vec::<String>::new());
    assert!(proxy.has_seen("GET http://files.invalid/a.bin"), "{:?}", proxy.seen());
}

#[test]
fn credentials_are_decoded_wherever_they_are_given() {
    let origin = origin();
    let proxy = Proxy::http(origin.addr());
    let place = Place::new();
    let run = place.towline(&["-v", "-d", "out", "http://files.invalid/a.bin"]);
    arrived(&place, run.env("http_proxy", &proxy.url("us%40er:p%3Aw@")).run());
    // The base64 of `us@er:p:w`.
    assert!(proxy.has_seen("Basic dXNAZXI6cDp3"), "{:?}", proxy.seen());
}

#[test]
fn a_tunnel_opens_with_any_answer_that_says_so() {
    let origin = Origin::builder().tls(true).resource(Resource::new("/a.bin", 1, SIZE)).start().unwrap();
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(60 << 10));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(200));
    let answers = [
        "HTTP/1.1 201 Created\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        long.as_str(),
        many.as_str(),
    ];
    for answer in answers {
        let place = Place::new();
        place.write("ca.pem", origin.ca_pem().unwrap());
        let proxy = Proxy::answering(origin.addr(), &[answer]);
        let url = proxy.url("http://user:SECRET-PW@");
        let args = ["-v", "--proxy", &url, "--ca-file", "ca.pem", "-d", "out", "https://localhost:4433/a.bin"];
        arrived(&place, place.towline(&args).run());
        assert!(proxy.has_seen("CONNECT localhost:4433 HTTP/1.1"), "{:?}", proxy.seen());
    }
}

#[test]
fn a_proxy_that_refuses_is_asked_once_and_its_answer_is_said() {
    let origin = origin();
    let table = [
        ("", "403 Forbidden", "", "answered 403 Forbidden to CONNECT localhost:4433"),
        ("", "407 No", "Proxy-Authenticate: Basic realm=x\r\n", "wants credentials"),
        ("user:SECRET-PW@", "407 No", "Proxy-Authenticate: Basic realm=x\r\n", "refused the credentials"),
        ("user:SECRET-PW@", "407 No", "Proxy-Authenticate: NTLM\r\n", "wants NTLM, which is not supported"),
    ];
    for (credentials, status, fields, expected) in table {
        let answer = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: 0\r\n\r\n");
        let proxy = Proxy::answering(origin.addr(), &[&answer]);
        let place = Place::new();
        let url = proxy.url(&format!("http://{credentials}"));
        let run = place.towline(&["-v", "--proxy", &url, "-d", "out", "https://localhost:4433/a.bin"]).run();
        run.code(1)
            .says(&["https://localhost:4433/a.bin", &proxy.url("http://"), expected])
            .hides("SECRET")
            .hides(BASIC);
        assert_eq!(proxy.seen().len(), 1, "{expected}");
    }
    assert!(origin.requests().is_empty());
}

#[test]
fn a_proxy_that_is_busy_is_asked_again() {
    let origin = Origin::builder().tls(true).resource(Resource::new("/a.bin", 1, SIZE)).start().unwrap();
    let place = Place::new();
    place.write("ca.pem", origin.ca_pem().unwrap());
    let answers = ["HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"];
    let proxy = Proxy::answering(origin.addr(), &answers);
    let url = proxy.url("http://");
    let args = ["-v", "--proxy", &url, "--ca-file", "ca.pem", "-d", "out", "https://localhost:4433/a.bin"];
    arrived(&place, place.towline(&args).run());
    assert!(proxy.seen().len() > 1);
}

#[test]
fn a_proxy_that_refuses_to_forward_is_told_from_a_server_that_refuses() {
    let origin = origin();
    let answer = "HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n";
    let proxy = Proxy::answering(origin.addr(), &[answer]);
    let place = Place::new();
    let url = proxy.url("http://user:SECRET-PW@");
    let run = place.towline(&["-v", "--proxy", &url, "-d", "out", "http://files.invalid/a.bin"]).run();
    run.code(1).says(&[&proxy.url("http://"), "wants Negotiate, which is not supported", "407"]).hides("SECRET");
    assert!(origin.requests().is_empty());
}
