//! Ways in which other downloaders lose data or let attackers in, and proof that this one does not: one test
//! each, named after the failure.
//!
//! | failure | test |
//! |---|---|
//! | a 200, or a 206 at another offset, is written at the requested offset | here, `segments.rs` (`a_server_that_ignores_ranges_…`), `faults.rs` (ranges) |
//! | without a validator, old and new bytes are spliced | here (a date alone), `changes.rs`, `resume.rs` (`a_stopped_file_…_has_changed_…`) |
//! | `If-Range` is too strict behind some CDNs | here |
//! | the control file is zeroed or lost in a crash | here, `journal/format.rs`, `tests/crash.rs` |
//! | progress is newer than the data | `tests/crash.rs` |
//! | a preallocated file looks complete | here |
//! | the state of another download is used | here |
//! | credentials follow redirects | `redirects.rs` (`what_was_given_for_one_origin_…`), here (those of a URL) |
//! | secrets are in logs | `secrets.rs`, the command's `secrets.rs` |
//! | a file name leads out of the directory | `names.rs` (`hostile_names_…`), `faults.rs` (names), here (URLs, symlinks) |
//! | the certificate's name is not checked | here, `faults.rs` (handshakes) |
//! | partial files are deleted on an error | here |
//! | decoding in transit breaks offsets | here |
//! | killed after 4 s, all is fetched again | `resume.rs` (`a_stopped_file_goes_on_…`), the command's `killed.rs` |

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use towline_engine::{ErrorKind, Event, JobSpec, Options, Session};
use towline_origin::{Certificate, ETag, Fault, Length, Origin, Ranges, RequestLog, Resource, Scope, Validators};
use towline_testkit::{journal_bytes, leftovers};

use crate::common::{LONG, Live, MIB, Place, Run, fetch, spec, with_watchdog};

const SIZE: u64 = 2 * MIB;
const HALF: u64 = SIZE / 2;
/// Small enough to be stored whole.
const SMALL: u64 = 20_000;
/// Slow enough that ranges are proven long before the first stream has everything.
const RATE_PER_CONNECTION: u64 = 4_000_000;
const OTHER: &[u8] = b"something of the user's";

fn with_connections(place: &Place, connections: usize) -> Options {
    let mut options = place.options();
    options.connections = Some(connections);
    options.piece_size_bytes = 128 << 10;
    options
}

/// Fetches half of a file, which is kept with its journal.
fn begin(place: &Place, resource: Resource) -> SocketAddr {
    let path = resource.path().to_owned();
    let origin = Origin::builder().resource(resource.fault(Fault::StallAt(HALF, None))).start().unwrap();
    let mut live = Live::start(Session::builder(with_connections(place, 1)));
    live.handle.add(spec(&origin, &path)).unwrap();
    live.handle.close();
    live.wait_for("half of the file", |event| match event {
        Event::Progress(progress) => progress.done_bytes == HALF,
        _ => false,
    });
    live.handle.stop();
    assert_eq!(live.end().summary().kept_bytes, HALF);
    assert_eq!(place.leftovers(&[]), ["a.iso.towline", "a.iso.towline.json"]);
    origin.addr()
}

/// Resumes it over two connections, from its own server.
fn go_on(place: &Place, at: SocketAddr, resource: Resource) -> Run {
    let path = resource.path().to_owned();
    let origin = Origin::builder().bind(at.to_string()).resource(resource).start().unwrap();
    let run = fetch(with_connections(place, 2), [spec(&origin, &path)]);
    run.assert_done(1);
    run
}

fn warns_of(run: &Run, text: &str) -> bool {
    run.events.iter().any(|event| matches!(event, Event::Warning { message, .. } if message.contains(text)))
}

#[test]
fn a_206_at_another_offset_is_not_written_at_the_offset_asked_for() {
    with_watchdog(LONG, || {
        let elsewhere = || Fault::OtherRange { by: 4096 };
        let resource = || Resource::new("/a.iso", 301, SIZE);
        let origin = Origin::builder()
            .resource(resource().fault(elsewhere()))
            .fault(Fault::RatePerConnection(RATE_PER_CONNECTION))
            .start()
            .unwrap();
        let place = Place::new();
        let run = fetch(with_connections(&place, 4), [spec(&origin, "/a.iso")]);
        assert!(origin.requests().iter().any(|request| request.status == 206), "no range was asked for");
        run.assert_done(1);
        place.assert_content("a.iso", 301, SIZE);
        assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);

        let place = Place::new();
        let at = begin(&place, resource());
        go_on(&place, at, resource().fault(elsewhere()));
        place.assert_content("a.iso", 301, SIZE);
        assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
    });
}

