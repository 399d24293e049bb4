//! What opens a server is sent to that server, and neither shown, nor stored, nor sent to another.

use std::fs;
use std::path::{Path, PathBuf};

use towline_origin::{ETag, Fault, Origin, Resource};
use towline_testkit::{MIB, below, journal_bytes, wait_until};

use crate::common::Place;

/// The base64 of `user:SECRET-PW`.
const BASIC: &str = "dXNlcjpTRUNSRVQtUFc=";

/// Every file below a directory that holds one of the secrets.
fn files_with_secrets(dir: &Path) -> Vec<PathBuf> {
    let has_secret = |path: &PathBuf| {
        // What is renamed or removed meanwhile is looked at under its new name or not at all.
        let content = fs::read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&content);
        text.contains("SECRET") || text.contains(BASIC)
    };
    below(dir).into_iter().filter(has_secret).collect()
}

/// The URL of `path` with a password and a token.
fn secret_url(origin: &Origin, path: &str) -> String {
    origin.url(path).replace("http://", "http://user:SECRET-PW@") + "?token=SECRET-TOKEN"
}

#[test]
fn a_password_and_a_token_in_a_url_are_used_but_neither_shown_nor_stored() {
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", 1, 4 * MIB))
        .fault(Fault::RatePerConnection(500_000))
        .start()
        .unwrap();
    let place = Place::new();
    let url = secret_url(&origin, "/a.bin");
    let header = "X-Api-Key: SECRET-KEY";
    let args = ["-v", "-x", "4", "-d", "out", "-H", header, "--progress", "json", "--status-file", "status.json", &url];
    let mut running = place.towline(&args).start();
    wait_until("a journal", || journal_bytes(&place.out("a.bin.towline.json")) > 0);
    running.while_running(|| assert_eq!(files_with_secrets(place.root()), Vec::<PathBuf>::new()));
    let outcome = running.finish().code(0).hides("SECRET").hides(BASIC);
    assert!(outcome.stdout.contains("token=***"), "{outcome}");
    place.check("a.bin", 1, 4 * MIB);
    for request in origin.requests() {
        assert_eq!(request.path, "/a.bin?token=SECRET-TOKEN");
        assert_eq!(request.header("authorization"), Some(format!("Basic {BASIC}").as_str()));
        assert_eq!(request.header("x-api-key"), Some("SECRET-KEY"));
    }
}

#[test]
fn a_batch_shows_and_stores_no_secret_either() {
    let origin =
        Origin::builder().files("/{}.bin", 16, 64 * 1024, 1).fault(Fault::RatePerServer(500_000)).start().unwrap();
    let place = Place::new();
    let urls = (0..17).map(|number| secret_url(&origin, &format!("/{number}.bin")) + "\n");
    let list: String = urls.collect();
    let mut running = place.towline(&["-v", "-i", "-", "-d", "out"]).input(&list).start();
    running.while_running(|| assert_eq!(files_with_secrets(place.root()), Vec::<PathBuf>::new()));
    running.finish().code(1).says(&["/16.bin?token=***: the server answered 404"]).hides("SECRET").hides(BASIC);
    assert_eq!(files_with_secrets(place.root()), Vec::<PathBuf>::new());
    place.towline(&["status", "out"]).run().code(0).hides("SECRET");
    place.towline(&["info", &secret_url(&origin, "/0.bin")]).run().code(0).hides("SECRET");

    let before = origin.stats().requests;
    place.towline(&["-i", "-", "-d", "out"]).input(&list).run().code(1).says(&["16 already there"]).hides("SECRET");
    assert_eq!(origin.stats().requests, before);
    // Another token may open another file: the server is asked, and the content is the same.
    let list = list.replace("SECRET-TOKEN", "SECRET-TOKEN-2");
    place.towline(&["-i", "-", "-d", "out"]).input(&list).run().code(1).says(&["16 already there"]).hides("SECRET");
    assert_eq!(origin.stats().requests, before + 17);
    assert_eq!(files_with_secrets(place.root()), Vec::<PathBuf>::new());
}

#[test]
fn a_header_stays_with_its_server_when_it_redirects_to_another() {
    let other = Origin::builder().resource(Resource::new("/b.bin", 2, 5000)).start().unwrap();
    let origin = Origin::builder()
        .resource(Resource::new("/here", 0, 0).redirect(302, "/a.bin"))
        .resource(Resource::new("/a.bin", 1, 5000))
        .resource(Resource::new("/there", 0, 0).redirect(302, &other.url("/b.bin")))
        .start()
        .unwrap();
    let place = Place::new();
    for (path, name, seed) in [("/here", "a", 1), ("/there", "b", 2)] {
        let url = origin.url(path).replace("http://", "http://user:SECRET-PW@");
        place
            .towline(&["-v", "-H", "X-Api-Key: SECRET-KEY", "-d", "out", "-o", name, &url])
            .run()
            .code(0)
            .says(&[", from http://"])
            .hides("SECRET");
        place.check(name, seed, 5000);
    }
    let requests = origin.requests();
    assert_eq!(requests.iter().map(|request| request.path.as_str()).collect::<Vec<_>>(), ["/here", "/a.bin", "/there"]);
    for request in requests {
        assert_eq!(request.header("x-api-key"), Some("SECRET-KEY"), "{request:?}");
    }
    let elsewhere = other.requests();
    assert_eq!(elsewhere.len(), 1);
    assert_eq!(elsewhere[0].header("x-api-key"), None);
    assert_eq!(elsewhere[0].header("authorization"), None);
}

