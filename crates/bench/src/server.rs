//! The servers: nginx with two workers for speed, the origin for rates and latency.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use towline_testkit::servers::{Daemon, certificates};
use towline_testkit::tool;

/// Where nginx looks for files that are all the same.
pub const SAME: &str = "same/";

/// A running nginx with two workers and no access log, with and without TLS. Its files lie in memory.
#[derive(Debug)]
pub struct Nginx {
    _daemon: Daemon,
    root: TempDir,
    port: u16,
    tls_port: u16,
}

impl Nginx {
    /// Starts it; `None` if it or openssl is not installed.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(memory: &Path) -> Option<Self> {
        let (nginx, openssl) = (tool("nginx")?, tool("openssl")?);
        let root = tempfile::Builder::new().prefix("towline-bench-nginx").tempdir_in(memory).unwrap();
        let files = root.path().join("files");
        fs::create_dir(&files).unwrap();
        fs::write(files.join("same.bin"), b"The same for everybody.\n").unwrap();
        // Its workers may run as another user.
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(root.path(), everybody).unwrap();
        certificates(&openssl, root.path());
        let (daemon, [port, tls_port]) = Daemon::start("nginx", root.path(), |[port, tls_port]| {
            let path = root.path().join("nginx.conf");
            fs::write(&path, config(root.path(), port, tls_port)).unwrap();
            let mut command = Command::new(&nginx);
            command.arg("-p").arg(root.path()).arg("-c").arg(path).arg("-e").arg(root.path().join("error.log"));
            command
        });
        Some(Self { _daemon: daemon, root, port, tls_port })
    }

    /// The directory that it serves.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.root.path().join("files")
    }

    /// What URLs begin with, without TLS.
    #[must_use]
    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// What URLs begin with, with TLS.
    #[must_use]
    pub fn tls_base(&self) -> String {
        format!("https://localhost:{}/", self.tls_port)
    }

    /// The certificate of its authority.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.root.path().join("ca.pem")
    }
}

fn config(root: &Path, port: u16, tls_port: u16) -> String {
    let root = root.display();
    format!(
        r#"daemon off;
worker_processes 2;
pid "{root}/nginx.pid";
error_log "{root}/error.log";
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path "{root}/client_body";
    proxy_temp_path "{root}/proxy";
    fastcgi_temp_path "{root}/fastcgi";
    uwsgi_temp_path "{root}/uwsgi";
    scgi_temp_path "{root}/scgi";
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    autoindex on;
    keepalive_requests 1000000000;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        listen 127.0.0.1:{tls_port} ssl http2 backlog=4096;
        ssl_certificate "{root}/leaf.pem";
        ssl_certificate_key "{root}/leaf.key";
        root "{root}/files";
        location ~ ^/{SAME} {{
            root "{root}/files";
            rewrite ^ /same.bin break;
        }}
    }}
}}
"#
    )
}