#[test]
fn a_200_to_a_later_range_is_not_written_at_the_offset_asked_for() {
    with_watchdog(LONG, || {
        // The third and fourth requests come after ranges are proven.
        let some = Scope::every().starting_at(3).first(4).only_ranges();
        let origin = Origin::builder()
            .resource(Resource::new("/a.iso", 302, SIZE).fault(Fault::IgnoreRange.when(some)))
            .fault(Fault::RatePerConnection(RATE_PER_CONNECTION))
            .start()
            .unwrap();
        let place = Place::new();
        let run = fetch(with_connections(&place, 4), [spec(&origin, "/a.iso")]);
        let is_ignored = |request: &&RequestLog| request.range.is_some() && request.status == 200;
        assert_eq!(origin.requests().iter().filter(is_ignored).count(), 2);
        run.assert_done(1);
        assert_eq!((run.ranges(), run.restarts()), (vec![true], 0));
        place.assert_content("a.iso", 302, SIZE);
        assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
    });
}

#[test]
fn old_and_new_bytes_are_not_spliced_where_only_a_date_tells_them_apart() {
    with_watchdog(LONG, || {
        let version = |seed, age_seconds| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000_u64 - age_seconds);
            Resource::new("/a.iso", seed, SIZE).etag(ETag::None).last_modified(Some(time))
        };
        let place = Place::new();
        let at = begin(&place, version(303, 60));
        let run = go_on(&place, at, version(304, 0));
        assert_eq!(run.restarts(), 1);
        place.assert_content("a.iso", 304, SIZE);
        assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
    });
}

#[test]
fn if_range_that_is_always_answered_with_the_whole_does_not_keep_a_file_from_being_gone_on_with() {
    with_watchdog(LONG, || {
        let resource = || Resource::new("/a.iso", 305, SIZE);
        let place = Place::new();
        let at = begin(&place, resource());
        let run = go_on(&place, at, resource().fault(Fault::IgnoreIfRange));
        assert_eq!((run.resumed_bytes(), run.restarts()), (HALF, 0));
        assert_eq!(run.finished()[0].fetched_bytes, SIZE - HALF);
        place.assert_content("a.iso", 305, SIZE);
        assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
    });
}

#[test]
fn a_journal_that_a_crash_has_zeroed_or_cut_claims_nothing_and_is_kept() {
    with_watchdog(LONG, || {
        let resource = || Resource::new("/a.iso", 306, SIZE);
        type Damage = fn(&[u8]) -> Vec<u8>;
        let damages: [Damage; 3] =
            [|journal| vec![0; journal.len()], |journal| journal[..journal.len() / 2].to_vec(), |_| Vec::new()];
        for damage in damages {
            let place = Place::new();
            let at = begin(&place, resource());
            let journal = place.file("a.iso.towline.json");
            let damaged = damage(&fs::read(&journal).unwrap());
            fs::write(&journal, &damaged).unwrap();
            let run = go_on(&place, at, resource());
            assert_eq!((run.resumed_bytes(), run.finished()[0].fetched_bytes), (0, SIZE));
            assert!(warns_of(&run, "the journal is damaged"), "nobody was told why it began again");
            place.assert_content("a.iso", 306, SIZE);
            assert_eq!(place.leftovers(&["a.iso"]), ["a.iso.towline.1", "a.iso.towline.json.damaged-1"]);
            assert_eq!(fs::read(place.file("a.iso.towline.json.damaged-1")).unwrap(), damaged);
        }
    });
}

#[test]
fn a_preallocated_file_does_not_look_complete() {
    with_watchdog(LONG, || {
        let resource = || Resource::new("/a.iso", 307, SIZE);
        for has_journal in [true, false] {
            let place = Place::new();
            let at = begin(&place, resource());
            let part = fs::metadata(place.file("a.iso.towline")).unwrap();
            assert_eq!(part.len(), SIZE, "it is not preallocated");
            if !has_journal {
                // Lost in a crash: then nobody knows which bytes are right.
                fs::remove_file(place.file("a.iso.towline.json")).unwrap();
            }
            let kept_bytes = if has_journal { HALF } else { 0 };
            let run = go_on(&place, at, resource());
            assert_eq!(run.resumed_bytes(), kept_bytes);
            assert_eq!(run.finished()[0].fetched_bytes, SIZE - kept_bytes);
            place.assert_content("a.iso", 307, SIZE);
            let left: &[&str] = if has_journal { &[] } else { &["a.iso.towline.1"] };
            assert_eq!(place.leftovers(&["a.iso"]), left);
        }
    });
}

