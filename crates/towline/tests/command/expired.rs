//! A link that has expired is replaced by another one, with `-o` and the same name.

use towline_origin::{ETag, Fault, Origin, Resource};
use towline_testkit::{MIB, journal_bytes, wait_until};

use crate::common::Place;

const SIZE: u64 = 8 * MIB;

fn resource(path: &str, seed: u64, tag: &str) -> Resource {
    Resource::new(path, seed, SIZE).etag(ETag::Custom(format!("\"{tag}\"")))
}

/// Kills a run when some of the file is there; its server goes away.
fn begin(place: &Place, seed: u64) {
    let slow = resource("/old/link", seed, "old").fault(Fault::RatePerConnection(2_000_000));
    let origin = Origin::builder().resource(slow).start().unwrap();
    let running = place.towline(&["-x", "2", "-d", "out", "-o", "a.iso", &origin.url("/old/link")]).start();
    wait_until("some of the file in the journal", || journal_bytes(&place.out("a.iso.towline.json")) > 2 * MIB);
    running.kill();
}

fn serve(path: &str, seed: u64, tag: &str) -> Origin {
    Origin::builder().resource(resource(path, seed, tag)).start().unwrap()
}

#[test]
fn a_new_link_keeps_what_the_old_one_brought() {
    let place = Place::new();
    begin(&place, 5);
    let origin = serve("/new/link", 5, "old");
    let outcome = place.towline(&["-v", "-d", "out", "-o", "a.iso", &origin.url("/new/link")]).run().code(0);
    outcome.says(&["the rest was already there", "goes on with what an earlier run left"]);
    place.check("a.iso", 5, SIZE);
    assert_eq!(place.leftovers(), ["a.iso"]);
}

#[test]
fn a_link_to_something_else_is_1_and_says_what_differs_and_what_to_do() {
    let place = Place::new();
    begin(&place, 6);
    let kept = journal_bytes(&place.out("a.iso.towline.json"));
    let origin = serve("/new/link", 6, "new");
    let url = origin.url("/new/link");
    let args = ["-d", "out", "-o", "a.iso", &url];
    let texts =
        ["out/a.iso: ", "ETag \"new\" instead of \"old\"", "→ what is there is kept; --same-content", "--restart"];
    place.towline(&args).run().code(1).says(&texts).writes_nothing();
    assert_eq!(journal_bytes(&place.out("a.iso.towline.json")), kept);

    let mut words = vec!["--same-content"];
    words.extend(args);
    place.towline(&words).run().code(0).says(&["the rest was already there"]);
    place.check("a.iso", 6, SIZE);
    assert_eq!(place.leftovers(), ["a.iso"]);
}

#[test]
fn a_restart_begins_again_from_the_new_link() {
    let place = Place::new();
    begin(&place, 7);
    let origin = serve("/new/link", 8, "new");
    let url = origin.url("/new/link");
    place.towline(&["--restart", "-d", "out", "-o", "a.iso", &url]).run().code(0);
    place.check("a.iso", 8, SIZE);
    assert_eq!(place.leftovers(), ["a.iso"]);
}
