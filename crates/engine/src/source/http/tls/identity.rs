//! Reads the certificate and the key with which we authenticate to servers.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{Advice, Error, ErrorKind, Result};
use crate::options::ClientIdentity;

/// A longer file holds no certificate.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The chain and the key.
///
/// # Errors
/// If a file cannot be read, holds none, or the key is not that of the certificate.
pub(super) fn read(identity: &ClientIdentity, provider: &CryptoProvider) -> Result<CertifiedKey> {
    let wrong = |path: &Path, message: String| {
        Error::new(ErrorKind::Usage, message).with_path(path).with_advice(Advice::CheckIdentity)
    };
    let certificate = read_small(&identity.certificate).map_err(|why| wrong(&identity.certificate, why))?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&certificate)
        .collect::<std::result::Result<_, _>>()
        .map_err(|source| wrong(&identity.certificate, format!("the certificate cannot be read: {source}")))?;
    if chain.is_empty() {
        return Err(wrong(&identity.certificate, "the file holds no certificate in PEM form".to_owned()));
    }
    let key = read_small(&identity.key).map_err(|why| wrong(&identity.key, why))?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|source| wrong(&identity.key, format!("the key cannot be read: {source}")))?;
    CertifiedKey::from_der(chain, key, provider)
        .map_err(|source| wrong(&identity.key, format!("the key cannot be used: {source}")))
}

fn read_small(path: &Path) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() as u64 > FILE_BYTES_MAX => Err("it is longer than 1 MiB".to_owned()),
        Ok(_) => Ok(bytes),
        Err(source) => Err(format!("it cannot be read: {source}")),
    }
}
