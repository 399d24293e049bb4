//! A terminal: tmux is one, of 80 columns and 24 lines, whose screen can be read.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use towline_origin::{Fault, Origin, Resource};
use towline_testkit::{MIB, tool, wait_for};

use crate::common::{BINARY, Place, clean};

const COLUMNS: usize = 80;
/// What is left of the screen stays when the program has ended.
const CONFIG: &str = "set -g remain-on-exit on\nset -g status off\nset -g default-terminal screen\n";

/// tmux itself does not always learn the code.
const NOTE_CODE: &str = "\"$@\"; echo $? > code";

/// A tmux server with one window, in which towline runs.
struct Terminal {
    tmux: PathBuf,
    socket: PathBuf,
    /// Where the exit code is noted.
    code: PathBuf,
}

impl Terminal {
    /// `None` if tmux is not installed (and CI is not set).
    fn start(place: &Place, environment: &[&str], args: &[&str]) -> Option<Self> {
        let tmux = tool("tmux")?;
        fs::write(place.root().join("tmux.conf"), CONFIG).unwrap();
        let terminal = Self { tmux, socket: place.root().join("tmux"), code: place.root().join("code") };
        let mut command = terminal.command();
        command.arg("-f").arg(place.root().join("tmux.conf"));
        command.args(["new-session", "-d", "-x", "80", "-y", "24", "sh", "-c", NOTE_CODE, "sh", "env"]);
        command.args(environment).arg(BINARY).args(args);
        let started = command.current_dir(place.root()).output().unwrap();
        assert!(started.status.success(), "tmux: {}", String::from_utf8_lossy(&started.stderr));
        Some(terminal)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.tmux);
        clean(&mut command);
        command.arg("-u").arg("-S").arg(&self.socket);
        command
    }

    fn ask(&self, words: &[&str]) -> String {
        let answered = self.command().args(words).output().unwrap();
        String::from_utf8_lossy(&answered.stdout).into_owned()
    }

    /// The lines on the screen that are not empty.
    fn screen(&self) -> Vec<String> {
        not_empty(&self.ask(&["capture-pane", "-p"]))
    }

    /// The same with colours as escape codes, and with what has been scrolled away.
    fn everything(&self) -> Vec<String> {
        not_empty(&self.ask(&["capture-pane", "-p", "-e", "-S", "-"]))
    }

    /// The exit code, once it has ended.
    fn code(&self) -> Option<i32> {
        fs::read_to_string(&self.code).ok()?.trim().parse().ok()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.command().arg("kill-server").output();
    }
}

fn not_empty(text: &str) -> Vec<String> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn a_single_file_has_one_line_that_fits_and_ends_with_how_it_came() {
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", 1, 8 * MIB))
        .fault(Fault::RatePerConnection(500_000))
        .start()
        .unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    let Some(terminal) = Terminal::start(&place, &[], &["-x", "4", "-d", "out", &url]) else { return };
    let line = wait_for("a line of progress", || {
        let screen = terminal.screen();
        // Two lines would mean that it was too long, or that the old one was left.
        let [line] = screen.as_slice() else { return None };
        (line.contains("a.bin") && line.contains(" %") && line.ends_with("4 connections")).then(|| line.clone())
    });
    assert!(line.contains(" of 8.00 MiB  "), "{line}");
    assert!(line.chars().count() < COLUMNS, "{line}");

    let code = wait_for("its end", || terminal.code());
    let end = terminal.everything();
    assert_eq!(code, 0, "{end:?}");
    assert!(end[0].starts_with("out/a.bin: 8.00 MiB in "), "{end:?}");
    assert!(!end.iter().any(|line| line.contains(" %")), "the progress is not gone: {end:?}");
    place.check("a.bin", 1, 8 * MIB);
}

/// Runs a batch; returns the screen half-way, with its escape codes, and the last one.
fn batch(environment: &[&str]) -> Option<(Vec<String>, Vec<String>)> {
    let origin =
        Origin::builder().files("/{}.bin", 40, 256 * 1024, 1).fault(Fault::RatePerServer(2_500_000)).start().unwrap();
    let place = Place::new();
    place.write("list.txt", &(0..40).map(|number| origin.url(&format!("/{number}.bin\n"))).collect::<String>());
    let terminal = Terminal::start(&place, environment, &["-i", "list.txt", "-d", "out"])?;
    let midway = wait_for("the whole with its bar, eight files and how many more", || {
        let screen = terminal.everything();
        let is_whole = screen.len() == 10 && screen[0].contains(" of 40 files") && screen[0].contains('=');
        is_whole.then_some(screen)
    });
    let code = wait_for("its end", || terminal.code());
    let end = terminal.everything();
    assert_eq!(code, 0, "{end:?}");
    assert!(end[0].starts_with("40 files, 10.0 MiB; fetched 10.0 MiB in "), "{end:?}");
    assert!(!end.iter().any(|line| line.contains(" %")), "the progress is not gone: {end:?}");
    Some((midway, end))
}

