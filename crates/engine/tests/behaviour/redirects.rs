//! Redirects: where they lead, what is sent along, and which are refused.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use http::header::{ACCEPT_LANGUAGE, AUTHORIZATION, HeaderName};
use towline_engine::{ErrorKind, JobSpec, Session};
use towline_origin::{ETag, Fault, Origin, Resource, Scope};
use towline_testkit::content;
use url::Url;

use crate::common::{LONG, Live, MIB, Place, fetch, spec, with_watchdog};

fn redirect(path: &str, status: u16, location: &str) -> Resource {
    Resource::new(path, 0, 0).redirect(status, location)
}

#[test]
fn what_was_given_for_one_origin_stays_with_it() {
    with_watchdog(LONG, || {
        let there = Origin::builder().resource(Resource::new("/files/real.bin", 101, 3 * MIB)).start().unwrap();
        let here = Origin::builder().resource(redirect("/start", 302, &there.url("/files/real.bin"))).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(4);
        let headers = &mut options.http.headers;
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer s3cr3t"));
        headers.insert(HeaderName::from_static("x-api-key"), HeaderValue::from_static("s3cr3t"));
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static("en"));
        let run = fetch(options, [spec(&here, "/start")]);
        run.assert_done(1);
        place.assert_content("real.bin", 101, 3 * MIB);
        assert_eq!(place.leftovers(&["real.bin"]), [""; 0]);

        let asked_here = here.requests();
        assert_eq!(asked_here.len(), 1, "{asked_here:?}");
        assert_eq!(asked_here[0].header("authorization"), Some("Bearer s3cr3t"));
        assert_eq!(asked_here[0].header("x-api-key"), Some("s3cr3t"));
        let asked_there = there.requests();
        assert!(!asked_there.is_empty());
        for request in asked_there {
            assert_eq!(request.header("authorization"), None);
            assert_eq!(request.header("x-api-key"), None);
            assert_eq!(request.header("accept-language"), Some("en"));
        }
    });
}

#[test]
fn a_relative_location_is_followed_for_every_redirecting_status() {
    with_watchdog(LONG, || {
        let mut builder = Origin::builder();
        for status in [301, 302, 303, 307, 308] {
            let from = format!("/moved/from/{status}");
            builder = builder
                .resource(redirect(&from, status, &format!("../to/{status}.bin?part=1")))
                .resource(Resource::new(format!("/moved/to/{status}.bin"), u64::from(status), 90_000));
        }
        let origin = builder.start().unwrap();
        let place = Place::new();
        let specs = [301, 302, 303, 307, 308].map(|status| spec(&origin, &format!("/moved/from/{status}")));
        fetch(place.options(), specs).assert_done(5);
        for status in [301, 302, 303, 307, 308] {
            place.assert_content(&format!("{status}.bin"), status, 90_000);
        }
        assert_eq!(place.leftovers(&["301.bin", "302.bin", "303.bin", "307.bin", "308.bin"]), [""; 0]);
    });
}

#[test]
fn a_loop_of_redirects_is_left() {
    with_watchdog(LONG, || {
        let origin =
            Origin::builder().resource(redirect("/a", 302, "/b")).resource(redirect("/b", 302, "/a")).start().unwrap();
        let place = Place::new();
        let run = fetch(place.options(), [spec(&origin, "/a")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Redirect]);
        assert!(origin.stats().requests <= 11, "{} requests", origin.stats().requests);
        assert_eq!(place.leftovers(&[]), [""; 0]);
    });
}

#[test]
fn a_redirect_from_https_to_http_is_followed_only_where_it_is_allowed() {
    with_watchdog(LONG, || {
        let plain = Origin::builder().resource(Resource::new("/a.bin", 102, 5000)).start().unwrap();
        let secure = Origin::builder()
            .tls(true)
            .http2(true)
            .resource(redirect("/a.bin", 301, &plain.url("/a.bin")))
            .start()
            .unwrap();
        let place = Place::new();
        let mut options = place.trusting(&secure);
        let run = fetch(options.clone(), [spec(&secure, "/a.bin")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Redirect]);
        assert_eq!(plain.stats().requests, 0);
        assert_eq!(place.leftovers(&[]), [""; 0]);

        options.http.allow_downgrade = true;
        fetch(options, [spec(&secure, "/a.bin")]).assert_done(1);
        place.assert_content("a.bin", 102, 5000);
    });
}

