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

static HIDDEN: Urls = Urls::new();
/// Those of them that may name no file.
static NAMES: Urls = Urls::new();
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

struct Urls {
    hashes: LazyLock<Mutex<HashSet<u64>>>,
    /// How many there are, which is mostly none.
    count: AtomicUsize,
}

impl Urls {
    const fn new() -> Self {
        Self { hashes: LazyLock::new(Mutex::default), count: AtomicUsize::new(0) }
    }

    fn insert(&self, url: &Url) {
        let mut hashes = self.hashes.lock();
        if hashes.len() <= HIDDEN_MAX {
            hashes.insert(hash(url));
        }
        self.count.store(hashes.len(), Ordering::Release);
    }

    fn holds(&self, url: &Url) -> bool {
        match self.count.load(Ordering::Acquire) {
            0 => false,
            1..=HIDDEN_MAX => self.hashes.lock().contains(&hash(url)),
            _ => true,
        }
    }
}

/// The target of a redirect that repeats a secret.
#[derive(Debug)]
pub(crate) struct Echo {
    pub(super) url: Url,
    /// Its last segment does, which would be the name of a file.
    pub(super) is_in_name: bool,
}

/// Shows nothing of this URL but its host from now on.
pub(crate) fn hide(echo: &Echo) {
    HIDDEN.insert(&echo.url);
    if echo.is_in_name {
        NAMES.insert(&echo.url);
    }
}

pub(super) fn is_hidden(url: &Url) -> bool {
    HIDDEN.holds(url)
}

/// Whether no file may be named by this URL.
pub(crate) fn is_name_hidden(url: &Url) -> bool {
    NAMES.holds(url)
}

/// User and fragment are never shown.
fn hash(url: &Url) -> u64 {
    HASHER.hash_one((url.scheme(), url.host_str(), url.port(), url.path(), url.query()))
}
