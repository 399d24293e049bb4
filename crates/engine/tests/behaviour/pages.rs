//! A page is not a file: a portal, a login form or an error that arrives with status 200 neither gets a file's
//! name nor costs a byte of existing data.

use towline_engine::{Advice, ErrorKind, Event, Session};
use towline_origin::{ETag, Fault, Origin, Page, PageBy, Resource, Scope, Switch};

use crate::common::{LONG, Live, MIB, Place, fetch, spec, with_watchdog};

const PAGE: &str = "<html><title>please log in</title></html>";
const SIZE: u64 = 8 * MIB;
const RATE_PER_CONNECTION: u64 = 4_000_000;

fn ways() -> [PageBy; 3] {
    [PageBy::Length, PageBy::Chunked, PageBy::Redirect { status: 302, to: "/login".to_owned() }]
}

fn portal(by: PageBy, scope: Scope) -> towline_origin::Rule {
    Fault::Page(Page::html(PAGE).by(by)).when(scope)
}

#[test]
fn a_page_in_place_of_a_file_is_a_failure_of_its_own_kind() {
    with_watchdog(LONG, || {
        for by in ways() {
            let origin = Origin::builder()
                .resource(Resource::new("/a.iso", 1, SIZE))
                .fault(portal(by.clone(), Scope::every()))
                .start()
                .unwrap();
            let place = Place::new();
            let run = fetch(place.options(), [spec(&origin, "/a.iso")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Page], "{by:?}");
            assert_eq!(place.leftovers(&[]), [""; 0], "{by:?}");
        }
    });
}

#[test]
fn a_long_page_of_another_type_is_a_page_all_the_same() {
    with_watchdog(LONG, || {
        let beginnings = ["<!DOCTYPE html><html>".to_owned(), " ".repeat(2000) + "<html>"];
        for (beginning, by) in beginnings.iter().flat_map(|it| [(it, PageBy::Length), (it, PageBy::Chunked)]) {
            let body = beginning.clone() + &"x".repeat(100_000);
            let page = Page { content_type: "application/octet-stream".to_owned(), ..Page::html(body) };
            let fault = Fault::Page(page.by(by.clone())).when(Scope::every());
            let origin = Origin::builder().resource(Resource::new("/a.iso", 1, SIZE)).fault(fault).start().unwrap();
            let place = Place::new();
            let run = fetch(place.options(), [spec(&origin, "/a.iso")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Page], "{by:?}");
        }
    });
}

#[test]
fn a_page_is_taken_where_the_name_may_be_that_of_one_or_the_user_says_so() {
    with_watchdog(LONG, || {
        for (path, accepts) in [("/index.html", false), ("/download.php", false), ("/article", false), ("/a.iso", true)]
        {
            let origin = Origin::builder().fault(portal(PageBy::Length, Scope::every())).start().unwrap();
            let place = Place::new();
            let mut options = place.options();
            options.accept_html = accepts;
            let run = fetch(options, [spec(&origin, path)]);
            run.assert_done(1);
            assert_eq!(std::fs::read_to_string(place.file(&path[1..])).unwrap(), PAGE, "{path}");
            // It may stand in for the file, and nothing shows that.
            let is_doubted = run.events.iter().any(
                |event| matches!(event, Event::Warning { message, .. } if message.contains("an HTML page has come")),
            );
            assert_eq!(is_doubted, !accepts && path != "/index.html", "{path}");
        }
    });
}

#[test]
fn a_type_of_html_alone_makes_no_page_of_a_file() {
    with_watchdog(LONG, || {
        let file = Resource::new("/a.iso", 2, 50_000).content_type(Some("text/html"));
        let origin = Origin::builder().resource(file).start().unwrap();
        let place = Place::new();
        fetch(place.options(), [spec(&origin, "/a.iso")]).assert_done(1);
        place.assert_content("a.iso", 2, 50_000);
    });
}

#[test]
fn a_portal_that_comes_up_meanwhile_does_not_break_off_a_healthy_stream() {
    with_watchdog(LONG, || {
        for by in ways() {
            for connections in [None, Some(4)] {
                let origin = Origin::builder()
                    .resource(Resource::new("/a.iso", 3, SIZE))
                    .fault(portal(by.clone(), Scope::every().starting_at(2)))
                    .fault(Fault::RatePerConnection(RATE_PER_CONNECTION))
                    .start()
                    .unwrap();
                let place = Place::new();
                let mut options = place.options();
                options.connections = connections;
                let run = fetch(options, [spec(&origin, "/a.iso")]);
                run.assert_done(1);
                assert_eq!(run.restarts(), 0, "{by:?}");
                place.assert_content("a.iso", 3, SIZE);
            }
        }
    });
}

