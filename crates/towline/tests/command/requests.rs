//! How requests are made: headers, credentials, addresses, pauses, and the time of files.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use md5::{Digest as _, Md5};
use towline_origin::{ETag, Fault, Origin, Resource};

use crate::common::Place;

pub(crate) const SIZE: u64 = 5000;
const SEED: u64 = 60;

pub(crate) fn origin() -> Origin {
    Origin::builder().files("/{}.bin", 3, SIZE, SEED).start().unwrap()
}

/// The value of a header in the last request.
pub(crate) fn sent(origin: &Origin, name: &str) -> Option<String> {
    origin.requests().last().unwrap().header(name).map(str::to_owned)
}

#[test]
fn headers_come_from_options_and_files() {
    let origin = origin();
    let place = Place::new();
    place.write("headers", "# ours\nX-One: 1\n\nX-Two: a: b\r\n");
    let url = origin.url("/0.bin");
    let outcome = place.towline(&["-d", "out", "-H", "@headers", "--referer", "https://example.org/x", &url]).run();
    outcome.code(0);
    let values = ["x-one", "x-two", "referer"].map(|name| sent(&origin, name).unwrap());
    assert_eq!(values, ["1", "a: b", "https://example.org/x"]);
    place.towline(&["-H", "@missing", &url]).run().code(2).says(&["--header @missing"]);
}

#[test]
fn a_name_and_a_password_go_to_the_own_server_and_are_shown_nowhere() {
    let other = origin();
    let origin = Origin::builder()
        .files("/{}.bin", 1, SIZE, SEED)
        .resource(Resource::new("/away", SEED, SIZE).redirect(302, &other.url("/1.bin")))
        .start()
        .unwrap();
    let place = Place::new();
    let run = |url: &str| place.towline(&["-d", "out", "-vv", "--user", "me:hunter2", url]).run();
    run(&origin.url("/0.bin")).code(0).hides("hunter2").hides("bWU6aHVudGVyMg");
    assert_eq!(sent(&origin, "authorization").unwrap(), "Basic bWU6aHVudGVyMg==");
    run(&origin.url("/away")).code(0).hides("hunter2");
    assert_eq!(sent(&other, "authorization"), None);
    let both = place.towline(&["--user", "me:x", "-H", "Authorization: y", &origin.url("/0.bin")]).run();
    both.code(2).says(&["cannot be used together"]);
    place.towline(&["--user", "hunter2", &origin.url("/0.bin")]).run().code(2).hides("hunter2");
}

#[test]
fn cookies_of_a_run_are_kept_for_the_next() {
    let origin = Origin::builder()
        .resource(Resource::new("/login", SEED, 100).header("Set-Cookie", "session=SECRET; Path=/; HttpOnly"))
        .files("/{}.bin", 2, SIZE, SEED)
        .start()
        .unwrap();
    let place = Place::new();
    let run = |args: &[&str]| place.towline(&[&["-d", "out"], args].concat()).run();
    // The second URL gets what the first one set: one after the other.
    let urls = [origin.url("/login"), origin.url("/0.bin")];
    run(&["-v", "-j", "1", "--cookie-jar", "jar", &urls[0], &urls[1]]).code(0).hides("SECRET");
    assert_eq!(sent(&origin, "cookie").unwrap(), "session=SECRET");
    let kept = fs::read_to_string(place.beside("jar")).unwrap();
    assert!(kept.contains("#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tSECRET\n"), "{kept}");
    assert_eq!(fs::metadata(place.beside("jar")).unwrap().permissions().mode() & 0o777, 0o600);
    run(&["--cookies", "jar", "--cookie-jar", "jar", &origin.url("/1.bin")]).code(0);
    assert_eq!(sent(&origin, "cookie").unwrap(), "session=SECRET");
    assert_eq!(fs::read_to_string(place.beside("jar")).unwrap(), kept);

    place.write("thesis", "years of work\n");
    run(&["--cookie-jar", "thesis", &urls[1]]).code(2).says(&["exists and is not a file of cookies"]);
    assert_eq!(fs::read_to_string(place.beside("thesis")).unwrap(), "years of work\n");
    run(&["--cookie-jar", "out", &urls[1]]).code(2).says(&["exists and is not a regular file"]);
    run(&["--cookie-jar", "nowhere/jar", &urls[1]]).code(2).says(&["--cookie-jar nowhere/jar"]);
}