#[test]
fn a_redirect_to_another_scheme_is_not_followed() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().resource(redirect("/a", 302, "file:///etc/passwd")).start().unwrap();
        let place = Place::new();
        let run = fetch(place.options(), [spec(&origin, "/a")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Redirect]);
        assert_eq!(place.leftovers(&[]), [""; 0]);
    });
}

#[test]
fn a_redirector_that_sends_each_request_to_another_host_brings_its_file_in_few_requests() {
    with_watchdog(LONG * 2, || {
        let size = 8 * MIB;
        let file = || Resource::new("/a.bin", 61, size).etag(ETag::Custom("\"same\"".to_owned()));
        let slow = || Fault::RatePerConnection(3_000_000);
        let hosts: Vec<Origin> =
            (0..3).map(|_| Origin::builder().resource(file()).fault(slow()).start().unwrap()).collect();
        let mut front = Origin::builder().resource(file());
        for (host, share) in hosts.iter().zip([33, 50, 100]) {
            let to = Fault::Redirect { status: 302, location: host.url("/a.bin") };
            front = front.fault(to.when(Scope::every().now_and_then(share, u64::from(share))));
        }
        let front = front.start().unwrap();
        for connections in [1, 4] {
            let place = Place::new();
            let mut options = place.options();
            options.connections = Some(connections);
            let before = front.requests().len();
            let run = fetch(options, [spec(&front, "/a.bin")]);
            assert_eq!(run.summary().done_files, 1, "{connections}: {:?}", run.failures());
            place.assert_content("a.bin", 61, size);
            let asked = front.requests().len() - before;
            assert!(asked <= 60, "{connections} connections: {asked} requests");
        }
    });
}

/// A server that redirects each request to a link that is good for once, and breaks the first body off. Returns its address,
/// and the count of its requests.
fn serve_once_each(content: Vec<u8>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&count);
    thread::spawn(move || {
        let mut is_first = true;
        let mut good = HashSet::new();
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let path = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
            let fields: Vec<String> =
                lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
            let number = counter.fetch_add(1, Ordering::SeqCst);
            let (head, body) = match path.split_once('?') {
                None => {
                    good.insert(number.to_string());
                    (format!("302 Found\r\nLocation: /x/a.bin?{number}\r\nContent-Length: 0"), &[][..])
                }
                Some((_, link)) if !good.remove(link) => ("403 Forbidden\r\nContent-Length: 0".to_owned(), &[][..]),
                Some(_) => match fields.iter().find_map(|field| field.strip_prefix("range: bytes=")?.split_once('-')) {
                    Some((start, end)) => {
                        let start: usize = start.parse().unwrap();
                        let end = end.parse().map_or(content.len(), |end: usize| end + 1);
                        let range = format!("Content-Range: bytes {start}-{}/{}", end - 1, content.len());
                        let head = format!("206 Partial Content\r\n{range}\r\nContent-Length: {}", end - start);
                        (head, &content[start..end])
                    }
                    None => (format!("200 OK\r\nContent-Length: {}", content.len()), &content[..]),
                },
            };
            let is_cut = !body.is_empty() && std::mem::take(&mut is_first);
            let body = if is_cut { &body[..body.len() / 3] } else { body };
            let _ =
                write!(stream, "HTTP/1.1 {head}\r\nETag: \"a\"\r\nAccept-Ranges: bytes\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(body);
        }
    });
    (addr, count)
}

#[test]
fn links_that_are_good_for_once_bring_the_rest_of_a_file_that_broke_off() {
    with_watchdog(LONG, || {
        let (addr, count) = serve_once_each(content(73, MIB));
        let place = Place::new();
        let url: Url = format!("http://{addr}/a.bin").parse().unwrap();
        fetch(place.options(), [JobSpec::new(url)]).assert_done(1);
        place.assert_content("a.bin", 73, MIB);
        let asked = count.load(Ordering::SeqCst);
        assert!(asked <= 60, "{asked} requests");
    });
}

