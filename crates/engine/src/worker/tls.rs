//! TLS by rustls: one configuration for each set of protocols that is offered, shared by all
//! workers, so that sessions are resumed across them.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::dispatch::message::Alpn;
use crate::error::{Error, ErrorKind, Result};
use crate::options::HttpOptions;

/// The configurations of a session.
pub(crate) struct Tls {
    /// Made when the first certificate is to be verified: reading the system's authorities takes
    /// longer than many a plain download.
    configs: OnceLock<(Arc<ClientConfig>, Arc<ClientConfig>)>,
    provider: Arc<CryptoProvider>,
    is_insecure: bool,
    own_roots: RootCertStore,
}

impl Tls {
    pub(crate) fn new(options: &HttpOptions) -> Result<Self> {
        Ok(Self {
            configs: OnceLock::new(),
            provider: Arc::new(ring::default_provider()),
            is_insecure: options.insecure,
            own_roots: options.ca_file.as_deref().map_or_else(|| Ok(RootCertStore::empty()), read_roots)?,
        })
    }

    pub(crate) fn config(&self, alpn: Alpn) -> Arc<ClientConfig> {
        let (any, http1) = self.configs.get_or_init(|| {
            let config = self.build();
            let with = |protocols: &[&[u8]]| {
                let mut config = config.clone();
                config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
                Arc::new(config)
            };
            (with(&[b"h2", b"http/1.1"]), with(&[b"http/1.1"]))
        });
        match alpn {
            Alpn::Any => Arc::clone(any),
            Alpn::Http1 => Arc::clone(http1),
        }
    }

    fn build(&self) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has all cipher suites of the default versions");
        if self.is_insecure {
            let verifier = Arc::new(AcceptAll(Arc::clone(&self.provider)));
            return builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        }
        let mut roots = self.own_roots.clone();
        // A system without authorities is not an error: then no certificate is accepted.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        builder.with_root_certificates(roots).with_no_client_auth()
    }
}

/// The authorities in the file of `--ca-file`.
fn read_roots(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let wrong = |message: String| Error::new(ErrorKind::Usage, message).with_path(path);
    let file = File::open(path).map_err(|source| {
        wrong(format!("the file of --ca-file cannot be read: {}", crate::error::plain_io(&source))).with_source(source)
    })?;
    let mut found = 0;
    for certificate in CertificateDer::pem_reader_iter(BufReader::new(file)) {
        let certificate =
            certificate.map_err(|source| wrong(format!("the file of --ca-file is no PEM file: {source}")))?;
        roots
            .add(certificate)
            .map_err(|source| wrong("a certificate of --ca-file cannot be used".to_owned()).with_source(source))?;
        found += 1;
    }
    if found == 0 {
        return Err(wrong("the file of --ca-file holds no certificate in PEM form".to_owned()));
    }
    Ok(roots)
}

/// What `--insecure` asks for: any certificate, but still a valid handshake.
#[derive(Debug)]
struct AcceptAll(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
