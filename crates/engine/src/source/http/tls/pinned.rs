//! Accepts only servers with one of the pinned public keys, on top of the other checks.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};
use x509_cert::der::{Decode as _, Encode as _};

/// Another verifier, and the keys. That the server has its certificate's key is checked here, whatever the other one
/// accepts: without that, a pinned key proves nothing.
#[derive(Debug)]
pub(super) struct Pinned {
    verifier: Arc<dyn ServerCertVerifier>,
    keys: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    pub(super) fn new(
        verifier: Arc<dyn ServerCertVerifier>,
        keys: Vec<[u8; 32]>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self { verifier, keys, provider }
    }

    fn has_key_of(&self, certificate: &CertificateDer<'_>) -> bool {
        let key = x509_cert::Certificate::from_der(certificate)
            .and_then(|certificate| certificate.tbs_certificate().subject_public_key_info().to_der());
        key.is_ok_and(|key| self.keys.iter().any(|pinned| Sha256::digest(&key)[..] == pinned[..]))
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        match self.has_key_of(end_entity) {
            true => Ok(verified),
            false => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