#[test]
fn the_state_of_another_download_of_the_same_name_is_not_used() {
    with_watchdog(LONG, || {
        let nameless = |resource: Resource| resource.etag(ETag::None).last_modified(None);
        let dressings: [fn(Resource) -> Resource; 2] = [|resource| resource, nameless];
        for dressed in dressings {
            let place = Place::new();
            begin(&place, dressed(Resource::new("/x/a.iso", 308, SIZE)));
            let other = Origin::builder().resource(dressed(Resource::new("/y/a.iso", 309, SIZE))).start().unwrap();
            let run = fetch(with_connections(&place, 2), [spec(&other, "/y/a.iso")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken]);
            assert_eq!(place.leftovers(&[]), ["a.iso.towline", "a.iso.towline.json"], "what was begun was touched");
        }
    });
}

#[test]
fn credentials_of_a_url_do_not_follow_a_redirect_to_another_server() {
    with_watchdog(LONG, || {
        let there = Origin::builder().resource(Resource::new("/a.iso", 310, SMALL)).start().unwrap();
        let here = Origin::builder()
            .resource(Resource::new("/start", 0, 0).redirect(302, &there.url("/a.iso")))
            .start()
            .unwrap();
        let place = Place::new();
        let url = here.url("/start").replacen("://", "://towline-user:s3cr3t@", 1);
        fetch(place.options(), [JobSpec::new(url.parse().unwrap())]).assert_done(1);
        place.assert_content("a.iso", 310, SMALL);
        assert!(here.requests().iter().all(|request| request.header("authorization").is_some()));
        assert!(there.requests().iter().all(|request| request.header("authorization").is_none()));
        assert_eq!((here.requests().len(), there.requests().len()), (1, 1));
    });
}

#[test]
fn an_encoded_path_in_a_url_does_not_lead_out_of_the_directory() {
    with_watchdog(LONG, || {
        let paths = ["/files/..%2f..%2fx", "/files/%2fetc%2fx", "/files/..%5c..%5cx", "/files/%2e%2e%2fx"];
        for path in paths {
            let origin = Origin::builder().resource(Resource::new(path, 311, SMALL)).start().unwrap();
            let place = Place::new();
            let run = fetch(place.options(), [spec(&origin, path)]);
            run.assert_done(1);
            let file = &run.finished()[0].path;
            assert_eq!(file.parent(), Some(place.dir().as_path()), "{path}");
            assert_eq!(place.leftovers(&[]).len(), 1, "{path}");
            assert_eq!(leftovers(place.root()), ["downloads"], "{path}");
        }
    });
}

#[test]
fn a_symlink_at_a_name_of_ours_is_not_followed() {
    with_watchdog(LONG, || {
        for (size, name, kind) in [
            (SMALL, "a.iso.towline", ErrorKind::Storage),
            (SIZE, "a.iso.towline", ErrorKind::Storage),
            (SMALL, "a.iso", ErrorKind::NameTaken),
            (SIZE, "a.iso", ErrorKind::NameTaken),
        ] {
            let origin = Origin::builder().resource(Resource::new("/a.iso", 312, size)).start().unwrap();
            let place = Place::new();
            let target = place.beside("target");
            fs::write(&target, OTHER).unwrap();
            symlink(&target, place.file(name)).unwrap();
            let run = fetch(place.options(), [spec(&origin, "/a.iso")]);
            assert_eq!(run.failure_kinds(), [kind], "{name} of {size} bytes");
            assert_eq!(fs::read(&target).unwrap(), OTHER, "{name} of {size} bytes");
            assert_eq!(place.leftovers(&[]), [name]);
            assert_eq!(fs::read_link(place.file(name)).unwrap(), target);
        }
    });
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    with_watchdog(LONG, || {
        let origin = Origin::builder()
            .tls(true)
            .http2(true)
            .certificate(Certificate::WrongHost)
            .resource(Resource::new("/a.iso", 313, SMALL))
            .start()
            .unwrap();
        let place = Place::new();
        // Its authority is trusted; only the name is wrong.
        let run = fetch(place.trusting(&origin), [spec(&origin, "/a.iso")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Tls]);
        let message = &run.failures()[0].message;
        assert!(message.contains("another host name"), "{message}");
        assert_eq!(origin.stats().requests, 0);
        assert_eq!(place.leftovers(&[]), [""; 0]);
    });
}

