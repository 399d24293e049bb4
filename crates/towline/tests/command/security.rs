//! What an attacker tries through the command: links that are secrets, permissions, text that controls
//! a terminal, files planted where ours go. The engine's `security.rs` has what servers try.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use towline_origin::{Fault, Origin, Resource};
use towline_testkit::{MIB, below, journal_bytes, wait_until};

use crate::common::{BINARY, Outcome, Place, Towline};

const SIZE: u64 = 8 * MIB;
const RATE_PER_CONNECTION: u64 = 500_000;
/// The bits of a mode that let others do something.
const OTHERS: u32 = 0o077;

fn slow_origin(resource: Resource) -> Origin {
    Origin::builder().resource(resource).fault(Fault::RatePerConnection(RATE_PER_CONNECTION)).start().unwrap()
}

/// The note that a finished file has, on file systems that keep one.
fn note(path: &Path) -> Vec<u8> {
    let mut note = vec![0; 64 << 10];
    let len = rustix::fs::lgetxattr(path, c"user.towline.origin", note.as_mut_slice()).unwrap_or(0);
    note.truncate(len);
    note
}

/// What below a directory has the text in its name, its content or its note.
fn with_text(dir: &Path, text: &str) -> Vec<PathBuf> {
    let has = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let is_found = |path: &PathBuf| {
        has(path.as_os_str().as_encoded_bytes()) || has(&note(path)) || fs::read(path).is_ok_and(|bytes| has(&bytes))
    };
    below(dir).into_iter().filter(is_found).collect()
}

fn signed(origin: &Origin, number: u32) -> String {
    origin.url("/a.bin")
        + "?id=7&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=SECRET-CREDENTIAL&X-Amz-Security-Token=SECRET-TOKEN"
        + &format!("&X-Amz-Signature=SECRET-{number}#SECRET-FRAGMENT")
}

#[test]
fn a_signed_link_is_shown_and_stored_nowhere_and_is_taken_again_to_go_on() {
    let origin = slow_origin(Resource::new("/a.bin", 1, SIZE));
    let place = Place::new();
    let args = ["-v", "-x", "4", "-d", "out", "--status-file", "status.json"];
    let first = signed(&origin, 1);
    let mut running = place.towline(&[&args[..], &["--progress", "json", first.as_str()]].concat()).start();
    wait_until("a quarter in the journal", || journal_bytes(&place.out("a.bin.towline.json")) > SIZE / 4);
    assert!(running.is_running());
    assert_eq!(with_text(place.root(), "SECRET"), Vec::<PathBuf>::new());
    place.towline(&["status", "out"]).run().code(0).hides("SECRET");
    assert!(!running.stdout().contains("SECRET") && running.stdout().contains("id=7"), "{}", running.stdout());
    running.signal(libc::SIGTERM);
    running.finish().signal(libc::SIGTERM).hides("SECRET");
    assert_eq!(with_text(place.root(), "SECRET"), Vec::<PathBuf>::new());
    let asked = origin.requests().len();
    assert!(origin.requests().iter().all(|request| request.path.contains("X-Amz-Signature=SECRET-1")));

    // Nothing of the old link is there any more: the new one alone is used.
    origin.set_faults([]);
    let sent = origin.stats().body_bytes;
    let second = signed(&origin, 2);
    place.towline(&[&args[..], &[second.as_str()]].concat()).run().code(0).hides("SECRET");
    place.check("a.bin", 1, SIZE);
    assert!(origin.stats().body_bytes - sent < SIZE, "it began again");
    let requests = origin.requests();
    assert!(requests.len() > asked);
    assert!(requests[asked..].iter().all(|request| request.path.contains("X-Amz-Signature=SECRET-2")));
    assert_eq!(with_text(place.root(), "SECRET"), Vec::<PathBuf>::new());
    assert_eq!(place.leftovers(), ["a.bin"]);
}

