//! Attacks by a server, and by anybody who can write beside the files: each test is one attack and its outcome.
//! `docs/security.md` says where others are tested.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http::HeaderValue;
use http::header::{self, HeaderName};
use towline_engine::options::HttpVersion;
use towline_engine::{ErrorKind, Event, JobSpec, Options, Session};
use towline_origin::{Fault, Length, Origin, Resource};
use towline_testkit::below;

use crate::common::{LONG, Live, MIB, Place, Run, fetch, spec, with_watchdog};

const SIZE: u64 = 2 * MIB;
const HALF: u64 = SIZE / 2;
/// Small enough to be stored whole.
const SMALL: u64 = 20_000;
const OTHER: &[u8] = b"something of the user's";
/// The most that a hostile server may pass to the kernel before it notices that nobody reads.
const SENT_BYTES_MAX: u64 = 64 * MIB;
/// The size of the block that a hostile server repeats.
const BLOCK_BYTES: usize = 64 << 10;

fn with_connections(place: &Place, connections: usize) -> Options {
    let mut options = place.options();
    options.connections = Some(connections);
    options.piece_size_bytes = 128 << 10;
    options.save_interval = Duration::from_millis(50);
    options
}

/// Options with short timeouts and few retries.
fn impatient(place: &Place) -> Options {
    let mut options = place.options();
    options.http.stall_timeout = Duration::from_millis(300);
    options.http.response_timeout = Duration::from_millis(300);
    options.http.retries = 1;
    options
}

fn file(seed: u64) -> Resource {
    Resource::new("/a.iso", seed, SIZE)
}

/// Fetches half of `/a.iso`, which is kept with its journal.
fn begin(place: &Place, seed: u64) {
    let origin = Origin::builder().resource(file(seed).fault(Fault::StallAt(HALF, None))).start().unwrap();
    let mut live = Live::start(Session::builder(with_connections(place, 1)));
    live.handle.add(spec(&origin, "/a.iso")).unwrap();
    live.handle.close();
    live.wait_for("half of the file", |event| match event {
        Event::Progress(progress) => progress.done_bytes == HALF,
        _ => false,
    });
    live.handle.stop();
    assert_eq!(live.end().summary().kept_bytes, HALF);
    assert_eq!(place.leftovers(&[]), ["a.iso.towline", "a.iso.towline.json"]);
}

fn warnings(run: &Run) -> Vec<&str> {
    let warnings = run.events.iter().filter_map(|event| match event {
        Event::Warning { message, .. } => Some(message.as_str()),
        _ => None,
    });
    warnings.collect()
}

/// A server that responds to each request with `head` and then repeats `block` endlessly, or until the client
/// disconnects.
struct Endless {
    addr: SocketAddr,
    is_stopped: Arc<AtomicBool>,
    sent_bytes: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
    listening: Option<JoinHandle<()>>,
}

impl Endless {
    /// With a pause, waits that long before each block.
    fn start(head: &[u8], block: &[u8], pause: Option<Duration>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (is_stopped, sent_bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let connections = Arc::new(AtomicU64::new(0));
        let (head, block): (Arc<[u8]>, Arc<[u8]>) = (head.into(), block.into());
        let (stopped, sent, counted) = (Arc::clone(&is_stopped), Arc::clone(&sent_bytes), Arc::clone(&connections));
        let listening = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                counted.fetch_add(1, Ordering::Relaxed);
                let (head, block, sent) = (Arc::clone(&head), Arc::clone(&block), Arc::clone(&sent));
                thread::spawn(move || answer(stream.unwrap(), &head, &block, &sent, pause));
            }
        });
        Self { addr, is_stopped, sent_bytes, connections, listening: Some(listening) }
    }

    /// The same, with `again` repeated to fill a block worth a call.
    fn fast(head: &[u8], again: &[u8]) -> Self {
        Self::start(head, &again.repeat(BLOCK_BYTES.div_ceil(again.len())), None)
    }

    fn job(&self) -> JobSpec {
        JobSpec::new(format!("http://{}/a.iso", self.addr).parse().unwrap())
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.addr);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

