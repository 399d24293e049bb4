//! One running server: its files, its two ports, and what it has logged.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use towline_testkit::servers::{Daemon, certificates};
use towline_testkit::{tool, wait_until, write_seeded};

/// Files are that much older than now: Apache's tags are weak for what has just been written.
const AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// What a server is configured with. It serves `files` in `root`, has its certificate and key in
/// `leaf.pem` and `leaf.key`, and logs requests to `access.log`.
pub(crate) struct Site<'a> {
    pub(crate) root: &'a Path,
    pub(crate) port: u16,
    pub(crate) tls_port: u16,
}

impl Site<'_> {
    /// Writes a configuration.
    pub(crate) fn write(&self, name: &str, config: &str) -> PathBuf {
        let path = self.root.join(name);
        fs::write(&path, config).unwrap();
        path
    }
}

/// A running server.
pub(crate) struct Server {
    _daemon: Daemon,
    root: TempDir,
    port: u16,
    tls_port: u16,
    line: fn(&str) -> Option<String>,
    /// How many files were put and how often the log was waited for.
    count: AtomicU64,
}

impl Server {
    /// Starts what `command` makes of a site; `None` if openssl is not installed (and CI is not
    /// set). `line` makes `METHOD PATH PROTOCOL STATUS` of a line of its log.
    pub(crate) fn start(
        name: &str,
        command: impl Fn(&Site<'_>) -> Command,
        line: fn(&str) -> Option<String>,
    ) -> Option<Self> {
        let openssl = tool("openssl")?;
        let root = tempfile::tempdir().unwrap();
        // One that does not serve as root becomes somebody else, who must come in.
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(root.path().join("files")).unwrap();
        certificates(&openssl, root.path());
        let (daemon, [port, tls_port]) =
            Daemon::start(name, root.path(), |[port, tls_port]| command(&Site { root: root.path(), port, tls_port }));
        Some(Self { _daemon: daemon, root, port, tls_port, line, count: AtomicU64::new(0) })
    }

    /// Serves `size` bytes of the content `seed` as `name` from now on; what was there is replaced as
    /// a whole, as by rsync, and each version has another time.
    pub(crate) fn put(&self, name: &str, seed: u64, size: u64) {
        let version = self.count.fetch_add(1, Ordering::Relaxed);
        let files = self.root.path().join("files");
        let (path, new) = (files.join(name), files.join(format!("new-{version}")));
        write_seeded(&new, seed, size);
        let modified = SystemTime::now() - AGE + Duration::from_secs(version);
        File::options().append(true).open(&new).unwrap().set_modified(modified).unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::rename(new, path).unwrap();
    }

    pub(crate) fn url(&self, is_tls: bool, name: &str) -> String {
        if is_tls {
            format!("https://localhost:{}/{name}", self.tls_port)
        } else {
            format!("http://127.0.0.1:{}/{name}", self.port)
        }
    }

    /// Its authority's certificate.
    pub(crate) fn ca_file(&self) -> String {
        self.root.path().join("ca.pem").to_str().unwrap().to_owned()
    }

    /// How many lines `METHOD PATH PROTOCOL STATUS` of its log are right.
    pub(crate) fn logged(&self, is_right: impl Fn(&str) -> bool) -> u64 {
        let log = fs::read_to_string(self.root.path().join("access.log")).unwrap_or_default();
        log.lines().filter_map(self.line).filter(|line| is_right(line)).count() as u64
    }

    /// Waits until a request that is made now is in the log.
    pub(crate) fn settle(&self) {
        let marker = format!("GET /marker-{} ", self.count.fetch_add(1, Ordering::Relaxed));
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "{marker}HTTP/1.0\r\n\r\n").unwrap();
        io::copy(&mut stream, &mut io::sink()).unwrap();
        wait_until("a line in the server's log", || self.logged(|line| line.starts_with(&marker)) == 1);
    }
}