#[test]
fn where_a_redirect_leads_is_shown_and_stored_without_its_secrets() {
    let origin = Origin::builder().resource(Resource::new("/a.bin", 1, MIB)).start().unwrap();
    let query = "?sig=SECRET-SIG&se=SECRET-EXPIRY&access_token=SECRET-TOKEN#SECRET-FRAGMENT";
    let leads = |from: &str, to: String| origin.add(Resource::new(from, 0, 0).redirect(302, &(to + query)));
    leads("/there", origin.url("/a.bin").replace("http://", "http://user:SECRET-PW@"));
    leads("/lost", origin.url("/none.bin"));
    leads("/elsewhere", "ftp://user:SECRET-PW@127.0.0.1/a".to_owned());
    leads("/round", "/round".to_owned());
    leads("/nowhere", "http://user:SECRET-PW@127.0.0.1:99999/a".to_owned());
    let list: String =
        ["/there", "/lost", "/elsewhere", "/round", "/nowhere"].map(|path| origin.url(path) + "\n").concat();
    for (progress, dir) in [("lines", "out"), ("json", "out/json")] {
        let args = ["-v", "--progress", progress, "-i", "-", "-d", dir, "--status-file", "status.json"];
        place_is_clean_after(&args, &list);
    }
    for path in ["/there", "/lost", "/elsewhere", "/round", "/nowhere"] {
        let place = Place::new();
        let url = origin.url(path);
        let code = i32::from(path != "/there");
        place.towline(&["-v", "-d", "out", &url]).run().code(code).hides("SECRET");
        assert_eq!(with_text(place.root(), "SECRET"), Vec::<PathBuf>::new());
        place.towline(&["info", "--json", &url]).run().hides("SECRET");
    }
    // They were used all the same.
    assert!(origin.requests().iter().any(|request| request.path.starts_with("/a.bin?sig=SECRET-SIG&")));
}

fn place_is_clean_after(args: &[&str], list: &str) {
    let place = Place::new();
    place.towline(args).input(list).run().code(1).hides("SECRET");
    assert_eq!(with_text(place.root(), "SECRET"), Vec::<PathBuf>::new());
}

/// Towline with a umask that takes nothing from anybody.
fn without_umask(place: &Place, args: &[&str]) -> Towline {
    let mut command = Command::new("sh");
    command.args(["-c", "umask 000; exec \"$@\"", "sh", BINARY]).args(args);
    Towline::new(command, place)
}

/// What others may do something with, of all that is not finished.
fn open_to_others(place: &Place) -> Vec<(PathBuf, u32)> {
    let mut paths = below(&place.out(""));
    paths.push(place.root().join("status.json"));
    // What is set aside is somebody else's, and keeps its mode.
    let ours = paths.into_iter().filter(|path| !path.to_string_lossy().ends_with(".towline.1"));
    let modes = ours.filter_map(|path| {
        let mode = fs::symlink_metadata(&path).ok()?.permissions().mode();
        (mode & OTHERS != 0).then_some((path, mode & 0o777))
    });
    modes.collect()
}

/// Runs a batch of two files, and looks at everything while it runs and after.
fn keeps_everything_private(place: &Place) {
    let origin = Origin::builder()
        .files("/{}.bin", 2, 4 * MIB, 1)
        .fault(Fault::RatePerConnection(RATE_PER_CONNECTION))
        .start()
        .unwrap();
    let list: String = (0..2).map(|number| origin.url(&format!("/{number}.bin\n"))).collect();
    let args = ["-i", "-", "-x", "2", "-d", "out", "--status-file", "status.json"];
    let mut running = without_umask(place, &args).input(&list).start();
    wait_until("journals", || {
        (0..2).all(|number| journal_bytes(&place.out(&format!("{number}.bin.towline.json"))) > 0)
    });
    wait_until("a status", || fs::read(place.root().join("status.json")).is_ok_and(|text| text.starts_with(b"{")));
    assert!(running.is_running());
    let open = open_to_others(place);
    assert!(open.is_empty(), "{open:?}");
    origin.set_faults([]);
    running.finish().code(0);
    let finished = [(place.out("0.bin"), 0o666_u32), (place.out("1.bin"), 0o666)];
    let mut open = open_to_others(place);
    open.sort();
    assert_eq!(open, finished);
}

#[test]
fn what_is_not_finished_is_private_whatever_the_umask() {
    keeps_everything_private(&Place::new());
}

