//! Certificates that people make themselves, and servers that are old, against OpenSSL's own server.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use towline_origin::{Origin, Resource};
use towline_testkit::{tool, wait_for, write_seeded};

use crate::common::{Outcome, Place};

const SIZE: u64 = 20_000;
/// Of all names that tests reach a server by.
const NAMES: &str = "subjectAltName=DNS:localhost,IP:127.0.0.1";
const NO_AUTHORITY: &str = "basicConstraints=critical,CA:FALSE";
/// What `openssl ca` wants to know.
const AUTHORITY: &str = "[ca]
default_ca = it
[it]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = names
x509_extensions = extensions
[names]
commonName = supplied
[extensions]
subjectAltName = DNS:localhost
basicConstraints = CONSTRAINTS
";

type Words<'a> = &'a [&'a str];

/// `openssl s_server` with one certificate; it serves `a.bin`.
struct Server {
    child: Child,
    root: PathBuf,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(openssl: &Path, place: &Place, make: &[&str], options: &[&str]) -> Self {
        let root = tempfile::tempdir_in(place.root()).unwrap().keep();
        let run = |args: &[&str]| {
            let output = Command::new(openssl).args(args).current_dir(&root).output().unwrap();
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        let subject = ["-subj", "/CN=localhost", "-days", "30", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"];
        let request = || {
            let subject = ["-nodes", "-keyout", "key.pem", "-subj", "/CN=localhost", "-out", "req.pem"];
            run(&[&["req", "-new", "-newkey", "rsa:2048"], &subject[..]].concat());
        };
        match make {
            // `req` makes version 3 alone, and dates from now on.
            ["v1"] => {
                request();
                run(&["x509", "-req", "-in", "req.pem", "-signkey", "key.pem", "-out", "cert.pem"]);
            }
            ["signed by", signer] => {
                request();
                fs::write(root.join("names"), NAMES).unwrap();
                let (cert, key) = (format!("{signer}/cert.pem"), format!("{signer}/key.pem"));
                let sign = ["x509", "-req", "-in", "req.pem", "-CA", &cert, "-CAkey", &key, "-CAcreateserial"];
                run(&[&sign[..], &["-extfile", "names", "-out", "cert.pem"]].concat());
            }
            ["expired", constraints] => {
                request();
                fs::write(root.join("index"), "").unwrap();
                fs::write(root.join("ca.conf"), AUTHORITY.replace("CONSTRAINTS", constraints)).unwrap();
                let sign = ["ca", "-batch", "-selfsign", "-config", "ca.conf", "-in", "req.pem", "-keyfile", "key.pem"];
                run(&[
                    &sign[..],
                    &["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"],
                    &["-out", "cert.pem"],
                ]
                .concat());
            }
            _ => run(&[&["req", "-x509"], make, &subject[..]].concat()),
        }
        write_seeded(&root.join("a.bin"), 1, SIZE);
        let log = root.join("log");
        let child = Command::new(openssl)
            .args(["s_server", "-accept", "127.0.0.1:0", "-WWW", "-cert", "cert.pem", "-key", "key.pem"])
            .args(options)
            .current_dir(&root)
            .stdin(Stdio::null())
            .stdout(File::create(&log).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let port = wait_for("the server", || {
            let text = fs::read_to_string(&log).unwrap();
            let line = text.lines().find(|line| line.starts_with("ACCEPT"))?;
            line.rsplit(':').next()?.parse().ok()
        });
        Self { child, root, port }
    }

    fn own(&self) -> String {
        self.root.join("cert.pem").to_str().unwrap().to_owned()
    }

    fn fetch(&self, place: &Place, host: &str, options: &[&str]) -> Outcome {
        let url = format!("https://{host}:{}/a.bin", self.port);
        let _ = fs::remove_dir_all(place.out(""));
        place.towline(&[options, &["--retries", "0", "-d", "out", &url]].concat()).run()
    }
}

#[test]
fn a_certificate_of_ones_own_is_trusted_as_itself() {
    let Some(openssl) = tool("openssl") else { return };
    let place = Place::new();
    let kinds: [(&str, &[&str]); 4] = [
        ("an authority, as openssl makes it", &["-newkey", "rsa:2048", "-addext", NAMES]),
        ("none", &["-newkey", "rsa:2048", "-addext", NAMES, "-addext", NO_AUTHORITY]),
        ("P-256", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-addext", NAMES]),
        ("P-521", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp521r1", "-addext", NAMES]),
    ];
    for (what, make) in kinds {
        let server = Server::start(&openssl, &place, make, &[]);
        let outcome = server.fetch(&place, "localhost", &["--ca-file", &server.own()]);
        assert!(outcome.status.success(), "{what}: {}", outcome.stderr);
        place.check("a.bin", 1, SIZE);
        let _ = server.fetch(&place, "localhost", &[]).code(1).says(&["the server's certificate was refused"]);
    }
}

#[test]
fn a_certificate_of_ones_own_signs_for_others_only_if_it_is_an_authority() {
    let Some(openssl) = tool("openssl") else { return };
    let place = Place::new();
    let v3: &[&str] = &["-newkey", "rsa:2048", "-addext", NAMES, "-subj", "/CN=signer"];
    for (constraints, is_trusted) in [(NO_AUTHORITY, false), ("basicConstraints=critical,CA:TRUE", true)] {
        let signer = Server::start(&openssl, &place, &[v3, &["-addext", constraints]].concat(), &[]);
        let server = Server::start(&openssl, &place, &["signed by", signer.root.to_str().unwrap()], &[]);
        let outcome = server.fetch(&place, "localhost", &["--ca-file", &signer.own()]);
        assert_eq!(outcome.status.success(), is_trusted, "{constraints}: {}", outcome.stderr);
        assert!(signer.fetch(&place, "localhost", &["--ca-file", &signer.own()]).status.success(), "{constraints}");
    }
}

#[test]
fn the_dates_and_the_names_of_ones_own_certificate_count() {
    let Some(openssl) = tool("openssl") else { return };
    let place = Place::new();
    let rsa = ["-newkey", "rsa:2048", "-addext"];
    for more in [&[][..], &["-addext", NO_AUTHORITY]] {
        let elsewhere = [&rsa[..], &["subjectAltName=DNS:elsewhere.invalid"], more].concat();
        let server = Server::start(&openssl, &place, &elsewhere, &[]);
        let outcome = server.fetch(&place, "localhost", &["--ca-file", &server.own()]).code(1);
        let _ = outcome.says(&["it is for another host name (elsewhere.invalid)"]);

        let constraints = if more.is_empty() { "critical, CA:TRUE" } else { "critical, CA:FALSE" };
        let server = Server::start(&openssl, &place, &["expired", constraints], &[]);
        let outcome = server.fetch(&place, "localhost", &["--ca-file", &server.own()]).code(1);
        let _ = outcome.says(&["it has expired"]);
    }
}

#[test]
fn insecure_takes_any_certificate() {
    let Some(openssl) = tool("openssl") else { return };
    let place = Place::new();
    let both = ["-tls1_2", "-tls1_3"];
    let kinds: [(&str, Words<'_>, Words<'_>, Words<'_>); 4] = [
        ("version 1", &["v1"], &[], &both),
        ("a short key", &["-newkey", "rsa:1024"], &["-cipher", "DEFAULT@SECLEVEL=0"], &both),
        // TLS 1.2 wants the curve for the exchange of keys too.
        ("P-521", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp521r1"], &[], &both[1..]),
        (
            "Ed25519, another name",
            &["-newkey", "ed25519", "-addext", "subjectAltName=DNS:elsewhere.invalid"],
            &[],
            &both,
        ),
    ];
    let versions = kinds.into_iter().flat_map(|kind| kind.3.iter().map(move |version| (kind, *version)));
    for ((what, make, options, _), version) in versions {
        let server = Server::start(&openssl, &place, make, &[options, &[version]].concat());
        let outcome = server.fetch(&place, "127.0.0.1", &["--insecure"]);
        assert!(outcome.status.success(), "{what} {version}: {}", outcome.stderr);
        place.check("a.bin", 1, SIZE);
    }
}

#[test]
fn what_is_wrong_with_a_certificate_or_a_server_is_named() {
    let Some(openssl) = tool("openssl") else { return };
    let place = Place::new();
    let good = ["-newkey", "rsa:2048", "-addext", NAMES, "-addext", NO_AUTHORITY];
    let old = "the server takes none of the ciphers that are offered";
    let kinds: [(&[&str], &[&str], &str); 5] = [
        (&["v1"], &[], "it is of an old form (X.509 version 1 or 2)"),
        (&["-newkey", "rsa:2048", "-addext", NO_AUTHORITY], &[], "it names no host, so not localhost"),
        (&good, &["-tls1_2", "-cipher", "AES128-GCM-SHA256"], old),
        (&good, &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256"], old),
        (&good, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], "the server speaks only versions of TLS before 1.2"),
    ];
    for (make, options, said) in kinds {
        let server = Server::start(&openssl, &place, make, options);
        let outcome = server.fetch(&place, "localhost", &["--ca-file", &server.own()]).code(1).says(&[said]);
        let _ = outcome.hides("signed by an authority of your own");
    }
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_ours() {
    let Some(openssl) = tool("openssl") else { return };
    let place = Place::new();
    let make = ["-newkey", "rsa:2048", "-addext", NAMES];
    let client = Server::start(&openssl, &place, &make, &[]);
    let server =
        Server::start(&openssl, &place, &make, &["-Verify", "1", "-verify_return_error", "-CAfile", &client.own()]);
    let (cert, key) = (client.own(), client.root.join("key.pem").to_str().unwrap().to_owned());
    let trusting = ["--ca-file", &server.own()];
    server.fetch(&place, "localhost", &[&trusting[..], &["--cert", &cert, "--key", &key]].concat()).code(0);
    place.check("a.bin", 1, SIZE);
    let both = place.root().join("both.pem");
    fs::write(&both, fs::read_to_string(&cert).unwrap() + &fs::read_to_string(&key).unwrap()).unwrap();
    server.fetch(&place, "localhost", &[&trusting[..], &["--cert", both.to_str().unwrap()]].concat()).code(0);
    let _ = server.fetch(&place, "localhost", &trusting).code(1);
    let other = server.fetch(&place, "localhost", &[&trusting[..], &["--cert", &cert]].concat());
    let _ = other.code(2).says(&["the key cannot be read", "--key"]);
    let of_server = format!("{}/key.pem", server.root.display());
    let wrong = [&trusting[..], &["--cert", &cert, "--key", &of_server]].concat();
    let _ = server.fetch(&place, "localhost", &wrong).code(2).says(&["the key cannot be used"]);
    let _ = server.fetch(&place, "localhost", &["--key", &key]).code(2).says(&["--key needs --cert"]);
}

#[test]
fn a_server_with_another_key_than_the_pinned_one_is_refused() {
    let Some(openssl) = tool("openssl") else { return };
    let place = Place::new();
    let server = Server::start(&openssl, &place, &["-newkey", "rsa:2048", "-addext", NAMES], &[]);
    // As curl's documentation makes it.
    let script = "openssl x509 -in cert.pem -pubkey -noout | openssl pkey -pubin -outform der \
                  | openssl dgst -sha256 -binary | openssl enc -base64";
    let output = Command::new("sh").args(["-c", script]).current_dir(&server.root).output().unwrap();
    let right = format!("sha256//{}", String::from_utf8(output.stdout).unwrap().trim());
    let wrong = format!("sha256//{}=", "A".repeat(43));
    let trusting = ["--ca-file", &server.own()];
    let pinned = |key: &str| server.fetch(&place, "localhost", &[&trusting[..], &["--pinned-key", key]].concat());
    pinned(&right).code(0);
    pinned(&format!("{wrong};{right}")).code(0);
    let _ = pinned(&wrong).code(1).says(&["its public key is none of those that are pinned", "--pinned-key"]);
    let _ = server.fetch(&place, "localhost", &["--insecure", "--pinned-key", &wrong]).code(1);
    let _ = pinned("md5//AA").code(2).says(&["sha256//HASH"]);
    let plain = Origin::builder().resource(Resource::new("/a.bin", 1, 10)).start().unwrap();
    let _ = place.towline(&["--pinned-key", &right, &plain.url("/a.bin")]).run().code(1).says(&["keys are pinned"]);
    assert_eq!(plain.requests().len(), 0);
}
