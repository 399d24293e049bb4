//! Apache, as one process with threads.

use std::path::Path;
use std::process::Command;

use towline_testkit::{library, tool};

use super::server::{Server, Site};

/// Starts one; `None` if something that it needs is not installed (and CI is not set).
fn start() -> Option<Server> {
    let (apache, modules) = (tool("apache2")?, library("apache2/modules/mod_http2.so")?);
    let modules = modules.parent().unwrap();
    Server::start(
        "apache",
        |site| {
            let mut command = Command::new(&apache);
            command.arg("-X").arg("-f").arg(site.write("apache.conf", &config(site, modules)));
            command
        },
        |line| Some(line.to_owned()),
    )
}

/// `User` and `Group` count only if it is started by root, as whom it does not serve.
fn config(site: &Site<'_>, modules: &Path) -> String {
    let Site { root, port, tls_port } = site;
    let (root, modules) = (root.display(), modules.display());
    format!(
        r#"ServerRoot "{root}"
ServerName localhost
PidFile "{root}/apache.pid"
ErrorLog "{root}/error.log"
DefaultRuntimeDir "{root}"
Mutex "file:{root}"
LoadModule mpm_event_module "{modules}/mod_mpm_event.so"
LoadModule authz_core_module "{modules}/mod_authz_core.so"
LoadModule ssl_module "{modules}/mod_ssl.so"
LoadModule http2_module "{modules}/mod_http2.so"
User www-data
Group www-data
ThreadsPerChild 64
MaxRequestWorkers 64
MaxKeepAliveRequests 0
LogFormat "%m %U %H %>s" line
CustomLog "{root}/access.log" line
Listen 127.0.0.1:{port}
Listen 127.0.0.1:{tls_port}
DocumentRoot "{root}/files"
<Directory "{root}/files">
    Require all granted
</Directory>
<VirtualHost 127.0.0.1:{tls_port}>
    Protocols h2 http/1.1
    SSLEngine on
    SSLCertificateFile "{root}/leaf.pem"
    SSLCertificateKeyFile "{root}/leaf.key"
</VirtualHost>
"#
    )
}

crate::cases::every_case!(start);
