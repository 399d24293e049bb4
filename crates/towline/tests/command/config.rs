//! The configuration file, below the environment and the command line.

use crate::common::Place;
use crate::requests::{SIZE, origin, sent};

#[test]
fn the_command_line_counts_more_than_the_environment_and_that_more_than_the_file() {
    let origin = origin();
    let place = Place::new();
    place.write(
        "config.toml",
        "user-agent = 'file'\ndir = 'of-file'\nheader = ['X-One: 1', 'X-Two: 2']\nno_server_digest = true\n\
         [profile.work]\nuser-agent = 'profile'\n",
    );
    let run = |args: &[&str], env: &[(&str, &str)]| {
        let command = place.towline(args).env("TOWLINE_CONFIG", "config.toml");
        env.iter().fold(command, |command, (name, value)| command.env(name, value)).run()
    };
    let url = origin.url("/0.bin");
    run(&[&url], &[]).code(0);
    assert!(place.root().join("of-file/0.bin").exists());
    let values = ["user-agent", "x-one", "x-two"].map(|name| sent(&origin, name).unwrap());
    assert_eq!(values, ["file", "1", "2"]);
    run(&["--restart", &url], &[("TOWLINE_USER_AGENT", "environment")]).code(0);
    assert_eq!(sent(&origin, "user-agent").unwrap(), "environment");
    run(&["--restart", "-A", "words", "-d", "out", &url], &[("TOWLINE_USER_AGENT", "environment")]).code(0);
    assert_eq!(sent(&origin, "user-agent").unwrap(), "words");
    run(&["--restart", "--profile", "work", &url], &[]).code(0);
    assert_eq!(sent(&origin, "user-agent").unwrap(), "profile");
    run(&["info", &url], &[]).code(0);
    assert_eq!(sent(&origin, "user-agent").unwrap(), "file");

    let link = ("TOWLINE_INPUT_FILE", "https://me:hunter2@h/list?sig=hunter2");
    let shown = run(&["config"], &[("TOWLINE_JOBS", "3"), link]).code(0).hides("hunter2");
    for line in [
        "user-agent = file  # from the file",
        "jobs = 3  # from TOWLINE_JOBS",
        "header = \u{2026}  # from the file",
        "dir = of-file  # from the file",
    ] {
        assert!(shown.stdout.contains(line), "{}", shown.stdout);
    }
    run(&["config", "--profile", "work"], &[]).code(0).stdout.contains("profile work").then_some(()).unwrap();
}

#[test]
fn of_options_that_exclude_each_other_the_nearest_counts() {
    let origin = origin();
    let place = Place::new();
    place.write("config.toml", "overwrite = true\nipv6 = true\nhttp2 = true\n");
    place.write("0.bin", "mine");
    let url = origin.url("/0.bin");
    let run = |args: &[&str]| place.towline(args).env("TOWLINE_CONFIG", "config.toml").run();
    run(&["--skip-existing", "-4", "--http1.1", &url]).code(0);
    assert_eq!(std::fs::read(place.root().join("0.bin")).unwrap(), b"mine");
    run(&["-4", &url]).code(0);
    assert_eq!(std::fs::read(place.root().join("0.bin")).unwrap().len() as u64, SIZE);
}

#[test]
fn what_a_file_cannot_say_is_wrong_usage() {
    let origin = origin();
    let url = origin.url("/0.bin");
    for (text, why) in [
        ("colour = 'red'\n", "colour is no option"),
        ("output = 'a'\n", "output is no option"),
        ("jobs = true\n", "jobs has a value of the wrong kind"),
        ("jobs = 'many'\n", "1..10000"),
        ("\nuser = hunter2\n", "line 2 is no TOML"),
    ] {
        let place = Place::new();
        place.write("config.toml", text);
        let outcome = place.towline(&[&url]).env("TOWLINE_CONFIG", "config.toml").run().code(2);
        outcome.hides("hunter2").says(&[why]);
    }
    let place = Place::new();
    place.towline(&[&url]).env("TOWLINE_CONFIG", "missing.toml").run().code(2).says(&["missing.toml"]);
    place.towline(&["--profile", "none", &url]).run().code(2).says(&["no section [profile.none]"]);
}

