//! A run that failed or brought wrong bytes never counts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use towline_bench::contender::{Contender, Program, Programs, Shape};
use towline_bench::content::Content;
use towline_bench::harness::{Bench, Case, Figure, Place, Role, Row, measure};
use towline_bench::launch::launch;
use towline_bench::page::{Measured, section};
use towline_bench::source::Source;
use towline_bench::suite::Suite;

const ROUNDS: usize = 3;

/// A bench whose `towline` is a script with the arguments of the real one: `--quiet --output PATH URL`.
fn bench(root: &Path, script: &str) -> Bench {
    let towline = root.join("towline");
    fs::write(&towline, format!("#!/bin/sh\nout=$3\nbeside={}\n{script}\n", root.display())).unwrap();
    fs::set_permissions(&towline, fs::Permissions::from_mode(0o755)).unwrap();
    let bench = PathBuf::from(env!("CARGO_BIN_EXE_towline-bench"));
    let programs = Programs { towline, beside: None, bench, python: None };
    Bench { programs, memory: root.join("memory"), disk: root.join("disk") }
}

fn source(root: &Path) -> Source {
    let right = root.join("right");
    fs::create_dir_all(&right).unwrap();
    fs::write(right.join("0.bin"), "right").unwrap();
    let content = Content::SameName(right);
    Source { base: "http://127.0.0.1:1/".to_owned(), folder: String::new(), count: 1, content, ca_file: None }
}

/// The row of a towline that does what `script` says.
fn row(script: &str) -> (TempDir, Row) {
    let root = tempfile::tempdir().unwrap();
    let bench = bench(root.path(), script);
    let contender = Contender::plain(Program::Towline);
    let case = Case::fetch(&bench, "here", contender, &source(root.path()), Shape::One(None), Place::Memory);
    let mut rows = measure(&bench, vec![case.unwrap()], ROUNDS, |_| {});
    (root, rows.remove(0))
}

fn failure(script: &str) -> String {
    let (_root, row) = row(script);
    assert_eq!(row.median(Figure::Wall), None);
    row.runs.unwrap_err()
}

#[test]
fn a_run_that_brings_the_right_bytes_counts() {
    let (_root, row) = row("printf right > \"$out\"");
    assert_eq!(row.runs.as_ref().unwrap().len(), ROUNDS);
    let spread = row.spread(Figure::Wall).unwrap();
    assert!(spread.min > 0.0 && spread.min <= spread.median && spread.median <= spread.max);
    assert!(row.median(Figure::Memory).unwrap() > 0.0);
    assert_eq!(row.role, Role::Ours);
}

#[test]
fn a_run_that_exits_with_an_error_does_not_count() {
    let error = failure("printf right > \"$out\"; echo 'no such host' >&2; exit 3");
    assert_eq!(error, "exit code 3: no such host");
}

#[test]
fn a_run_that_a_signal_ends_does_not_count() {
    let error = failure("printf right > \"$out\"; kill -9 $$");
    assert_eq!(error, "signal 9 ended it: it said nothing");
}

#[test]
fn a_run_that_brings_wrong_bytes_does_not_count() {
    assert_eq!(failure("printf wrong > \"$out\""), "0.bin has the wrong bytes");
    assert_eq!(failure("printf righ > \"$out\""), "0.bin has the wrong bytes");
    assert_eq!(failure("printf right. > \"$out\""), "0.bin has the wrong bytes");
}

#[test]
fn a_run_that_brings_nothing_does_not_count() {
    let error = failure("exit 0");
    assert!(error.starts_with("0.bin is not there"), "{error}");
}

#[test]
fn one_failed_run_among_good_ones_is_enough() {
    // The second run fails, after the one to warm up.
    let error = failure("printf right > \"$out\"; [ ! -e \"$beside/ran\" ] || exit 1; : > \"$beside/ran\"");
    assert_eq!(error, "exit code 1: it said nothing");
}

#[test]
fn a_command_that_takes_too_long_is_ended() {
    let root = tempfile::tempdir().unwrap();
    let mut command = Command::new("/bin/sleep");
    command.arg("1000");
    let launcher = Path::new(env!("CARGO_BIN_EXE_towline-bench"));
    let error = launch(launcher, &command, &root.path().join("said"), Duration::from_millis(20)).unwrap_err();
    assert_eq!(error, "took longer than 0.02 s");
}

#[test]
fn a_program_that_is_not_there_does_not_count() {
    let root = tempfile::tempdir().unwrap();
    let launcher = Path::new(env!("CARGO_BIN_EXE_towline-bench"));
    let command = Command::new(root.path().join("nothing"));
    let error = launch(launcher, &command, &root.path().join("said"), Duration::from_secs(5)).unwrap_err();
    assert!(error.contains("No such file"), "{error}");
}

#[test]
fn a_case_that_does_not_count_is_shown_and_its_goals_are_not_measured() {
    let (_root, mut row) = row("exit 3");
    "8 connections".clone_into(&mut row.setting);
    let measured = Measured { suite: Suite::named("big").unwrap(), rows: vec![row], rounds: ROUNDS };
    let text = section(&measured);
    assert!(text.contains("| 8 connections | towline | failed: exit code 3: it said nothing |"), "{text}");
    assert!(text.contains("not measured"), "{text}");
    assert!(!text.contains("reached"), "{text}");
}

#[test]
fn every_suite_has_a_name_of_its_own() {
    let mut names = towline_bench::suite::SUITES.map(|suite| suite.name);
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
}