fn answer(mut stream: TcpStream, head: &[u8], block: &[u8], sent: &AtomicU64, pause: Option<Duration>) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => request.push(byte[0]),
            _ => return,
        }
    }
    let mut next = head;
    while stream.write_all(next).is_ok() {
        sent.fetch_add(next.len() as u64, Ordering::Relaxed);
        next = block;
        if let Some(pause) = pause {
            thread::sleep(pause);
        }
    }
}

#[test]
fn nothing_that_the_user_gave_goes_to_another_origin_and_nothing_that_a_server_gave_opens_one() {
    with_watchdog(LONG, || {
        let there = Origin::builder().start().unwrap();
        let here = Origin::builder()
            .resource(Resource::new("/real.iso", 901, 3 * MIB))
            .fault(Fault::RatePerConnection(4_000_000))
            .start()
            .unwrap();
        // Its redirect has credentials of its own.
        let hop = there.url("/hop").replacen("://", "://given:by-the-server@", 1);
        here.add(Resource::new("/start", 0, 0).redirect(302, &hop));
        there.add(Resource::new("/hop", 0, 0).redirect(307, &here.url("/real.iso")));
        let place = Place::new();
        let mut options = with_connections(&place, 4);
        let given = ["cookie", "proxy-authorization", "referer", "x-one", "x-two"];
        for name in given {
            options.http.headers.insert(HeaderName::from_static(name), HeaderValue::from_static("s3cr3t"));
        }
        let url = here.url("/start").replacen("://", "://towline-user:s3cr3t@", 1);
        let run = fetch(options, [JobSpec::new(url.parse().unwrap())]);
        run.assert_done(1);
        place.assert_content("real.iso", 901, 3 * MIB);
        let asked_there = there.requests();
        assert_eq!(asked_there.len(), 1, "{asked_there:?}");
        for (name, _) in &asked_there[0].headers {
            assert!(["host", "user-agent", "accept", "accept-encoding"].contains(&name.as_str()), "{name} went along");
        }
        // Back at the first origin, the user's headers apply again.
        for request in here.requests() {
            assert!(given.iter().all(|name| request.header(name) == Some("s3cr3t")), "{request:?}");
        }
        let told = serde_json::to_string(&run.events).unwrap();
        assert!(!told.contains("by-the-server") && !told.contains("s3cr3t"), "{told}");
    });
}

#[test]
fn a_link_that_is_refused_each_time_is_asked_for_twice_at_most() {
    with_watchdog(LONG, || {
        for (status, requests_max) in [(401, 4), (403, 4), (407, 2)] {
            let origin = Origin::builder()
                .resource(Resource::new("/start", 0, 0).redirect(302, "/a.iso"))
                .resource(Resource::new("/a.iso", 0, 0).status(status))
                .start()
                .unwrap();
            let place = Place::new();
            let run = fetch(place.options(), [spec(&origin, "/start")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Status(status)]);
            assert!(origin.stats().requests <= requests_max, "{status}: {} requests", origin.stats().requests);
            assert_eq!(place.leftovers(&[]), [""; 0]);
        }
    });
}

