//! `towline verify`: files against the ledger, and against a file of digests.

use std::fs;
use std::process::Command;

use towline_origin::{Origin, Resource};

use crate::common::Place;

const SIZE: u64 = 5000;
const SEED: u64 = 80;

#[test]
fn files_are_compared_with_the_ledger() {
    let origin = Origin::builder().files("/{}.bin", 4, SIZE, SEED).start().unwrap();
    let place = Place::new();
    place.write("list", &(0..4).map(|number| origin.url(&format!("/{number}.bin\n"))).collect::<String>());
    place.towline(&["-d", "out", "-i", "list"]).run().code(0);
    place.towline(&["verify", "out"]).run().code(0).says(&["4 unchanged"]);
    fs::write(place.out("0.bin"), "short").unwrap();
    fs::remove_file(place.out("1.bin")).unwrap();
    let content = fs::read(place.out("2.bin")).unwrap();
    fs::write(place.out("2.bin"), content).unwrap();
    let outcome = place.towline(&["verify", "out"]).run().code(4);
    assert_eq!(outcome.stdout, "0.bin: changed\n1.bin: missing\n2.bin: touched\n");
    let _ = outcome.says(&["1 unchanged (no digest)", "1 changed", "1 missing"]);
    place.towline(&["verify", "."]).run().code(2).says(&["there is no ledger here", "--checksum-file"]);
}

#[test]
fn a_digest_that_was_checked_is_compared_again() {
    let file = Resource::new("/a.bin", SEED, SIZE);
    let origin = Origin::builder().resource(file).start().unwrap();
    let place = Place::new();
    towline_testkit::write_seeded(&place.root().join("a.bin"), SEED, SIZE);
    let make = Command::new("sha256sum").arg("a.bin").current_dir(place.root()).output().unwrap();
    place.write("SHA256SUMS", &String::from_utf8(make.stdout).unwrap());
    place.write("list", &origin.url("/a.bin"));
    place.towline(&["-d", "out", "-i", "list", "--checksum-file", "SHA256SUMS"]).run().code(0);
    let outcome = place.towline(&["verify", "-v", "out"]).run().code(0);
    assert_eq!(outcome.stdout, "a.bin: right\n");
    place.towline(&["verify", "--checksum-file", "SHA256SUMS", "out"]).run().code(0).says(&["1 right"]);
    let mut content = fs::read(place.out("a.bin")).unwrap();
    content[100] ^= 1;
    fs::write(place.out("a.bin"), content).unwrap();
    for args in [&["verify", "out"][..], &["verify", "--checksum-file", "SHA256SUMS", "out"]] {
        let outcome = place.towline(args).run().code(4);
        assert_eq!(outcome.stdout, "a.bin: changed\n");
    }
}
