//! Reads the certificate and the key with which we authenticate to servers.

use std::path::Path;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{Advice, Error, ErrorKind, Result};
use crate::options::ClientIdentity;

/// The chain and the key.
///
/// # Errors
/// If a file cannot be read, holds none, or the key is not that of the certificate.
pub(super) fn read(identity: &ClientIdentity, provider: &CryptoProvider) -> Result<CertifiedKey> {
    let wrong = |path: &Path, message: String| {
        Error::new(ErrorKind::Usage, message).with_path(path).with_advice(Advice::CheckIdentity)
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&identity.certificate)
        .and_then(Iterator::collect)
        .map_err(|source| wrong(&identity.certificate, format!("the certificate cannot be read: {source}")))?;
    if chain.is_empty() {
        return Err(wrong(&identity.certificate, "the file holds no certificate in PEM form".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&identity.key)
        .map_err(|source| wrong(&identity.key, format!("the key cannot be read: {source}")))?;
    CertifiedKey::from_der(chain, key, provider)
        .map_err(|source| wrong(&identity.key, format!("the key cannot be used: {source}")))
}
