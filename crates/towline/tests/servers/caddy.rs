//! Caddy.

use std::process::Command;

use serde_json::Value;
use towline_testkit::tool;

use super::server::{Server, Site};

/// Starts one; `None` if something that it needs is not installed (and CI is not set).
fn start() -> Option<Server> {
    let caddy = tool("caddy")?;
    Server::start(
        "caddy",
        |site| {
            let mut command = Command::new(&caddy);
            command.args(["run", "--adapter", "caddyfile", "--config"]).arg(site.write("Caddyfile", &config(site)));
            // It keeps a copy of its configuration, and more.
            for home in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
                command.env(home, site.root);
            }
            command
        },
        line,
    )
}

fn config(site: &Site<'_>) -> String {
    let Site { root, port, tls_port } = site;
    let root = root.display();
    format!(
        r#"{{
	admin off
	auto_https off
	servers {{
		protocols h1 h2
	}}
}}
(files) {{
	bind 127.0.0.1
	root * "{root}/files"
	file_server browse
	log {{
		output file "{root}/access.log"
	}}
}}
http://:{port} {{
	import files
}}
https://:{tls_port} {{
	tls "{root}/leaf.pem" "{root}/leaf.key"
	import files
}}
"#
    )
}

/// Its log is JSON; a line that is just being written is none yet.
fn line(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let request = &line["request"];
    let text = |name| request[name].as_str();
    Some(format!("{} {} {} {}", text("method")?, text("uri")?, text("proto")?, line["status"].as_u64()?))
}

crate::cases::every_case!(start);
