//! tinyproxy, which speaks HTTP.

use std::fs;
use std::process::Command;

use towline_testkit::tool;

use super::nginx;
use super::proxy::{PASSWORD, Proxy, USER, carries_everything, refuses};

/// Starts one; `None` if it is not installed (and CI is not set).
fn start(wants_password: bool) -> Option<Proxy> {
    let tinyproxy = tool("tinyproxy")?;
    let password = if wants_password { format!("BasicAuth {USER} {PASSWORD}\n") } else { String::new() };
    Some(Proxy::start("tinyproxy", |root, port| {
        let path = root.join("tinyproxy.conf");
        let root = root.display();
        let config = format!(
            r#"Port {port}
Listen 127.0.0.1
Allow 127.0.0.1
MaxClients 100
LogFile "{root}/log"
LogLevel Connect
PidFile "{root}/pid"
{password}"#
        );
        fs::write(&path, config).unwrap();
        let mut command = Command::new(&tinyproxy);
        command.arg("-d").arg("-c").arg(path);
        command
    }))
}

#[test]
fn requests_are_forwarded_and_tls_goes_through_a_tunnel() {
    let (Some(server), Some(proxy)) = (nginx::start(), start(false)) else { return };
    carries_everything(&server, &proxy.url("http://"));
    let (plain, tunnel) = (server.url(false, "big.bin"), server.url(true, "").replace("https://", "CONNECT "));
    proxy.logs(&[&format!("GET {plain} "), tunnel.trim_end_matches('/')]);
}

#[test]
fn a_password_opens_it() {
    let (Some(server), Some(proxy)) = (nginx::start(), start(true)) else { return };
    carries_everything(&server, &proxy.url(&format!("http://{USER}:{PASSWORD}@")));
    let none = proxy.url("http://");
    refuses(&server, false, &none, &["407"]);
    refuses(&server, true, &none, &[&none, "credentials of the proxy"]);
    // This one answers 401 instead of 407.
    refuses(&server, false, &proxy.url(&format!("http://{USER}:WRONG@")), &["401"]);
    refuses(&server, true, &proxy.url(&format!("http://{USER}:WRONG@")), &[&none, "credentials of the proxy"]);
}
