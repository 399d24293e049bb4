//! `--dry-run`: what would be fetched is said, with its state; nothing is fetched and nothing is written.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use towline_origin::{Access, Graph, Origin, Resource, Sites};
use towline_testkit::{MIB, below, json_lines, wait_until};

use crate::common::proxy::Proxy;
use crate::common::{Place, Towline};

fn towline(place: &Place, graph: &Graph, args: &[&str]) -> Towline {
    place.towline(args).env("TOWLINE_GRAPH_URL", &graph.base()).env("TOWLINE_ONEDRIVE_TOKEN", "SECRET-token")
}

/// Everything below the place, with its content, but for SQLite's shared memory.
fn everything(place: &Place) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = below(place.root()).into_iter().filter(|path| !path.ends_with(".towline/ledger.sqlite-shm"));
    paths.map(|path| (path.clone(), fs::read(path).unwrap_or_default())).collect()
}

#[test]
fn what_a_service_has_new_changed_and_unfinished_is_said_and_nothing_is_touched() {
    let place = Place::new();
    let graph = Graph::builder().file("a.bin", 1, 5000).file("b/c.bin", 2, 6000).start().unwrap();
    let dry = ["--dry-run", "-d", "out", graph.link()];
    let outcome = towline(&place, &graph, &dry).run().code(0).says(&["would fetch 2 files, 10.7 KiB; 0 already there"]);
    assert!(outcome.stdout.contains("new           4.88 KiB  a.bin"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("b/c.bin"), "{}", outcome.stdout);
    assert!(!place.root().join("out").exists(), "not even the directory is made");

    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(0);
    graph.change(|tree| {
        tree.file("a.bin", 11, 7000).file("new.bin", 3, 100).file("big.iso", 4, 8 * MIB).rate(2_000_000)
    });
    let running = towline(&place, &graph, &["-d", "out", "--include", "big.iso", graph.link()]).start();
    let journal = place.out("big.iso.towline.json");
    wait_until("some of the large file", || towline_testkit::journal_bytes(&journal) > MIB);
    running.kill();
    fs::write(place.out("new.bin"), "mine").unwrap();

    let before = everything(&place);
    wait_until("the killed process's connections are closed", || graph.connections() == 0);
    let sent = graph.stats().sent_bytes;
    let outcome = towline(&place, &graph, &[&dry[..], &["--progress", "json"]].concat()).run().code(0);
    let planned: BTreeMap<String, Value> = json_lines(&outcome.stdout)
        .into_iter()
        .map(|line| (line["path"].as_str().unwrap().to_owned(), line["state"].clone()))
        .collect();
    let states = [("a.bin", "changed"), ("big.iso", "unfinished"), ("new.bin", "exists")];
    assert_eq!(planned, states.map(|(path, state)| (path.to_owned(), Value::from(state))).into());
    let _ = outcome.says(&["would fetch 2 files", "1 exists and would be compared, 1 already there"]);
    let after = everything(&place);
    assert!(after == before, "{:?} {:?}", before.keys(), after.keys());
    assert_eq!(graph.stats().sent_bytes, sent);
    assert!(!before.keys().any(|path| path.to_string_lossy().contains("SECRET")));
}

#[test]
fn urls_are_asked_for_their_names_and_the_entries_of_a_list_are_not() {
    let place = Place::new();
    let resource = Resource::new("/x", 1, 3000).header("Content-Disposition", "attachment; filename=\"named.bin\"");
    let origin = Origin::builder().resource(resource).files("/{}.bin", 3, 10, 5).start().unwrap();
    let outcome = place.towline(&["--dry-run", "-d", "out", &origin.url("/x")]).run().code(0);
    assert!(outcome.stdout.contains("2.93 KiB  named.bin"), "{}", outcome.stdout);
    let outcome = place.towline(&["--dry-run", "-d", "out", &origin.url("/none")]).run().code(1);
    let _ = outcome.says(&["404"]);

    let too_large = place.towline(&["--dry-run", "-d", "out", "--max-size", "1k", &origin.url("/x")]).run().code(1);
    let _ = too_large.says(&["at most 1.00 KiB are allowed", "would fetch 0 files"]);
    fs::create_dir(place.root().join("there")).unwrap();
    fs::write(place.root().join("there/named.bin"), "mine").unwrap();
    let skipping = ["--dry-run", "-d", "there", "--skip-existing", &origin.url("/x")];
    place.towline(&skipping).run().code(0).says(&["would fetch 0 files; 1 already there"]);

    let asked = origin.requests().len();
    place.write("list", &format!("{}\nnonsense://\n{}\n", origin.url("/0.bin"), origin.url("/1.bin")));
    let outcome = place.towline(&["--dry-run", "-d", "out", "-i", "list"]).run().code(1);
    assert!(outcome.stdout.contains("0.bin") && outcome.stdout.contains("1.bin"), "{}", outcome.stdout);
    let _ = outcome.says(&["line 2", "would fetch 2 files; 0 already there"]);
    let standard = place.towline(&["--dry-run", "-d", "out", "-i", "-"]).input(&origin.url("/2.bin")).run().code(0);
    assert!(standard.stdout.contains("2.bin"), "{}", standard.stdout);
    assert_eq!(origin.requests().len(), asked);
    assert!(!place.root().join("out").exists());
}

#[test]
fn a_link_to_one_file_is_asked_for_its_name() {
    let place = Place::new();
    let sites = Sites::builder().file("a", "film.mp4", 2, MIB).file("b", "x", 3, 9).access(Access::SignIn);
    let sites = sites.start().unwrap();
    place.write("ca.pem", sites.ca_pem());
    let proxy = Proxy::http(sites.addr()).url("http://");
    let common = ["--dry-run", "-d", "out", "--proxy", &proxy, "--ca-file", "ca.pem"];
    let link = sites.dropbox("a");
    let outcome = place.towline(&[&common[..], &[&link]].concat()).run().code(0);
    assert!(outcome.stdout.contains("1.00 MiB  film.mp4") && !outcome.stderr.contains("SECRET"), "{}", outcome.stderr);
    // A page is no file.
    let link = sites.dropbox("b");
    let outcome = place.towline(&[&common[..], &[&link]].concat()).run().code(1);
    let _ = outcome.says(&["only with people who sign in", "would fetch 0 files"]);
    assert_eq!(place.leftovers(), [""; 0]);

    let listed = place.towline(&["ls", "--proxy", &proxy, "--ca-file", "ca.pem", &sites.dropbox("a")]).run().code(0);
    assert!(listed.stdout.contains("1.00 MiB") && listed.stdout.contains("film.mp4"), "{}", listed.stdout);
}

#[test]
fn the_directories_of_entries_belong_to_their_names() {
    let origin = Origin::builder().files("/x/{}.bin", 1, 5000, 4).start().unwrap();
    let place = Place::new();
    let url = origin.url("/x/0.bin");
    fs::write(place.beside("0.bin"), "mine").unwrap();
    let shown = |args: &[&str], path: &str| {
        let outcome = place.towline(&[&["--dry-run"], args].concat()).run().code(0);
        assert!(outcome.stdout.starts_with("new ") && outcome.stdout.contains(path), "{}", outcome.stdout);
    };
    shown(&["--keep-dirs", &url], "  x/0.bin");
    place.write("list", &url);
    shown(&["--keep-dirs", "-i", "list"], "  x/0.bin");
    place.write("list", &format!("{url}\n  dir=d\n  out=0.bin\n"));
    shown(&["-i", "list"], "  d/0.bin");
}
