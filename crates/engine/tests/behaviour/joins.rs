//! Bytes of several responses are joined only if each strongly identifies the version in progress. Whatever a
//! server drops, weakens or changes along the way: one version, or an error.

use std::fs;
use std::time::{Duration, SystemTime};

use towline_engine::{ErrorKind, Session};
use towline_origin::{ETag, Fault, Length, Origin, Ranges, Resource, Scope, Validators, check_file, range_forms};
use towline_testkit::content;

use crate::common::{LONG, Live, MIB, Place, Run, fetch, spec, with_watchdog};

const SIZE: u64 = 4 * MIB;
const OLD: u64 = 51;
const NEW: u64 = 52;

/// How a server identifies a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Strong,
    Weak,
    Settled,
    Young,
    Nothing,
}

const ALL: [Says; 5] = [Says::Strong, Says::Weak, Says::Settled, Says::Young, Says::Nothing];

/// This many seconds ago.
fn before(seconds: u64) -> SystemTime {
    SystemTime::now() - Duration::from_secs(seconds)
}

fn validators(says: Says, tag: &str) -> Vec<Validators> {
    match says {
        Says::Strong => vec![Validators::NoDate, Validators::Tag(format!("\"{tag}\""))],
        Says::Weak => vec![Validators::NoDate, Validators::Tag(format!("W/\"{tag}\""))],
        Says::Settled => vec![Validators::NoTag, Validators::Date(before(if tag == "new" { 90_000 } else { 80_000 }))],
        Says::Young => vec![Validators::NoTag, Validators::Date(before(if tag == "new" { 3 } else { 8 }))],
        Says::Nothing => vec![Validators::Neither],
    }
}

/// The first response breaks off halfway; all later ones have another version, which differs before and after
/// the break and identifies itself in its own way.
fn changes(before: Says, after: Says) {
    let (first, later) = (Scope::every().first(1), Scope::every().starting_at(2));
    let mut resource = Resource::new("/a.bin", OLD, SIZE)
        .etag(ETag::Strong)
        .fault(Fault::CutAt(SIZE / 2).when(first.clone()))
        .fault(Fault::OtherContent { from: 0, seed: NEW }.when(later.clone()));
    for validator in validators(before, "old") {
        resource = resource.fault(Fault::Validators(validator).when(first.clone()));
    }
    for validator in validators(after, "new") {
        resource = resource.fault(Fault::Validators(validator).when(later.clone()));
    }
    let origin = Origin::builder().resource(resource).start().unwrap();
    let place = Place::new();
    let mut options = place.options();
    options.connections = Some(4);
    options.http.retries = 3;
    let run = fetch(options, [spec(&origin, "/a.bin")]);
    if run.summary().done_files == 1 {
        let is = |seed| check_file(place.file("a.bin"), seed, SIZE).unwrap().is_none();
        assert!(is(OLD) || is(NEW), "{before:?}, then {after:?}: bytes of two versions are mixed");
    } else {
        assert_eq!(run.failure_kinds(), [ErrorKind::Changed], "{before:?}, then {after:?}");
        assert!(!place.file("a.bin").exists());
        let part = fs::read(place.file("a.bin.towline")).unwrap();
        assert_eq!(part.len() as u64, SIZE, "{before:?}, then {after:?}: what was held is gone");
    }
}

#[test]
fn versions_are_never_mixed_whatever_later_answers_say_or_leave_out() {
    for before in ALL {
        with_watchdog(LONG * 2, move || {
            for after in ALL {
                changes(before, after);
            }
        });
    }
}