#[test]
fn a_partial_file_is_not_deleted_on_an_error() {
    with_watchdog(LONG, || {
        let resource = || Resource::new("/a.iso", 314, SIZE);
        for code in [404, 500] {
            let failing = Fault::Status { code, times: None, retry_after: None };
            let broken = resource().fault(Fault::CutAt(HALF)).fault(failing.when(Scope::every().starting_at(2)));
            let origin = Origin::builder().resource(broken).start().unwrap();
            let place = Place::new();
            let mut options = with_connections(&place, 1);
            options.http.retries = 1;
            let run = fetch(options, [spec(&origin, "/a.iso")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Status(code)]);
            assert_eq!(run.summary().kept_bytes, HALF);
            assert_eq!(place.leftovers(&[]), ["a.iso.towline", "a.iso.towline.json"]);
            let at = origin.addr();
            drop(origin);
            let run = go_on(&place, at, resource());
            assert_eq!((run.resumed_bytes(), run.restarts()), (HALF, 0));
            place.assert_content("a.iso", 314, SIZE);
            assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
        }
    });
}

#[test]
fn what_a_server_encodes_unasked_is_stored_as_it_was_sent() {
    with_watchdog(LONG, || {
        let encoded = || Resource::new("/a.iso", 315, SIZE).header("Content-Encoding", "gzip");
        for connections in [1, 4] {
            let origin = Origin::builder()
                .resource(encoded())
                .fault(Fault::RatePerConnection(RATE_PER_CONNECTION))
                .start()
                .unwrap();
            let place = Place::new();
            let run = fetch(with_connections(&place, connections), [spec(&origin, "/a.iso")]);
            run.assert_done(1);
            assert!(warns_of(&run, "gzip"), "nobody was told that it is encoded");
            place.assert_content("a.iso", 315, SIZE);
            assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
            for request in origin.requests() {
                assert_eq!(request.header("accept-encoding"), Some("identity"));
            }
        }
    });
}