#[test]
fn what_was_there_with_wider_modes_becomes_private() {
    let place = Place::new();
    fs::create_dir_all(place.out(".towline")).unwrap();
    let files =
        ["out/.towline/lock", "out/.towline/ledger.sqlite", "status.json", "status.json.tmp", "out/0.bin.towline"];
    let more = ["out/0.bin.towline.json.tmp", "out/1.bin.towline", "out/1.bin.towline.json.tmp"];
    for file in files.into_iter().chain(more) {
        place.write(file, "");
        fs::set_permissions(place.root().join(file), Permissions::from_mode(0o666)).unwrap();
    }
    fs::set_permissions(place.out(".towline"), Permissions::from_mode(0o777)).unwrap();
    keeps_everything_private(&place);
}

#[test]
fn another_name_of_a_file_of_ours_is_not_written_through() {
    let origin = slow_origin(Resource::new("/a.bin", 1, 2 * MIB));
    let place = Place::new();
    fs::create_dir(place.out("")).unwrap();
    // Hard links, which no open can tell from the file itself.
    for planted in ["out/a.bin.towline.json.tmp", "status.json.tmp"] {
        place.write("theirs", "something of the user's");
        fs::hard_link(place.root().join("theirs"), place.root().join(planted)).unwrap();
    }
    let args = ["-x", "2", "--save-interval", "100ms", "-d", "out", "--status-file", "status.json"];
    place.towline(&[&args[..], &[origin.url("/a.bin").as_str()]].concat()).run().code(0);
    place.check("a.bin", 1, 2 * MIB);
    assert_eq!(fs::read_to_string(place.root().join("theirs")).unwrap(), "something of the user's");
}

#[test]
fn a_status_file_takes_the_place_of_nothing_but_a_status() {
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", 1, 5000))
        .resource(Resource::new("/st", 2, 5000))
        .start()
        .unwrap();
    let place = Place::new();
    place.towline(&["-d", "out", &origin.url("/a.bin")]).run().code(0);
    place.write("out/st.tmp", "theirs");
    let get = |status: &str, more: &[&str]| {
        let path = format!("out/{status}");
        place.towline(&[&["-d", "out", "--status-file", &path], more].concat()).run()
    };
    // A file that was fetched is none.
    get("a.bin", &[&origin.url("/a.bin")]).code(2).says(&["not a Towline status file"]);
    place.check("a.bin", 1, 5000);
    // What comes under its name while it runs stays, too.
    get("st", &["--overwrite", &origin.url("/st")]).code(0);
    place.check("st", 2, 5000);
    get("status", &[&origin.url("/a.bin")]).code(0);
    get("status", &[&origin.url("/a.bin")]).code(0);
    assert_eq!(fs::read_to_string(place.out("st.tmp")).unwrap(), "theirs");
    assert_eq!(place.leftovers(), ["a.bin", "st", "st.tmp", "status"]);
}

#[test]
fn a_status_file_is_not_written_through_a_symlink() {
    let origin = Origin::builder().resource(Resource::new("/a.bin", 1, 5000)).start().unwrap();
    // At its own name it is refused before anything is done; beside it, it is not followed.
    for (planted, code) in [("status.json", 2), ("status.json.tmp", 0)] {
        let place = Place::new();
        place.write("theirs", "something of the user's");
        symlink(place.root().join("theirs"), place.root().join(planted)).unwrap();
        let url = origin.url("/a.bin");
        place.towline(&["-d", "out", "--status-file", "status.json", &url]).run().code(code);
        assert_eq!(fs::read_to_string(place.root().join("theirs")).unwrap(), "something of the user's", "{planted}");
        assert!(fs::symlink_metadata(place.root().join(planted)).unwrap().is_symlink(), "{planted}");
    }
}

