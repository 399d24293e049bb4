//! OneDrive by Microsoft Graph, against a look-alike: a link becomes its tree, a second run asks for what is new, and
//! each refusal says what it is and what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use towline_origin::{Graph, GraphBuilder};
use towline_testkit::{MIB, number, wait_until};

use crate::common::{Place, Towline};

const TOKEN: &str = "SECRET-token";

/// A run against this service, with its token.
fn towline(place: &Place, graph: &Graph, args: &[&str]) -> Towline {
    place.towline(args).env("TOWLINE_GRAPH_URL", &graph.base()).env("TOWLINE_ONEDRIVE_TOKEN", TOKEN)
}

/// The same without a token, with a home of its own.
fn signed_out(place: &Place, graph: &Graph, args: &[&str]) -> Towline {
    let home = place.beside("home").to_string_lossy().into_owned();
    place
        .towline(args)
        .env("TOWLINE_GRAPH_URL", &graph.base())
        .env("TOWLINE_LOGIN_URL", &graph.base())
        .env("XDG_CONFIG_HOME", &home)
}

/// Fails if a token or a link to bytes stands anywhere below a directory, in names or files.
fn assert_no_secret(dir: &Path, but: &str) {
    for found in fs::read_dir(dir).unwrap().flatten() {
        let path = found.path();
        assert!(!path.to_string_lossy().contains("SECRET"), "{}", path.display());
        if path.is_dir() {
            assert_no_secret(&path, but);
        } else if !path.ends_with(but) {
            let content = fs::read(&path).unwrap();
            let has = |secret: &[u8]| content.windows(secret.len()).any(|part| part == secret);
            assert!(!has(b"SECRET") && !has(b"tempauth"), "{} has a secret", path.display());
        }
    }
}

/// Fails if a file is not what the service sends for an Office file.
fn check_office(place: &Place, name: &str, seed: u64, size: u64) {
    let mut expected = vec![0; usize::try_from(size).unwrap()];
    towline_origin::fill(seed, 0, &mut expected);
    towline_origin::fill_archive(size, 0, &mut expected);
    assert!(fs::read(place.out(name)).unwrap() == expected, "{name} has other bytes");
}

fn tree() -> GraphBuilder {
    let tree = Graph::builder().page_len(3).file("a.bin", 1, 5000).file("big.iso", 2, 8 * MIB);
    let tree = tree.file("photos/2026/one.jpg", 3, 70_000).file("photos/2026/two.jpg", 4, 0);
    tree.file("a #%&/100%.txt", 5, 300).file(&format!("{}/deep.txt", vec!["d".repeat(60); 7].join("/")), 6, 400)
}

#[test]
fn one_link_brings_the_whole_tree_through_refusals_and_links_that_expire() {
    let place = Place::new();
    let graph = tree().busy_every(4, false).link_lives(Duration::from_millis(700)).rate(2_500_000).start().unwrap();
    let outcome = towline(&place, &graph, &["-d", "out", graph.link()]).run().code(0);
    outcome.says(&["6 files"]);
    place.check("a.bin", 1, 5000);
    place.check("big.iso", 2, 8 * MIB);
    place.check("photos/2026/one.jpg", 3, 70_000);
    place.check("photos/2026/two.jpg", 4, 0);
    place.check("a #%&/100%.txt", 5, 300);
    place.check(&format!("{}/deep.txt", vec!["d".repeat(60); 7].join("/")), 6, 400);
    let stats = graph.stats();
    assert!(stats.busy > 0 && stats.expired > 0 && stats.tokens_sent == 0, "{stats:?}");
    assert!(stats.sent_bytes < 9 * MIB, "nothing comes twice: {stats:?}");
    assert_no_secret(place.root(), "nothing");

    // Again: only the folders are asked for.
    let before = graph.stats();
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(0).says(&["6 already there"]);
    let after = graph.stats();
    assert_eq!((after.sent_bytes, after.located), (before.sent_bytes, before.located));
}

