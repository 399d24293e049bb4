//! An expired link and its replacement: existing data is resumed if the file is the same, and never lost if it
//! is not.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use towline_engine::event::ErrorReport;
use towline_engine::{Advice, ErrorKind, Event, JobSpec, Options, Session};
use towline_origin::{ETag, Fault, Origin, Ranges, Resource};
use towline_testkit::content;

use crate::common::{LONG, Live, MIB, Place, Run, fetch, spec, with_watchdog};

const SIZE: u64 = 4 * MIB;
const HALF: u64 = 2 * MIB;
const OLD: &str = "/old/file";
const NEW: &str = "/new/link";
const PARTIAL: [&str; 2] = ["a.iso.towline", "a.iso.towline.json"];

fn options(place: &Place, connections: usize) -> Options {
    let mut options = place.options();
    options.connections = Some(connections);
    options.piece_size_bytes = 128 << 10;
    options
}

fn tagged(path: &str, seed: u64, tag: &str) -> Resource {
    Resource::new(path, seed, SIZE).etag(ETag::Custom(format!("\"{tag}\"")))
}

pub(crate) fn repr_digest(seed: u64, size: u64) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(content(seed, size))))
}

fn named(origin: &Origin, path: &str) -> JobSpec {
    spec(origin, path).output("a.iso")
}

/// Fetches half of a file from a link that is gone afterwards.
fn begin(place: &Place, resource: Resource) {
    let path = resource.path().to_owned();
    let origin = Origin::builder().resource(resource.fault(Fault::StallAt(HALF, None))).start().unwrap();
    let mut live = Live::start(Session::builder(options(place, 1)));
    live.handle.add(named(&origin, &path)).unwrap();
    live.handle.close();
    live.wait_for("half of the file", |event| match event {
        Event::Progress(progress) => progress.done_bytes == HALF,
        _ => false,
    });
    live.handle.stop();
    assert_eq!(live.end().summary().kept_bytes, HALF);
    assert_eq!(place.leftovers(&[]), PARTIAL);
}

#[test]
fn links_that_are_all_refused_are_not_all_asked_for_again() {
    const LINKS: usize = 100;
    with_watchdog(LONG, || {
        let gone = Fault::Status { code: 404, times: None, retry_after: None };
        let mut origin = Origin::builder();
        for number in 0..LINKS {
            let to = Fault::Redirect { status: 302, location: format!("/gone/{number}") };
            origin = origin.resource(Resource::new(format!("/{number}"), 1, 10).fault(to));
            origin = origin.resource(Resource::new(format!("/gone/{number}"), 1, 10).fault(gone.clone()));
        }
        let (origin, place) = (origin.start().unwrap(), Place::new());
        let mut options = place.options();
        options.http.retries = 5;
        let run = fetch(options, (0..LINKS).map(|number| spec(&origin, &format!("/{number}"))));
        assert_eq!(run.summary().failed_files as usize, LINKS);
        let again = origin.requests().len() - 2 * LINKS;
        assert!(again <= 2 * 30, "{again} requests beyond the first of each");
    });
}

/// A link on its own server.
fn serve(resource: Resource) -> Origin {
    Origin::builder().resource(resource).start().unwrap()
}

fn go_on(place: &Place, origin: &Origin) -> Run {
    fetch(options(place, 2), [named(origin, NEW)])
}

fn go_on_with_the_same(place: &Place, origin: &Origin) -> Run {
    fetch(options(place, 2), [named(origin, NEW).same_content()])
}

/// Fails unless existing data was resumed.
fn assert_went_on(place: &Place, run: &Run, seed: u64) {
    run.assert_done(1);
    assert_eq!(run.restarts(), 0);
    assert_eq!(run.resumed_bytes(), HALF);
    assert_eq!(run.finished()[0].fetched_bytes, SIZE - HALF);
    assert!(run.events.iter().any(|event| matches!(event, Event::Remark { .. })), "nobody said why");
    place.assert_content("a.iso", seed, SIZE);
    assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
}