/// One redirect as raw bytes, then the file.
fn once(path: &str, seed: u64, head: &str) -> Resource {
    let answer = format!("HTTP/1.1 302 Found\r\n{head}\r\nContent-Length: 0\r\n\r\n");
    Resource::new(path, seed, 5000).fault(Fault::Raw(answer.into_bytes()).when(Scope::every().first(1)))
}

#[test]
fn a_redirect_to_itself_that_sets_a_cookie_is_followed_with_the_cookie() {
    with_watchdog(LONG, || {
        let head = "Set-Cookie: way=7; Path=/\r\nSet-Cookie: theirs=1; Domain=other.example\r\nLocation: /a.bin";
        let origin = Origin::builder().resource(once("/a.bin", 71, head)).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.http.headers.insert(http::header::COOKIE, HeaderValue::from_static("given=1"));
        fetch(options, [spec(&origin, "/a.bin")]).assert_done(1);
        place.assert_content("a.bin", 71, 5000);
        let sent: Vec<_> =
            origin.requests().iter().map(|request| request.header("cookie").map(str::to_owned)).collect();
        assert_eq!(sent[..2], [Some("given=1".to_owned()), Some("given=1; way=7".to_owned())]);
    });
}

#[test]
fn cookies_of_a_redirect_stay_with_its_site() {
    with_watchdog(LONG, || {
        let elsewhere = Origin::builder().resource(Resource::new("/b.bin", 72, 5000)).start().unwrap();
        let to = elsewhere.url("/b.bin").replace("127.0.0.1", "localhost");
        let head = format!("Set-Cookie: way=7; Path=/\r\nLocation: {to}");
        let origin = Origin::builder().resource(once("/a.bin", 72, &head)).start().unwrap();
        let place = Place::new();
        fetch(place.options(), [spec(&origin, "/a.bin")]).assert_done(1);
        assert!(elsewhere.requests().iter().all(|request| request.header("cookie").is_none()));
    });
}

#[test]
fn odd_locations_are_followed_as_they_are_or_named() {
    with_watchdog(LONG, || {
        for (location, message) in [
            ("Location: ", "with an empty Location"),
            ("Location: /b.bin\r\nLocation: /c.bin", "two different location fields"),
        ] {
            let origin = Origin::builder().resource(once("/a.bin", 73, location)).start().unwrap();
            let place = Place::new();
            let mut options = place.options();
            options.http.retries = 0;
            let run = fetch(options, [spec(&origin, "/a.bin")]);
            assert_eq!(run.failures().len(), 1, "{location}");
            assert!(run.failures()[0].message.contains(message), "{:?}", run.failures());
            assert_eq!(origin.stats().requests, 1, "{location}");
        }
        // A redirect to the same URL may be intended, once.
        for (times, requests) in [(1, 2), (9, 2)] {
            let redirect = Fault::Raw(b"HTTP/1.1 302 Found\r\nLocation: /a.bin\r\nContent-Length: 0\r\n\r\n".to_vec());
            let resource = Resource::new("/a.bin", 73, 5000).fault(redirect.first(times));
            let origin = Origin::builder().resource(resource).start().unwrap();
            let place = Place::new();
            let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
            match times {
                1 => run.assert_done(1),
                _ => assert!(run.failures()[0].message.contains("redirects to itself"), "{:?}", run.failures()),
            }
            assert_eq!(origin.stats().requests, requests);
        }
        let answer = b"HTTP/1.1 300 Multiple Choices\r\nLocation: /caf\xe9.bin\r\nContent-Length: 0\r\n\r\n".to_vec();
        let moved = Resource::new("/a.bin", 74, 5000).fault(Fault::Raw(answer));
        let origin =
            Origin::builder().resource(moved).resource(Resource::new("/caf%E9.bin", 74, 5000)).start().unwrap();
        let place = Place::new();
        fetch(place.options(), [spec(&origin, "/a.bin")]).assert_done(1);
        assert_eq!(origin.requests()[1].path, "/caf%E9.bin");
    });
}

