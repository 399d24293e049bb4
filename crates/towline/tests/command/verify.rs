//! `towline verify`: files against the ledger, and against a file of digests.

use std::fs;
use std::process::Command;

use md5::Digest as _;
use towline_origin::{Fault, Origin, Resource};
use towline_testkit::{content, wait_until};

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
    place.towline(&["verify", "out/0.bin"]).run().code(0).says(&["1 unchanged"]);
    fs::create_dir(place.out("sub")).unwrap();
    fs::copy(place.out("0.bin"), place.out("sub/0.bin")).unwrap();
    drop(place.towline(&["verify", "out/sub/0.bin"]).run().code(1).says(&["nothing is recorded of it"]));
    fs::write(place.out("0.bin"), "short").unwrap();
    fs::remove_file(place.out("1.bin")).unwrap();
    let content = fs::read(place.out("2.bin")).unwrap();
    fs::write(place.out("2.bin"), content).unwrap();
    let outcome = place.towline(&["verify", "out"]).run().code(4);
    assert_eq!(outcome.stdout, "0.bin: changed\n1.bin: missing\n2.bin: touched\n");
    let _ = outcome.says(&["1 unchanged (no digest)", "1 changed", "1 missing"]);
    place.towline(&["verify", "."]).run().code(2).says(&["there is no ledger here", "--checksum-file"]);
    // What a run could not bring is not known to be right.
    drop(place.towline(&["-d", "out", "-i", "list"]).run().code(1));
    let outcome = place.towline(&["verify", "out"]).run().code(1);
    let _ = outcome.says(&["3 unchanged (no digest)", "1 failed in the last run"]);
}

#[test]
fn what_is_not_fetched_yet_is_told() {
    let slow = Resource::new("/1.bin", SEED, 400_000).fault(Fault::RatePerConnection(20_000));
    let origin = Origin::builder().resource(Resource::new("/0.bin", SEED, SIZE)).resource(slow).start().unwrap();
    let place = Place::new();
    place.write("list", &[origin.url("/0.bin\n"), origin.url("/1.bin\n")].concat());
    let running = place.towline(&["-d", "out", "-i", "list"]).start();
    wait_until("the first file", || place.out("0.bin").exists() && place.out("1.bin.towline").exists());
    running.signal(libc::SIGINT);
    drop(running.finish().signal(libc::SIGINT));
    let _ = place.towline(&["verify", "out"]).run().code(1).says(&["1 unchanged", "1 not fetched yet"]);
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

#[test]
fn a_digest_that_the_user_gave_is_compared_again() {
    let origin = Origin::builder().files("/{}.bin", 1, SIZE, SEED).start().unwrap();
    let place = Place::new();
    let hex: String = md5::Md5::digest(content(SEED, SIZE)).iter().map(|byte| format!("{byte:02x}")).collect();
    place.towline(&["-d", "out", "--checksum", &format!("md5={hex}"), &origin.url("/0.bin")]).run().code(0);
    place.towline(&["verify", "out"]).run().code(0).says(&["1 right"]);
    let file = place.out("0.bin");
    let modified = fs::metadata(&file).unwrap().modified().unwrap();
    let mut changed = fs::read(&file).unwrap();
    changed[17] ^= 1;
    fs::write(&file, changed).unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
    place.towline(&["verify", "out"]).run().code(4).says(&["1 changed", "remove what is changed"]);
}

#[test]
fn what_is_no_regular_file_is_not_waited_for() {
    let place = Place::new();
    place.write("SHA256SUMS", &format!("{0}  pipe\n{0}  zero\n", "0".repeat(64)));
    place.fifo("pipe");
    std::os::unix::fs::symlink("/dev/zero", place.beside("zero")).unwrap();
    let outcome = place.towline(&["verify", "--checksum-file", "SHA256SUMS", "."]).run().code(3);
    let _ = outcome.says(&["pipe: is no regular file", "zero: is no regular file", "2 cannot be read"]);
}

#[test]
fn what_took_the_place_of_a_finished_file_is_not_waited_for() {
    let origin = Origin::builder().resource(Resource::new("/a.bin", SEED, 0)).start().unwrap();
    let place = Place::new();
    let empty = "d41d8cd98f00b204e9800998ecf8427e";
    place.write("list", &format!("{{\"url\":\"{}\",\"checksum\":\"md5={empty}\"}}\n", origin.url("/a.bin")));
    place.towline(&["-d", "out", "-i", "list"]).run().code(0);
    place.towline(&["verify", "out"]).run().code(0).says(&["1 right"]);
    fs::remove_file(place.out("a.bin")).unwrap();
    assert!(Command::new("mkfifo").arg(place.out("a.bin")).status().unwrap().success());
    for path in ["out", "out/a.bin"] {
        let outcome = place.towline(&["verify", path]).run().code(4);
        drop(outcome.says(&["1 changed"]));
    }
}

#[test]
fn a_ledger_above_that_cannot_be_read_hides_no_note() {
    let origin = Origin::builder().resource(Resource::new("/a.bin", SEED, SIZE)).start().unwrap();
    let place = Place::new();
    place.towline(&["-d", "out/sub", &origin.url("/a.bin")]).run().code(0);
    fs::create_dir_all(place.out(".towline/ledger.sqlite")).unwrap();
    place.towline(&["verify", "out/sub/a.bin"]).run().code(0).says(&["1 unchanged"]);
    fs::write(place.out("sub/other"), "mine").unwrap();
    drop(place.towline(&["verify", "out/sub/other"]).run().code(3).says(&["it is no regular file"]));
}

#[test]
fn files_that_were_fetched_one_by_one_are_compared_with_their_notes() {
    let digest = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    let origin = Origin::builder()
        .files("/{}.bin", 3, SIZE, SEED)
        .resource(Resource::new("/empty.bin", SEED, 0).header("Repr-Digest", digest))
        .start()
        .unwrap();
    let place = Place::new();
    let urls: Vec<String> = ["/0.bin", "/1.bin", "/2.bin", "/empty.bin"].map(|path| origin.url(path)).into();
    let args = ["-d", "out"].into_iter().chain(urls.iter().map(String::as_str)).collect::<Vec<_>>();
    place.towline(&args).run().code(0);
    place.towline(&["verify", "out"]).run().code(0).says(&["1 right, 3 unchanged (no digest)"]);
    fs::write(place.out("0.bin"), "short").unwrap();
    let content = fs::read(place.out("1.bin")).unwrap();
    // In place, as the note is on the file.
    fs::write(place.out("1.bin"), content).unwrap();
    fs::write(place.out("mine.txt"), "no download").unwrap();
    let outcome = place.towline(&["verify", "out"]).run().code(4);
    assert_eq!(outcome.stdout, "0.bin: changed\n1.bin: touched\n");
    let single = place.towline(&["verify", "-v", "out/2.bin", "out/empty.bin", "out/mine.txt", "out/none"]).run();
    let single = single.code(1).says(&["out/mine.txt: nothing is recorded of it", "1 unknown"]);
    assert_eq!(single.stdout, "out/2.bin: unchanged\nout/empty.bin: right\nout/none: missing\n");
}