/// Fails unless the run was refused with these texts and nothing was touched.
fn assert_refused(place: &Place, go_on: impl FnOnce() -> Run, texts: &[&str]) -> ErrorReport {
    let before = PARTIAL.map(|name| fs::read(place.file(name)).unwrap());
    let run = go_on();
    assert_eq!(run.failure_kinds(), [ErrorKind::Changed]);
    assert_eq!(run.restarts(), 0);
    let failure = run.failures()[0].clone();
    for text in texts {
        assert!(failure.message.contains(text), "{text:?} is missing: {}", failure.message);
    }
    let may_restart = [Advice::SameContentOrRestart, Advice::RestartOrOtherName];
    assert!(failure.advice.is_some_and(|advice| may_restart.contains(&advice)), "{:?}", failure.advice);
    assert_eq!(place.leftovers(&[]), PARTIAL);
    assert!(PARTIAL.map(|name| fs::read(place.file(name)).unwrap()) == before, "what was there was touched");
    assert_eq!(run.summary().kept_bytes, HALF);
    failure
}

/// The ranges of existing data that a server was asked for.
fn samples(origin: &Origin) -> Vec<(u64, u64)> {
    let requests = origin.requests();
    let range = |text: &str| {
        let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse::<u64>().ok()? + 1))
    };
    requests
        .iter()
        .filter(|request| !request.is_conditional())
        .filter_map(|request| range(request.range.as_deref()?))
        .filter(|(_, end)| *end <= HALF)
        .collect()
}

#[test]
fn a_new_link_to_the_same_version_goes_on_where_the_old_one_was() {
    with_watchdog(LONG, || {
        // A tag shared by two URLs is only a hint, even with the same date and length; the bytes decide.
        for has_date in [true, false] {
            let served = |seed| match has_date {
                true => serve(tagged(NEW, seed, "same")),
                false => serve(tagged(NEW, seed, "same").last_modified(None)),
            };
            let place = Place::new();
            begin(&place, tagged(OLD, 831, "same"));
            let origin = served(831);
            assert_went_on(&place, &go_on(&place, &origin), 831);
            assert_eq!(samples(&origin).len(), 16);
            let place = Place::new();
            begin(&place, tagged(OLD, 831, "same"));
            assert_refused(&place, || go_on(&place, &served(832)), &["differ from what is there"]);
        }
    });
}

#[test]
fn a_new_link_with_the_same_digest_goes_on_whatever_its_tag_is() {
    with_watchdog(LONG, || {
        let field = repr_digest(832, SIZE);
        let place = Place::new();
        begin(&place, tagged(OLD, 832, "old").header("Repr-Digest", &field));
        let origin = serve(tagged(NEW, 832, "new").header("Repr-Digest", &field));
        assert_went_on(&place, &go_on(&place, &origin), 832);
    });
}

#[test]
fn a_new_link_to_another_version_is_refused_until_it_is_said_to_have_the_same_content() {
    with_watchdog(LONG, || {
        let place = Place::new();
        begin(&place, tagged(OLD, 833, "old"));
        let origin = serve(tagged(NEW, 833, "new"));
        let told = assert_refused(&place, || go_on(&place, &origin), &["ETag \"new\" instead of \"old\""]);
        assert_eq!(told.advice, Some(Advice::SameContentOrRestart));

        let origin = serve(tagged(NEW, 833, "new"));
        assert_went_on(&place, &go_on_with_the_same(&place, &origin), 833);
        let samples = samples(&origin);
        assert_eq!(samples.len(), 16, "{samples:?}");
        assert!(samples.iter().any(|(start, _)| *start == 0), "{samples:?}");
        assert!(samples.iter().any(|(_, end)| *end == HALF), "{samples:?}");
    });
}

#[test]
fn a_date_alone_does_not_make_two_links_the_same() {
    with_watchdog(LONG, || {
        let place = Place::new();
        begin(&place, Resource::new(OLD, 834, SIZE).etag(ETag::None));
        let origin = serve(Resource::new(NEW, 834, SIZE).etag(ETag::None));
        assert_refused(&place, || go_on(&place, &origin), &["nothing that it says differs", "no strong ETag"]);
        assert_went_on(&place, &go_on_with_the_same(&place, &origin), 834);
    });
}

#[test]
fn samples_that_differ_are_refused_with_the_place() {
    with_watchdog(LONG, || {
        let place = Place::new();
        begin(&place, tagged(OLD, 835, "old"));
        let origin = serve(tagged(NEW, 836, "new"));
        assert_refused(&place, || go_on_with_the_same(&place, &origin), &["bytes ", "differ from what is there"]);
        // Even if the tag says that it is the same.
        let origin = serve(tagged(NEW, 836, "old"));
        assert_refused(&place, || go_on(&place, &origin), &["bytes ", "differ from what is there"]);
        // A difference in one other sample is enough.
        let origin = serve(tagged(NEW, 835, "new").fault(Fault::OtherContent { from: HALF - 10, seed: 836 }));
        assert_refused(&place, || go_on_with_the_same(&place, &origin), &["bytes "]);
    });
}

