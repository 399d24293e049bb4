//! Dante, which speaks SOCKS5.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use towline_testkit::{library, tool};

use super::nginx;
use super::proxy::{PASSWORD, Proxy, USER, carries_everything, refuses};

/// Starts one; `None` if it is not installed (and CI is not set).
fn start() -> Option<Proxy> {
    let dante = tool("danted")?;
    Some(Proxy::start("dante", |root, port| {
        let mut command = Command::new(&dante);
        command.arg("-f").arg(config(root, port, "none"));
        command
    }))
}

/// Starts one that wants a password. It asks the system for it, which a wrapper stands in for.
fn start_with_password() -> Option<Proxy> {
    let (dante, openssl, wrapper) = (tool("danted")?, tool("openssl")?, library("libnss_wrapper.so")?);
    let hashed = Command::new(openssl).args(["passwd", "-6", PASSWORD]).output().unwrap();
    let hash = String::from_utf8(hashed.stdout).unwrap();
    let accounts = [
        ("passwd", format!("{USER}:x:12345:12345::/:/bin/false\n")),
        ("group", format!("{USER}:x:12345:\n")),
        ("shadow", format!("{USER}:{}:19000:0:99999:7:::\n", hash.trim_end())),
    ];
    Some(Proxy::start("dante", |root, port| {
        let mut command = Command::new(&dante);
        command.arg("-f").arg(config(root, port, "username")).env("LD_PRELOAD", &wrapper);
        for (name, content) in &accounts {
            fs::write(root.join(name), content).unwrap();
            command.env(format!("NSS_WRAPPER_{}", name.to_uppercase()), root.join(name));
        }
        command
    }))
}

/// Writes a configuration with this method of authentication.
fn config(root: &Path, port: u16, method: &str) -> PathBuf {
    let path = root.join("dante.conf");
    let root = root.display();
    let config = format!(
        r#"logoutput: {root}/log
internal: 127.0.0.1 port = {port}
external: 127.0.0.1
clientmethod: none
socksmethod: {method}
client pass {{
    from: 127.0.0.0/8 to: 0.0.0.0/0
}}
socks pass {{
    from: 127.0.0.0/8 to: 0.0.0.0/0
    log: connect
}}
"#
    );
    fs::write(&path, config).unwrap();
    path
}

#[test]
fn names_are_looked_up_there_or_here() {
    let (Some(server), Some(proxy)) = (nginx::start(), start()) else { return };
    for scheme in ["socks5h://", "socks5://"] {
        carries_everything(&server, &proxy.url(scheme));
    }
    proxy.logs(&["pass(1): tcp/connect"]);
}

#[test]
fn a_password_opens_it() {
    let (Some(server), Some(proxy)) = (nginx::start(), start_with_password()) else { return };
    carries_everything(&server, &proxy.url(&format!("socks5h://{USER}:{PASSWORD}@")));
    proxy.logs(&[&format!("username%{USER}@")]);
    let none = proxy.url("socks5h://");
    for refused in [&none, &proxy.url(&format!("socks5h://{USER}:WRONG@"))] {
        for is_tls in [false, true] {
            refuses(&server, is_tls, refused, &[&none, "credentials of the proxy"]);
        }
    }
}
