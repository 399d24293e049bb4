//! `--newer`: files that have not changed since are not fetched.

use std::time::{Duration, SystemTime};

use towline_origin::{Fault, Origin, Resource};

use crate::common::Place;
use crate::requests::{SIZE, sent};

const SEED: u64 = 61;
/// 2026-01-31 00:00 UTC.
const CHANGED: Duration = Duration::from_secs(1_769_817_600);

fn origin() -> Origin {
    let at = |path: &str| Resource::new(path, SEED, SIZE).last_modified(Some(SystemTime::UNIX_EPOCH + CHANGED));
    Origin::builder()
        .resource(at("/old.bin"))
        .resource(at("/deaf.bin").fault(Fault::IgnoreConditions))
        .resource(Resource::new("/dateless.bin", SEED, SIZE).last_modified(None))
        .start()
        .unwrap()
}

#[test]
fn a_file_that_is_not_newer_is_not_fetched() {
    let origin = origin();
    let place = Place::new();
    let run = |date: &str, name: &str| {
        place.towline(&["-d", "out", "--newer", date, &origin.url(name)]).env("TZ", "UTC").run()
    };
    for name in ["/old.bin", "/deaf.bin"] {
        run("2026-02-01", name).code(0).says(&["not fetched (it has not changed since the date given)"]);
        assert_eq!(sent(&origin, "if-modified-since").unwrap(), "Sun, 01 Feb 2026 00:00:00 GMT");
        assert!(!place.out(&name[1..]).exists());
    }
    // What tells no date may be new.
    run("2026-02-01", "/dateless.bin").code(0);
    place.check("dateless.bin", SEED, SIZE);
    run("2026-01-30", "/old.bin").code(0);
    place.check("old.bin", SEED, SIZE);
    run("yesterday", "/old.bin").code(2).says(&["allowed: 2026-01-31"]);
    let dry = place.towline(&["--dry-run", "-d", "dry", "--newer", "2026-02-01", &origin.url("/deaf.bin")]).run();
    dry.code(0).says(&["would fetch 0 files; 0 already there, 1 not newer"]);
}

#[test]
fn entries_of_a_list_that_are_not_newer_are_asked_for_again() {
    let origin = origin();
    let place = Place::new();
    let urls = ["/old.bin", "/deaf.bin", "/dateless.bin"].map(|path| origin.url(path));
    place.write("list", &urls.join("\n"));
    let newer = place.towline(&["-d", "out", "-i", "list", "--newer", "2026-02-01T00:00:00Z"]).run();
    newer.code(0).says(&["3 files", "2 not newer"]);
    place.towline(&["-d", "out", "-i", "list"]).run().code(0);
    for name in ["old.bin", "deaf.bin", "dateless.bin"] {
        place.check(name, SEED, SIZE);
    }
}
