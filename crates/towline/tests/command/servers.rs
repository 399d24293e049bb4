//! Servers that people have: nginx, python's, and the origin as a third.

use towline_origin::{Origin, Resource};
use towline_testkit::servers::{Nginx, Python};
use towline_testkit::{MIB, wait_until};

use crate::common::Place;

const FILES: u64 = 300;
const FILE_BYTES: u64 = 5000;
const SEED: u64 = 40;
/// What may be left beside the files of a batch.
const NOTHING_ELSE: [&str; 1] = [".towline"];

fn list(url: impl Fn(&str) -> String) -> String {
    (0..FILES).map(|number| url(&format!("/{number}.bin")) + "\n").collect()
}

fn check_all(place: &Place) {
    for number in 0..FILES {
        place.check(&format!("{number}.bin"), SEED + number, FILE_BYTES);
    }
    assert_eq!(place.leftovers_beside_numbered(FILES), NOTHING_ELSE);
    assert_eq!(place.leftovers().len() as u64, FILES + 1);
}

fn matching(nginx: &Nginx, end: &str) -> usize {
    nginx.log().iter().filter(|line| line.ends_with(end)).count()
}

#[test]
fn a_large_file_of_nginx_comes_in_pieces_without_and_with_tls() {
    let Some(nginx) = Nginx::start() else { return };
    let size = 256 * MIB;
    nginx.file("big.bin", SEED, size);
    let ca = nginx.ca_file();
    for url in [nginx.url("/big.bin"), nginx.tls_url("/big.bin")] {
        let place = Place::new();
        let pieces_before = matching(&nginx, " 206");
        let again = || place.towline(&["-x", "8", "-d", "out", "--ca-file", &ca, &url]);
        again().run().code(0).says(&["big.bin: 256 MiB in "]).writes_nothing();
        place.check("big.bin", SEED, size);
        // Beside the first response.
        wait_until("seven pieces in nginx's log", || matching(&nginx, " 206") >= pieces_before + 7);

        again().run().code(0).says(&["big.bin: already there"]);
        assert_eq!(place.leftovers(), ["big.bin"]);
    }
}

#[test]
fn many_small_files_of_nginx_come_over_http1_and_a_second_run_asks_for_nothing() {
    let Some(nginx) = Nginx::start() else { return };
    many_small_files(&nginx, list(|path| nginx.url(path)), " HTTP/1.1 200");
}

#[test]
fn many_small_files_of_nginx_come_over_http2_with_tls_and_a_second_run_asks_for_nothing() {
    let Some(nginx) = Nginx::start() else { return };
    many_small_files(&nginx, list(|path| nginx.tls_url(path)), " HTTP/2.0 200");
}

fn many_small_files(nginx: &Nginx, list: String, line_end: &str) {
    for number in 0..FILES {
        nginx.file(&format!("{number}.bin"), SEED + number, FILE_BYTES);
    }
    let place = Place::new();
    place.write("list.txt", &list);
    let ca = nginx.ca_file();
    let again = || place.towline(&["-i", "list.txt", "-d", "out", "--ca-file", &ca]);
    again().run().code(0).says(&["300 files, "]).writes_nothing();
    check_all(&place);
    wait_until("a line for each file in nginx's log", || matching(nginx, line_end) as u64 == FILES);
    assert_eq!(nginx.log().len() as u64, FILES, "each file needs one request");

    again().run().code(0).says(&["300 files, ", "300 already there"]);
    assert_eq!(nginx.log().len() as u64, FILES);
    check_all(&place);
}

#[test]
fn a_large_file_of_python_comes_over_one_connection_and_says_so_with_v() {
    let Some(python) = Python::start() else { return };
    let size = 64 * MIB;
    python.file("big.bin", SEED, size);
    let place = Place::new();
    let url = python.url("/big.bin");
    place
        // Not faster than the answer to a range can come.
        .towline(&["-v", "-x", "8", "--limit-rate", "64M", "-d", "out", &url])
        .run()
        .code(0)
        .says(&["fetched over one connection, without ranges", "big.bin: 64.0 MiB in "]);
    place.check("big.bin", SEED, size);
    // Two asked whether ranges work, with and without If-Range, and were broken off.
    assert_eq!(python.requests(), 3);

    place.towline(&["-x", "8", "-d", "out", &url]).run().code(0).says(&["big.bin: already there"]);
    assert_eq!(place.leftovers(), ["big.bin"]);
}

