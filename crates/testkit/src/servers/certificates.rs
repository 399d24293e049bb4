//! A certificate authority and a certificate for localhost, created by openssl.

use std::fs;
use std::path::Path;
use std::process::Command;

/// For openssl: extensions of an authority, and of a certificate that is none.
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

/// Creates `ca.pem`, `leaf.pem` and `leaf.key` in `root`.
///
/// # Panics
/// If openssl fails.
pub fn certificates(openssl: &Path, root: &Path) {
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