#[test]
fn a_batch_has_a_line_for_the_whole_and_eight_files_below_it() {
    let Some((midway, _)) = batch(&[]) else { return };
    assert!(midway[0].starts_with('['), "{midway:?}");
    assert!(midway[0].contains("\u{1b}[32m="), "{midway:?}");
    for line in &midway[1..9] {
        let plain = line.replace("\u{1b}[32m", "").replace("\u{1b}[39m", "");
        assert!(plain.contains(".bin") && plain.chars().count() < COLUMNS, "{midway:?}");
    }
    assert!(midway[9].starts_with("… and ") && midway[9].ends_with(" more"), "{midway:?}");
}

#[test]
fn keys_pause_speed_up_limit_and_end_a_run() {
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", 1, 64 * MIB))
        .fault(Fault::RatePerConnection(300_000))
        .start()
        .unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    let Some(terminal) = Terminal::start(&place, &[], &["-x", "2", "-d", "out", &url]) else { return };
    let press = |keys: &[&str]| terminal.ask(&[&["send-keys"], keys].concat());
    let sees = |what: &str, words: &[&str]| {
        wait_for(what, || {
            let screen = terminal.screen().join("\n");
            words.iter().all(|words| screen.contains(words)).then_some(screen)
        })
    };
    sees("two connections", &["a.bin", "2 connections"]);
    press(&["?"]);
    sees("the help", &["p pause   + - connections   l limit   q quit   ? close"]);
    press(&["?", "+", "+"]);
    sees("four connections", &["up to 4 connections per file", "4 connections"]);
    press(&["-", "-", "-"]);
    sees("one connection", &["up to 1 connection per file"]);
    wait_for("three of them closed", || {
        let screen = terminal.screen().join("\n");
        (!screen.contains(" connections\n") && !screen.ends_with(" connections")).then_some(())
    });
    press(&["l", "5", "0", "k", "Enter"]);
    sees("the limit", &["limited to 50.0 KiB/s"]);
    press(&["p"]);
    sees("the pause", &["paused; p resumes", "  paused"]);
    let body_bytes = origin.stats().body_bytes;
    press(&["p"]);
    wait_for("more bytes", || (origin.stats().body_bytes > body_bytes).then_some(()));
    press(&["q"]);
    let code = wait_for("its end", || terminal.code());
    let end = terminal.everything().join("\n");
    assert_eq!(code, 130, "{end}");
    assert!(end.contains("Interrupted: ") && end.contains("Run the same command again to go on."), "{end}");
    // Nothing that was typed is on the screen, and the terminal shows again what is typed.
    assert!(!end.contains("50k"), "{end}");
}

#[test]
fn a_terminal_that_shows_progress_in_its_tab_gets_it() {
    let Some(script) = tool("script") else { return };
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", 1, 4 * MIB))
        .fault(Fault::RatePerServer(2_000_000))
        .start()
        .unwrap();
    let place = Place::new();
    let run = |program: &str, file: &str| {
        let url = origin.url("/a.bin");
        let mut command = Command::new(&script);
        clean(&mut command);
        let words = format!("{BINARY} --restart --overwrite -d out {url}");
        command.env("TERM", "xterm").env("TERM_PROGRAM", program).env_remove("STY");
        let out = command.args(["-qec", &words, file]).current_dir(place.root()).output().unwrap();
        assert!(out.status.success(), "{out:?}");
        fs::read_to_string(place.root().join(file)).unwrap()
    };
    let shown = run("ghostty", "known");
    assert!(shown.contains("\u{1b}]9;4;1;") && shown.contains("\u{1b}]9;4;0;0\u{1b}\\"), "{shown:?}");
    assert!(!run("unknown", "other").contains("\u{1b}]9;"));
}

#[test]
fn no_color_means_no_escape_codes() {
    let Some((midway, end)) = batch(&["NO_COLOR=1"]) else { return };
    assert!(midway[0].starts_with("[="), "{midway:?}");
    for line in midway.iter().chain(&end).filter(|line| !line.contains("Pane is dead")) {
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
}

#[test]
fn a_dumb_terminal_gets_lines() {
    let origin = Origin::builder().resource(Resource::new("/a.bin", 1, 5000)).start().unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    let Some(terminal) = Terminal::start(&place, &["TERM=dumb"], &["-d", "out", &url]) else { return };
    assert_eq!(wait_for("its end", || terminal.code()), 0);
    let end = terminal.everything();
    assert!(end[0].starts_with("out/a.bin: 4.88 KiB in "), "{end:?}");
}