#[test]
fn each_hostile_name_becomes_one_harmless_name() {
    with_watchdog(LONG, || {
        let long = format!("attachment; filename=\"{}.iso\"", "x".repeat(3000));
        let too_long = format!("attachment; filename=\"{}.iso\"", "x".repeat(5000));
        let cut = format!("{}.iso", "x".repeat(233));
        let rows: [(&[u8], &str); 26] = [
            (b"attachment; filename=\"../../x\"", "x"),
            (b"attachment; filename=\"-rf\"", "_rf"),
            (b"attachment; filename=\"..\"", "named-by-url"),
            (b"attachment; filename*=UTF-8''..%2F..%2Fx", "x"),
            (b"attachment; filename=\"/etc/cron.d/x\"", "x"),
            (b"attachment; filename=\"C:\\\\Windows\\\\x\"", "x"),
            (b"attachment; filename=\"\\\\\\\\host\\\\share\\\\x\"", "x"),
            (b"attachment; filename=\"con\"", "_con"),
            (b"attachment; filename=\"LPT1.txt\"", "_LPT1.txt"),
            (b"attachment; filename=\"aux .tar.gz\"", "_aux .tar.gz"),
            ("attachment; filename=\"gpj.\u{202e}exe\"".as_bytes(), "gpj.exe"),
            ("attachment; filename=\"a\u{2066}\u{200f}\u{feff}b.bin\"".as_bytes(), "ab.bin"),
            (b"attachment; filename*=UTF-8''a%1B%5B2J%C2%9B%7Fb.bin", "a[2Jb.bin"),
            (b"attachment; filename*=UTF-8''a%0D%0Ab.bin", "ab.bin"),
            (b"attachment; filename*=UTF-8''a%00.bin", "a.bin"),
            (b"attachment; filename=\"\xff\xfe.bin\"", "\u{ff}\u{fe}.bin"),
            (b"attachment; filename=\"trailing. . \"", "trailing"),
            (b"attachment; filename=\" . . .\"", "index"),
            (b"attachment; filename=\".bashrc\"", "_bashrc"),
            (b"attachment; filename=\"a.bin.towline\"", "a.bin.towline_"),
            (b"attachment; filename=\"a.bin.TOWLINE.JSON\"", "a.bin.TOWLINE.JSON_"),
            (b"attachment; filename=\"a.bin.towline.json.tmp\"", "a.bin.towline.json.tmp_"),
            (b"attachment; filename=\".towline\"", "_towline"),
            (b"attachment; filename=\".towline/ledger.sqlite\"", "ledger.sqlite"),
            (long.as_bytes(), &cut),
            // Ignored; the URL gives the name.
            (too_long.as_bytes(), "named-by-url"),
        ];
        for (value, expected) in rows {
            let named = Fault::Header { name: "Content-Disposition".to_owned(), value: value.to_vec() };
            let resource = Resource::new("/named-by-url", 902, 5000).fault(named);
            let origin = Origin::builder().resource(resource).start().unwrap();
            let place = Place::new();
            fetch(place.options(), [spec(&origin, "/named-by-url")]).assert_done(1);
            assert_eq!(place.leftovers(&[]), [expected], "{}", value.escape_ascii());
            place.assert_content(expected, 902, 5000);
        }
    });
}

#[test]
fn each_hostile_name_in_a_url_becomes_one_harmless_name() {
    with_watchdog(LONG, || {
        let rows = [
            ("/f/%1b%5b31mx", "[31mx"),
            ("/f/a%00b", "ab"),
            ("/f/con", "_con"),
            ("/f/%ff%fe", "\u{fffd}\u{fffd}"),
            ("/f/%e2%80%aex", "x"),
            ("/f/a.towline", "a.towline_"),
            ("/f/.towline", "_towline"),
            ("/f/a%2e%20", "a"),
        ];
        for (path, expected) in rows {
            let origin = Origin::builder().resource(Resource::new(path, 903, SMALL)).start().unwrap();
            let place = Place::new();
            fetch(place.options(), [spec(&origin, path)]).assert_done(1);
            assert_eq!(place.leftovers(&[]), [expected], "{path}");
        }
    });
}