/// A busy server that names no version may say anything of any file.
#[test]
fn a_shorter_response_without_a_version_replaces_nothing() {
    with_watchdog(LONG, || {
        let silent = |size| Resource::new("/a.bin", 861, size).fault(Fault::Validators(Validators::Neither));
        let refusal = |total: u64| {
            let head = format!("HTTP/1.1 416 No\r\nContent-Range: bytes */{total}\r\nContent-Length: 0\r\n\r\n");
            Fault::Raw(head.into_bytes()).when(Scope::every().only_ranges())
        };
        let shorter = [
            silent(4).ranges(Ranges::Ignored),
            silent(0).fault(refusal(0)),
            silent(0).fault(refusal(SIZE / 2)),
            silent(4).fault(refusal(SIZE / 2)),
            silent(4).fault(Fault::RefuseRange),
        ];
        for busy in shorter {
            let origin = Origin::builder().resource(silent(SIZE).fault(Fault::CutAt(SIZE / 2))).start().unwrap();
            let place = Place::new();
            let mut options = place.options();
            options.http.retries = 0;
            assert_eq!(fetch(options.clone(), [spec(&origin, "/a.bin")]).failures().len(), 1);
            let shown = format!("{busy:?}");
            origin.set_resource(busy);
            options.http.retries = 3;
            let run = fetch(options.clone(), [spec(&origin, "/a.bin")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Changed], "{shown}");
            assert!(!place.file("a.bin").exists(), "{shown}");
            origin.set_resource(silent(SIZE));
            let run = fetch(options, [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            assert!(run.resumed_bytes() >= SIZE / 2, "{shown}: {}", run.resumed_bytes());
            place.assert_content("a.bin", 861, SIZE);
        }
    });
}

/// Archives that a server labels, and objects that were uploaded with a label.
#[test]
fn a_stored_file_with_an_encoding_is_gone_on_with() {
    with_watchdog(LONG, || {
        for label in ["x-gzip", "gzip", "zstd", "aws-chunked", "utf-8"] {
            let file = || Resource::new("/a.tgz", 862, SIZE).header("Content-Encoding", label);
            let origin = Origin::builder().resource(file().fault(Fault::CutAt(SIZE / 2))).start().unwrap();
            let place = Place::new();
            let mut options = place.options();
            options.http.retries = 0;
            assert_eq!(fetch(options.clone(), [spec(&origin, "/a.tgz")]).failures().len(), 1);
            origin.set_resource(file());
            let run = fetch(options, [spec(&origin, "/a.tgz")]);
            run.assert_done(1);
            assert!(run.resumed_bytes() >= SIZE / 2, "{label}: {}", run.resumed_bytes());
            place.assert_content("a.tgz", 862, SIZE);
        }
    });
}

/// A redirector leads to another place each time: the first response breaks off, and the next run asks elsewhere.
fn goes_on_elsewhere(file: impl Fn(&str) -> Resource, seed: u64) {
    let origin = Origin::builder().resource(file("/1/a.bin").fault(Fault::CutAt(SIZE / 2)));
    let origin = origin.resource(file("/2/a.bin")).resource(Resource::new("/a.bin", 0, 0)).start().unwrap();
    let place = Place::new();
    let mut options = place.options();
    for (at, retries, failures) in [(1, 0, 1), (2, 5, 0)] {
        let location = origin.url(&format!("/{at}/a.bin"));
        origin.set_resource(Resource::new("/a.bin", 0, 0).fault(Fault::Redirect { status: 302, location }));
        options.http.retries = retries;
        let run = fetch(options.clone(), [spec(&origin, "/a.bin")]);
        assert_eq!(run.failures().len(), failures, "{:?}", run.failures());
        assert_eq!(run.restarts(), 0);
    }
    place.assert_content("a.bin", seed, SIZE);
}

#[test]
fn a_stored_file_with_an_encoding_is_gone_on_with_at_another_place() {
    with_watchdog(LONG, || {
        goes_on_elsewhere(|path| Resource::new(path, 864, SIZE).header("Content-Encoding", "x-gzip"), 864);
    });
}

/// Only whole responses name the version.
#[test]
fn what_ranges_of_another_place_do_not_name_is_compared() {
    with_watchdog(LONG, || {
        let silent = || Fault::Validators(Validators::Neither).when(Scope::every().only_ranges());
        goes_on_elsewhere(|path| Resource::new(path, 868, SIZE).fault(silent()), 868);
    });
}

/// Takes what is behind away from a partial file and leaves its length, as a program does that cuts it and extends it
/// again: what was there reads as zeros. In one call, so that a save never meets the shorter file in between.
fn cut_and_extend(place: &Place, to_bytes: u64) {
    use rustix::fs::{FallocateFlags, fallocate};

    let part = fs::OpenOptions::new().write(true).open(place.file("a.bin.towline")).unwrap();
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(&part, hole, to_bytes, SIZE - to_bytes).unwrap();
}

#[test]
fn a_partial_file_that_is_cut_again_while_its_holes_are_fetched_is_not_published() {
    with_watchdog(LONG, || {
        let resource = Resource::new("/a.bin", 863, SIZE).fault(Fault::RatePerConnection(1_000_000));
        let origin = Origin::builder().resource(resource).start().unwrap();
        let place = Place::new();
        let mut live = Live::start(Session::builder(with_connections(&place, 1)));
        live.handle.add(spec(&origin, "/a.bin")).unwrap();
        live.handle.close();
        live.wait_for_share(60);
        cut_and_extend(&place, SIZE / 20);
        live.wait_for(
            "holes that are found",
            |event| matches!(event, Event::Remark { message, .. } if message.contains("never written")),
        );
        cut_and_extend(&place, SIZE / 40);
        let run = live.end();
        assert_eq!(run.failure_kinds(), [ErrorKind::Storage], "{:?}", run.failures());
        assert!(!place.file("a.bin").exists());
        fetch(with_connections(&place, 1), [spec(&origin, "/a.bin")]).assert_done(1);
        place.assert_content("a.bin", 863, SIZE);
    });
}

/// The server says the same version as the journal, but the file beside the journal is not the one that it names.
#[test]
fn a_file_that_somebody_put_in_the_place_of_a_partial_one_is_not_written_to() {
    with_watchdog(LONG, || {
        for ranges in [Ranges::Ignored, Ranges::Honoured] {
            for is_checked in [false, true] {
                let place = Place::new();
                let at = begin(&place, Resource::new("/a.iso", 864, SIZE));
                let part = place.file("a.iso.towline");
                let theirs = vec![7; SIZE as usize];
                fs::write(place.beside("theirs"), &theirs).unwrap();
                fs::rename(place.beside("theirs"), &part).unwrap();
                let resource = Resource::new("/a.iso", 864, SIZE).ranges(ranges);
                let origin = Origin::builder().bind(at.to_string()).resource(resource).start().unwrap();
                let mut job = spec(&origin, "/a.iso");
                if is_checked {
                    job = job.checksum(crate::common::sha256_of(864, SIZE));
                }
                let run = fetch(with_connections(&place, 2), [job]);
                assert_eq!(run.failure_kinds(), [ErrorKind::Changed], "{ranges:?} {is_checked}");
                assert!(fs::read(&part).unwrap() == theirs, "{ranges:?} {is_checked}");
            }
        }
    });
}

#[test]
fn a_file_whose_time_was_set_to_a_whole_second_is_looked_at() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().resource(Resource::new("/a.bin", 865, SMALL)).start().unwrap();
        let place = Place::new();
        fetch(place.options(), [spec(&origin, "/a.bin")]).assert_done(1);
        let path = place.file("a.bin");
        let mut content = fs::read(&path).unwrap();
        content[100] ^= 1;
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        let second = time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        fs::write(&path, &content).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).unwrap();
        let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken]);
        assert_eq!(fs::read(&path).unwrap(), content);
    });
}

