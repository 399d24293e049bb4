//! nginx as a single process, with and without TLS.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{Daemon, certificates, lines};
use crate::{tool, write_seeded};

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    _daemon: Daemon,
    root: TempDir,
    port: u16,
    tls_port: u16,
}

impl Nginx {
    /// Starts nginx; `None` if it or openssl is not installed.
    ///
    /// # Panics
    /// If that is so and `CI` is set, or if it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let (nginx, openssl) = (tool("nginx")?, tool("openssl")?);
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("files")).unwrap();
        certificates(&openssl, root.path());
        let (daemon, [port, tls_port]) =
            Daemon::start("nginx", root.path(), |[port, tls_port]| nginx_command(&nginx, root.path(), port, tls_port));
        Some(Self { _daemon: daemon, root, port, tls_port })
    }

    /// Serves `size` bytes of the content `seed`.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn file(&self, name: &str, seed: u64, size: u64) {
        write_seeded(&self.root.path().join("files").join(name), seed, size);
    }

    /// The URL of a path, without TLS.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The URL of a path, with TLS.
    #[must_use]
    pub fn tls_url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.tls_port)
    }

    /// The path of its authority's certificate.
    ///
    /// # Panics
    /// If the name of the temporary directory is no text.
    #[must_use]
    pub fn ca_file(&self) -> String {
        self.root.path().join("ca.pem").to_str().unwrap().to_owned()
    }

    /// The log: a line `METHOD PATH PROTOCOL STATUS` for each finished request.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        lines(&self.root.path().join("access.log"))
    }
}

/// A command for nginx as a single process, which leaves no other behind when it is killed. In `root` it
/// serves `files` with index pages, uses `leaf.pem` and `leaf.key`, and logs lines `METHOD PATH PROTOCOL STATUS` to
/// `access.log`. Below `/slow/`, each request is limited to 1 MiB/s.
///
/// # Panics
/// If its configuration cannot be written.
#[must_use]
pub fn nginx_command(nginx: &Path, root: &Path, port: u16, tls_port: u16) -> Command {
    let path = root.join("nginx.conf");
    fs::write(&path, config(root, port, tls_port)).unwrap();
    let mut command = Command::new(nginx);
    command.arg("-p").arg(root).arg("-c").arg(path).arg("-e").arg(root.join("error.log"));
    command
}

fn config(root: &Path, port: u16, tls_port: u16) -> String {
    let root = root.display();
    format!(
        r#"daemon off;
master_process off;
pid "{root}/nginx.pid";
error_log "{root}/error.log";
events {{ worker_connections 1024; }}
http {{
    log_format plain '$request_method $uri $server_protocol $status';
    access_log "{root}/access.log" plain;
    client_body_temp_path "{root}/client_body";
    proxy_temp_path "{root}/proxy";
    fastcgi_temp_path "{root}/fastcgi";
    uwsgi_temp_path "{root}/uwsgi";
    scgi_temp_path "{root}/scgi";
    default_type application/octet-stream;
    sendfile on;
    autoindex on;
    keepalive_requests 100000;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls_port} ssl http2;
        ssl_certificate "{root}/leaf.pem";
        ssl_certificate_key "{root}/leaf.key";
        root "{root}/files";
        location /slow/ {{
            alias "{root}/files/";
            limit_rate 1m;
        }}
    }}
}}
"#
    )
}