#[test]
fn a_symlink_at_the_name_of_a_journal_is_not_followed() {
    with_watchdog(LONG, || {
        // The target is a journal, and a valid one.
        let place = Place::new();
        begin(&place, 904);
        let (journal, target) = (place.file("a.iso.towline.json"), place.beside("target"));
        fs::rename(&journal, &target).unwrap();
        let content = fs::read(&target).unwrap();
        symlink(&target, &journal).unwrap();
        let origin = Origin::builder().resource(file(904)).start().unwrap();
        let run = fetch(with_connections(&place, 1), [spec(&origin, "/a.iso")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Storage]);
        assert_eq!(fs::read(&target).unwrap(), content);
        assert_eq!(fs::read_link(&journal).unwrap(), target);

        // Without a partial file, it is somebody else's: it is set aside, and its target stays.
        fs::remove_file(place.file("a.iso.towline")).unwrap();
        fetch(with_connections(&place, 1), [spec(&origin, "/a.iso")]).assert_done(1);
        place.assert_content("a.iso", 904, SIZE);
        assert_eq!(fs::read(&target).unwrap(), content);
        assert_eq!(place.leftovers(&["a.iso"]), ["a.iso.towline.json.damaged-1"]);
        assert_eq!(fs::read_link(place.file("a.iso.towline.json.damaged-1")).unwrap(), target);
    });
}

#[test]
fn a_symlink_at_the_temporary_name_of_a_journal_is_not_followed() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().resource(file(905).fault(Fault::StallAt(HALF, None))).start().unwrap();
        let place = Place::new();
        let (temporary, target) = (place.file("a.iso.towline.json.tmp"), place.beside("target"));
        fs::write(&target, OTHER).unwrap();
        symlink(&target, &temporary).unwrap();
        origin.set_faults([]);
        origin.set_resource(file(905));
        fetch(with_connections(&place, 1), [spec(&origin, "/a.iso")]).assert_done(1);
        assert_eq!(fs::read(&target).unwrap(), OTHER);
        assert_eq!(fs::read_link(place.file("a.iso.towline.json.tmp.damaged-1")).unwrap(), target);
    });
}

#[test]
fn a_symlink_in_place_of_a_directory_below_is_not_followed() {
    with_watchdog(LONG, || {
        for size in [SMALL, SIZE] {
            for output in ["sub/a.iso", "sub/deeper/a.iso"] {
                let origin = Origin::builder().resource(Resource::new("/a.iso", 906, size)).start().unwrap();
                let place = Place::new();
                let elsewhere = place.beside("elsewhere");
                fs::create_dir(&elsewhere).unwrap();
                symlink(&elsewhere, place.file("sub")).unwrap();
                let run = fetch(place.options(), [spec(&origin, "/a.iso").output(output)]);
                assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken], "{output} of {size} bytes");
                assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "{output} of {size} bytes");
                assert_eq!(place.leftovers(&[]), ["sub"]);
            }
        }
    });
}

/// CRC-32 as in gzip, which protects a journal from accidents, not from forgers.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 };
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)));
    !crc
}