#[test]
fn weak_and_silent_files_are_gone_on_with_by_overlap() {
    with_watchdog(LONG, || {
        for says in [Says::Weak, Says::Young, Says::Nothing] {
            let mut resource =
                Resource::new("/a.bin", OLD, SIZE).fault(Fault::CutAt(SIZE / 2).when(Scope::every().first(1)));
            for validator in validators(says, "one") {
                resource = resource.fault(Fault::Validators(validator));
            }
            let origin = Origin::builder().resource(resource).start().unwrap();
            let place = Place::new();
            let mut options = place.options();
            options.connections = Some(4);
            let run = fetch(options, [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            assert_eq!(run.restarts(), 0, "{says:?}");
            place.assert_content("a.bin", OLD, SIZE);
            let requests = origin.requests();
            let asked = requests.iter().filter(|request| !request.is_conditional()).count();
            assert_eq!(asked, 2, "{says:?}: one stream, and what was missing in another");
            let start: u64 = requests[1].range.as_deref().unwrap()[6..].split('-').next().unwrap().parse().unwrap();
            assert_eq!(start, SIZE / 2 - (64 << 10), "{says:?}");
        }
    });
}

/// The first response breaks off, and the next run begins where that was.
#[test]
fn what_only_whole_answers_name_and_weakly_is_gone_on_with_by_its_bytes() {
    with_watchdog(LONG * 2, || {
        let tagged = |seed| Resource::new("/a.bin", seed, SIZE).etag(ETag::Weak).last_modified(None);
        let dated = |seed| Resource::new("/a.bin", seed, SIZE).etag(ETag::None).length(Length::Chunked);
        for file in [&tagged as &dyn Fn(u64) -> Resource, &dated] {
            for seed in [OLD, NEW] {
                let origin = Origin::builder().resource(file(OLD).fault(Fault::CutAt(SIZE / 2))).start().unwrap();
                let place = Place::new();
                let mut options = place.options();
                options.http.retries = 0;
                assert_eq!(fetch(options, [spec(&origin, "/a.bin")]).failures().len(), 1);
                let silent = Fault::Validators(Validators::Neither).when(Scope::every().only_ranges());
                origin.set_resource(file(seed).fault(silent));
                let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
                run.assert_done(1);
                place.assert_content("a.bin", seed, SIZE);
                let fetched = run.finished()[0].fetched_bytes;
                assert_eq!(fetched < SIZE, seed == OLD, "{fetched}");
            }
        }
    });
}

/// Each response to a range has to be compared, and holds little.
#[test]
fn short_answers_to_ranges_are_compared_with_little() {
    with_watchdog(LONG, || {
        for cap in [40_000, 100_000] {
            let resource = Resource::new("/a.bin", OLD, SIZE).etag(ETag::Weak);
            let cut = Fault::CutAt(SIZE / 2).when(Scope::every().first(1));
            let origin = Origin::builder().resource(resource.fault(cut).fault(Fault::RangeAtMost(cap)));
            let origin = origin.start().unwrap();
            let place = Place::new();
            let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            assert_eq!(run.restarts(), 0);
            place.assert_content("a.bin", OLD, SIZE);
            let sent = origin.stats().body_bytes;
            assert!(sent < 2 * SIZE, "{sent} bytes were sent for {SIZE}");
        }
    });
}

#[test]
fn a_tag_that_ranges_leave_out_costs_the_pieces_and_nothing_else() {
    with_watchdog(LONG, || {
        let resource = Resource::new("/a.bin", OLD, SIZE).fault(Fault::Validators(Validators::TagOnWholeOnly));
        let origin = Origin::builder().resource(resource).fault(Fault::RatePerConnection(3_000_000)).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(4);
        let run = fetch(options, [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        place.assert_content("a.bin", OLD, SIZE);
    });
}

/// RFC 9110, section 15.3.7, lets a response to `If-Range` leave out what the client has.
#[test]
fn a_tag_that_is_left_out_after_if_range_is_asked_for_without_it() {
    with_watchdog(LONG, || {
        let hides = Fault::Validators(Validators::TagOnWholeOnly).when(Scope::every().only_conditional());
        let resource = Resource::new("/a.bin", OLD, SIZE).fault(hides);
        let origin = Origin::builder().resource(resource).fault(Fault::RatePerConnection(3_000_000)).start().unwrap();
        for connections in [Some(1), Some(4)] {
            let place = Place::new();
            let mut options = place.options();
            options.connections = connections;
            let mut live = Live::start(Session::builder(options.clone()));
            live.handle.add(spec(&origin, "/a.bin")).unwrap();
            live.handle.close();
            live.wait_for_share(40);
            live.handle.stop();
            let kept_bytes = live.end().summary().kept_bytes;
            let sent = origin.stats().body_bytes;
            let run = fetch(options, [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            place.assert_content("a.bin", OLD, SIZE);
            assert_eq!(run.resumed_bytes(), kept_bytes);
            let sent = origin.stats().body_bytes - sent;
            assert!(sent < SIZE - kept_bytes + MIB, "{sent} bytes for {}", SIZE - kept_bytes);
        }
    });
}

#[test]
fn each_form_of_content_range_brings_the_file() {
    with_watchdog(LONG * 2, || {
        for (form, lie) in range_forms() {
            let lie = Fault::ContentRange(lie);
            let cut = Fault::CutAt(SIZE / 2).when(Scope::every().first(1));
            let origin =
                Origin::builder().resource(Resource::new("/a.bin", OLD, SIZE).fault(cut).fault(lie)).start().unwrap();
            let place = Place::new();
            let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
            assert_eq!(run.failures().len(), 0, "{form}");
            place.assert_content("a.bin", OLD, SIZE);
        }
    });
}

#[test]
fn a_206_that_holds_less_than_was_asked_for_is_used_as_far_as_it_reaches() {
    with_watchdog(LONG, || {
        for fault in [Fault::OtherEnd { by: -1000 }, Fault::ShortRange { by: 1 }] {
            let cut = Fault::CutAt(SIZE / 2).when(Scope::every().first(1));
            let resource = Resource::new("/a.bin", OLD, SIZE).fault(cut).fault(fault.clone());
            let origin = Origin::builder().resource(resource).start().unwrap();
            let place = Place::new();
            fetch(place.options(), [spec(&origin, "/a.bin")]).assert_done(1);
            place.assert_content("a.bin", OLD, SIZE);
        }
    });
}

/// A host with this content, with one tag for any content and no date.
fn host(seed: u64) -> Origin {
    let resource = Resource::new("/a.bin", seed, SIZE).etag(ETag::Custom("\"1\"".to_owned())).last_modified(None);
    Origin::builder().resource(resource).fault(Fault::RatePerConnection(3_000_000)).start().unwrap()
}

/// One part comes from one host, which then redirects every request, or every range, to another host.
fn moves(seed: u64, connections: usize, is_resumed: bool) -> (Run, Place) {
    let (near, far) = (host(OLD), host(seed));
    let place = Place::new();
    let mut options = place.options();
    options.connections = Some(connections);
    options.http.retries = 2;
    let away = Fault::Redirect { status: 302, location: far.url("/a.bin") };
    let scope = Scope::every().only_ranges();
    near.set_faults([Fault::RatePerConnection(3_000_000).into()]);
    if is_resumed {
        let mut live = Live::start(Session::builder(options.clone()));
        live.handle.add(spec(&near, "/a.bin")).unwrap();
        live.wait_for_share(30);
        live.handle.stop();
        live.end();
        near.set_faults([away.into()]);
    } else {
        near.set_faults([away.when(scope), Fault::RatePerConnection(3_000_000).into()]);
    }
    (fetch(options, [spec(&near, "/a.bin")]), place)
}

#[test]
fn one_tag_of_two_hosts_is_no_proof() {
    with_watchdog(LONG * 2, || {
        for connections in [1, 4] {
            for is_resumed in [false, true] {
                let (run, place) = moves(NEW, connections, is_resumed);
                let way = format!("{connections} connections, resumed: {is_resumed}");
                if run.summary().done_files == 1 {
                    let is = |seed| check_file(place.file("a.bin"), seed, SIZE).unwrap().is_none();
                    assert!(is(OLD) || is(NEW), "{way}: bytes of two hosts are mixed");
                } else {
                    assert_eq!(run.failure_kinds(), [ErrorKind::Changed], "{way}");
                    assert_eq!(place.leftovers(&[]), ["a.bin.towline", "a.bin.towline.json"], "{way}");
                }
            }
        }
    });
}

#[test]
fn a_host_with_the_same_tag_and_the_same_bytes_is_gone_on_with() {
    with_watchdog(LONG * 2, || {
        for connections in [1, 4] {
            let (run, place) = moves(OLD, connections, true);
            run.assert_done(1);
            assert!(run.resumed_bytes() > 0);
            assert_eq!(run.restarts(), 0);
            place.assert_content("a.bin", OLD, SIZE);
            assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
        }
    });
}

#[test]
fn what_is_encoded_on_the_way_never_takes_the_place_of_what_is_held() {
    with_watchdog(LONG * 2, || {
        for (length, connections) in [(Length::Known, 4), (Length::Chunked, 1)] {
            let plain = || Resource::new("/a.bin", OLD, SIZE).etag(ETag::Custom("\"1\"".to_owned()));
            let slow = Fault::RatePerConnection(3_000_000);
            let origin = Origin::builder().resource(plain()).fault(slow).start().unwrap();
            let place = Place::new();
            let mut options = place.options();
            options.connections = Some(connections);
            options.http.retries = 3;
            let mut live = Live::start(Session::builder(options.clone()));
            live.handle.add(spec(&origin, "/a.bin")).unwrap();
            live.wait_for_share(30);
            live.handle.stop();
            let kept_bytes = live.end().summary().kept_bytes;
            // What a compressing proxy would make of it, with another length.
            let encoded = Resource::new("/a.bin", NEW, SIZE / 2).etag(ETag::Custom("\"1\"".to_owned()));
            let encoded = encoded.header("Content-Encoding", "gzip").length(length).ranges(Ranges::Ignored);
            origin.set_resource(encoded);
            origin.set_faults([]);
            let run = fetch(options.clone(), [spec(&origin, "/a.bin")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Changed], "{length:?}, {connections}");
            assert!(!place.file("a.bin").exists());
            origin.set_resource(plain());
            let run = fetch(options, [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            assert_eq!(run.resumed_bytes(), kept_bytes, "{length:?}, {connections}");
            place.assert_content("a.bin", OLD, SIZE);
        }
    });
}

#[test]
fn another_query_may_be_another_file_whatever_its_tag_and_date() {
    with_watchdog(LONG * 2, || {
        let tagged = || Resource::new("/a.bin", OLD, SIZE).etag(ETag::Custom("\"1\"".to_owned()));
        for resource in [tagged(), tagged().last_modified(None), tagged().etag(ETag::None)] {
            let other = Fault::OtherContent { from: 0, seed: NEW }.when(Scope::every().only_query("id=2"));
            let slow = Fault::RatePerConnection(3_000_000);
            let origin = Origin::builder().resource(resource.fault(other)).fault(slow).start().unwrap();
            let place = Place::new();
            let mut options = place.options();
            options.connections = Some(4);
            let mut live = Live::start(Session::builder(options.clone()));
            live.handle.add(spec(&origin, "/a.bin?id=1").output("o.bin")).unwrap();
            live.wait_for_share(30);
            live.handle.stop();
            live.end();
            let run = fetch(options.clone(), [spec(&origin, "/a.bin?id=2").output("o.bin")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Changed], "the bytes of two files are mixed");
            let run = fetch(options, [spec(&origin, "/a.bin?id=1").output("o.bin")]);
            run.assert_done(1);
            assert!(run.resumed_bytes() > 0);
            place.assert_content("o.bin", OLD, SIZE);
        }
    });
}

#[test]
fn values_that_look_like_secrets_tell_files_apart_all_the_same() {
    with_watchdog(LONG, || {
        let ids = ["id=d41d8cd98f00b204e9800998ecf8427e", "id=0cc175b9c0f1b6a831c399e269772661"];
        for keys in [ids, ["key=alpha", "key=beta"]] {
            let other = Fault::OtherContent { from: 0, seed: NEW }.when(Scope::every().only_query(keys[1]));
            let resource = Resource::new("/f.bin", OLD, SIZE).etag(ETag::Custom("\"one\"".to_owned())).fault(other);
            let origin = Origin::builder().resource(resource).start().unwrap();
            let place = Place::new();
            fetch(place.options(), [spec(&origin, &format!("/f.bin?{}", keys[0]))]).assert_done(1);
            let run = fetch(place.options(), [spec(&origin, &format!("/f.bin?{}", keys[1]))]);
            assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken], "{keys:?}");
            place.assert_content("f.bin", OLD, SIZE);
        }
    });
}

#[test]
fn with_a_digest_samples_join_what_ranges_do_not_name() {
    with_watchdog(LONG, || {
        for is_same in [true, false] {
            let (first, later) = (Scope::every().first(1), Scope::every().starting_at(2));
            let mut resource = Resource::new("/a.bin", OLD, SIZE)
                .fault(Fault::CutAt(SIZE / 2).when(first))
                .fault(Fault::Validators(Validators::Neither).when(later.clone()));
            if !is_same {
                resource = resource.fault(Fault::OtherContent { from: 0, seed: NEW }.when(later));
            }
            let origin = Origin::builder().resource(resource).start().unwrap();
            let content = content(OLD, SIZE);
            let checksum = format!("blake3={}", blake3::hash(&content).to_hex()).parse().unwrap();
            let place = Place::new();
            let run = fetch(place.options(), [spec(&origin, "/a.bin").checksum(checksum)]);
            if is_same {
                run.assert_done(1);
                assert_eq!(run.restarts(), 0);
                place.assert_content("a.bin", OLD, SIZE);
                continue;
            }
            assert_eq!(run.failure_kinds(), [ErrorKind::Changed]);
            assert!(!place.file("a.bin").exists());
            let part = fs::read(place.file("a.bin.towline")).unwrap();
            assert!(part[..SIZE as usize / 2] == content[..SIZE as usize / 2], "what was held is gone");
        }
    });
}