#[test]
fn credentials_of_a_url_go_along_an_absolute_redirect_to_their_origin_alone() {
    with_watchdog(LONG, || {
        let elsewhere = Origin::builder().resource(Resource::new("/b.bin", 75, 5000)).start().unwrap();
        let origin = Origin::builder().resource(Resource::new("/b.bin", 75, 5000));
        let origin =
            origin.resource(Resource::new("/there", 0, 0)).resource(Resource::new("/away", 0, 0)).start().unwrap();
        origin.set_resource(redirect("/there", 302, &origin.url("/b.bin")));
        origin.set_resource(redirect("/away", 302, &elsewhere.url("/b.bin")));
        let place = Place::new();
        for (path, server, is_sent) in [("/there", &origin, true), ("/away", &elsewhere, false)] {
            let url = origin.url(path).replace("http://", "http://me:secret@");
            let named = JobSpec::new(url.parse().unwrap()).output(path.trim_start_matches('/'));
            fetch(place.options(), [named]).assert_done(1);
            let last = server.requests().into_iter().rfind(|request| request.path == "/b.bin").unwrap();
            assert_eq!(last.header("authorization").is_some(), is_sent, "{path}");
        }
    });
}

/// A mirror redirector picks another mirror each time.
#[test]
fn what_was_begun_is_compared_a_few_times_at_most_however_often_the_place_changes() {
    with_watchdog(LONG, || {
        let size = 4 * MIB;
        let place_of = |number: u64| format!("/copy-{}/a.bin", number % 3);
        let mut builder = Origin::builder().resource(redirect("/a.bin", 302, &place_of(0)));
        for number in 0..3 {
            builder =
                builder.resource(Resource::new(place_of(number), 104, size).etag(ETag::Custom("\"1\"".to_owned())));
        }
        let origin = builder.start().unwrap();
        let elsewhere = (1..2000).map(|number| {
            let to = Fault::Redirect { status: 302, location: place_of(number) };
            to.when(Scope::every().starting_at(number).first(1))
        });
        let resource = elsewhere.fold(redirect("/a.bin", 302, &place_of(0)), Resource::fault);
        origin.set_resource(resource);
        origin.set_faults([Fault::RatePerConnection(2_000_000).when(Scope::every())]);
        let place = Place::new();
        let mut live = Live::start(Session::builder(place.options()));
        live.handle.add(spec(&origin, "/a.bin")).unwrap();
        live.handle.close();
        live.wait_for_share(40);
        live.handle.stop();
        live.end();
        origin.set_faults([]);
        let before = origin.stats().requests;
        let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        assert!(run.resumed_bytes() > 0);
        place.assert_content("a.bin", 104, size);
        let asked = origin.stats().requests - before;
        assert!(asked < 100, "{asked} requests");
    });
}

/// A link to the latest version leads elsewhere once there is a new one.
#[test]
fn another_version_at_another_place_is_fetched_and_the_same_goes_on() {
    with_watchdog(LONG, || {
        for (seed, goes_on) in [(106, false), (105, true)] {
            let size = 4 * MIB;
            let time = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
            let of = |path: &str, seed, tag: &str| {
                Resource::new(path, seed, size).etag(ETag::Custom(format!("\"{tag}\""))).last_modified(time)
            };
            let rate = Fault::RatePerConnection(2_000_000);
            let origin = Origin::builder()
                .resource(redirect("/go/a.bin", 302, "/1/a.bin"))
                .resource(of("/1/a.bin", 105, "one"))
                .resource(of("/2/a.bin", seed, "two"))
                .fault(rate.when(Scope::every()))
                .start()
                .unwrap();
            let place = Place::new();
            let mut live = Live::start(Session::builder(place.options()));
            live.handle.add(spec(&origin, "/go/a.bin")).unwrap();
            live.handle.close();
            live.wait_for_share(40);
            live.handle.stop();
            live.end();
            origin.set_faults([]);
            origin.set_resource(redirect("/go/a.bin", 302, "/2/a.bin"));
            let run = fetch(place.options(), [spec(&origin, "/go/a.bin")]);
            assert_eq!(run.failure_kinds(), [], "{seed}");
            assert_eq!((run.restarts() == 0, run.resumed_bytes() > 0), (goes_on, true), "{seed}");
            place.assert_content("a.bin", seed, size);
            assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
        }
    });
}
