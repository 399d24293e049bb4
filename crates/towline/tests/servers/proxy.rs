//! What proxies must carry: a large file in pieces and small ones, without TLS and with it, of a real
//! nginx.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use towline_testkit::servers::Daemon;
use towline_testkit::{MIB, wait_until};

use super::server::Server;
use crate::common::Place;

const SEED: u64 = 80;
const BIG_BYTES: u64 = 64 * MIB;
const FILES: u64 = 100;
const FILE_BYTES: u64 = 1024;

pub(crate) const USER: &str = "user";
pub(crate) const PASSWORD: &str = "SECRET-PW";

/// A running proxy. It logs to `log` in its directory.
pub(crate) struct Proxy {
    _daemon: Daemon,
    root: TempDir,
    port: u16,
}

impl Proxy {
    /// Starts what `command` makes of a directory and a port.
    pub(crate) fn start(name: &str, command: impl Fn(&Path, u16) -> Command) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (daemon, [port]) = Daemon::start(name, root.path(), |[port]| command(root.path(), port));
        Self { _daemon: daemon, root, port }
    }

    /// Its URL: `scheme` may be followed by credentials, as in `http://user:pw@`.
    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}127.0.0.1:{}", self.port)
    }

    /// Waits until its log has all of these.
    pub(crate) fn logs(&self, texts: &[&str]) {
        for text in texts {
            wait_until(text, || fs::read_to_string(self.root.path().join("log")).is_ok_and(|log| log.contains(text)));
        }
    }
}

/// Everything arrives through the proxy at this URL, whose password nobody says.
pub(crate) fn carries_everything(server: &Server, proxy: &str) {
    server.put("big.bin", SEED, BIG_BYTES);
    (0..FILES).for_each(|number| server.put(&format!("{number}.bin"), SEED + number, FILE_BYTES));
    let ca_file = server.ca_file();
    for is_tls in [false, true] {
        let url = |name: &str| server.url(is_tls, name);
        let place = Place::new();
        place.write("list.txt", &(0..FILES).map(|number| url(&format!("{number}.bin\n"))).collect::<String>());
        let through = |more: &[&str]| {
            let options = ["-v", "-d", "out", "--ca-file", &ca_file, "--proxy", proxy];
            place.towline(&[&options[..], more].concat()).run().code(0).hides(PASSWORD)
        };
        through(&["-x", "8", &url("big.bin")]).says(&["fetched in pieces"]);
        place.check("big.bin", SEED, BIG_BYTES);
        through(&["-i", "list.txt"]).says(&["100 files, "]);
        (0..FILES).for_each(|number| place.check(&format!("{number}.bin"), SEED + number, FILE_BYTES));
        assert_eq!(place.leftovers_beside_numbered(FILES), [".towline", "big.bin"]);
    }
}

/// The proxy at this URL does not take its credentials, and the error says `texts`.
pub(crate) fn refuses(server: &Server, is_tls: bool, proxy: &str, texts: &[&str]) {
    server.put("refused.bin", SEED, FILE_BYTES);
    let place = Place::new();
    let url = server.url(is_tls, "refused.bin");
    let ca_file = server.ca_file();
    let args = ["-v", "-d", "out", "--ca-file", &ca_file, "--proxy", proxy, &url];
    place.towline(&args).run().code(1).says(&[&url]).says(texts).hides("WRONG");
    assert_eq!(place.leftovers(), Vec::<String>::new());
}