#[test]
fn what_is_new_or_changed_is_fetched_and_what_is_gone_is_said() {
    let place = Place::new();
    let graph = tree().start().unwrap();
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(0);
    graph.change(|tree| tree.file("a.bin", 11, 6000).file("new.bin", 12, 700).without("photos/2026/one.jpg"));
    let sent = graph.stats().sent_bytes;
    let outcome = towline(&place, &graph, &["-d", "out", graph.link()]).run().code(0);
    outcome.says(&["photos/2026/one.jpg is not listed any more"]);
    place.check("a.bin", 11, 6000);
    place.check("new.bin", 12, 700);
    place.check("photos/2026/one.jpg", 3, 70_000);
    assert_eq!(graph.stats().sent_bytes - sent, 6700);

    // A file that its user has changed is not replaced.
    fs::write(place.out("new.bin"), "mine").unwrap();
    graph.change(|tree| tree.file("new.bin", 13, 800));
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(1).says(&["new.bin"]);
    assert_eq!(fs::read(place.out("new.bin")).unwrap(), b"mine");
}

#[test]
fn a_file_alone_a_path_of_ones_own_and_a_choice_are_fetched() {
    let place = Place::new();
    let graph = tree().start().unwrap();
    towline(&place, &graph, &["-d", "out", "onedrive:/photos/2026/one.jpg"]).run().code(0);
    place.check("one.jpg", 3, 70_000);
    towline(&place, &graph, &["-d", "out/own", "onedrive:/photos"]).run().code(0);
    place.check("own/2026/one.jpg", 3, 70_000);
    let chosen =
        ["-d", "out/chosen", "--include", "*.bin", "--include", "photos/**", "--exclude", "two.*", graph.link()];
    towline(&place, &graph, &chosen).run().code(0);
    place.check("chosen/a.bin", 1, 5000);
    place.check("chosen/photos/2026/one.jpg", 3, 70_000);
    assert!(!place.out("chosen/big.iso").exists() && !place.out("chosen/photos/2026/two.jpg").exists());
}

#[test]
fn what_the_service_holds_back_is_named_and_the_rest_arrives() {
    let place = Place::new();
    let tree = tree().malware("bad.exe").wrong("broken.bin", 21, 9000).rewritten("report.docx", 22, 10_000);
    let graph = tree.wrong("large.bin", 23, 2 * MIB).start().unwrap();
    let outcome = towline(&place, &graph, &["-d", "out", graph.link()]).run().code(4);
    outcome.says(&["bad.exe", "it found malware in it", "broken.bin", "the digest that OneDrive lists"]);
    check_office(&place, "report.docx", 22, 10_000);
    place.check("big.iso", 2, 8 * MIB);
    for name in ["bad.exe", "broken.bin", "large.bin"] {
        assert!(!place.out(name).exists(), "{name}");
    }
}

#[test]
fn an_office_file_that_is_no_whole_one_gets_no_name() {
    let place = Place::new();
    let graph = tree().halved("report.docx", 22, 10_000).halved("slides.pptx", 23, MIB).start().unwrap();
    let outcome = towline(&place, &graph, &["-d", "out", graph.link()]).run().code(4);
    outcome.says(&["report.docx", "slides.pptx", "no whole Office file", "6 files"]);
    assert!(!place.out("report.docx").exists() && !place.out("slides.pptx").exists());
    graph.change(|tree| tree.rewritten("report.docx", 22, 10_000).rewritten("slides.pptx", 23, MIB));
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(0);
    check_office(&place, "report.docx", 22, 10_000);
    check_office(&place, "slides.pptx", 23, MIB);
    // What is there is not given up for half of a new version.
    graph.change(|tree| tree.halved("report.docx", 31, 12_000));
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(4);
    check_office(&place, "report.docx", 22, 10_000);
}

#[test]
fn an_office_file_that_was_saved_twice_within_a_second_is_fetched_again() {
    let place = Place::new();
    // The time that the look-alike lists repeats every nine seeds.
    let graph = tree().rewritten("report.docx", 22, 10_000).start().unwrap();
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(0);
    graph.change(|tree| tree.rewritten("report.docx", 31, 10_000));
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(0);
    check_office(&place, "report.docx", 31, 10_000);
    let before = graph.stats().sent_bytes;
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(0);
    assert_eq!(graph.stats().sent_bytes, before);
}

