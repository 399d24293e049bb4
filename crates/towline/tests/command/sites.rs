//! Links of Dropbox, Google Drive and SharePoint that lead to one file, against look-alikes that are reached under the
//! services' own names, through a proxy: the file comes under its own name, and each refusal says what it is.

use std::fs;

use towline_origin::{Access, Sites, SitesBuilder};
use towline_testkit::{MIB, wait_until};

use crate::common::proxy::Proxy;
use crate::common::{Outcome, Place};

const SMALL: u64 = 70_000;
const LARGE: u64 = 6 * MIB;

fn files() -> SitesBuilder {
    let files = Sites::builder().file("small", "notes a.txt", 1, SMALL).file("large", "film.mp4", 2, LARGE);
    let files = files.file("made", "folder.zip", 3, 400_000).access(Access::Made);
    let files = files.file("signin", "x.bin", 4, SMALL).access(Access::SignIn);
    let files = files.file("password", "x.bin", 5, SMALL).access(Access::Password);
    let files = files.file("quota", "x.bin", 6, SMALL).access(Access::OverQuota);
    files.file("gone", "x.bin", 7, SMALL).access(Access::Gone)
}

/// A run over the proxy that leads to the look-alikes.
fn fetch(place: &Place, sites: &Sites, args: &[&str]) -> Outcome {
    place.write("ca.pem", sites.ca_pem());
    let proxy = Proxy::http(sites.addr()).url("http://");
    let common = ["-d", "out", "--proxy", &proxy, "--ca-file", "ca.pem"];
    let outcome = place.towline(&[&common, args].concat()).run();
    assert!(!outcome.stderr.contains("SECRET") && !outcome.stdout.contains("SECRET"), "{}", outcome.stderr);
    outcome
}

/// No part of a link that lets others in is kept anywhere.
fn assert_no_secret(place: &Place) {
    for path in towline_testkit::below(place.root()) {
        let content = fs::read(&path).unwrap_or_default();
        assert!(!content.windows(6).any(|part| part == b"SECRET"), "{}", path.display());
    }
}

#[test]
fn a_link_brings_its_file_under_its_own_name() {
    let link: [fn(&Sites, &str) -> String; 3] = [Sites::dropbox, Sites::google_drive, Sites::sharepoint];
    for link in link {
        let (place, sites) = (Place::new(), files().start().unwrap());
        for (id, name, seed, size) in [("small", "notes a.txt", 1, SMALL), ("large", "film.mp4", 2, LARGE)] {
            fetch(&place, &sites, &[&link(&sites, id)]).code(0);
            place.check(name, seed, size);
        }
        let sent = sites.stats().sent_bytes;
        assert!(sent < SMALL + LARGE + MIB, "nothing comes twice: {sent}");
        assert_no_secret(&place);
        // Again: it is there.
        fetch(&place, &sites, &[&link(&sites, "large")]).code(0).says(&["already there"]);
    }
}

#[test]
fn links_to_bytes_that_expire_are_asked_for_again_and_nothing_is_lost() {
    let (place, sites) = (Place::new(), files().rate(3_000_000).start().unwrap());
    let link = sites.dropbox("large");
    std::thread::scope(|scope| {
        let fetching = scope.spawn(|| fetch(&place, &sites, &[&link]));
        for share in [1, 3] {
            wait_until("more of the file", || sites.stats().sent_bytes > LARGE / 5 * share);
            sites.expire_links();
        }
        fetching.join().unwrap().code(0);
    });
    place.check("film.mp4", 2, LARGE);
    let stats = sites.stats();
    // A new link is compared by samples.
    assert!(stats.links > 2 && stats.sent_bytes < LARGE + 4 * MIB, "{stats:?}");
    assert_no_secret(&place);
}

#[test]
fn a_folder_of_dropbox_comes_as_one_archive() {
    let (place, sites) = (Place::new(), files().start().unwrap());
    let link = sites.dropbox("made").replace("/fi/", "/fo/");
    fetch(&place, &sites, &[&link]).code(0);
    place.check("folder.zip", 3, 400_000);
    fetch(&place, &sites, &["https://drive.google.com/drive/folders/1AbC"]).code(1).says(&["cannot be listed"]);
}

#[test]
fn a_refusal_says_what_it_is() {
    let (place, sites) = (Place::new(), files().start().unwrap());
    let refusals: [(String, &[&str]); 9] = [
        (sites.dropbox("signin"), &["\"Login - Dropbox\"", "only with people who sign in"]),
        (sites.dropbox("password"), &["the link wants a password"]),
        (sites.dropbox("quota"), &["429"]),
        (sites.dropbox("gone"), &["410"]),
        (sites.google_drive("signin"), &["\"Sign in to your account\"", "not shared with everybody"]),
        (sites.google_drive("quota"), &["\"Google Drive - Quota exceeded\"", "too many people have fetched"]),
        (sites.google_drive("gone"), &["404"]),
        (sites.sharepoint("signin"), &["not shared with everybody", "`towline login onedrive`"]),
        (sites.sharepoint("gone"), &["404"]),
    ];
    for (link, says) in refusals {
        fetch(&place, &sites, &["--retries", "1", &link]).code(1).says(says);
    }
    assert!(place.leftovers().iter().all(|name| name.starts_with(".towline")), "{:?}", place.leftovers());
    let wrong = Sites::builder().file("a", "a.bin", 8, SMALL).hash("crc32c=AAAAAA==").start().unwrap();
    fetch(&place, &wrong, &[&wrong.google_drive("a")]).code(4).says(&["x-goog-hash"]);
    assert!(!place.out("a.bin").exists());
}

#[test]
fn a_page_that_its_owner_has_shared_is_a_file() {
    let place = Place::new();
    let sites = Sites::builder().file("page", "report.html", 9, SMALL).start().unwrap();
    fetch(&place, &sites, &[&sites.google_drive("page")]).code(0);
    place.check("report.html", 9, SMALL);
}
