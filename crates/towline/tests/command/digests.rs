//! Digests of servers: a file that has another one is a failure of its own kind, unless they are left
//! out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use towline_origin::{Origin, Resource};
use towline_testkit::{MIB, content};

use crate::common::Place;

/// `/a.bin` with the digest of the content `promised`.
fn origin(seed: u64, promised: u64, size: u64) -> Origin {
    let field = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(content(promised, size))));
    Origin::builder().resource(Resource::new("/a.bin", seed, size).header("Repr-Digest", &field)).start().unwrap()
}

#[test]
fn a_wrong_digest_is_4_and_names_the_field_and_both_digests() {
    for size in [5000, 3 * MIB] {
        let (origin, place) = (origin(1, 2, size), Place::new());
        let url = origin.url("/a.bin");
        let outcome = place.towline(&["-d", "out", &url]).run().code(4).writes_nothing();
        outcome.says(&[
            &format!("towline: {url}: out/a.bin: the content does not have the digest"),
            "in Repr-Digest (expected sha-256=",
            ", found sha-256=",
            "→ the next run fetches it again; --no-server-digest leaves out",
        ]);
        assert!(!place.out("a.bin").exists());
        place.towline(&["--no-server-digest", "-d", "out", &url]).run().code(0);
        place.check("a.bin", 1, size);
        assert_eq!(place.leftovers(), ["a.bin"]);
    }
}

#[test]
fn a_right_digest_is_shown_by_info_and_lets_the_file_through() {
    let (origin, place) = (origin(3, 3, 5000), Place::new());
    let url = origin.url("/a.bin");
    place.towline(&["-d", "out", &url]).run().code(0);
    place.check("a.bin", 3, 5000);
    let outcome = place.towline(&["info", &url]).run().code(0);
    assert!(outcome.stdout.contains("Repr-Digest: sha-256="), "{outcome}");
    let info = place.towline(&["info", "--json", &url]).run().code(0).lines().remove(0);
    assert!(info["digest"].as_str().is_some_and(|digest| digest.starts_with("Repr-Digest: sha-256=")), "{info}");
}

#[test]
fn a_malformed_digest_is_only_told_to_who_looks_closely() {
    let resource = Resource::new("/a.bin", 4, 5000).header("Content-Digest", "sha-256=nonsense");
    let origin = Origin::builder().resource(resource).start().unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    let outcome = place.towline(&["-d", "out", &url]).run().code(0);
    assert!(!outcome.stderr.contains("Content-Digest"), "{outcome}");
    place
        .towline(&["-v", "-d", "more", &url])
        .run()
        .code(0)
        .says(&["the Content-Digest that the server sends is not used"]);
    place.check("a.bin", 4, 5000);
}

#[test]
fn a_list_that_gives_another_digest_than_before_is_looked_at_again() {
    let size = 70_000;
    let origin = Origin::builder().resource(Resource::new("/a.bin", 5, size)).start().unwrap();
    let place = Place::new();
    let hex =
        |seed: u64| Sha256::digest(content(seed, size)).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let run = |digest: Option<String>| {
        let url = origin.url("/a.bin");
        let line = match digest {
            Some(digest) => format!("{{\"url\":\"{url}\",\"checksum\":\"sha-256={digest}\"}}\n"),
            None => format!("{{\"url\":\"{url}\"}}\n"),
        };
        place.write("list.jsonl", &line);
        place.towline(&["-d", "out", "-i", "list.jsonl"]).run()
    };
    run(None).code(0);
    run(Some(hex(5))).code(0);
    let asked = origin.stats().requests;
    run(Some(hex(5))).code(0);
    assert_eq!(origin.stats().requests, asked, "it was checked for this digest");
    run(Some(hex(6))).code(1).says(&["digest"]);
    place.check("a.bin", 5, size);
}
