//! TLS through rustls: one configuration for each set of offered protocols, shared by all workers, so that TLS
//! sessions are resumed across them.

mod certificate;
mod identity;
mod p521;
mod pinned;
mod verify;
mod words;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use self::pinned::Pinned;
use self::verify::{AcceptAll, Trusted};
pub(crate) use self::words::{alert_error, handshake_error};
use crate::error::{Advice, Error, ErrorKind, Result, plain_io};
use crate::message::Alpn;
use crate::options::HttpOptions;

/// The most bytes to read of an `HttpOptions::ca_file`; all authorities of a system take a fraction of that.
const CA_FILE_BYTES_MAX: u64 = 16 << 20;

/// The TLS configurations of a session.
pub(crate) struct Tls {
    /// Created for the first certificate to verify: reading the system's authorities takes longer than many
    /// plain downloads.
    configs: OnceLock<(Arc<ClientConfig>, Arc<ClientConfig>)>,
    provider: Arc<CryptoProvider>,
    is_insecure: bool,
    /// The certificates of `HttpOptions::ca_file`.
    own: Vec<CertificateDer<'static>>,
    /// The chain and key of `HttpOptions::identity`.
    identity: Option<Arc<CertifiedKey>>,
    /// `HttpOptions::pinned_keys`.
    pins: Vec<[u8; 32]>,
}

impl Tls {
    pub(crate) fn new(options: &HttpOptions) -> Result<Self> {
        let provider = Arc::new(p521::provider());
        let identity = options.identity.as_ref().map(|identity| identity::read(identity, &provider)).transpose()?;
        Ok(Self {
            configs: OnceLock::new(),
            provider,
            identity: identity.map(Arc::new),
            pins: options.pinned_keys.clone(),
            is_insecure: options.insecure,
            own: options.ca_file.as_deref().map_or_else(|| Ok(Vec::new()), read_certificates)?,
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
        let verifier: Arc<dyn ServerCertVerifier> = match self.is_insecure {
            true => Arc::new(AcceptAll),
            false => Arc::new(Trusted::new(self.roots(), self.own.clone(), Arc::clone(&self.provider))),
        };
        let verifier = match self.pins.is_empty() {
            true => verifier,
            false => Arc::new(Pinned::new(verifier, self.pins.clone(), Arc::clone(&self.provider))),
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        match &self.identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(identity)))),
            None => builder.with_no_client_auth(),
        }
    }

    /// The authorities of the system and of `HttpOptions::ca_file`. A single server's certificate signs no
    /// other.
    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.own.iter().filter(|own| certificate::is_of_authority(own)).cloned());
        // A system without authorities is not an error: then no certificate is accepted.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    }
}

/// Reads the certificates in `HttpOptions::ca_file`.
fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let wrong =
        |message: String| Error::new(ErrorKind::Usage, message).with_path(path).with_advice(Advice::CheckCaFile);
    let file = File::open(path).map_err(|source| {
        wrong(format!("the file of certificates cannot be read: {}", plain_io(&source))).with_source(source)
    })?;
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_reader_iter(BufReader::new(file.take(CA_FILE_BYTES_MAX))) {
        let certificate =
            certificate.map_err(|source| wrong(format!("the file of certificates is no PEM file: {source}")))?;
        RootCertStore::empty()
            .add(certificate.clone())
            .map_err(|source| wrong("a certificate in this file cannot be used".to_owned()).with_source(source))?;
        certificates.push(certificate);
    }
    if certificates.is_empty() {
        return Err(wrong("the file of certificates holds none in PEM form".to_owned()));
    }
    Ok(certificates)
}