#[test]
fn a_name_that_is_no_text_hides_no_other_file() {
    let place = Place::new();
    let odd = r#"{"id":"1","name":"x\ud83d.txt","file":{},"parentReference":{"driveId":"b!drive"},"size":0}"#;
    let graph = tree().listed(odd).start().unwrap();
    let outcome = towline(&place, &graph, &["ls", graph.link()]).run().code(0);
    assert!(outcome.stdout.contains("a.bin") && outcome.stdout.contains("photos/2026/two.jpg"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("x\u{fffd}.txt"), "{}", outcome.stdout);
}

#[test]
fn a_list_of_what_is_there_has_paths_sizes_and_digests() {
    let place = Place::new();
    let graph = tree().malware("bad.exe").start().unwrap();
    let outcome = towline(&place, &graph, &["ls", graph.link()]).run().code(1);
    let outcome = outcome.says(&["it found malware in it"]);
    let text = outcome.stdout;
    for line in ["4.88 KiB  2026-01-02  a.bin", "68.4 KiB  2026-01-04  photos/2026/one.jpg"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let outcome = towline(&place, &graph, &["ls", "--json", "--include", "one.*", graph.link()]).run().code(1);
    let lines: Vec<serde_json::Value> =
        outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0]["path"].as_str(), lines[0]["bytes"].as_u64()), (Some("photos/2026/one.jpg"), Some(70_000)));
    assert!(lines[0]["checksum"].as_str().unwrap().starts_with("quickxor="));
    assert!(!text.contains("SECRET"));
}

#[test]
fn who_is_signed_out_or_has_no_access_is_told_what_to_do() {
    let place = Place::new();
    let graph = tree().forbidden("own.bin").start().unwrap();
    for args in [&["-d", "out", graph.link()][..], &["ls", graph.link()]] {
        signed_out(&place, &graph, args).run().code(1).says(&["you are not signed in", "towline login onedrive"]);
        let wrong = place.towline(args).env("TOWLINE_GRAPH_URL", &graph.base());
        let outcome = wrong.env("TOWLINE_ONEDRIVE_TOKEN", "SECRET-wrong").run().code(1);
        let outcome = outcome.says(&["does not accept", "towline login onedrive"]);
        assert!(!outcome.stderr.contains("SECRET"), "{}", outcome.stderr);
    }
    let other = "https://1drv.ms/f/s!other";
    towline(&place, &graph, &["-d", "out", other]).run().code(1).says(&["has nothing there", "ask its owner"]);
    let far = place.towline(&["ls", graph.link()]).env("TOWLINE_GRAPH_URL", "http://graph.example/");
    far.run().code(2).says(&["TOWLINE_GRAPH_URL", "https://"]);
    assert_no_secret(place.root(), "nothing");
}

