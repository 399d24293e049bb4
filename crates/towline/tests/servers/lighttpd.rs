//! lighttpd.

use std::process::Command;

use towline_testkit::{library, tool};

use super::server::{Server, Site};

/// Starts one; `None` if something that it needs is not installed (and CI is not set).
fn start() -> Option<Server> {
    let (lighttpd, _tls) = (tool("lighttpd")?, library("lighttpd/mod_openssl.so")?);
    Server::start(
        "lighttpd",
        |site| {
            let mut command = Command::new(&lighttpd);
            command.arg("-D").arg("-f").arg(site.write("lighttpd.conf", &config(site)));
            command
        },
        // The preface of HTTP/2 has a line of its own.
        |line| (!line.starts_with("PRI ")).then(|| line.to_owned()),
    )
}

/// Without a type a file would have no validator. Its cache would show a file that was replaced for
/// another second, and its log would be written every four seconds if it were no pipe.
fn config(site: &Site<'_>) -> String {
    let Site { root, port, tls_port } = site;
    let root = root.display();
    format!(
        r#"server.document-root = "{root}/files"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{root}/error.log"
server.upload-dirs = ( "{root}" )
server.stat-cache-engine = "disable"
server.modules = ( "mod_openssl", "mod_accesslog", "mod_dirlisting" )
dir-listing.activate = "enable"
mimetype.assign = ( "" => "application/octet-stream" )
accesslog.filename = "|cat >> '{root}/access.log'"
accesslog.format = "%m %U %H %s"
$SERVER["socket"] == "127.0.0.1:{tls_port}" {{
    ssl.engine = "enable"
    ssl.pemfile = "{root}/leaf.pem"
    ssl.privkey = "{root}/leaf.key"
}}
"#
    )
}

crate::cases::every_case!(start);
