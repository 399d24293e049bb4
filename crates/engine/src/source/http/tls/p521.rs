//! Signatures on the curve P-521, which ring lacks but self-made certificates use. Everything else in TLS is
//! ring's. No state.

use std::sync::LazyLock;

use p521::ecdsa::signature::hazmat::PrehashVerifier;
use p521::ecdsa::{Signature, VerifyingKey};
use rustls::SignatureScheme;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The length of a field element of this curve.
const FIELD_BYTES: usize = 66;

/// Ring's algorithms and those of this curve.
static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> = LazyLock::new(|| {
    let ring = ring::default_provider().signature_verification_algorithms;
    let ours: [&'static dyn SignatureVerificationAlgorithm; 3] = [&SHA512, &SHA384, &SHA256];
    let mapping = [ring.mapping, &[(SignatureScheme::ECDSA_NISTP521_SHA512, OF_SCHEME)]].concat();
    // Leaked once per process.
    WebPkiSupportedAlgorithms { all: [ring.all, &ours].concat().leak(), mapping: mapping.leak() }
});

/// The cryptography provider for TLS.
pub(super) fn provider() -> CryptoProvider {
    CryptoProvider { signature_verification_algorithms: *ALGORITHMS, ..ring::default_provider() }
}

static SHA512: P521 = P521 { signature: alg_id::ECDSA_SHA512, digest: |message| Sha512::digest(message).to_vec() };
static SHA384: P521 = P521 { signature: alg_id::ECDSA_SHA384, digest: |message| Sha384::digest(message).to_vec() };
static SHA256: P521 = P521 { signature: alg_id::ECDSA_SHA256, digest: |message| Sha256::digest(message).to_vec() };

static OF_SCHEME: &[&dyn SignatureVerificationAlgorithm] = &[&SHA512];

/// ECDSA on this curve with one digest.
#[derive(Debug)]
struct P521 {
    signature: AlgorithmIdentifier,
    digest: fn(&[u8]) -> Vec<u8>,
}

impl SignatureVerificationAlgorithm for P521 {
    fn verify_signature(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let key = VerifyingKey::from_sec1_bytes(public_key).map_err(|_| InvalidSignature)?;
        let signature = Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        let digest = (self.digest)(message);
        // A shorter digest is the same number with leading zeros (FIPS 186-5, section 6.4.2).
        let mut number = [0; FIELD_BYTES];
        number[FIELD_BYTES - digest.len()..].copy_from_slice(&digest);
        key.verify_prehash(&number, &signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P521
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}