/// Fails if anything was shown that controls a terminal or turns the writing around, or if it panicked.
fn assert_harmless(outcome: &Outcome) {
    let is_harmful = |char: char| {
        (char.is_control() && char != '\n')
            || matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    for text in [&outcome.stdout, &outcome.stderr] {
        assert!(!text.contains(is_harmful), "{text:?}");
    }
    assert!(!outcome.stderr.contains("this is a bug"), "{outcome}");
}

#[test]
fn what_a_server_says_does_not_control_the_terminal() {
    const NASTY: &str = "\u{9b}2J\u{202e}\u{feff}";
    let fields = format!(
        "ETag: \"{NASTY}\"\r\nLast-Modified: {NASTY}\r\nContent-Type: text/{NASTY}\r\nContent-Encoding: {NASTY}\r\n\
         Repr-Digest: sha-256=:{NASTY}:\r\nAccept-Ranges: {NASTY}\r\nServer: {NASTY}\r\n"
    );
    let answers = [
        "HTTP/1.1 404 \u{1b}[2JGone\r\nContent-Length: 0\r\n\r\n".to_owned(),
        format!("HTTP/1.1 404 {NASTY}\r\nContent-Length: 0\r\n\r\n"),
        format!("HTTP/1.1 503 {NASTY}\r\nRetry-After: {NASTY}\r\nContent-Length: 0\r\n\r\n"),
        format!("HTTP/1.1 302 {NASTY}\r\nLocation: ftp://{NASTY}/{NASTY}\r\nContent-Length: 0\r\n\r\n"),
        format!("HTTP/1.1 302 Found\r\nLocation: http://[{NASTY}\r\nContent-Length: 0\r\n\r\n"),
        format!("HTTP/1.1 302 Found\r\nLocation: /{NASTY}?{NASTY}\r\nContent-Length: 0\r\n\r\n"),
        format!("HTTP/1.1 200 {NASTY}\r\n{fields}Content-Length: 5\r\n\r\nhello"),
        "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename*=UTF-8''%1B%5B2J%C2%9B%E2%80%AE%0A.bin\r\n\
         Content-Length: 5\r\n\r\nhello"
            .to_owned(),
        format!("{NASTY}\u{1b}[2J\r\n\r\n"),
    ];
    for answer in answers {
        let resource = Resource::new("/a.bin", 1, 5).fault(Fault::Raw(answer.clone().into_bytes()));
        let origin = Origin::builder().resource(resource).start().unwrap();
        let url = origin.url("/a.bin");
        for mode in [&["-v"][..], &["-v", "--progress", "json"], &["info"], &["info", "--json"]] {
            let place = Place::new();
            let rest: &[&str] = match mode[0] {
                "info" => &["--retries", "0", &url],
                _ => &["--retries", "0", "-d", "out", "--status-file", "status.json", &url],
            };
            let outcome = place.towline(&[mode, rest].concat()).run();
            assert_harmless(&outcome);
            assert!(outcome.status.code().is_some_and(|code| code <= 1), "{answer:?}: {outcome}");
        }
    }
}

#[test]
fn what_a_list_says_does_not_control_the_terminal() {
    let list = [
        "\u{1b}[2Jhttp://127.0.0.1:1/a",
        "http://127.0.0.1:1/\u{9b}2J",
        "http://127.0.0.1:1/\u{202e}a?\u{feff}=\u{2066}#\u{200f}",
        "http://\u{202e}h/a",
        "x\u{202e}y://h/a",
        "\u{202e}\u{2066}nonsense",
        "a\u{8}\u{8}\u{8}b",
        "http://h:99999/\u{202e}",
    ]
    .join("\n");
    for progress in ["lines", "json"] {
        let place = Place::new();
        let args = ["-v", "--retries", "0", "--progress", progress, "-i", "-", "-d", "out"];
        let outcome = place.towline(&args).input(&list).run().code(1);
        assert_harmless(&outcome);
        for status in [&["status", "out"][..], &["status", "out", "--json"]] {
            assert_harmless(&place.towline(status).run().code(0));
        }
    }
}

#[test]
fn status_survives_whatever_stands_beside_the_files() {
    let place = Place::new();
    fs::create_dir(place.out("")).unwrap();
    let journal = |done: &str| {
        format!("{{\"format\":\"towline-journal\",\"version\":1,\"crc32\":\"0\",\"body\":{{\"done\":{done}}}}}")
    };
    let max = u64::MAX;
    let bodies = [
        format!("[[0,{max}],[0,{max}],[0,{max}]]"),
        "[[9,3],[-1,5],[1e300,2],[\"a\",null],{}]".to_owned(),
        "[".repeat(100_000),
        format!("[[0,1]{}]", ",[1,2]".repeat(100_000)),
    ];
    for (number, body) in bodies.iter().enumerate() {
        place.write(&format!("out/{number}.towline.json"), &journal(body));
    }
    place.write("out/long.towline.json", &" ".repeat(10 << 20));
    place.write("out/\u{1b}[2J\u{9b}\u{202e}.towline.json", &journal("[[0,5]]"));
    fs::write(place.out("binary.towline.json"), [0xff; 100]).unwrap();
    fs::create_dir(place.out("directory.towline.json")).unwrap();
    place.write("theirs", &journal("[[0,777]]"));
    symlink(place.root().join("theirs"), place.out("link.towline.json")).unwrap();
    for args in [&["status", "out"][..], &["status", "out", "--json"]] {
        let outcome = place.towline(args).run().code(0);
        assert_harmless(&outcome);
        assert!(!outcome.stdout.contains("link") && !outcome.stdout.contains("777"), "{outcome}");
        assert!(outcome.stdout.contains("u{1b}[2J"), "{outcome}");
    }
}

#[test]
fn max_size_ends_a_body_that_does_not_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a.bin", listener.local_addr().unwrap());
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
        let mut sent = 0;
        while stream.write_all(chunk.as_bytes()).is_ok() {
            sent += chunk.len() as u64;
        }
        sent
    });
    let place = Place::new();
    place.towline(&["--max-size", "1M", "-d", "out", &url]).run().code(1).says(&["1.00 MiB allowed", "--max-size"]);
    assert_eq!(place.leftovers(), Vec::<String>::new());
    let sent = serving.join().unwrap();
    assert!(sent < 64 * MIB, "{sent} bytes were sent");
}

