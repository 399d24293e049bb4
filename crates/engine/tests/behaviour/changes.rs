//! Files that change during the download: bytes of two versions never mix.

use std::time::Duration;

use towline_engine::ErrorKind;
use towline_origin::{ETag, Fault, Length, Origin, Resource, Scope, Validators};

use crate::common::{LONG, MIB, Place, fetch, spec, with_watchdog};

/// The third request sees another version than the first two.
fn the_new_version_arrives(etag: ETag, new: &str) {
    let size = 6 * MIB;
    let change = Fault::ChangeEtagAt { request: 3, etag: new.to_owned(), seed: 32 };
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", 31, size).etag(etag).fault(change))
        .fault(Fault::RatePerConnection(3_000_000))
        .start()
        .unwrap();
    let place = Place::new();
    let mut options = place.options();
    options.connections = Some(4);
    let run = fetch(options, [spec(&origin, "/a.bin")]);
    run.assert_done(1);
    assert!(run.restarts() >= 1, "nobody was told that the file began again");
    place.assert_content("a.bin", 32, size);
    assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
}

#[test]
fn one_version_with_two_lengths_gets_no_name_and_loses_nothing() {
    with_watchdog(LONG, || {
        let file = || Resource::new("/a.bin", 31, 6 * MIB).etag(ETag::Strong);
        let tag = file().etag_text().unwrap();
        let longer = format!("HTTP/1.1 200 OK\r\nETag: {tag}\r\nContent-Length: {}\r\n\r\n", 7 * MIB);
        let longer = Fault::Raw(longer.into_bytes()).when(Scope::every().only_conditional());
        // Slow enough to come over several connections.
        let builder = Origin::builder().resource(file().fault(longer));
        let origin = builder.fault(Fault::RatePerConnection(3_000_000)).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(4);
        let run = fetch(options.clone(), [spec(&origin, "/a.bin")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Changed]);
        assert!(run.failures()[0].message.contains("two lengths of one version"), "{:?}", run.failures());
        assert_eq!(place.leftovers(&["a.bin.towline", "a.bin.towline.json"]), [""; 0]);

        origin.set_resource(file());
        let before = origin.stats().body_bytes;
        fetch(options, [spec(&origin, "/a.bin")]).assert_done(1);
        place.assert_content("a.bin", 31, 6 * MIB);
        assert_eq!(origin.stats().body_bytes, before);
    });
}

#[test]
fn a_file_whose_strong_tag_changes_begins_again() {
    with_watchdog(LONG, || the_new_version_arrives(ETag::Strong, "\"new\""));
}

#[test]
fn a_file_whose_weak_tag_changes_comes_in_one_stream_of_one_version() {
    with_watchdog(LONG, || {
        let change = Fault::ChangeEtagAt { request: 2, etag: "W/\"new\"".to_owned(), seed: 32 };
        let origin = Origin::builder()
            .resource(Resource::new("/a.bin", 31, 6 * MIB).etag(ETag::Weak).fault(change))
            .fault(Fault::RatePerConnection(12_000_000))
            .start()
            .unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(4);
        fetch(options, [spec(&origin, "/a.bin")]).assert_done(1);
        place.assert_content("a.bin", 31, 6 * MIB);
        assert!(origin.requests().iter().all(|request| request.is_whole() || request.is_conditional()));
    });
}

/// The first version is back before anything of the second has come.
#[test]
fn a_version_that_brought_nothing_gives_the_first_one_its_place_back() {
    with_watchdog(LONG, || {
        let size = 8 * MIB;
        let other = || Scope::every().starting_at(2).first(4);
        let resource =
            Resource::new("/a.iso", 750, size).etag(ETag::Custom("\"a\"".to_owned())).length(Length::Chunked);
        let origin = Origin::builder()
            .resource(resource)
            .fault(Fault::CutAt(4 * MIB).when(Scope::every().first(1)))
            .fault(Fault::Validators(Validators::Tag("\"b\"".to_owned())).when(other()))
            .fault(Fault::OtherContent { from: 0, seed: 751 }.when(other()))
            .fault(Fault::StallAt(0, None).when(Scope::every().starting_at(4).first(4)))
            .start()
            .unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(1);
        options.http.stall_timeout = Duration::from_millis(1500);
        let run = fetch(options, [spec(&origin, "/a.iso")]);
        run.assert_done(1);
        place.assert_content("a.iso", 750, size);
        assert!(run.finished()[0].fetched_bytes < size + MIB, "{} bytes", run.finished()[0].fetched_bytes);
    });
}
