//! Real servers: nginx with and without TLS, python's `http.server`. Each with a directory of its
//! own, on ports that were free, and gone when it is dropped.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::{tool, wait_for};

const CHUNK: u64 = 1 << 20;

/// For openssl: an authority, and a certificate that is none.
const CERTIFICATES: &str = "\
[req]
distinguished_name = name
prompt = no
x509_extensions = ca
[name]
CN = Towline test authority
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost,IP:127.0.0.1
";

/// Writes `size` bytes of the content `seed`.
pub(crate) fn write_seeded(path: &Path, seed: u64, size: u64) {
    let mut file = File::create(path).unwrap();
    let mut buffer = vec![0; CHUNK as usize];
    let mut at = 0;
    while at < size {
        let count = CHUNK.min(size - at) as usize;
        towline_origin::fill(seed, at, &mut buffer[..count]);
        file.write_all(&buffer[..count]).unwrap();
        at += count as u64;
    }
}

/// A port that nobody listens on just now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A running nginx.
pub(crate) struct Nginx {
    child: Child,
    root: TempDir,
    port: u16,
    tls_port: u16,
}

impl Nginx {
    /// Starts one; `None` if something that it needs is not installed (and CI is not set).
    pub(crate) fn start() -> Option<Self> {
        let (nginx, openssl) = (tool("nginx")?, tool("openssl")?);
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("files")).unwrap();
        certificates(&openssl, root.path());
        // Somebody may take the ports between looking and listening.
        for _ in 0..5 {
            let (port, tls_port) = (free_port(), free_port());
            fs::write(root.path().join("nginx.conf"), nginx_config(root.path(), port, tls_port)).unwrap();
            let mut child = Command::new(&nginx)
                .arg("-p")
                .arg(root.path())
                .arg("-c")
                .arg(root.path().join("nginx.conf"))
                .arg("-e")
                .arg(root.path().join("error.log"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(File::create(root.path().join("nginx.err")).unwrap())
                .spawn()
                .unwrap();
            let is_up = wait_for("nginx", || match child.try_wait().unwrap() {
                Some(_) => Some(false),
                None => TcpStream::connect(("127.0.0.1", tls_port)).is_ok().then_some(true),
            });
            if is_up && child.try_wait().unwrap().is_none() {
                return Some(Self { child, root, port, tls_port });
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        let said = fs::read_to_string(root.path().join("nginx.err")).unwrap_or_default();
        panic!("nginx does not start: {said}");
    }

    /// Serves `size` bytes of the content `seed`.
    pub(crate) fn file(&self, name: &str, seed: u64, size: u64) {
        write_seeded(&self.root.path().join("files").join(name), seed, size);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn tls_url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.tls_port)
    }

    /// Its authority's certificate.
    pub(crate) fn ca_file(&self) -> String {
        self.root.path().join("ca.pem").to_str().unwrap().to_owned()
    }

    /// A line `METHOD PATH PROTOCOL STATUS` for each request that has ended.
    pub(crate) fn log(&self) -> Vec<String> {
        lines(&self.root.path().join("access.log"))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The configuration of an nginx of one process that can be killed without leaving another, with
/// `files`, `leaf.pem` and `leaf.key` in `root`. Files below `/slow/` come at 1 MiB/s for
/// each request.
pub(crate) fn nginx_config(root: &Path, port: u16, tls_port: u16) -> String {
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

/// Makes `ca.pem`, `leaf.pem` and `leaf.key` in `root`.
pub(crate) fn certificates(openssl: &Path, root: &Path) {
    fs::write(root.join("certificates.conf"), CERTIFICATES).unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for words in [
        format!("req -new -x509 -config certificates.conf {key} -keyout ca.key -out ca.pem -days 30"),
        format!("req -new -config certificates.conf -subj /CN=localhost {key} -keyout leaf.key -out leaf.csr"),
        "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -set_serial 2 -days 30 -extfile certificates.conf \
         -extensions leaf -out leaf.pem"
            .to_owned(),
    ] {
        let made = Command::new(openssl).args(words.split_whitespace()).current_dir(root).output().unwrap();
        assert!(made.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&made.stderr));
    }
}

/// A running `python3 -m http.server`, which knows no ranges.
pub(crate) struct Python {
    child: Child,
    root: TempDir,
    port: u16,
}

impl Python {
    /// Starts one; `None` if python is not installed (and CI is not set).
    pub(crate) fn start() -> Option<Self> {
        let python = tool("python3")?;
        let root = tempfile::tempdir().unwrap();
        let files = root.path().join("files");
        fs::create_dir(&files).unwrap();
        let mut child = Command::new(python)
            .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"])
            .arg(&files)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(root.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        // "Serving HTTP on 127.0.0.1 port 41234 (http://127.0.0.1:41234/) ..."
        let port = said.split_whitespace().skip_while(|word| *word != "port").nth(1).and_then(|port| port.parse().ok());
        let Some(port) = port else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("python does not say its port: {said}");
        };
        Some(Self { child, root, port })
    }

    /// Serves `size` bytes of the content `seed`.
    pub(crate) fn file(&self, name: &str, seed: u64, size: u64) {
        let path: PathBuf = self.root.path().join("files").join(name);
        write_seeded(&path, seed, size);
        // A date that is settled is all that this server tells of a version.
        let long_ago = SystemTime::now() - Duration::from_secs(86_400);
        File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// How many requests it has answered.
    pub(crate) fn requests(&self) -> usize {
        lines(&self.root.path().join("log")).iter().filter(|line| line.contains("\"GET /")).count()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
