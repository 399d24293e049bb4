//! Credentials go to their origin and nowhere else.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use towline_engine::feed::ListSource;
use towline_engine::{Event, JobSpec, Session};
use towline_origin::{Fault, Origin, Resource};
use towline_testkit::below;

use crate::common::{LONG, Live, MIB, Place, Run, fetch_list, with_watchdog};

const USER: &str = "towline-user";

fn encoded() -> String {
    STANDARD.encode(format!("{USER}:s3cr3t@word"))
}

fn url_with_credentials(origin: &Origin, path: &str) -> String {
    origin.url(path).replacen("://", &format!("://{USER}:s3cr3t%40word@"), 1)
}

fn assert_unsaid(what: &str, text: &[u8]) {
    for secret in [USER, "s3cr3t", encoded().as_str()] {
        let is_said = text.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!is_said, "{secret:?} is in {what}");
    }
}

fn assert_in_no_file(dir: &Path) {
    for path in below(dir) {
        // A temporary file may be gone by now, and a directory has no content.
        if let Ok(content) = fs::read(&path) {
            assert_unsaid(&path.display().to_string(), &content);
        }
    }
}

fn assert_in_no_event(run: &Run) {
    for event in &run.events {
        let text = serde_json::to_string(event).unwrap();
        assert_unsaid(&text, text.as_bytes());
    }
}

fn assert_sent(origin: &Origin) {
    let requests = origin.requests();
    assert!(!requests.is_empty());
    for request in requests {
        assert_eq!(request.header("authorization"), Some(format!("Basic {}", encoded()).as_str()));
    }
}

#[test]
fn credentials_of_a_url_are_sent_and_kept_nowhere() {
    with_watchdog(LONG, || {
        let size = 2 * MIB;
        let origin = Origin::builder()
            .resource(Resource::new("/a.bin", 121, size))
            .fault(Fault::RatePerConnection(2_000_000))
            .start()
            .unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(1);
        options.save_interval = Duration::from_millis(50);
        let mut live = Live::start(Session::builder(options));
        live.handle.add(JobSpec::new(url_with_credentials(&origin, "/a.bin").parse().unwrap())).unwrap();
        live.handle.close();
        let journal = place.file("a.bin.towline.json");
        live.wait_for("a journal", |event| matches!(event, Event::Progress(_)) && journal.exists());
        let text = fs::read_to_string(&journal).unwrap();
        assert!(text.contains("/a.bin"), "{text}");
        assert_in_no_file(&place.dir());
        let run = live.end();
        run.assert_done(1);
        place.assert_content("a.bin", 121, size);
        assert_in_no_event(&run);
        assert_in_no_file(&place.dir());
        assert_sent(&origin);
    });
}

#[test]
fn credentials_of_a_list_are_sent_and_kept_nowhere() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().resource(Resource::new("/a.bin", 122, 5000)).start().unwrap();
        let place = Place::new();
        let list =
            format!("{}\n{}\n", url_with_credentials(&origin, "/a.bin"), url_with_credentials(&origin, "/missing.bin"));
        let source = ListSource::Reader(Box::new(Cursor::new(list.into_bytes())));
        let run = fetch_list(place.options(), source, false);
        assert_eq!((run.summary().done_files, run.summary().failed_files), (1, 1));
        assert_in_no_event(&run);
        assert_in_no_file(&place.dir());
        assert_sent(&origin);
    });
}