/// The journal with another body and the right CRC.
fn forged(journal: &str, change: impl Fn(&str) -> String) -> String {
    let (_, rest) = journal.split_once(r#""body":"#).expect("a journal has a body");
    let body = change(rest.trim_end().strip_suffix('}').expect("a journal is an object"));
    let crc = crc32(body.as_bytes());
    format!("{{\"format\":\"towline-journal\",\"version\":1,\"crc32\":\"{crc:08x}\",\"body\":{body}}}\n")
}

#[test]
fn a_journal_that_was_tampered_with_claims_nothing() {
    with_watchdog(LONG * 2, || {
        let done = format!("\"done\":[[0,{HALF}]]");
        let with_done = |ranges: String| {
            let done = done.clone();
            move |body: &str| {
                assert!(body.contains(&done), "{body}");
                body.replace(&done, &format!("\"done\":{ranges}"))
            }
        };
        let ranges = [
            format!("[[0,{}]]", SIZE + 1),
            format!("[[{HALF},0]]"),
            "[[5,5]]".to_owned(),
            format!("[[-1,{HALF}]]"),
            "[[0,700000],[600000,1048576]]".to_owned(),
            "[[600000,1048576],[0,500000]]".to_owned(),
            "[[0,1e6]]".to_owned(),
            format!("[[0,{}]]", u64::MAX),
            "[[0,99999999999999999999999999]]".to_owned(),
            "[[\"0\",\"1\"]]".to_owned(),
            "[".repeat(100_000),
            format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
        ];
        type Tamper = Box<dyn Fn(&str) -> String>;
        let mut journals: Vec<Tamper> = Vec::new();
        for ranges in ranges {
            let change = with_done(ranges);
            journals.push(Box::new(move |journal: &str| forged(journal, &change)));
        }
        let done_before = done.clone();
        // A wrong CRC, 10 MiB, and text that would control a terminal if shown.
        journals.push(Box::new(move |journal: &str| journal.replace(&done_before, &format!("\"done\":[[0,{SIZE}]]"))));
        journals.push(Box::new(|journal: &str| format!("{journal}{}", " ".repeat(10 << 20))));
        journals.push(Box::new(|journal: &str| {
            forged(journal, |body| body.replace("unchecked", &"\\u001b[2J\u{9b}\u{202e}".repeat(10_000)))
        }));
        for (number, tamper) in journals.iter().enumerate() {
            let place = Place::new();
            begin(&place, 907);
            let journal = place.file("a.iso.towline.json");
            let before = fs::read_to_string(&journal).unwrap();
            assert_eq!(forged(&before, str::to_owned), before, "the format has changed; change this test");
            let tampered = tamper(&before);
            assert_ne!(tampered, before, "{number}");
            fs::write(&journal, &tampered).unwrap();
            let origin = Origin::builder().resource(file(907)).start().unwrap();
            let run = fetch(with_connections(&place, 2), [spec(&origin, "/a.iso")]);
            run.assert_done(1);
            assert_eq!(run.resumed_bytes(), 0, "{number}");
            place.assert_content("a.iso", 907, SIZE);
            assert_eq!(place.leftovers(&["a.iso"]), ["a.iso.towline.1", "a.iso.towline.json.damaged-1"], "{number}");
            let said = warnings(&run);
            assert!(said.iter().any(|said| said.contains("the journal is damaged")), "{number}: {said:?}");
            let is_harmless = |said: &&str| said.len() < 1000 && !said.contains(['\u{1b}', '\u{9b}', '\u{202e}']);
            assert!(said.iter().all(is_harmless), "{number}: {said:?}");
        }
    });
}

#[test]
fn a_journal_of_a_longer_file_than_is_there_claims_nothing() {
    with_watchdog(LONG, || {
        let place = Place::new();
        begin(&place, 908);
        let journal = place.file("a.iso.towline.json");
        let longer = |body: &str| {
            let body = body.replace(&format!(":{SIZE}"), ":1099511627776");
            body.replace(&format!("[[0,{HALF}]]"), "[[0,1099511627775]]")
        };
        let tampered = forged(&fs::read_to_string(&journal).unwrap(), longer);
        assert!(tampered.contains("1099511627775"), "{tampered}");
        fs::write(&journal, tampered).unwrap();
        let origin = Origin::builder().resource(file(908)).start().unwrap();
        let run = fetch(with_connections(&place, 2), [spec(&origin, "/a.iso")]);
        run.assert_done(1);
        assert_eq!(run.resumed_bytes(), 0);
        assert!(warnings(&run).iter().any(|said| said.contains("another length")), "{:?}", warnings(&run));
        place.assert_content("a.iso", 908, SIZE);
        assert_eq!(place.leftovers(&["a.iso"]), ["a.iso.towline.1"]);
    });
}

#[test]
fn an_answer_that_never_ends_is_left_soon() {
    with_watchdog(LONG * 2, || {
        let long_line = b"a".repeat(BLOCK_BYTES);
        let protocol: &[ErrorKind] = &[ErrorKind::Protocol];
        // Damage to the body's framing counts as a broken connection or as invalid HTTP.
        let framing: &[ErrorKind] = &[ErrorKind::Protocol, ErrorKind::Broken];
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let rows: [(&str, String, &[u8], &[ErrorKind]); 6] = [
            ("the reason", "HTTP/1.1 200 ".to_owned(), &long_line, protocol),
            ("a header", "HTTP/1.1 200 OK\r\nX: ".to_owned(), &long_line, protocol),
            ("headers", "HTTP/1.1 200 OK\r\n".to_owned(), b"X: a\r\n", protocol),
            ("a chunk's extension", format!("{chunked}5;"), &long_line, framing),
            ("trailers", format!("{chunked}5\r\nhello\r\n0\r\n"), b"X: a\r\n", framing),
            ("an error's page", "HTTP/1.1 404 Not Found\r\n\r\n".to_owned(), &long_line, &[ErrorKind::Status(404)]),
        ];
        for (what, head, again, kinds) in rows {
            let server = Endless::fast(head.as_bytes(), again);
            let place = Place::new();
            let run = fetch(impatient(&place), [server.job()]);
            let failed = run.failure_kinds();
            assert!(failed.len() == 1 && kinds.contains(&failed[0]), "{what}: {failed:?}");
            assert_eq!(place.leftovers(&[]), [""; 0], "{what}");
            assert!(server.connections.load(Ordering::Relaxed) <= 2, "{what}");
            let sent = server.sent_bytes.load(Ordering::Relaxed);
            assert!(sent <= SENT_BYTES_MAX, "{what}: {sent} bytes were sent");
        }
    });
}

#[test]
fn interim_answers_for_ever_are_no_answer() {
    with_watchdog(LONG, || {
        for status in ["100 Continue", "103 Early Hints"] {
            let again = format!("HTTP/1.1 {status}\r\nLink: {}\r\n\r\n", "a".repeat(4096));
            let server = Endless::fast(b"", again.as_bytes());
            let place = Place::new();
            let run = fetch(impatient(&place), [server.job()]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Stalled], "{status}");
            assert_eq!(place.leftovers(&[]), [""; 0]);
        }
    });
}