#[test]
fn a_file_name_that_is_no_text_is_no_reason_to_panic() {
    use std::os::unix::ffi::OsStringExt as _;

    let origin = Origin::builder().resource(Resource::new("/a.bin", 1, 5000)).start().unwrap();
    for progress in ["lines", "json"] {
        let place = Place::new();
        let mut command = Command::new(BINARY);
        command.args(["-v", "--progress", progress, "-d", "out", "-o"]);
        command.arg(OsString::from_vec(b"\xff\x1b[2J.bin".to_vec())).arg(origin.url("/a.bin"));
        let outcome = Towline::new(command, &place).run().code(0);
        assert_harmless(&outcome);
        assert_eq!(below(&place.out("")).len(), 1);
    }
}

/// Gives a file to another user, which only root can. Says so where it cannot.
fn give_away(path: &Path) -> bool {
    let is_given = std::os::unix::fs::chown(path, Some(1234), None).is_ok();
    if !is_given {
        let _ = writeln!(std::io::stderr(), "not run: files can be given to another user only by root");
    }
    is_given
}

#[test]
fn a_journal_of_another_user_is_not_believed() {
    let origin = slow_origin(Resource::new("/a.bin", 5, SIZE));
    let place = Place::new();
    let run = || place.towline(&["-x", "8", "-d", "out", &origin.url("/a.bin")]);
    let running = run().start();
    let journal = place.out("a.bin.towline.json");
    wait_until("a part of the file", || journal_bytes(&journal) > MIB);
    running.kill();
    if !give_away(&journal) {
        return;
    }
    let before = fs::read(place.out("a.bin.towline")).unwrap();
    run().run().code(0).says(&["its journal is damaged"]);
    place.check("a.bin", 5, SIZE);
    assert!(fs::read(place.out("a.bin.towline.1")).unwrap() == before, "what the journal claimed is kept");
}

#[test]
fn a_note_of_another_user_proves_nothing() {
    let origin = Origin::builder().resource(Resource::new("/a.bin", 6, 5000)).start().unwrap();
    let place = Place::new();
    let run = || place.towline(&["-d", "out", &origin.url("/a.bin")]).run();
    run().code(0);
    run().code(0).says(&["already there (same validator)"]);
    let file = place.out("a.bin");
    let modified = fs::metadata(&file).unwrap().modified().unwrap();
    let mut content = fs::read(&file).unwrap();
    content[100] ^= 1;
    fs::write(&file, &content).unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
    if !give_away(&file) {
        return;
    }
    run().code(1).says(&["another file has this name (its content differs)"]);
    assert!(fs::read(&file).unwrap() == content);
}
