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