#[test]
fn a_url_that_is_none_is_told_without_its_password() {
    let place = Place::new();
    for url in [
        "http://user:SECRET-PW@host:99999/a?token=SECRET-TOKEN",
        "htp://user:SECRET-PW@host/a?token=SECRET-TOKEN",
        "user:SECRET-PW@host/a?token=SECRET-TOKEN",
    ] {
        place.towline(&[url]).run().code(2).hides("SECRET");
        place.towline(&["-i", "-", "-d", "out"]).input(url).run().code(1).says(&["line 1"]).hides("SECRET");
    }
}

#[test]
fn a_url_in_the_place_of_a_name_is_told_without_its_password() {
    let place = Place::new();
    let url = "http://alice:SECRET-PW@host/";
    let at = format!("@{url}");
    let netrc = format!("--netrc={url}");
    for args in [&[&*netrc][..], &["--profile", url], &["--data", &at], &["-H", &at], &["--cookies", url]] {
        place.towline(&[args, &["http://127.0.0.1:1/a"]].concat()).run().code(2).hides("SECRET");
    }
    place.towline(&["http://127.0.0.1:1/a"]).env("TOWLINE_NETRC", url).run().code(2).hides("SECRET");
    for host in ["alice:SECRET-PW@host", url] {
        place.write("config.toml", &format!("[host.\"{host}\"]\nlimit-rate = 5000\n"));
        let run = |args: &[&str]| place.towline(args).env("TOWLINE_CONFIG", "config.toml").run().hides("SECRET");
        run(&["http://127.0.0.1:1/a"]).code(2);
        run(&["config"]);
    }
}

#[test]
fn a_redirect_that_repeats_a_secret_is_not_shown() {
    let to = |target: &str| {
        Resource::new("/a.bin", 1, 1).fault(Fault::Redirect { status: 302, location: target.to_owned() })
    };
    for target in ["/b.bin?m=hunter2Secret", "/hunter2Secret/b.bin", "/b.bin?m=%68unter2Secret"] {
        let origin = Origin::builder().resource(to(target)).start().unwrap();
        let place = Place::new();
        for (args, url) in [(&["--user", "me:hunter2Secret"][..], "/a.bin"), (&[][..], "/a.bin?token=hunter2Secret")] {
            let url = origin.url(url);
            let outcome = place.towline(&[args, &["-v", &*url]].concat()).run().code(1);
            outcome.hides("hunter2Secret").hides("%68unter");
        }
    }
}

/// What a redirect repeats of a secret, the next one may repeat too, or lead on from.
#[test]
fn redirects_behind_one_that_repeats_a_secret_are_not_shown_either() {
    let to = |path: &str, target: &str| {
        Resource::new(path, 1, 1).fault(Fault::Redirect { status: 302, location: target.to_owned() })
    };
    let other = Origin::builder().resource(to("/e", "/e/?m=hunter2Secret")).start().unwrap();
    for chain in [
        vec![to("/a.bin", "/u/hunter2Secret/"), to("/u/hunter2Secret/", "x.bin")],
        vec![to("/a.bin", &other.url("/e?m=hunter2Secret"))],
        vec![to("/a.bin", "/hunter2Secret/b.bin"), to("/hunter2Secret/b.bin", "/e?m=aHVudGVyMlNlY3JldA")],
    ] {
        let origin = chain.into_iter().fold(Origin::builder(), |origin, resource| origin.resource(resource)).start();
        let place = Place::new();
        let url = origin.as_ref().unwrap().url("/a.bin");
        let outcome = place.towline(&["-v", "-H", "X-Api-Key: hunter2Secret", &url]).run().code(1);
        outcome.hides("hunter2Secret").hides("aHVudGVyMlNlY3JldA").hides("x.bin");
    }
}

#[test]
fn a_secret_that_a_redirect_repeats_names_no_file() {
    let to = Fault::Redirect { status: 302, location: "/files/hunter2Secret".to_owned() };
    let origin = Origin::builder()
        .resource(Resource::new("/dl", 1, 1).fault(to))
        .resource(Resource::new("/files/hunter2Secret", 7, 5000))
        .start()
        .unwrap();
    let place = Place::new();
    let args = ["-H", "X-Api-Key: hunter2Secret", "-d", "out", "-v", &origin.url("/dl")];
    place.towline(&args).run().code(0).hides("hunter2Secret");
    place.check("dl", 7, 5000);
    place.towline(&["info", "-H", "X-Api-Key: hunter2Secret", &origin.url("/dl")]).run().code(0).hides("hunter2Secret");
}

#[test]
fn info_shows_no_secret_that_a_server_repeats() {
    let echo = Resource::new("/a.bin", 1, 5000)
        .etag(ETag::Custom("\"hunter2Secret\"".to_owned()))
        .content_type(Some("text/hunter2Secret"));
    let origin = Origin::builder().resource(echo).start().unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    for json in [&[][..], &["--json"]] {
        let args = [&["info", "--user", "me:hunter2Secret"], json, &[&*url]].concat();
        let outcome = place.towline(&args).run().code(0).hides("hunter2Secret");
        assert!(outcome.stdout.contains('…'), "{}", outcome.stdout);
    }
}