#[test]
fn hosts_and_addresses_can_be_chosen() {
    let origin = origin();
    let place = Place::new();
    let port = origin.addr().port();
    let url = format!("http://example.invalid:{port}/0.bin");
    let resolve = format!("example.invalid:{port}:127.0.0.1");
    place.towline(&["-d", "out", "--resolve", &resolve, &url]).run().code(0);
    place.check("0.bin", SEED, SIZE);
    assert_eq!(sent(&origin, "host").unwrap(), format!("example.invalid:{port}"));
    let other_port = format!("example.invalid:{}:127.0.0.1", port.wrapping_add(1).max(1));
    let run = |args: &[&str]| place.towline(&[args, &["-d", "out", "--retries", "0"]].concat()).run();
    run(&["--resolve", &other_port, &url]).code(1).says(&["cannot be resolved"]);
    run(&["--resolve", "nonsense", &url]).code(2).says(&["HOST:PORT:ADDRESS"]);

    let url = origin.url("/1.bin");
    run(&["-4", &url]).code(0);
    let url_2 = origin.url("/2.bin");
    run(&["-6", &url_2]).code(1).says(&["may not be connected to"]);
    run(&["-6", "--proxy", &origin.url(""), "http://h.example/2.bin"]).code(1).says(&["may not be connected to"]);
    run(&["-6", "--resolve", "h.example:80:127.0.0.1", "http://h.example/2.bin"]).code(1).says(&["no IPv6 address"]);
    run(&["-4", "-6", &url]).code(2);
    run(&["--interface", "127.0.0.1", &origin.url("/2.bin")]).code(0);
    // An address that is nobody's here (RFC 5737).
    run(&["--interface", "192.0.2.1", "-o", "x", &url]).code(1);
    run(&["--interface", "nothing0", "-o", "y", &url]).code(2).says(&["there is no such interface", "lo"]);
    run(&["--interface", "a/b", &url]).code(2).says(&["a name such as eth0"]);
}

#[test]
fn a_final_status_is_retried_if_it_is_to_be() {
    let place = Place::new();
    // The second may ask for another protocol, where there is one.
    for (status, name) in [(404, "a.bin"), (505, "b.bin")] {
        let fault = || Fault::Status { code: status, times: Some(2), retry_after: None };
        let resource = || Resource::new(format!("/{name}"), SEED, SIZE).fault(fault());
        let url = |origin: &Origin| origin.url(&format!("/{name}"));
        let origin = Origin::builder().resource(resource()).start().unwrap();
        place.towline(&["-d", "out", &url(&origin)]).run().code(1).says(&[&status.to_string()]);
        let origin = Origin::builder().resource(resource()).start().unwrap();
        place.towline(&["-d", "out", "--retry-on", "404,410,505", &url(&origin)]).run().code(0);
        place.check(name, SEED, SIZE);
        place.towline(&["--retry-on", "200", &url(&origin)]).run().code(2).says(&["statuses from 400 to 599"]);
    }
}

#[test]
fn requests_to_a_host_keep_their_distance() {
    let origin = origin();
    let place = Place::new();
    let urls = [0, 1, 2].map(|number| origin.url(&format!("/{number}.bin")));
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    place.towline(&[&["-d", "out", "--delay-per-host", "300ms"], &urls[..]].concat()).run().code(0);
    let at: Vec<Duration> = origin.requests().iter().map(|request| request.at).collect();
    // The origin notes when a request arrives, which may be late.
    assert_eq!(at.len(), 3);
    assert!(at[2] - at[0] >= Duration::from_millis(500), "{at:?}");
}