#[test]
fn a_host_has_settings_of_its_own() {
    let origin = origin();
    let place = Place::new();
    let port = origin.addr().port();
    let url = |host: &str, file: &str| format!("http://{host}:{port}{file}");
    place.write("password", "me:hunter2\n");
    place.write(
        "config.toml",
        "resolve = ['a.example:PORT:127.0.0.1', 'b.example:PORT:127.0.0.1']\nuser-agent = 'all'\n\
         [host.\"*.example\"]\nheader = ['X-Wide: 1']\n\
         [host.\"a.example\"]\nmax-per-host = 1\ndelay = '200ms'\nlimit_rate = '1M'\nuser = '@password'\n\
         header = ['X-One: 1', 'X-Two: 2']\n"
            .replace("PORT", &port.to_string())
            .as_str(),
    );
    let run = |args: &[&str]| {
        place
            .towline(&[&["-d", "out"], args].concat())
            .env("TOWLINE_CONFIG", "config.toml")
            .env("VARIABLE", "you:x")
            .run()
    };
    let took = std::time::Instant::now();
    run(&["-vv", &url("a.example", "/0.bin"), &url("a.example", "/1.bin"), &url("a.example", "/2.bin")])
        .code(0)
        .hides("hunter2")
        .hides("bWU6aHVudGVyMg");
    assert!(took.elapsed() >= std::time::Duration::from_millis(400), "{:?}", took.elapsed());
    assert_eq!(origin.stats().connections_peak, 1);
    let values = ["x-wide", "x-one", "x-two", "authorization", "user-agent"].map(|name| sent(&origin, name));
    assert_eq!(values.map(Option::unwrap), ["1", "1", "2", "Basic bWU6aHVudGVyMg==", "all"]);
    // What the command line says counts more.
    run(&["--restart", "-H", "X-One: 9", "--user", "you:x", &url("a.example", "/0.bin")]).code(0);
    assert_eq!(["x-one", "authorization"].map(|name| sent(&origin, name).unwrap()), ["9", "Basic eW91Ong="]);
    run(&["-o", "b", &url("b.example", "/0.bin")]).code(0);
    assert_eq!(["x-one", "authorization"].map(|name| sent(&origin, name)), [None, None]);
    assert_eq!(sent(&origin, "x-wide").unwrap(), "1");
    let shown = place.towline(&["config"]).env("TOWLINE_CONFIG", "config.toml").run().code(0);
    assert!(shown.stdout.contains("[host.\"a.example\"] max-per-host = 1  # from the file"), "{}", shown.stdout);
    shown.hides("hunter2").hides("X-One");

    let wrong = |section: &str, why: &str| {
        place.write("config.toml", section);
        run(&[&url("a.example", "/0.bin")]).code(2).says(&[why]).hides("SECRET");
    };
    wrong("[host.\"a.example\"]\nuser = 'me:SECRET'\n", "allowed: @FILE or $VARIABLE");
    wrong("[host.\"a.example\"]\nuser = '$NOWHERE'\n", "there is no variable NOWHERE");
    wrong("[host.\"a.example\"]\nretries = 3\n", "retries is no key of a host; allowed: max-per-host");
    wrong("[host.\"a.example\"]\ndelay = 'soon'\n", "[host.\"a.example\"]: delay: ");
    wrong("[host.a.example]\ndelay = 1\n", "[host.\"a\"]: example");
    wrong("[host.\"http://a/\"]\ndelay = 1\n", "names no host");
}

#[test]
fn headers_are_replaced_by_name() {
    let origin = origin();
    let place = Place::new();
    place.write(
        "config.toml",
        "header = ['X-Team: file', 'X-Other: file']\n[profile.night]\nheader = ['X-Team: night']\n",
    );
    let run = |args: &[&str]| {
        let url = origin.url("/0.bin");
        let args = [&["-d", "out", "--restart"], args, &[&url]].concat();
        place.towline(&args).env("TOWLINE_CONFIG", "config.toml").run().code(0);
        let request = origin.requests().into_iter().next_back().unwrap();
        let values = |name: &str| {
            let all = request.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
            all.map(|(_, value)| value.clone()).collect::<Vec<_>>().join("+")
        };
        (values("x-team"), values("x-other"))
    };
    let is = |args: &[&str], team: &str, other: &str| assert_eq!(run(args), (team.to_owned(), other.to_owned()));
    is(&[], "file", "file");
    is(&["-H", "x-team: words"], "words", "file");
    is(&["--header=X-Team: words", "-HX-Team: more"], "words+more", "file");
    is(&["--profile", "night"], "night", "file");
    is(&["--profile", "night", "-H", "X-Team: words"], "words", "file");
}

#[test]
fn an_empty_variable_names_no_file_and_netrc_is_a_switch_too() {
    let origin = origin();
    let place = Place::new();
    let url = origin.url("/0.bin");
    let run = |name: &str, value: &str| {
        place
            .towline(&["-d", "out", "--restart", &url])
            .env("HOME", place.root().to_str().unwrap())
            .env(name, value)
            .run()
    };
    run("TOWLINE_CONFIG", "").code(0);
    run("TOWLINE_LIMIT_RATE", "fast").code(2).says(&["TOWLINE_LIMIT_RATE: invalid value 'fast' for --limit-rate"]);
    place.write("config.toml", "limit-rate = 'fast'\n");
    run("TOWLINE_CONFIG", "config.toml").code(2).says(&["config.toml: invalid value 'fast' for --limit-rate"]);
    run("TOWLINE_NETRC", "true").code(2).says(&[".netrc: No such file"]);
    run("TOWLINE_NETRC", "false").code(0);
    place.write("config.toml", "profile = 'night'\n");
    run("TOWLINE_CONFIG", "config.toml").code(2).says(&["profile is for sections such as [profile.night]"]);
}
