//! What rustls does not reveal about a certificate: whether it belongs to an authority, and its dates. No
//! state; runs once for each certificate of `--ca-file`, and when one of them is a server's.

use rustls::{CertificateError, Error};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

/// Whether a certificate may sign others (RFC 5280, sections 4.2.1.9 and 4.2.1.3). If it does not say, decides
/// like OpenSSL: by its key usage, or because it is a self-signed version 1 certificate.
pub(super) fn is_of_authority(certificate: &CertificateDer<'_>) -> bool {
    let Ok(certificate) = Certificate::from_der(certificate) else { return false };
    let certificate = certificate.tbs_certificate();
    match (certificate.get_extension::<BasicConstraints>(), certificate.get_extension::<KeyUsage>()) {
        (Ok(Some((_, constraints))), _) => constraints.ca,
        (Ok(None), Ok(Some((_, usage)))) => usage.key_cert_sign(),
        (Ok(None), Ok(None)) => certificate.version() == Version::V1 && certificate.issuer() == certificate.subject(),
        _ => false,
    }
}

/// Checks that the certificate is valid at this time.
pub(super) fn check_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let certificate = Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let validity = certificate.tbs_certificate().validity();
    let (from, to) = (validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration());
    match now.as_secs() {
        now if now < from.as_secs() => Err(CertificateError::NotValidYet.into()),
        now if now > to.as_secs() => Err(CertificateError::Expired.into()),
        _ => Ok(()),
    }
}