#[test]
fn a_file_gets_the_time_of_the_server_if_it_is_to_have_it() {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    for size in [SIZE, 300_000] {
        let file = Resource::new("/a.bin", SEED, size).last_modified(Some(then));
        let origin = Origin::builder().resource(file).start().unwrap();
        for (args, is_then) in [(&["--remote-time"][..], true), (&[], false)] {
            let place = Place::new();
            let url = origin.url("/a.bin");
            let args = [args, &["-d", "out", &url]].concat();
            place.towline(&args).run().code(0);
            let modified = fs::metadata(place.out("a.bin")).unwrap().modified().unwrap();
            assert_eq!(modified == then, is_then);
            place.towline(&args).run().code(0).says(&["already there"]);
        }
    }
}

#[test]
fn files_of_a_list_that_have_the_same_time_there_are_told_apart() {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    let file = |number: u64| {
        Resource::new(format!("/{number}.bin"), SEED + number, SIZE).etag(ETag::None).last_modified(Some(then))
    };
    let origin = Origin::builder().resource(file(0)).resource(file(1)).start().unwrap();
    let place = Place::new();
    place.write("list", &[0, 1].map(|number| origin.url(&format!("/{number}.bin\n"))).concat());
    let run = || place.towline(&["-d", "out", "-i", "list", "--remote-time", "--overwrite"]).run().code(0);
    let _ = run();
    let seconds =
        |name| fs::metadata(place.out(name)).unwrap().modified().unwrap().duration_since(then).unwrap().as_secs();
    assert_eq!(["0.bin", "1.bin"].map(seconds), [0, 0]);
    let _ = run().says(&["2 already there"]);
    for (from, to) in [("0.bin", "x"), ("1.bin", "0.bin"), ("x", "1.bin")] {
        fs::rename(place.out(from), place.out(to)).unwrap();
    }
    let _ = run();
    place.check("0.bin", SEED, SIZE);
    place.check("1.bin", SEED + 1, SIZE);
}

