//! The example `share`, run against the look-alike of OneDrive, interrupted for real and run again.

use std::fs;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use towline_origin::{Graph, GraphBuilder};
use towline_testkit::{MIB, assert_content, wait_until, with_watchdog};

const LIMIT: Duration = Duration::from_secs(120);
const SMALL_FILES: u64 = 40;
const LARGE_BYTES: u64 = 6 * MIB;

#[test]
fn a_share_comes_over_threads_of_ones_own_and_goes_on_after_an_interrupt() {
    with_watchdog(LIMIT, || {
        let dir = tempfile::tempdir().unwrap();
        let graph = share().rate(2_000_000).start().unwrap();
        let mut child = start(dir.path(), &graph);
        let progress = dir.path().join("progress.json");
        wait_until("a saved step and a part of the share", || {
            assert!(child.try_wait().unwrap().is_none(), "it has ended too soon");
            progress.exists() && graph.stats().sent_bytes > LARGE_BYTES / 3
        });
        interrupt(&child);
        let ended = child.wait().unwrap();
        assert_eq!(ended.signal(), Some(libc::SIGINT), "{ended}");
        let saved: serde_json::Value = serde_json::from_slice(&fs::read(&progress).unwrap()).unwrap();
        assert_ne!(saved["large.bin"], "done", "{saved}");
        assert!(!dir.path().join("large.bin").exists());

        let output = start(dir.path(), &graph).wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert!(said.contains(&format!("{0} of {0} files are here", SMALL_FILES + 1)), "{said}");
        (0..SMALL_FILES).for_each(|number| assert_content(&dir.path().join(small(number)), number, 3000));
        assert_content(&dir.path().join("large.bin"), 99, LARGE_BYTES);
        let sent = graph.stats().sent_bytes;
        assert!(sent < LARGE_BYTES + SMALL_FILES * 3000 + MIB, "what has come is kept: {sent} bytes were sent");
    });
}

fn share() -> GraphBuilder {
    let share = Graph::builder().page_len(15).file("large.bin", 99, LARGE_BYTES);
    (0..SMALL_FILES).fold(share, |share, number| share.file(&small(number), number, 3000))
}

fn small(number: u64) -> String {
    format!("folder {}/{number}.bin", number % 3)
}

fn start(dir: &Path, graph: &Graph) -> Child {
    let mut command = Command::new(example_path());
    command.arg(dir).arg("4").arg(graph.link()).stdout(Stdio::piped());
    command.env("TOWLINE_GRAPH_URL", graph.base()).env("TOWLINE_ONEDRIVE_TOKEN", "SECRET-token");
    // SAFETY: between fork and exec the closure calls signal(2) alone, and allocates nothing.
    unsafe { command.pre_exec(take_interrupt) };
    command.spawn().unwrap()
}

/// Tests may be started with the signal ignored (in the background of a script); their children not.
fn take_interrupt() -> std::io::Result<()> {
    // SAFETY: no handler is installed, only the default action.
    match unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) } {
        libc::SIG_ERR => Err(std::io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn interrupt(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

/// `target/debug/examples/share`, next to `target/debug/deps/`, where this test lies.
fn example_path() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join("examples").join("share");
    assert!(path.exists(), "{} is missing: build it with `cargo build -p towline-engine --examples`", path.display());
    path
}
