//! `-o -`: a file to standard output, a named pipe or a device, in order.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::thread;

use md5::{Digest as _, Md5};
use towline_origin::{ETag, Fault, Length, Origin, Ranges, Resource, Scope};
use towline_testkit::{MIB, content, wait_until};

use crate::common::Place;

const SIZE: u64 = 5 * MIB + 17;
const SEED: u64 = 70;

fn origin(size: u64) -> Origin {
    Origin::builder().resource(Resource::new("/a.bin", SEED, size)).start().unwrap()
}

/// What comes to the standard output, with the exit code.
fn stdout_of(place: &Place, args: &[&str]) -> (Vec<u8>, i32, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_towline"));
    crate::common::clean(&mut command);
    let output = command.args(args).current_dir(place.root()).output().unwrap();
    (output.stdout, output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_file_comes_in_order_over_several_connections() {
    for (size, args) in [(SIZE, &["-x", "4", "--piece-size", "256k"][..]), (20, &[]), (0, &[]), (100_000, &[])] {
        let origin = origin(size);
        let place = Place::new();
        let (came, code, said) = stdout_of(&place, &[args, &["-o", "-", &origin.url("/a.bin")]].concat());
        assert_eq!((code, said.as_str()), (0, ""), "{size}");
        assert!(came == content(SEED, size), "{size}: {} bytes came", came.len());
        assert_eq!(fs::read_dir(place.root()).unwrap().count(), 0, "nothing stays");
    }
}

#[test]
fn a_wrong_digest_is_known_after_the_last_byte() {
    let origin = origin(SIZE);
    let place = Place::new();
    let wrong = format!("md5={}", "0".repeat(32));
    let (came, code, said) = stdout_of(&place, &["-o", "-", "--checksum", &wrong, &origin.url("/a.bin")]);
    assert_eq!(code, 4, "{said}");
    assert!(came == content(SEED, SIZE));
}

#[test]
fn what_was_passed_on_is_not_taken_back() {
    let changed = Fault::ChangeEtagAt { request: 2, etag: "\"new\"".to_owned(), seed: SEED + 1 };
    let file = Resource::new("/a.bin", SEED, SIZE).fault(changed).fault(Fault::CutAt(MIB));
    let origin = Origin::builder().resource(file).start().unwrap();
    let place = Place::new();
    let (came, code, said) = stdout_of(&place, &["-x", "1", "-o", "-", "--retries", "3", &origin.url("/a.bin")]);
    assert_eq!(code, 1, "{said}");
    assert!(content(SEED, SIZE).starts_with(&came), "{} bytes came, of two versions", came.len());
}

/// An export without a length or a version, which no range goes on with: it comes once more, from its beginning.
#[test]
fn what_begins_again_goes_on_where_it_was_passed_on_to() {
    let export = Resource::new("/a.bin", SEED, SIZE)
        .etag(ETag::None)
        .last_modified(None)
        .ranges(Ranges::Ignored)
        .length(Length::Chunked)
        .fault(Fault::CutAt(MIB).when(Scope::every().first(1)));
    let origin = Origin::builder().resource(export).start().unwrap();
    let place = Place::new();
    let (came, code, said) = stdout_of(&place, &["-o", "-", &origin.url("/a.bin")]);
    assert_eq!(code, 0, "{said}");
    assert!(came == content(SEED, SIZE), "{} bytes came", came.len());
    assert_eq!(origin.stats().requests, 2);
}

/// By the time that the digest tells, they are through.
#[test]
fn bytes_of_a_wrong_mirror_that_were_passed_on_are_an_error() {
    let size = 12 * MIB;
    let origin =
        |file: Resource, rate| Origin::builder().resource(file.fault(Fault::RatePerConnection(rate))).start().unwrap();
    let file = |tag: &str| Resource::new("/a.bin", SEED, size).etag(ETag::Custom(format!("\"{tag}\"")));
    let right = origin(file("right"), 1 << 20);
    let wrong = origin(file("wrong").fault(Fault::OtherContent { from: 6 * MIB, seed: SEED + 1 }), 64 << 20);
    let hex: String = Md5::digest(content(SEED, size)).iter().map(|byte| format!("{byte:02x}")).collect();
    let checksum = format!("md5={hex}");
    let place = Place::new();
    let args = ["-x", "2", "-o", "-", "--mirror", &wrong.url("/a.bin"), "--checksum", &checksum, &right.url("/a.bin")];
    let (came, code, said) = stdout_of(&place, &args);
    assert_eq!(code, 4, "{} bytes came: {said}", came.len());
    assert!(came != content(SEED, size) && said.contains("does not have the md5 digest"), "{said}");
}

#[test]
fn named_pipes_and_devices_are_written_to() {
    let origin = origin(SIZE);
    let place = Place::new();
    place.towline(&["-o", "/dev/null", &origin.url("/a.bin")]).run().code(0);
    place.fifo("pipe");
    let pipe = place.root().join("pipe");
    let reader = thread::spawn(move || {
        let mut came = Vec::new();
        fs::File::open(pipe).unwrap().read_to_end(&mut came).unwrap();
        came
    });
    // A relative name is one in the directory.
    place.towline(&["-o", "pipe", &origin.url("/a.bin")]).run().code(0);
    place.towline(&["-d", "out", "-o", "pipe", &origin.url("/a.bin")]).run().code(0);
    assert!(fs::read(place.out("pipe")).unwrap() == content(SEED, SIZE), "there it is a file");
    assert!(reader.join().unwrap() == content(SEED, SIZE));
}

#[test]
fn a_reader_that_wants_no_more_ends_it_quietly() {
    let origin = origin(50 * MIB);
    origin.set_faults([Fault::RatePerServer(20 << 20).into()]);
    let place = Place::new();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_towline"));
    crate::common::clean(&mut command);
    let args = ["-o", "-", "--progress", "none", &origin.url("/a.bin")];
    let mut child =
        command.args(args).current_dir(place.root()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut beginning = vec![0; 1000];
    child.stdout.take().unwrap().read_exact(&mut beginning).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(beginning == content(SEED, 1000));
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
    assert!(origin.stats().body_bytes < 50 * MIB);
}

#[test]
fn what_is_on_its_way_to_an_output_is_private_and_goes_with_the_run() {
    let slow = Resource::new("/a.bin", SEED, SIZE).fault(Fault::RatePerConnection(500_000));
    let origin = Origin::builder().resource(slow).start().unwrap();
    let place = Place::new();
    let temporary = place.root().join("temporary");
    fs::create_dir(&temporary).unwrap();
    let args = ["-x", "1", "-o", "-", &origin.url("/a.bin")];
    let running = place.towline(&args).env("TMPDIR", temporary.to_str().unwrap()).start();
    wait_until("some bytes", || origin.stats().body_bytes > 100_000);
    let dirs: Vec<_> = fs::read_dir(&temporary).unwrap().map(Result::unwrap).collect();
    assert_eq!(dirs.len(), 1);
    assert_eq!(dirs[0].metadata().unwrap().permissions().mode() & 0o777, 0o700);
    running.signal(libc::SIGINT);
    drop(running.finish());
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
}

#[test]
fn only_one_file_goes_to_one_output() {
    let place = Place::new();
    place.towline(&["-o", "-", "http://h/a", "http://h/b"]).run().code(2);
    place.towline(&["-o", "-", "http://h/[1-2]"]).run().code(2);
    place.towline(&["-o", "-", "--progress", "json", "http://h/a"]).run().code(2).says(&["--progress json"]);
}

#[test]
fn a_wrong_digest_is_the_reason_with_mirrors_too() {
    let (one, two) = (origin(200_000), origin(200_000));
    let place = Place::new();
    let wrong = format!("md5={}", "0".repeat(32));
    let args = ["-o", "-", "--checksum", &wrong, "--mirror", &two.url("/a.bin"), &one.url("/a.bin")];
    let (came, code, said) = stdout_of(&place, &args);
    assert_eq!(code, 4, "{said}");
    assert!(came == content(SEED, 200_000) && !said.contains("another process"), "{said}");
}

#[test]
fn an_interrupted_stream_says_that_nothing_is_kept() {
    let slow = Resource::new("/a.bin", SEED, SIZE).fault(Fault::RatePerConnection(500_000));
    let origin = Origin::builder().resource(slow).start().unwrap();
    let place = Place::new();
    let running = place.towline(&["-x", "1", "-o", "-", &origin.url("/a.bin")]).start();
    wait_until("some bytes", || origin.stats().body_bytes > 100_000);
    running.signal(libc::SIGINT);
    let outcome = running.finish();
    let _ = outcome.says(&["Interrupted. What goes to a stream is not kept"]).hides("Run the same command again");
}
