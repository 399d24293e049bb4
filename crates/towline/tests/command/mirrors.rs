//! `--mirror`: what is said of sources, for people and for programs, and when all have failed.

use serde_json::Value;
use towline_origin::{Fault, Origin, Resource};
use towline_testkit::MIB;

use crate::common::Place;

/// An origin with `/a.bin`.
fn origin(seed: u64, bytes_per_sec: u64) -> Origin {
    Origin::builder()
        .resource(Resource::new("/a.bin", seed, 8 * MIB))
        .fault(Fault::RatePerConnection(bytes_per_sec))
        .start()
        .unwrap()
}

#[test]
fn v_says_what_each_source_brought_and_a_wrong_one_is_always_said() {
    let (slow, fast, wrong) = (origin(1, 1_000_000), origin(1, 6_000_000), origin(2, 6_000_000));
    let urls = [&slow, &fast, &wrong].map(|origin| origin.url("/a.bin"));
    for is_verbose in [true, false] {
        let place = Place::new();
        let mut args = vec!["-x", "4", "-d", "out", "--mirror", &urls[1], "--mirror", &urls[2], &urls[0]];
        if is_verbose {
            args.push("-v");
        }
        let outcome = place.towline(&args).run().code(0).writes_nothing();
        place.check("a.bin", 1, 8 * MIB);
        assert_eq!(place.leftovers(), ["a.bin"]);
        let outcome = outcome.says(&[&format!("continues without {}: its content differs", urls[2])]);
        let shares = [format!("from {}, ", urls[0]), format!("from {}, 0 B (0 %, dropped) from {}", urls[1], urls[2])];
        for share in &shares {
            assert_eq!(outcome.stderr.contains(share), is_verbose, "{share:?} in {outcome}");
        }
    }
}

#[test]
fn events_tell_of_sources() {
    let (first, wrong) = (origin(1, 2_000_000), origin(2, 6_000_000));
    let urls = [&first, &wrong].map(|origin| origin.url("/a.bin"));
    let place = Place::new();
    let args = ["--progress", "json", "-x", "3", "-d", "out", "--mirror", &urls[1], &urls[0]];
    let outcome = place.towline(&args).run().code(0);
    let events = outcome.lines();
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<&Value>>();
    let dropped = of("source_dropped");
    assert_eq!(dropped.len(), 1, "{outcome}");
    assert_eq!((&dropped[0]["url"], &dropped[0]["sources_left"]), (&Value::from(urls[1].as_str()), &Value::from(1)));
    assert_eq!(dropped[0]["error"]["kind"], "protocol");
    let shares = of("sources");
    assert_eq!(shares.len(), 1, "{outcome}");
    let shares = shares[0]["sources"].as_array().unwrap();
    assert_eq!(shares[0]["url"], urls[0].as_str());
    assert_eq!(shares[0]["fetched_bytes"], 8 * MIB);
    assert_eq!(shares[0]["dropped"], false);
    assert_eq!(shares[1]["fetched_bytes"], 0);
    assert_eq!(shares[1]["dropped"], true);
}

#[test]
fn when_all_sources_fail_each_is_named_with_its_reason() {
    let gone = Origin::builder().start().unwrap();
    let url = gone.url("/a.bin");
    let place = Place::new();
    // Nobody listens there.
    let mirror = "http://127.0.0.1:1/a.bin";
    place
        .towline(&["--retries", "0", "-d", "out", "--mirror", mirror, &url])
        .run()
        .code(1)
        .says(&[
            "none of 2 sources could bring it",
            &format!("{url}: the server answered 404 Not Found; {mirror}: "),
            "→ run the same command again",
        ])
        .writes_nothing();
    assert_eq!(place.leftovers(), Vec::<String>::new());
}

#[test]
fn a_mirror_is_for_one_file() {
    let place = Place::new();
    let args = ["--mirror", "http://m.invalid/a", "http://h.invalid/a", "http://h.invalid/b"];
    place.towline(&args).run().code(2).says(&["--mirror is for one file"]);
    place.towline(&["--mirror", "m.invalid/a", "http://h.invalid/a"]).run().code(2).says(&["https://m.invalid/a"]);
}