/// A partial file whose length its server never told, with a mirror that was not there when it began.
#[test]
fn what_came_without_a_length_stays_when_a_mirror_joins() {
    with_watchdog(LONG, || {
        let file = || Resource::new("/a.bin", 866, SIZE).length(Length::Chunked);
        let gone = || Origin::builder().start().unwrap();
        let serves = || Origin::builder().resource(file()).start().unwrap();
        for (mirror, dies) in [(serves(), false), (gone(), false), (serves(), true), (gone(), true)] {
            let origin = Origin::builder().resource(file().fault(Fault::CutAt(HALF))).start().unwrap();
            let place = Place::new();
            let mut options = place.options();
            options.http.retries = 0;
            assert_eq!(fetch(options.clone(), [spec(&origin, "/a.bin")]).failures().len(), 1);
            let held_bytes = journal_bytes(&place.file("a.bin.towline.json"));
            assert!(held_bytes > 0);

            let job = || spec(&origin, "/a.bin").mirror(mirror.url("/a.bin").parse().unwrap());
            if dies {
                // Nobody has it for a while: all that has come stays.
                origin.set_resource(Resource::new("/a.bin", 866, SIZE).status(404));
                mirror.remove("/a.bin");
                assert_eq!(fetch(options.clone(), [job()]).failures().len(), 1);
                assert_eq!(journal_bytes(&place.file("a.bin.towline.json")), held_bytes);
            }
            origin.set_resource(file());
            let run = fetch(options, [job()]);
            run.assert_done(1);
            assert_eq!((run.resumed_bytes(), run.restarts()), (held_bytes, 0));
            place.assert_content("a.bin", 866, SIZE);
        }
    });
}

/// Some proxies encode a response now and then, whatever was asked for.
#[test]
fn one_encoded_response_costs_nothing_of_what_has_come() {
    with_watchdog(LONG, || {
        let encoded = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n\x1f\x8b\x08\x00\x00";
        let part = format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Encoding: gzip\r\nContent-Range: bytes {HALF}-{}/{SIZE}\r\n\
             Content-Length: {HALF}\r\nConnection: close\r\n\r\n\x1f\x08",
            SIZE - 1
        );
        let silent = || Resource::new("/a.bin", 867, SIZE).fault(Fault::Validators(Validators::Neither));
        let weak = || Resource::new("/a.bin", 867, SIZE).etag(ETag::Custom("W/\"1\"".to_owned())).last_modified(None);
        for file in [silent as fn() -> Resource, weak] {
            for response in [&encoded[..], part.as_bytes()] {
                let origin = Origin::builder().resource(file().fault(Fault::CutAt(HALF))).start().unwrap();
                let place = Place::new();
                let mut options = place.options();
                options.http.retries = 0;
                assert_eq!(fetch(options.clone(), [spec(&origin, "/a.bin")]).failures().len(), 1);
                origin.set_resource(file().fault(Fault::Raw(response.to_vec()).first(1)));
                options.http.retries = 3;
                let run = fetch(options, [spec(&origin, "/a.bin")]);
                run.assert_done(1);
                assert_eq!((run.resumed_bytes(), run.restarts()), (HALF, 0));
                place.assert_content("a.bin", 867, SIZE);
            }
        }
    });
}