#[test]
fn a_head_that_comes_byte_by_byte_is_no_answer() {
    with_watchdog(LONG, || {
        let server = Endless::start(b"HTTP/1.1 200 OK\r\nX: ", b"a", Some(Duration::from_millis(10)));
        let place = Place::new();
        let run = fetch(impatient(&place), [server.job()]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Stalled]);
        assert_eq!(server.connections.load(Ordering::Relaxed), 2);
        assert_eq!(place.leftovers(&[]), [""; 0]);
    });
}

#[test]
fn a_body_that_comes_byte_by_byte_holds_up_neither_other_files_nor_a_stop() {
    with_watchdog(LONG, || {
        let slow = Endless::start(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
            b"a",
            Some(Duration::from_millis(10)),
        );
        let other = Origin::builder().files("/{}.bin", 8, SMALL, 910).start().unwrap();
        let place = Place::new();
        let mut live = Live::start(Session::builder(impatient(&place)));
        live.handle.add(slow.job()).unwrap();
        for number in 0..8 {
            live.handle.add(spec(&other, &format!("/{number}.bin"))).unwrap();
        }
        live.handle.close();
        let mut finished = 0;
        live.wait_for("the other files", |event| {
            finished += usize::from(matches!(event, Event::Finished { .. }));
            finished == 8
        });
        live.handle.stop();
        let run = live.end();
        assert_eq!((run.summary().done_files, run.summary().interrupted), (8, true));
        assert!(!place.file("a.iso").exists());
    });
}

#[test]
fn a_chunked_body_that_never_ends_is_left_at_the_allowed_size() {
    with_watchdog(LONG, || {
        let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
        let server = Endless::start(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk.as_bytes(), None);
        for max_size_bytes in [1000, MIB] {
            let place = Place::new();
            let mut options = impatient(&place);
            options.max_size_bytes = Some(max_size_bytes);
            let run = fetch(options, [server.job()]);
            assert_eq!(run.failure_kinds(), [ErrorKind::TooLarge], "{max_size_bytes}");
            assert_eq!(place.leftovers(&[]), [""; 0]);
        }
        let sent = server.sent_bytes.load(Ordering::Relaxed);
        assert!(sent <= SENT_BYTES_MAX, "{sent} bytes were sent");
    });
}