#[test]
fn many_small_files_of_python_arrive_and_a_second_run_asks_for_nothing() {
    let Some(python) = Python::start() else { return };
    for number in 0..FILES {
        python.file(&format!("{number}.bin"), SEED + number, FILE_BYTES);
    }
    let place = Place::new();
    place.write("list.txt", &list(|path| python.url(path)));
    place.towline(&["-i", "list.txt", "-d", "out"]).run().code(0).says(&["300 files, "]);
    check_all(&place);
    assert_eq!(python.requests() as u64, FILES);

    place.towline(&["-i", "list.txt", "-d", "out"]).run().code(0).says(&["300 already there"]);
    assert_eq!(python.requests() as u64, FILES);
}

#[test]
fn a_large_file_of_the_origin_comes_in_pieces() {
    let size = 256 * MIB;
    let origin = Origin::builder().resource(Resource::new("/big.bin", SEED, size)).start().unwrap();
    let place = Place::new();
    let url = origin.url("/big.bin");
    place.towline(&["-x", "8", "-d", "out", &url]).run().code(0).writes_nothing();
    place.check("big.bin", SEED, size);
    let pieces = origin.requests().iter().filter(|request| request.status == 206).count();
    // Beside the first response.
    assert!(pieces >= 7, "{pieces} pieces");
    assert!(origin.stats().connections_peak >= 8);

    place.towline(&["-x", "8", "-d", "out", &url]).run().code(0).says(&["already there"]);
    assert_eq!(place.leftovers(), ["big.bin"]);
}

#[test]
fn many_small_files_of_the_origin_arrive_and_a_list_may_be_standard_input() {
    let origin = Origin::builder().tls(true).http2(true).files("/{}.bin", FILES, FILE_BYTES, SEED).start().unwrap();
    let place = Place::new();
    place.write("ca.pem", origin.ca_pem().unwrap());
    let list = list(|path| origin.url(path));
    let again = || place.towline(&["get", "-i", "-", "-d", "out", "--ca-file", "ca.pem"]).input(&list);
    again().run().code(0).says(&["300 files, "]);
    check_all(&place);
    assert_eq!(origin.stats().http2_requests, FILES);

    again().run().code(0).says(&["300 already there"]);
    assert_eq!(origin.stats().requests, FILES);
}

#[test]
fn info_tells_what_nginx_and_the_origin_say() {
    let origin = Origin::builder().resource(Resource::new("/a.bin", 1, 12_345)).start().unwrap();
    let place = Place::new();
    let outcome = place.towline(&["info", &origin.url("/a.bin")]).run().code(0);
    let fields: Vec<Vec<&str>> =
        outcome.stdout.lines().map(|line| line.splitn(2, ':').map(str::trim).collect()).collect();
    for expected in [
        ["status", "206"],
        ["name", "a.bin"],
        ["type", "application/octet-stream"],
        ["length", "12345 (12.1 KiB)"],
        ["ranges", "yes"],
        ["etag", "\"1-3039\""],
        ["protocol", "HTTP/1.1"],
    ] {
        assert!(fields.iter().any(|field| *field == expected), "{expected:?} in {outcome}");
    }

    let Some(nginx) = Nginx::start() else { return };
    nginx.file("b.bin", 2, 5000);
    let outcome = place.towline(&["info", "--json", "--ca-file", &nginx.ca_file(), &nginx.tls_url("/b.bin")]).run();
    let info = outcome.code(0).lines().remove(0);
    assert_eq!(info["file_name"], "b.bin");
    assert_eq!(info["total_bytes"], 5000);
    assert_eq!(info["ranges"], true);
    assert_eq!(info["protocol"], "HTTP/2");
    assert_eq!(place.leftovers(), Vec::<String>::new());
}
