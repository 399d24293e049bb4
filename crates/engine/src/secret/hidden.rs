//! The redirect targets in which a server repeats a secret of its request, wherever they are shown later. The process
//! keeps their hashes, because a URL is shown in many places that know nothing of requests.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use url::Url;

/// Above this number, no URL is shown but for its host: a server that sends so many is up to something.
const HIDDEN_MAX: usize = 1 << 16;

static HIDDEN: LazyLock<Mutex<HashSet<u64>>> = LazyLock::new(Mutex::default);
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
/// How many there are, which is mostly none.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The target of a redirect that repeats a secret.
#[derive(Debug)]
pub(crate) struct Echo {
    pub(super) url: Url,
    /// Its last segment does, which would be the name of a file.
    pub(super) is_in_name: bool,
}

/// Shows nothing of this URL but its host from now on.
pub(crate) fn hide(echo: &Echo) {
    let mut hidden = HIDDEN.lock();
    if hidden.len() <= HIDDEN_MAX {
        hidden.insert(hash(&echo.url, false));
        if echo.is_in_name {
            hidden.insert(hash(&echo.url, true));
        }
    }
    COUNT.store(hidden.len(), Ordering::Release);
}

pub(super) fn is_hidden(url: &Url) -> bool {
    holds(|| hash(url, false))
}

/// Whether no file may be named by this URL.
pub(crate) fn is_name_hidden(url: &Url) -> bool {
    holds(|| hash(url, true))
}

fn holds(hash: impl FnOnce() -> u64) -> bool {
    match COUNT.load(Ordering::Acquire) {
        0 => false,
        1..=HIDDEN_MAX => HIDDEN.lock().contains(&hash()),
        _ => true,
    }
}

/// User and fragment are never shown.
fn hash(url: &Url, is_name: bool) -> u64 {
    HASHER.hash_one((url.scheme(), url.host_str(), url.port(), url.path(), url.query(), is_name))
}