#[test]
fn too_large_a_head_over_http2_is_refused() {
    with_watchdog(LONG, || {
        for fault in [Fault::LargeHeader(1 << 20), Fault::ManyHeaders(10_000)] {
            let origin = Origin::builder()
                .tls(true)
                .http2(true)
                .resource(Resource::new("/a.iso", 911, SMALL).fault(fault.clone()))
                .start()
                .unwrap();
            let place = Place::new();
            let mut options = place.trusting(&origin);
            options.http.version = HttpVersion::Http2;
            options.http.stall_timeout = Duration::from_secs(2);
            options.http.response_timeout = Duration::from_secs(2);
            options.http.retries = 1;
            let run = fetch(options, [spec(&origin, "/a.iso")]);
            let failed = run.failure_kinds();
            let expected = [ErrorKind::Protocol, ErrorKind::Broken];
            assert!(failed.len() == 1 && expected.contains(&failed[0]), "{fault:?}: {failed:?}");
            assert_eq!(place.leftovers(&[]), [""; 0]);
        }
    });
}

#[test]
fn nothing_is_ever_decoded_even_if_the_user_asks_for_it() {
    with_watchdog(LONG, || {
        let encoded = Resource::new("/a.iso", 912, SMALL).header("Content-Encoding", "gzip").length(Length::Chunked);
        let origin = Origin::builder().resource(encoded).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        let fields = [(header::ACCEPT_ENCODING, "gzip, br"), (header::RANGE, "bytes=0-9"), (header::IF_RANGE, "\"x\"")];
        for (name, value) in fields {
            options.http.headers.insert(name, HeaderValue::from_static(value));
        }
        fetch(options, [spec(&origin, "/a.iso")]).assert_done(1);
        // The bytes are stored as received, never decoded.
        place.assert_content("a.iso", 912, SMALL);
        for request in origin.requests() {
            assert_eq!(request.header("accept-encoding"), Some("identity"));
            assert_eq!((request.header("range"), request.header("if-range")), (None, None));
        }
    });
}

/// All files below a directory.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    below(dir).into_iter().filter(|path| !path.is_dir()).collect()
}

#[test]
fn what_a_server_says_leaves_no_more_than_the_file() {
    with_watchdog(LONG, || {
        // Headers that other programs obey.
        let resource = Resource::new("/a.iso", 913, SMALL)
            .header("Set-Cookie", "id=1; Domain=127.0.0.1")
            .header("Refresh", "0; url=file:///etc/passwd")
            .header("Content-Location", "/b.iso")
            .header("Link", "</b.iso>; rel=preload")
            .header("Alt-Svc", "h2=\"127.0.0.1:1\"");
        let origin = Origin::builder().resource(resource).start().unwrap();
        let place = Place::new();
        fetch(place.options(), [spec(&origin, "/a.iso"), spec(&origin, "/a.iso").output("b.iso")]).assert_done(2);
        assert!(origin.requests().iter().all(|request| request.header("cookie").is_none()));
        assert_eq!(origin.stats().requests, 2);
        let mut files = files_below(&place.dir());
        files.sort();
        assert_eq!(files, [place.file("a.iso"), place.file("b.iso")]);
    });
}

/// Nobody else gets a turn while a parser takes what is before the size of a chunk.
#[test]
fn framing_without_data_is_cut_off() {
    with_watchdog(LONG, || {
        for filler in [b"0".as_slice(), b"5 "] {
            let mut raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            raw.push(filler[0]);
            raw.resize(raw.len() + 4 * MIB as usize, *filler.last().unwrap());
            let origin = Origin::builder().resource(file(1)).fault(Fault::Raw(raw)).start().unwrap();
            let place = Place::new();
            let run = fetch(impatient(&place), [spec(&origin, "/a.iso")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Protocol]);
            assert!(run.summary().failures[0].error.message.contains("framing without end"), "{:?}", run.summary());
        }
    });
}
