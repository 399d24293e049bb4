//! `--max-size`: what is larger fails, and everything else arrives.

use towline_origin::{Fault, Length, Origin, Resource};
use towline_testkit::MIB;

use crate::common::Place;

#[test]
fn a_file_that_is_too_large_is_1_and_the_others_of_the_list_arrive() {
    let origin = Origin::builder()
        .resource(Resource::new("/large.bin", 1, 4 * MIB))
        .resource(Resource::new("/endless.bin", 2, 4 * MIB).length(Length::Chunked))
        .resource(Resource::new("/small.bin", 3, MIB))
        .fault(Fault::RatePerConnection(8_000_000))
        .start()
        .unwrap();
    let place = Place::new();
    let urls = ["/large.bin", "/endless.bin", "/small.bin"].map(|path| origin.url(path));
    place.write("list.txt", &format!("{}\n{}\n{}\n", urls[0], urls[1], urls[2]));
    place.towline(&["--max-size", "1M", "-i", "list.txt", "-d", "out"]).run().code(1).says(&[
        "2 of 3 files failed",
        "/large.bin: out/large.bin: the file has 4.00 MiB (4194304 bytes), and at most 1.00 MiB are allowed",
        "/endless.bin: out/endless.bin: the file has more than the 1.00 MiB allowed",
        "→ allow more with --max-size",
    ]);
    place.check("small.bin", 3, MIB);
    // What has come of a file whose version is certain is of use to a run that allows more.
    assert_eq!(place.leftovers(), [".towline", "endless.bin.towline", "endless.bin.towline.json", "small.bin"]);

    // It is no failure for good: a later run may allow more.
    place.towline(&["--max-size", "4M", "-i", "list.txt", "-d", "out"]).run().code(0);
    place.check("large.bin", 1, 4 * MIB);
    place.check("endless.bin", 2, 4 * MIB);
}

#[test]
fn a_size_that_is_none_is_wrong_usage() {
    let place = Place::new();
    place.towline(&["--max-size", "much", "http://h/a"]).run().code(2).says(&["--max-size", "1024-based"]);
}
