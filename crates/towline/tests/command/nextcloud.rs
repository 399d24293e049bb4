//! Public shares of Nextcloud, against a look-alike: a link becomes its tree, digests are checked, a second run asks
//! for folders only, and each refusal says what it is.

use std::fs;

use sha2::{Digest as _, Sha256};
use towline_origin::{Nextcloud, NextcloudBuilder};
use towline_testkit::{MIB, content};

use crate::common::Place;

const LARGE: u64 = 12 * MIB;

fn share() -> NextcloudBuilder {
    let digest: String = Sha256::digest(content(1, 5000)).iter().map(|byte| format!("{byte:02X}")).collect();
    let share = Nextcloud::builder().file("a.bin", 1, 5000).checksum(&format!("SHA256:{digest} ADLER32:01234567"));
    let share = share.file("films/large.mp4", 2, LARGE).file("a #%&/100%/ü.txt", 3, 300);
    share.file(&format!("{}/deep.txt", vec!["d".repeat(60); 7].join("/")), 4, 400)
}

fn assert_tree(place: &Place) {
    place.check("a.bin", 1, 5000);
    place.check("films/large.mp4", 2, LARGE);
    place.check("a #%&/100%/ü.txt", 3, 300);
    place.check(&format!("{}/deep.txt", vec!["d".repeat(60); 7].join("/")), 4, 400);
}

#[test]
fn a_public_share_comes_whole_and_a_second_run_asks_for_folders_only() {
    let (place, cloud) = (Place::new(), share().busy(1).start().unwrap());
    place.towline(&["-d", "out", &cloud.link()]).run().code(0);
    assert_tree(&place);
    let stats = cloud.stats();
    assert!(stats.sent_bytes < LARGE + MIB, "nothing comes twice: {stats:?}");
    place.towline(&["-d", "out", &cloud.link()]).run().code(0).says(&["4 already there"]);
    assert_eq!(cloud.stats().sent_bytes, stats.sent_bytes);

    cloud.change(|share| share.file("a.bin", 11, 6000));
    place.towline(&["-d", "out", &cloud.link()]).run().code(0);
    place.check("a.bin", 11, 6000);
    assert_eq!(cloud.stats().sent_bytes, stats.sent_bytes + 6000);
}

#[test]
fn a_share_with_a_password_is_for_who_gives_it() {
    let (place, cloud) = (Place::new(), share().password("SECRET-pw").start().unwrap());
    let wrong = cloud.link_with("SECRET-wrong");
    for (link, says) in [(cloud.link(), "wants a name and a password"), (wrong, "does not accept the name")] {
        for args in [&["-d", "out", &link][..], &["ls", &link]] {
            let outcome = place.towline(args).run().code(1).says(&[says]);
            assert!(!outcome.stderr.contains("SECRET"), "{}", outcome.stderr);
        }
    }
    let log = place.beside("log").to_string_lossy().into_owned();
    let args = ["-vv", "--log", &log, "--progress", "json", "-d", "out", &cloud.link_with("SECRET-pw")];
    let outcome = place.towline(&args).run().code(0);
    assert_tree(&place);
    assert!(!outcome.stderr.contains("SECRET") && !outcome.stdout.contains("SECRET"));
    for path in towline_testkit::below(place.root()) {
        let written = fs::read(&path).unwrap_or_default();
        assert!(!written.windows(6).any(|part| part == b"SECRET"), "{}", path.display());
    }
}

#[test]
fn a_wrong_digest_keeps_its_file_away_and_no_other() {
    let wrong = "00".repeat(32);
    let cloud = share().file("wrong.bin", 5, 9000).checksum(&format!("SHA256:{wrong}")).start().unwrap();
    let place = Place::new();
    place.towline(&["-d", "out", &cloud.link()]).run().code(4).says(&["wrong.bin", "the digest that WebDAV lists"]);
    assert_tree(&place);
    assert!(!place.out("wrong.bin").exists());
}

/// Its size alone says that the user's file is the share's, so it stays the user's.
#[test]
fn a_file_that_only_its_size_speaks_for_is_not_replaced_by_a_later_version() {
    let (place, cloud) = (Place::new(), Nextcloud::builder().file("a.bin", 61, 5000).start().unwrap());
    let own = vec![b'm'; 5000];
    fs::create_dir_all(place.out("")).unwrap();
    fs::write(place.out("a.bin"), &own).unwrap();
    let args = ["-d", "out", &cloud.link()];
    place.towline(&[&["--trust-size"], &args[..]].concat()).run().code(0).says(&["1 already there"]);
    cloud.change(|share| share.file("a.bin", 62, 6000));
    for _ in 0..2 {
        place.towline(&args).run().code(1).says(&["a.bin", "--overwrite"]);
        assert_eq!(fs::read(place.out("a.bin")).unwrap(), own);
    }
    place.towline(&[&["--overwrite"], &args[..]].concat()).run().code(0);
    place.check("a.bin", 62, 6000);
    // That one is Towline's own.
    cloud.change(|share| share.file("a.bin", 63, 7000));
    place.towline(&args).run().code(0);
    place.check("a.bin", 63, 7000);
}

#[test]
fn a_version_that_was_only_measured_is_looked_for_again() {
    let (place, cloud) = (Place::new(), Nextcloud::builder().file("a.bin", 64, 5000).start().unwrap());
    let args = ["-d", "out", &cloud.link()];
    place.towline(&args).run().code(0);
    cloud.change(|share| share.file("a.bin", 65, 5000));
    place.towline(&[&["--trust-size"], &args[..]].concat()).run().code(0);
    place.check("a.bin", 64, 5000);
    place.towline(&args).run().code(0);
    place.check("a.bin", 65, 5000);
}

/// All shares of a server have their files at the same URLs.
#[test]
fn another_share_in_the_same_directory_replaces_nothing() {
    let place = Place::new();
    let (one, other) = (share().start().unwrap(), Nextcloud::builder().file("a.bin", 21, 5000).start().unwrap());
    place.towline(&["-d", "out", &one.link()]).run().code(0);
    place.towline(&["-d", "out", &other.link()]).run().code(1).says(&["a.bin", "another entry has this name"]);
    place.check("a.bin", 1, 5000);
}

#[test]
fn a_file_of_another_size_than_listed_is_not_taken_for_it() {
    for size in [0, 500, 1500] {
        let (place, cloud) = (Place::new(), share().file("odd.txt", 6, 1000).sent_as(size).start().unwrap());
        let outcome = place.towline(&["-d", "out", &cloud.link()]).run().code(1);
        let _ = outcome.says(&[&format!("the file has {size} bytes, and WebDAV lists it with 1000")]);
        assert!(!place.out("odd.txt").exists());
        assert_tree(&place);
    }
}

#[test]
fn a_link_that_shares_nothing_is_said_to() {
    let (place, cloud) = (Place::new(), share().start().unwrap());
    let other = cloud.link().replace("AbCd", "XbCd");
    place.towline(&["-d", "out", &other]).run().code(1).says(&["wants a name and a password"]);
}