#[test]
fn files_are_compared_with_a_file_of_digests() {
    let origin = Origin::builder().files("/{}.bin", 4, SIZE, SEED).start().unwrap();
    let place = Place::new();
    for number in 0..3_u64 {
        towline_testkit::write_seeded(&place.root().join(format!("{number}.bin")), SEED + number, SIZE);
    }
    let make = "sha256sum 0.bin ./1.bin > SHA256SUMS && md5sum --tag 2.bin >> SHA256SUMS";
    assert!(std::process::Command::new("sh").args(["-c", make]).current_dir(place.root()).status().unwrap().success());
    let urls = [0, 1, 2].map(|number| origin.url(&format!("/{number}.bin")));
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let sums = ["--checksum-file", "SHA256SUMS", "-d", "out"];
    place.towline(&[&sums, &urls[..]].concat()).run().code(0);
    place.write("list", &(urls.join("\n") + "\n" + &origin.url("/3.bin\n")));
    let list = place.towline(&["--checksum-file", "SHA256SUMS", "-d", "listed", "-i", "list"]).run();
    list.code(0).says(&["1 file of the list: no digest is given"]);

    // The name that counts is the one that a file gets.
    let named = Resource::new("/get", SEED, SIZE).content_disposition("attachment; filename=1.bin");
    let moved = Resource::new("/moved", SEED, SIZE).redirect(302, "/x/1.bin");
    let others =
        Origin::builder().resource(named).resource(moved).files("/x/{}.bin", 2, SIZE, SEED - 1).start().unwrap();
    for path in ["/get", "/moved"] {
        let place_out = format!("named{}", path.replace('/', "-"));
        place.write("renamed", &others.url(path));
        for args in [&["-i", "renamed"][..], &[&*others.url(path)]] {
            let outcome = place.towline(&[&["--checksum-file", "SHA256SUMS", "-d", &place_out], args].concat()).run();
            drop(outcome.code(4));
        }
    }
    place.write("deep", &(others.url("/x/1.bin") + "\n"));
    let tree = "mkdir -p tree/x && cp 0.bin tree/x/1.bin && cd tree && find . -type f | xargs sha256sum > ../TREE && cp ../1.bin 1.bin && sha256sum 1.bin >> ../TREE";
    assert!(std::process::Command::new("sh").args(["-c", tree]).current_dir(place.root()).status().unwrap().success());
    place.towline(&["--checksum-file", "TREE", "-d", "kept", "--keep-dirs", "-i", "deep"]).run().code(0);
    let none = place.towline(&["--checksum-file", "TREE", "-d", "none", &others.url("/x/0.bin")]).run();
    none.code(1).says(&["the file of digests has none of 0.bin"]);
    // A digest of its own does not silence the file of digests.
    let url = others.url("/x/1.bin");
    let own = |digest: String| format!("{{\"url\":\"{url}\",\"checksum\":\"{digest}\"}}\n");
    let md5: String =
        Md5::digest(towline_testkit::content(SEED, SIZE)).iter().map(|byte| format!("{byte:02x}")).collect();
    for digest in [format!("md5={md5}"), format!("sha-256={:064}", 1)] {
        place.write("own", &own(digest));
        let outcome = place.towline(&["--checksum-file", "SHA256SUMS", "-d", "own-out", "-i", "own"]).run();
        drop(outcome.code(4));
        assert!(!place.beside("own-out/1.bin").exists());
    }

    // A finished file, and another digest of it.
    place.write("only", &(urls[0].to_owned() + "\n"));
    let run = |sums: &str| place.towline(&["--checksum-file", sums, "-d", "again", "-i", "only"]).run();
    drop(run("SHA256SUMS").code(0));
    run("SHA256SUMS").code(0).says(&["1 already there"]);
    place.write("OTHER", &(format!("{:064}", 1) + "  0.bin\n"));
    drop(run("OTHER").code(1));
    // The same of one with a digest of its own, and of one that is found by its name alone.
    let md5 = |number: u64| -> String {
        Md5::digest(towline_testkit::content(SEED + number, SIZE)).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    place.write("has-own", &format!("{{\"url\":\"{}\",\"checksum\":\"md5={}\"}}\n", urls[0], md5(0)));
    place.write("below", &format!("{}\n  out=sub/0.bin\n", urls[0]));
    for list in ["has-own", "below"] {
        let dir = format!("{list}-out");
        let run = |sums: &[&str]| place.towline(&[sums, &["-d", &dir, "-i", list]].concat()).run();
        run(&[]).code(0);
        run(&["--checksum-file", "SHA256SUMS"]).code(0).hides("no digest is given");
        drop(run(&["--checksum-file", "OTHER"]).code(1));
    }

    // Another content under a name that has a digest.
    place.write("wrong", &(origin.url("/0.bin") + "\n  out=1.bin\n"));
    place.towline(&["--checksum-file", "SHA256SUMS", "-d", "wrong-out", "-i", "wrong"]).run().code(4);
    let other = place.towline(&[&sums[..], &["-o", "other.bin", urls[0]]].concat()).run();
    other.code(2).says(&["it has no digest of other.bin"]);
    place.write("bad", "nonsense\n");
    place.towline(&["--checksum-file", "bad", urls[0]]).run().code(2).says(&["line 1 has no digest"]);
}

#[test]
fn a_slow_connection_is_replaced_where_a_least_speed_is_asked_for() {
    let slow = Resource::new("/a.bin", SEED, 300_000).fault(Fault::Trickle { bytes_per_sec: 3000 });
    let origin = Origin::builder().resource(slow).start().unwrap();
    let place = Place::new();
    let outcome = place.towline(&["-d", "out", "--min-speed", "50k", "--retries", "0", &origin.url("/a.bin")]).run();
    outcome.code(1).says(&["came for 10 s", "are asked for"]);
}

#[test]
fn names_and_passwords_come_from_a_netrc_file() {
    let origin = origin();
    let place = Place::new();
    place.write("netrc", "machine 127.0.0.1\n  login me\n  password hunter2\n");
    let url = origin.url("/0.bin");
    let run = |option: &str, url: &str| place.towline(&["-d", "out", "-vv", option, url]).env("HOME", ".").run();
    run("--netrc=netrc", &url).code(0).hides("hunter2");
    assert_eq!(sent(&origin, "authorization").unwrap(), "Basic bWU6aHVudGVyMg==");
    let own = format!("http://you:x@{}/1.bin", origin.addr());
    run("--netrc=netrc", &own).code(0);
    assert_eq!(sent(&origin, "authorization").unwrap(), "Basic eW91Ong=", "the URL's own count more");
    run("--netrc=missing", &url).code(2).says(&["--netrc missing"]);
    run("--netrc", &url).code(2).says(&[".netrc"]);
    place.write(".netrc", "machine elsewhere.example login me password hunter2\n");
    run("--netrc", &origin.url("/2.bin")).code(0);
    assert_eq!(sent(&origin, "authorization"), None);
}

#[test]
fn cookies_come_from_a_file() {
    let origin = origin();
    let place = Place::new();
    place.write("cookies.txt", "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tid\thunter2\n");
    let url = origin.url("/0.bin");
    let args = ["-d", "out", "-vv", "--cookies", "cookies.txt", "-H", "Cookie: own=1", &url];
    place.towline(&args).run().code(0).hides("hunter2");
    assert_eq!(sent(&origin, "cookie").unwrap(), "own=1; id=hunter2");
    place.write("bad", "{}\n");
    place.towline(&["--cookies", "bad", &url]).run().code(2).says(&["line 1: seven fields"]);
}

#[test]
fn how_a_program_ended_is_known_although_the_parent_ignores_children() {
    let origin = origin();
    let place = Place::new();
    let run = |program: &str, file: &str| {
        let args = ["-d", "out", "--on-complete", program, &origin.url(file)];
        place.towline(&args).ignoring(libc::SIGCHLD).run()
    };
    run("/bin/true", "/0.bin").code(0);
    run("/bin/false", "/1.bin").code(1).says(&["/bin/false ended with exit status: 1"]);
}

#[test]
fn a_program_runs_for_each_finished_file() {
    use std::os::unix::fs::PermissionsExt as _;

    let origin = origin();
    let place = Place::new();
    place.write("note", "#!/bin/sh\necho \"$1 $TOWLINE_FILE_BYTES $TOWLINE_FILE_URL\" >> done.txt\n");
    fs::set_permissions(place.root().join("note"), fs::Permissions::from_mode(0o755)).unwrap();
    let urls = [0, 1].map(|number| origin.url(&format!("/{number}.bin?token=hunter2")));
    place.towline(&["-d", "out", "--on-complete", "./note", &urls[0], &urls[1]]).run().code(0);
    let mut lines: Vec<String> =
        fs::read_to_string(place.root().join("done.txt")).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("out/0.bin 5000 http://"), "{lines:?}");
    assert!(!lines.concat().contains("hunter2"));
    place.write("note", "#!/bin/sh\necho \"$1 $TOWLINE_FILE_HOW\" > again.txt\n");
    let again = || fs::read_to_string(place.root().join("again.txt")).ok();
    fs::write(place.out("1.bin"), "somebody else's").unwrap();
    place.towline(&["-d", "out", "--on-complete", "./note", "--skip-existing", &urls[1]]).run().code(0);
    assert_eq!(again(), None);
    place.towline(&["-d", "out", "--on-complete", "./note", &urls[0]]).run().code(0);
    assert_eq!(again().unwrap(), "out/0.bin there_by_content\n");
    let failing = place.towline(&["-d", "out", "--on-complete", "false", &origin.url("/2.bin")]).run();
    failing.code(1).says(&["false ended with exit status: 1", "1 of its runs failed"]);
    place.check("2.bin", SEED + 2, SIZE);
    let missing = place.towline(&["-d", "more", "--on-complete", "./nothing", &origin.url("/2.bin")]).run();
    missing.code(2).says(&["./nothing: there is no such program"]);
    let named = place.towline(&["-d", "more", "--on-complete", "note", &origin.url("/2.bin")]).run();
    named.code(2).says(&["one in this directory is ./NAME"]);
}

