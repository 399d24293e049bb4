//! TLS by rustls: one configuration for each set of protocols that is offered, shared by all
//! workers, so that sessions are resumed across them.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

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
    any: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
}

impl Tls {
    pub(crate) fn new(options: &HttpOptions) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|source| Error::new(ErrorKind::Tls, "TLS cannot be set up").with_source(source))?;
        let config = if options.insecure {
            let verifier = Arc::new(AcceptAll(provider));
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        } else {
            builder.with_root_certificates(roots(options.ca_file.as_deref())?).with_no_client_auth()
        };
        let with = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Arc::new(config)
        };
        Ok(Self { any: with(&[b"h2", b"http/1.1"]), http1: with(&[b"http/1.1"]) })
    }

    pub(crate) fn config(&self, alpn: Alpn) -> Arc<ClientConfig> {
        match alpn {
            Alpn::Any => Arc::clone(&self.any),
            Alpn::Http1 => Arc::clone(&self.http1),
        }
    }
}

/// The system's authorities, and those of the file.
fn roots(ca_file: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    // A system without authorities is not an error until a certificate is to be verified.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let Some(path) = ca_file else { return Ok(roots) };
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