#[test]
fn a_new_link_to_a_file_of_another_length_is_refused_whatever_is_said() {
    with_watchdog(LONG, || {
        let place = Place::new();
        begin(&place, tagged(OLD, 837, "same"));
        for size in [SIZE + 1, HALF / 2] {
            let longer = Resource::new(NEW, 837, size).etag(ETag::Custom("\"same\"".to_owned()));
            let text = format!("length {size} instead of {SIZE} bytes");
            let told = assert_refused(&place, || go_on(&place, &serve(longer.clone())), &[text.as_str()]);
            assert_eq!(told.advice, Some(Advice::RestartOrOtherName));
            assert_refused(&place, || go_on_with_the_same(&place, &serve(longer)), &[text.as_str()]);
        }
    });
}

#[test]
fn a_new_link_without_ranges_is_refused_unless_it_is_surely_the_same_file() {
    with_watchdog(LONG, || {
        let place = Place::new();
        begin(&place, tagged(OLD, 838, "old"));
        let origin = serve(tagged(NEW, 838, "new").ranges(Ranges::Refused));
        assert_refused(&place, || go_on(&place, &origin), &["ETag"]);
        assert_refused(&place, || go_on_with_the_same(&place, &origin), &["sends the whole instead", "compared"]);
        let origin = serve(tagged(NEW, 838, "old").ranges(Ranges::Refused));
        assert_refused(&place, || go_on(&place, &origin), &["sends the whole instead", "compared"]);
        let field = repr_digest(838, SIZE);
        let place = Place::new();
        begin(&place, tagged(OLD, 838, "old").header("Repr-Digest", &field));
        let origin = serve(tagged(NEW, 838, "new").header("Repr-Digest", &field).ranges(Ranges::Refused));
        go_on(&place, &origin).assert_done(1);
        place.assert_content("a.iso", 838, SIZE);
        assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
    });
}

#[test]
fn what_was_refused_begins_again_when_that_is_asked_for() {
    with_watchdog(LONG, || {
        let place = Place::new();
        begin(&place, tagged(OLD, 839, "old"));
        let origin = serve(tagged(NEW, 840, "new"));
        assert_refused(&place, || go_on(&place, &origin), &["ETag"]);
        let mut anew = options(&place, 2);
        anew.resume = false;
        let run = fetch(anew, [named(&origin, NEW)]);
        run.assert_done(1);
        assert_eq!(run.finished()[0].fetched_bytes, SIZE);
        place.assert_content("a.iso", 840, SIZE);
        assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
    });
}

#[test]
fn the_same_link_with_another_version_of_the_same_content_goes_on_when_that_is_said() {
    with_watchdog(LONG, || {
        for is_named in [true, false] {
            let silent = tagged("/a.iso", 841, "old").fault(Fault::StallAt(HALF, None));
            let origin = serve(silent);
            let wanted = || if is_named { named(&origin, "/a.iso") } else { spec(&origin, "/a.iso") };
            let place = Place::new();
            let mut live = Live::start(Session::builder(options(&place, 1)));
            live.handle.add(wanted()).unwrap();
            live.handle.close();
            live.wait_for("half of the file", |event| match event {
                Event::Progress(progress) => progress.done_bytes == HALF,
                _ => false,
            });
            live.handle.stop();
            assert_eq!(live.end().summary().kept_bytes, HALF);

            // Different content under another tag, declared to be the same: nothing is lost.
            origin.set_resource(tagged("/a.iso", 842, "new"));
            let go_on = || fetch(options(&place, 2), [wanted().same_content()]);
            assert_refused(&place, go_on, &["differ from what is there"]);
            origin.set_resource(tagged("/a.iso", 841, "new"));
            assert_went_on(&place, &go_on(), 841);
        }
    });
}

#[test]
fn an_expired_link_says_what_to_do_with_a_new_one() {
    with_watchdog(LONG, || {
        let place = Place::new();
        begin(&place, tagged(OLD, 843, "same"));
        let gone = serve(tagged(NEW, 843, "same").status(403));
        let run = fetch(options(&place, 2), [named(&gone, NEW)]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Status(403)]);
        assert_eq!(run.failures()[0].advice, Some(Advice::GiveNewLink));
        assert_eq!(place.leftovers(&[]), PARTIAL);
        assert_went_on(&place, &go_on(&place, &serve(tagged(NEW, 843, "same"))), 843);
    });
}
