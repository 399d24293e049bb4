//! The origin's TLS identity: an authority and a certificate for `localhost`, `127.0.0.1` and `::1`, or
//! one that no client should accept. Created with the origin and immutable; all serving threads use it.

use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// The kind of certificate that an origin uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certificate {
    /// Valid, signed by the origin's authority, for `localhost`, `127.0.0.1` and `::1`.
    #[default]
    Good,
    /// Like [`Self::Good`], but expired.
    Expired,
    /// Like [`Self::Good`], but for the host `elsewhere.invalid`.
    WrongHost,
    /// For the right names, but self-signed.
    SelfSigned,
}

/// The authority that clients must trust, and the server's TLS configuration.
pub(crate) struct Identity {
    pub(crate) ca_pem: String,
    pub(crate) acceptor: TlsAcceptor,
}

impl Identity {
    /// Creates an authority and a certificate. Offers `protocols` in this order.
    pub(crate) fn generate(protocols: &[&[u8]], certificate: Certificate) -> io::Result<Self> {
        let names: &[&str] = match certificate {
            Certificate::WrongHost => &["elsewhere.invalid"],
            _ => &["localhost", "127.0.0.1", "::1"],
        };
        Self::generate_for(names, protocols, certificate)
    }

    /// The same for these names.
    pub(crate) fn generate_for(names: &[&str], protocols: &[&[u8]], certificate: Certificate) -> io::Result<Self> {
        let ca_key = KeyPair::generate().map_err(io::Error::other)?;
        let mut ca = CertificateParams::new(Vec::<String>::new()).map_err(io::Error::other)?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        ca.distinguished_name.push(DnType::CommonName, "Towline test authority");
        let ca_pem = ca.self_signed(&ca_key).map_err(io::Error::other)?.pem();
        let issuer = Issuer::new(ca, ca_key);

        let key = KeyPair::generate().map_err(io::Error::other)?;
        let leaf = leaf(names, certificate)?;
        let signed = match certificate {
            Certificate::SelfSigned => leaf.self_signed(&key),
            _ => leaf.signed_by(&key, &issuer),
        };
        let signed = signed.map_err(io::Error::other)?;

        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![signed.der().clone()], key)
            .map_err(io::Error::other)?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Self { ca_pem, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}

/// The parameters of the server's certificate.
fn leaf(names: &[&str], certificate: Certificate) -> io::Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut leaf = CertificateParams::new(names).map_err(io::Error::other)?;
    leaf.use_authority_key_identifier_extension = true;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.distinguished_name.push(DnType::CommonName, "localhost");
    if certificate == Certificate::Expired {
        (leaf.not_before, leaf.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    }
    Ok(leaf)
}
