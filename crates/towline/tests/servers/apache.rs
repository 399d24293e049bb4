//! Apache, as one process with threads.

use std::path::Path;
use std::process::Command;

use towline_testkit::{library, tool};

use super::server::{Server, Site};
use crate::common::Place;

/// Who may use WebDAV: `me`, with the password `secret`.
const USERS: &str = "me:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n";

/// Starts one; `None` if something that it needs is not installed (and CI is not set).
fn start() -> Option<Server> {
    let (apache, modules) = (tool("apache2")?, library("apache2/modules/mod_http2.so")?);
    let modules = modules.parent().unwrap();
    Server::start(
        "apache",
        |site| {
            site.write("users", USERS);
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
LoadModule authz_user_module "{modules}/mod_authz_user.so"
LoadModule authn_core_module "{modules}/mod_authn_core.so"
LoadModule authn_file_module "{modules}/mod_authn_file.so"
LoadModule auth_basic_module "{modules}/mod_auth_basic.so"
LoadModule alias_module "{modules}/mod_alias.so"
LoadModule autoindex_module "{modules}/mod_autoindex.so"
LoadModule dav_module "{modules}/mod_dav.so"
LoadModule dav_fs_module "{modules}/mod_dav_fs.so"
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
    Options +Indexes
    IndexOptions FancyIndexing HTMLTable
    Require all granted
</Directory>
DavLockDB "{root}/locks"
Alias /dav "{root}/files"
<Location /dav>
    Dav On
    AuthType Basic
    AuthName files
    AuthUserFile "{root}/users"
    Require valid-user
</Location>
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

const LARGE_BYTES: u64 = 20 << 20;

#[test]
fn a_tree_comes_over_webdav_with_a_password_and_not_without() {
    let Some(server) = start() else { return };
    let files = [("one.bin", 1), ("a b/two #1.bin", 2), ("deep/er/x%.txt", 3)];
    files.iter().for_each(|(name, seed)| server.put(&format!("tree/{name}"), *seed, 5000));
    server.put("beside.bin", 9, 5000);
    let place = Place::new();
    let url = |who: &str| server.url(false, "dav/tree/").replace("http://", &format!("dav://{who}"));
    let run = |who: &str| place.towline(&["-d", "out", &url(who)]).run();

    run("").code(1).says(&["the server wants a name and a password"]);
    run("me:wrong@").code(1).says(&["the server does not accept the name and the password"]);
    assert!(!place.out("one.bin").exists());

    run("me:secret@").code(0).says(&["3 files, "]).writes_nothing();
    files.iter().for_each(|(name, seed)| place.check(name, *seed, 5000));
    assert_eq!(place.leftovers(), [".towline", "a b", "deep", "one.bin"]);
    run("me:secret@").code(0).says(&["3 already there"]);

    // A large file alone, by its own name.
    server.put("tree/large a.iso", 4, LARGE_BYTES);
    let file = format!("{}large%20a.iso", url("me:secret@"));
    place.towline(&["-d", "out/alone", "-x", "4", &file]).run().code(0).says(&["1 file, "]);
    place.check("alone/large a.iso", 4, LARGE_BYTES);
    place.towline(&["-d", "out/none", &file.replace("large", "none")]).run().code(1).says(&["there is no such folder"]);
}