/// Two responses named another version; the one that was to bring it names it too, and has another length.
#[test]
fn what_replaces_existing_data_must_be_what_was_announced() {
    with_watchdog(LONG, || {
        let old = || Resource::new("/a.bin", 868, SIZE).etag(ETag::Custom("\"old\"".to_owned())).last_modified(None);
        let new = || Resource::new("/a.bin", 869, SIZE).etag(ETag::Custom("\"new\"".to_owned())).last_modified(None);
        for body in ["", "busy, come back later", &"x".repeat(200_000)] {
            let origin = Origin::builder().resource(old().fault(Fault::CutAt(HALF))).start().unwrap();
            let place = Place::new();
            let mut options = place.options();
            options.http.retries = 0;
            assert_eq!(fetch(options.clone(), [spec(&origin, "/a.bin")]).failures().len(), 1);
            let wrong = format!("HTTP/1.1 200 OK\r\nETag: \"new\"\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            // The third response is the one that is to bring it.
            let script = new().fault(Fault::Raw(wrong.into_bytes()).when(Scope::every().starting_at(3).times(1)));
            origin.set_resource(script);
            options.http.retries = 3;
            fetch(options, [spec(&origin, "/a.bin")]).assert_done(1);
            place.assert_content("a.bin", 869, SIZE);
        }
    });
}

/// The same content, named less surely than when it was begun.
#[test]
fn a_version_that_is_named_less_surely_goes_on_by_what_overlaps() {
    with_watchdog(LONG, || {
        let file = |tag: ETag| Resource::new("/a.bin", 870, SIZE).etag(tag);
        let custom = |text: &str| ETag::Custom(text.to_owned());
        for (first, later) in
            [(ETag::None, custom("\"a\"")), (ETag::None, custom("W/\"a\"")), (custom("\"a\""), custom("W/\"a\""))]
        {
            let origin = Origin::builder().resource(file(first).fault(Fault::CutAt(HALF))).start().unwrap();
            let place = Place::new();
            let mut options = place.options();
            options.http.retries = 0;
            assert_eq!(fetch(options.clone(), [spec(&origin, "/a.bin")]).failures().len(), 1);
            origin.set_resource(file(later.clone()));
            options.http.retries = 3;
            let run = fetch(options, [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            assert_eq!((run.resumed_bytes(), run.restarts()), (HALF, 0), "{later:?}");
            place.assert_content("a.bin", 870, SIZE);
        }
    });
}

/// A link to bytes is used up, or its server gone: the URL that leads there knows another.
#[test]
fn what_a_redirect_led_to_may_fail_in_any_way_and_the_url_is_asked_again() {
    with_watchdog(LONG, || {
        let refusals = [400, 405, 412, 419, 500, 503].map(Some).into_iter().chain([None]);
        for refusal in refusals {
            let first = Origin::builder().resource(Resource::new("/b.bin", 871, SIZE).fault(Fault::CutAt(HALF)));
            let first = first.start().unwrap();
            let second = Origin::builder().resource(Resource::new("/b.bin", 871, SIZE)).start().unwrap();
            let leads_to = |origin: &Origin| Resource::new("/a.bin", 1, 1).redirect(302, &origin.url("/b.bin"));
            let leading = Origin::builder().resource(leads_to(&first)).start().unwrap();
            let place = Place::new();
            let mut live = Live::start(Session::builder(place.options()));
            live.handle.add(spec(&leading, "/a.bin")).unwrap();
            live.handle.close();
            live.wait_for("the first half", |event| matches!(event, Event::Retrying { .. }));
            leading.set_resource(leads_to(&second));
            match refusal {
                Some(status) => first.set_resource(Resource::new("/b.bin", 871, SIZE).status(status)),
                None => drop(first),
            }
            let run = live.end();
            run.assert_done(1);
            assert_eq!(run.restarts(), 0, "{refusal:?}");
            place.assert_content("b.bin", 871, SIZE);
        }
    });
}