/// What a server asks for: one challenge after the other, the last one again and again.
type Challenges = &'static [&'static str];

const CHALLENGE: Challenges =
    &["Basic realm=\"x\"\r\nWWW-Authenticate: Digest realm=\"a, b\", nonce=\"n1\", qop=\"auth\", algorithm=MD5"];

/// Serves each file to those who answer its last challenge, and says how many requests had no answer.
fn digest_server(challenges: Challenges) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (at, refused) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&refused);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let counter = Arc::clone(&counter);
            thread::spawn(move || drop(serve_digest(&client, &counter, challenges)));
        }
    });
    (at, refused)
}

fn serve_digest(client: &TcpStream, refused: &AtomicUsize, challenges: Challenges) -> io::Result<()> {
    let mut lines = BufReader::new(client).lines();
    loop {
        let (mut target, mut answer) = (String::new(), None);
        for line in lines.by_ref() {
            let line = line?;
            if target.is_empty() {
                target = line.split(' ').nth(1).unwrap_or_default().to_owned();
            }
            if let Some(value) = line.strip_prefix("Authorization: Digest ") {
                answer = Some(value.to_owned());
            }
            if line.is_empty() {
                break;
            }
        }
        if target.is_empty() {
            return Ok(());
        }
        let mut out = client;
        match answer.filter(|answer| is_right(answer, &target)) {
            Some(_) => out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\nright")?,
            None => {
                let number = refused.fetch_add(1, Ordering::SeqCst);
                let challenge = challenges[number.min(challenges.len() - 1)];
                let head = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nWWW-Authenticate:";
                write!(out, "{head} {challenge}\r\n\r\nno")?;
            }
        }
    }
}