#[test]
fn a_portal_between_two_runs_costs_nothing_of_what_is_held() {
    with_watchdog(LONG * 2, || {
        for by in ways() {
            let switch = Switch::default();
            let origin = Origin::builder()
                .resource(Resource::new("/a.iso", 4, SIZE))
                .fault(portal(by.clone(), Scope::every().while_on(&switch)))
                .fault(Fault::RatePerConnection(RATE_PER_CONNECTION))
                .start()
                .unwrap();
            let place = Place::new();
            let mut live = Live::start(Session::builder(place.options()));
            live.handle.add(spec(&origin, "/a.iso")).unwrap();
            live.wait_for_share(30);
            live.handle.stop();
            let kept_bytes = live.end().summary().kept_bytes;

            switch.on();
            let run = fetch(place.options(), [spec(&origin, "/a.iso")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Page], "{by:?}");
            assert_eq!(place.leftovers(&[]), ["a.iso.towline", "a.iso.towline.json"], "{by:?}");
            assert_eq!(run.summary().kept_bytes, kept_bytes, "{by:?}");
            assert_eq!(run.failures()[0].advice, Some(Advice::LogInThenRunAgain), "{by:?}");

            switch.off();
            let asked = origin.requests().len();
            let run = fetch(place.options(), [spec(&origin, "/a.iso")]);
            run.assert_done(1);
            assert_eq!(run.resumed_bytes(), kept_bytes, "{by:?}");
            assert!(origin.requests()[asked..].iter().all(|request| !request.is_whole()), "{by:?}");
            place.assert_content("a.iso", 4, SIZE);
        }
    });
}

#[test]
fn one_answer_with_an_error_in_json_changes_nothing() {
    with_watchdog(LONG, || {
        let quota = Fault::Page(Page::json("{\"error\":\"quota\"}")).when(Scope::every().starting_at(2).times(1));
        let origin = Origin::builder()
            .resource(Resource::new("/a.iso", 5, MIB).fault(Fault::CutAt(MIB / 2).when(Scope::every().first(1))))
            .fault(quota)
            .start()
            .unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(1);
        let run = fetch(options, [spec(&origin, "/a.iso")]);
        run.assert_done(1);
        assert_eq!(run.restarts(), 0);
        place.assert_content("a.iso", 5, MIB);
    });
}

/// Keeps part of a file with these validators, then always gets this page instead.
fn held_then(resource: Resource, instead: Page) -> (Place, ErrorKind) {
    let switch = Switch::default();
    let origin = Origin::builder()
        .resource(resource)
        .fault(Fault::Page(instead).when(Scope::every().while_on(&switch)))
        .fault(Fault::RatePerConnection(RATE_PER_CONNECTION))
        .start()
        .unwrap();
    let place = Place::new();
    let mut live = Live::start(Session::builder(place.options()));
    live.handle.add(spec(&origin, "/a.iso")).unwrap();
    live.wait_for_share(30);
    live.handle.stop();
    live.end();
    switch.on();
    let run = fetch(place.options(), [spec(&origin, "/a.iso")]);
    (place, run.failure_kinds()[0])
}

#[test]
fn a_file_without_a_version_does_not_give_way_to_a_page() {
    with_watchdog(LONG, || {
        let silent = Resource::new("/a.iso", 6, SIZE).etag(ETag::None).last_modified(None);
        let (place, kind) = held_then(silent, Page::html(PAGE));
        assert_eq!(kind, ErrorKind::Page);
        assert_eq!(place.leftovers(&[]), ["a.iso.towline", "a.iso.towline.json"]);
    });
}

#[test]
fn a_file_with_a_version_does_not_give_way_to_an_answer_that_names_none() {
    with_watchdog(LONG, || {
        for (body, expected) in
            [("{\"error\":\"quota\"}", ErrorKind::Page), ("quota", ErrorKind::Changed), ("", ErrorKind::Changed)]
        {
            let (place, kind) = held_then(Resource::new("/a.iso", 7, SIZE), Page::json(body));
            assert_eq!(kind, expected, "{body:?}");
            assert_eq!(place.leftovers(&[]), ["a.iso.towline", "a.iso.towline.json"], "{body:?}");
        }
    });
}

#[test]
fn under_the_name_of_an_archive_a_page_is_none_whatever_type_it_has() {
    with_watchdog(LONG, || {
        for (path, is_page) in [("/a.zip", true), ("/a.txt", false)] {
            let origin = Origin::builder()
                .resource(Resource::new(path, 8, SIZE))
                .fault(Fault::Page(Page::json(PAGE)))
                .start()
                .unwrap();
            let place = Place::new();
            let run = fetch(place.options(), [spec(&origin, path)]);
            let expected: &[ErrorKind] = if is_page { &[ErrorKind::Page] } else { &[] };
            assert_eq!(run.failure_kinds(), expected, "{path}");
        }
    });
}

#[test]
fn under_the_name_of_an_archive_a_message_of_an_api_is_none() {
    with_watchdog(LONG, || {
        let json = || Page::json("{\"error\": \"quota exceeded\"}");
        let xml =
            || Page { content_type: "application/xml".to_owned(), ..Page::html("<?xml version=\"1.0\"?><Error/>") };
        let binary = || Page::json("PK\u{3}\u{4}");
        for (path, page, is_message) in [
            ("/a.zip", json(), true),
            ("/a.zip", xml(), true),
            ("/a.zip", binary(), false),
            ("/a.json", json(), false),
            ("/rows", xml(), false),
        ] {
            let origin =
                Origin::builder().resource(Resource::new(path, 8, SIZE)).fault(Fault::Page(page)).start().unwrap();
            let place = Place::new();
            let run = fetch(place.options(), [spec(&origin, path)]);
            let expected: &[ErrorKind] = if is_message { &[ErrorKind::Page] } else { &[] };
            assert_eq!(run.failure_kinds(), expected, "{path}");
        }
    });
}
