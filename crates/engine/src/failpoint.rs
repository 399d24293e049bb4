//! Points where a test holds this process while another one runs, so that the outcome does not depend on luck.
//! Only in debug builds, and only where `TOWLINE_FAILPOINT=NAME:PATH` names the point: a thread that reaches it
//! creates the file `PATH.reached` and waits for `PATH.go`. No state beyond the environment; runs on whichever
//! thread gets there.

use std::env;
use std::fs::File;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

const VARIABLE: &str = "TOWLINE_FAILPOINT";
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// A failed test releases nobody.
const HELD_MAX: Duration = Duration::from_secs(90);

/// Waits here if the environment says so.
#[inline]
pub(crate) fn reach(name: &str) {
    if cfg!(debug_assertions) {
        wait(name);
    }
}

fn wait(name: &str) {
    static HELD: OnceLock<Option<(String, PathBuf)>> = OnceLock::new();
    let held = HELD.get_or_init(|| {
        let text = env::var(VARIABLE).ok()?;
        let (name, path) = text.split_once(':')?;
        Some((name.to_owned(), PathBuf::from(path)))
    });
    let Some((_, path)) = held.as_ref().filter(|(held, _)| held == name) else { return };
    // Without the file, the test times out and reports it.
    let _ = File::create(path.with_extension("reached"));
    let go = path.with_extension("go");
    let since = Instant::now();
    while !go.exists() && since.elapsed() < HELD_MAX {
        thread::sleep(LOOK_EVERY);
    }
}