/// RFC 7616, section 3.4.1.
fn is_right(answer: &str, target: &str) -> bool {
    let field = |name: &str| {
        let from = answer.find(&format!("{name}="))? + name.len() + 1;
        let rest = &answer[from..];
        Some(match rest.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next()?.to_owned(),
            None => rest.split(',').next()?.trim().to_owned(),
        })
    };
    let hash = |text: String| Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let right = || {
        let (a1, a2) = (hash("me:a, b:secret".to_owned()), hash(format!("GET:{target}")));
        Some(hash(format!("{a1}:n1:{}:{}:auth:{a2}", field("nc")?, field("cnonce")?)))
    };
    field("uri").as_deref() == Some(target) && right().is_some_and(|right| field("response") == Some(right))
}

#[test]
fn a_server_that_asks_for_digest_authentication_gets_it() {
    let (at, refused) = digest_server(CHALLENGE);
    let place = Place::new();
    let urls = [0, 1, 2].map(|number| format!("http://{at}/{number}.txt?x={number}"));
    let args = ["-j", "1", "-d", "out", "--user", "me:secret"];
    place.towline(&[&args[..], &[&urls[0], &urls[1], &urls[2]]].concat()).run().code(0).hides("secret");
    assert_eq!(fs::read(place.out("2.txt")).unwrap(), b"right");
    assert_eq!(refused.load(Ordering::SeqCst), 1, "it asks once");
    let wrong = place.towline(&["-d", "wrong", "--user", "me:wrong", &urls[0]]).run();
    wrong.code(1).says(&["401"]);
    place.towline(&["info", "--user", "me:secret", &urls[0]]).run().code(0);
    place.towline(&["info", "--user", "me:wrong", &urls[0]]).run().code(1).says(&["401"]);
}

