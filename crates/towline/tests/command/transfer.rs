//! Options that change how bytes come.

use std::time::Duration;

use towline_origin::{Fault, Origin, Resource};
use towline_testkit::MIB;

use crate::common::Place;

#[test]
fn a_rate_limit_is_kept_over_all_connections() {
    let origin = Origin::builder().resource(Resource::new("/a.bin", 1, 2 * MIB)).start().unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    let outcome = place.towline(&["--limit-rate", "1M", "-x", "4", "-d", "out", &url]).run().code(0);
    place.check("a.bin", 1, 2 * MIB);
    let expected = Duration::from_millis(1500)..Duration::from_secs(4);
    assert!(expected.contains(&outcome.took), "{outcome}");
}

#[test]
fn what_fails_for_a_while_is_tried_again_and_v_says_so() {
    let unavailable = Fault::Status { code: 503, times: Some(2), retry_after: Some("1".to_owned()) };
    let origin = Origin::builder().resource(Resource::new("/a.bin", 1, 5000).fault(unavailable)).start().unwrap();
    let place = Place::new();
    place
        .towline(&["-v", "-d", "out", &origin.url("/a.bin")])
        .run()
        .code(0)
        .says(&["the server answered 503 Service Unavailable; try 2 in ", "try 3 in "]);
    place.check("a.bin", 1, 5000);
    assert_eq!(origin.stats().requests, 3);
}

#[test]
fn a_connection_that_stalls_is_replaced() {
    let stalls = Fault::StallAt(100_000, None).first(1);
    let origin = Origin::builder().resource(Resource::new("/a.bin", 1, MIB).fault(stalls)).start().unwrap();
    let place = Place::new();
    place.towline(&["--stall-timeout", "500ms", "-d", "out", &origin.url("/a.bin")]).run().code(0);
    place.check("a.bin", 1, MIB);
    assert_eq!(place.leftovers(), ["a.bin"]);
}

#[test]
fn a_version_of_http_can_be_forced() {
    let origin = Origin::builder().tls(true).http2(true).files("/{}.bin", 4, 5000, 1).start().unwrap();
    let place = Place::new();
    place.write("ca.pem", origin.ca_pem().unwrap());
    place.write("list.txt", &(0..4).map(|number| origin.url(&format!("/{number}.bin\n"))).collect::<String>());
    place.towline(&["--http1.1", "--ca-file", "ca.pem", "-i", "list.txt", "-d", "out"]).run().code(0);
    assert_eq!(origin.stats().http1_requests, 4);
    let again = ["--http2", "--ca-file", "ca.pem", "-i", "list.txt", "-d", "out/more"];
    place.towline(&again).run().code(0);
    assert_eq!(origin.stats().http2_requests, 4);
}