#[test]
fn a_sign_in_by_code_is_kept_private_renewed_and_forgotten() {
    let place = Place::new();
    let graph = tree().polls(2).start().unwrap();
    let outcome = signed_out(&place, &graph, &["login", "onedrive", "--client-id", "app"]).run().code(0);
    outcome.says(&["ABCD-EFGH", "signed in to OneDrive"]);
    let account = place.beside("home/towline/accounts/onedrive.json");
    assert_eq!(fs::metadata(&account).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(signed_out(&place, &graph, &["accounts"]).run().code(0).stdout.contains("onedrive"));
    graph.expire_token();
    signed_out(&place, &graph, &["-d", "out", graph.link()]).run().code(0);
    assert!(graph.stats().renewed > 0);
    place.check("a.bin", 1, 5000);
    assert_no_secret(place.root(), "onedrive.json");
    signed_out(&place, &graph, &["logout", "onedrive"]).run().code(0);
    assert!(!account.exists());
    signed_out(&place, &graph, &["ls", graph.link()]).run().code(1).says(&["towline login onedrive"]);
}

/// A folder that contains itself, and one that leads back by a shortcut; pages that name themselves as the next.
#[test]
fn a_service_that_leads_in_circles_comes_to_an_end() {
    let place = Place::new();
    let itself = r#"{"id":"icbf29ce484222325","name":"loop","folder":{},"parentReference":{"driveId":"b!drive"}}"#;
    let shortcut = format!(r#"{{"id":"s","name":"short","remoteItem":{itself}}}"#);
    let graph = tree().listed(itself).listed(&shortcut).start().unwrap();
    let outcome = towline(&place, &graph, &["-d", "out", graph.link()]).run().code(1);
    let _ = outcome.says(&["loop: this folder leads back", "short: this folder leads back"]);
    place.check("a.bin", 1, 5000);
    assert!(graph.stats().asked < 100, "{:?}", graph.stats());

    let (place, graph) = (Place::new(), tree().endless_pages().start().unwrap());
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(1).says(&["without end"]);
    place.check("a.bin", 1, 5000);
    assert!(graph.stats().asked < 100, "{:?}", graph.stats());
}

#[test]
fn an_odd_item_hides_no_other() {
    let odd = [
        r#"{"id":"1","name":null,"file":{}}"#,
        r#"{"name":"a","file":{}}"#,
        r#"{"id":"2","name":"b","size":-1,"file":{},"parentReference":{"driveId":"b!drive"}}"#,
        r#"{"id":"3","name":"c","size":5,"file":{"hashes":{"quickXorHash":7}},"parentReference":{"driveId":"b!drive"}}"#,
        r#"{"id":"4","name":"d","size":5,"file":{},"@microsoft.graph.downloadUrl":"/relative"}"#,
        "7",
    ];
    let graph = odd.iter().fold(tree(), |tree, item| tree.listed(item)).start().unwrap();
    let place = Place::new();
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(1).says(&[
        "an item that Towline cannot read",
        // What has a name is named.
        "  b: ",
        "  c: ",
    ]);
    place.check("a.bin", 1, 5000);
    place.check("big.iso", 2, 8 * MIB);
}

#[test]
fn a_file_that_was_uploaded_again_is_fetched_unless_its_user_has_changed_it() {
    let place = Place::new();
    let graph = tree().start().unwrap();
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(0);
    graph.change(|tree| tree.uploaded_again("a.bin", 31, 6000));
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(0);
    place.check("a.bin", 31, 6000);

    fs::write(place.out("a.bin"), "mine").unwrap();
    graph.change(|tree| tree.uploaded_again("a.bin", 32, 7000));
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(1).says(&["a.bin"]);
    assert_eq!(fs::read(place.out("a.bin")).unwrap(), b"mine");
}

/// The service's file got a number, because the user has one of that name: only the numbered one is ever replaced.
#[test]
fn a_file_of_the_user_is_not_taken_for_the_one_that_got_a_number() {
    let place = Place::new();
    let graph = Graph::builder().file("a.bin", 41, 5000).start().unwrap();
    fs::create_dir_all(place.out("")).unwrap();
    fs::write(place.out("a.bin"), "mine").unwrap();
    towline(&place, &graph, &["--auto-rename", "-d", "out", graph.link()]).run().code(0);
    place.check("a.1.bin", 41, 5000);
    for (seed, more) in [(42, &["--auto-rename"][..]), (43, &[])] {
        graph.change(|tree| tree.file("a.bin", seed, 6000));
        towline(&place, &graph, &[&["-d", "out", graph.link()], more].concat()).run().code(0);
        place.check("a.1.bin", seed, 6000);
        assert_eq!(fs::read(place.out("a.bin")).unwrap(), b"mine");
    }
}

#[test]
fn a_file_that_its_user_changes_while_the_new_version_comes_stays() {
    let place = Place::new();
    let graph = Graph::builder().file("a.bin", 51, 5000).start().unwrap();
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(0);
    graph.change(|tree| tree.file("a.bin", 52, 8 * MIB).rate(4_000_000));
    let before = graph.stats().sent_bytes;
    let running = towline(&place, &graph, &["-d", "out", graph.link()]).start();
    wait_until("some of the new version", || graph.stats().sent_bytes > before + MIB);
    fs::write(place.out("a.bin"), "mine").unwrap();
    running.finish().code(1).says(&["somebody has changed the file meanwhile"]);
    assert_eq!(fs::read(place.out("a.bin")).unwrap(), b"mine");
}

#[test]
fn a_refresh_that_failed_or_was_cut_short_does_not_lock_the_file() {
    let place = Place::new();
    let graph = tree().start().unwrap();
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(0);
    graph.change(|tree| tree.lost("a.bin"));
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(1).says(&["404"]);
    graph.change(|tree| tree.file("a.bin", 51, 7000).file("big.iso", 52, 8 * MIB).rate(4_000_000));
    let before = graph.stats().sent_bytes;
    let running = towline(&place, &graph, &["-d", "out", graph.link()]).start();
    wait_until("some of the new version", || graph.stats().sent_bytes > before + 3 * MIB);
    running.kill();
    // What was begun has another size by now.
    graph.change(|tree| tree.file("big.iso", 53, 6 * MIB).rate(400_000_000));
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(0);
    place.check("a.bin", 51, 7000);
    place.check("big.iso", 53, 6 * MIB);
}

#[test]
fn what_is_left_out_by_choice_is_not_gone_and_what_failed_is_asked_for_again() {
    let place = Place::new();
    let graph = tree().lost("own.bin").start().unwrap();
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(1).says(&["404"]);
    let chosen = ["-d", "out", "--include", "*.bin", graph.link()];
    for _ in 0..2 {
        let outcome = towline(&place, &graph, &chosen).run().code(1);
        assert!(!outcome.stderr.contains("not listed any more"), "{}", outcome.stderr);
    }
    graph.change(|tree| tree.file("own.bin", 33, 900));
    towline(&place, &graph, &["-d", "out", graph.link()]).run().code(0);
    place.check("own.bin", 33, 900);
}

/// The seed's case: hundreds of files and a deadline. `TOWLINE_SHARE_FILES=500` takes so many, a fiftieth of them of
/// 100 MiB.
#[test]
fn links_that_expire_with_a_redirect_to_a_refusal_are_renewed() {
    let place = Place::new();
    // Each response lasts longer than its link, and brings a part of the file.
    let graph = Graph::builder().file("big.iso", 4, 3 * MIB).rate(1_000_000).cut_at(MIB);
    let graph = graph.link_lives(Duration::from_millis(500)).sign_in_page().start().unwrap();
    towline(&place, &graph, &["-d", "out", "-x", "1", graph.link()]).run().code(0);
    place.check("big.iso", 4, 3 * MIB);
    let stats = graph.stats();
    assert!((2..20).contains(&stats.expired) && (2..20).contains(&stats.located), "{stats:?}");
}

#[test]
fn a_whole_share_comes_through_refusals_kills_and_links_that_expire() {
    let asked = number("TOWLINE_SHARE_FILES");
    let files = asked.unwrap_or(60);
    let (large, large_bytes) = if asked.is_some() { (files / 50, 100 * MIB) } else { (2, 12 * MIB) };
    let path = |number: u64| match number < large {
        true => format!("videos/{number}.mp4"),
        false => format!("papers/{}/{}/{number}.pdf", number % 7, number % 3),
    };
    let bytes = |number: u64| if number < large { large_bytes } else { 1000 + number * 97 % 60_000 };
    let mut share = Graph::builder().page_len(20).busy_every(9, true).link_lives(Duration::from_secs(2));
    for number in 0..files {
        share = share.file(&path(number), number, bytes(number));
    }
    let graph = share.rate(if asked.is_some() { 20_000_000 } else { 1_500_000 }).start().unwrap();
    let place = Place::new();
    let args = ["-d", "out", "--save-interval", "200ms", graph.link()];
    let total: u64 = (0..files).map(bytes).sum();
    for share in [1, 3, 6] {
        let running = towline(&place, &graph, &args).start();
        wait_until("more of the share", || graph.stats().sent_bytes > total / 10 * share);
        running.kill();
    }
    towline(&place, &graph, &args).run().code(0);
    (0..files).for_each(|number| place.check(&path(number), number, bytes(number)));
    let stats = graph.stats();
    let rate = if asked.is_some() { 20_000_000 } else { 1_500_000 };
    // A kill costs a step of each connection, and what is on its way.
    let lost_at_most = 3 * 16 * (rate / 2 + 2 * MIB);
    assert!(stats.sent_bytes < total + lost_at_most, "{} bytes of {total}: {stats:?}", stats.sent_bytes);
    assert!(stats.busy > 0 && stats.tokens_sent == 0, "{stats:?}");

    towline(&place, &graph, &args).run().code(0).says(&["already there"]);
    let after = graph.stats();
    assert_eq!((after.sent_bytes, after.located), (stats.sent_bytes, stats.located), "only metadata");
    assert_no_secret(place.root(), "nothing");
    towline_testkit::say(&format!("share: {files} files, {total} bytes, {} sent, {stats:?}", stats.sent_bytes));
}