#[test]
fn a_server_that_refuses_each_answer_is_not_asked_twice_for_each_file() {
    const STALE: Challenges = &["Digest realm=\"a, b\", nonce=\"n0\", qop=\"auth\", stale=true"];
    for challenges in [CHALLENGE, STALE] {
        let (at, refused) = digest_server(challenges);
        let place = Place::new();
        place.write("list", &(0..100).map(|number| format!("http://{at}/{number}.txt\n")).collect::<String>());
        drop(place.towline(&["-i", "list", "-d", "out", "--user", "me:wrong"]).run().code(1));
        let beyond = refused.load(Ordering::SeqCst) - 100;
        // Files that were asked for at the same time, on each thread.
        assert!(beyond <= 60, "{beyond} requests beyond the first");
    }
}

#[test]
fn the_cookies_of_one_file_fail_no_other() {
    let bomb = (0..20).fold(Resource::new("/bomb.bin", SEED, 100), |file, number| {
        file.header("Set-Cookie", &format!("n{number}={}; Path=/", "x".repeat(1000)))
    });
    let refused =
        Resource::new("/refused.bin", SEED, 100).status(403).header("Set-Cookie", "session=; Max-Age=0; Path=/");
    let origin = Origin::builder().resource(bomb).resource(refused).files("/{}.bin", 3, SIZE, SEED).start().unwrap();
    let place = Place::new();
    let host = origin.addr().ip();
    place.write("jar", &format!("{host}\tFALSE\t/\tFALSE\t0\tsession\t1\n"));
    let names = ["/bomb.bin", "/refused.bin", "/0.bin", "/1.bin", "/2.bin"];
    place.write("list", &names.map(|name| origin.url(name) + "\n").concat());
    let args = ["-i", "list", "-d", "out", "-j", "1", "--cookies", "jar", "--cookie-jar", "jar"];
    drop(place.towline(&args).run().code(1));
    let cookies = sent(&origin, "cookie").unwrap();
    assert!(cookies.len() < 4200 && cookies.contains("session=1") && cookies.contains("n0="), "{cookies}");
    assert!(fs::read_to_string(place.beside("jar")).unwrap().contains("\tsession\t1\n"));
}

#[test]
fn a_digest_is_answered_however_it_is_asked_for_and_wherever_the_password_comes_from() {
    let challenges: [Challenges; 4] = [
        CHALLENGE,
        &["Digest Realm = \"a, b\" ,NONCE=\"n1\", Qop=\"foo, AUTH\", algorithm=\"md5\", charset=utf-8"],
        &["Basic realm=\"x, y\", dIgEsT realm=\"a, b\", nonce=\"n1\", qop=\"auth\""],
        &[
            "Digest realm=\"a, b\", nonce=\"n0\", qop=\"auth\"",
            "Digest realm=\"a, b\", nonce=\"n1\", qop=\"auth\", stale=true",
        ],
    ];
    for challenges in challenges {
        for from in ["option", "url", "netrc", "login"] {
            let (at, refused) = digest_server(challenges);
            let place = Place::new();
            place.write(
                "netrc",
                "machine 127.0.0.1 login other password x machine 127.0.0.1 login me password secret\n",
            );
            let (user, options): (&str, &[&str]) = match from {
                "option" => ("", &["--user", "me:secret"]),
                "url" => ("me:secret@", &[]),
                "login" => ("me@", &["--netrc=netrc"]),
                _ => ("", &["--netrc=right"]),
            };
            place.write("right", "default login me password secret\n");
            let url = format!("http://{user}{at}/a.txt");
            place.towline(&[options, &["-d", "out", "--retries", "0", &url]].concat()).run().code(0).hides("secret");
            assert_eq!(fs::read(place.out("a.txt")).unwrap(), b"right", "{from}");
            assert_eq!(refused.load(Ordering::SeqCst), challenges.len(), "{from}: each challenge is answered once");
        }
    }
}
