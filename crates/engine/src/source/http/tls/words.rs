//! Explains a failed handshake in standard terms, with advice. Pure.

use std::io;

use rustls::{AlertDescription, CertificateError, Error as TlsError, PeerIncompatible};
use rustls_pki_types::ServerName;

use super::verify::is_authority;
use crate::error::{Advice, Error, ErrorKind, plain_io};
use crate::secret::printable;

/// The most names of a certificate to list.
const NAMES_MAX: usize = 3;
const OPERATOR: Advice = Advice::AskOperatorOrAcceptAnyCertificate;
const OLD_SERVER: Advice = Advice::AskOperatorForNewerTls;

/// The error for a handshake that failed with `source`.
pub(crate) fn handshake_error(source: io::Error) -> Error {
    let inner = source.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    // The next connection may lead to a server that works.
    let is_of_now = matches!(inner, Some(TlsError::AlertReceived(AlertDescription::InternalError)));
    let (text, advice) = match inner {
        None => {
            let why = match source.kind() {
                io::ErrorKind::UnexpectedEof => "the server closed it".to_owned(),
                _ => plain_io(&source),
            };
            let text = format!("the connection broke during the TLS handshake ({why})");
            return Error::new(ErrorKind::Broken, text).with_source(source);
        }
        Some(TlsError::InvalidCertificate(why)) => {
            let (words, advice) = certificate_words(why);
            (format!("the server's certificate was refused: {words}"), advice)
        }
        Some(other) => {
            let (words, advice) = handshake_words(other);
            (format!("the TLS handshake failed: {words}"), advice)
        }
    };
    let error = Error::new(ErrorKind::Tls, text).with_transient(is_of_now).with_source(source);
    error.with_advice(advice)
}

/// The error for an alert that comes after the handshake: with TLS 1.3, so does the refusal of a client without a
/// certificate.
pub(crate) fn alert_error(why: &TlsError) -> Error {
    use AlertDescription as Alert;
    match why {
        TlsError::AlertReceived(Alert::CertificateRequired | Alert::BadCertificate | Alert::UnknownCA) => {
            handshake_error(io::Error::new(io::ErrorKind::InvalidData, why.clone()))
        }
        other => Error::new(ErrorKind::Broken, format!("the server ended the TLS connection ({other})")),
    }
}

fn certificate_words(why: &CertificateError) -> (String, Advice) {
    use CertificateError as Why;
    let is = |words: &str, advice| (words.to_owned(), advice);
    match why {
        Why::UnknownIssuer => is("nobody who is trusted here has signed it (unknown issuer)", Advice::GiveAuthority),
        Why::ApplicationVerificationFailure => {
            is("its public key is none of those that are pinned", Advice::CheckPinnedKey)
        }
        Why::NotValidForName => is("it is for another host name", OPERATOR),
        Why::NotValidForNameContext { expected, presented } => (other_name(expected, presented), OPERATOR),
        Why::Expired | Why::ExpiredContext { .. } => is("it has expired", OPERATOR),
        Why::NotValidYet | Why::NotValidYetContext { .. } => is("it is not valid yet", Advice::CheckClock),
        Why::Revoked => is("it was revoked", OPERATOR),
        Why::BadSignature => {
            is("its signature does not fit, or its key is not accepted (RSA keys have at least 2048 bits)", OPERATOR)
        }
        Why::UnsupportedSignatureAlgorithmContext { .. }
        | Why::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            is("it is signed in a way that is not accepted (SHA-1 is not any more)", OPERATOR)
        }
        Why::InvalidPurpose | Why::InvalidPurposeContext { .. } => {
            is("it is not meant for servers (extended key usage)", OPERATOR)
        }
        Why::UnhandledCriticalExtension => {
            is("it demands something that is not known here (critical extension)", OPERATOR)
        }
        Why::BadEncoding => is("it cannot be read", OPERATOR),
        other if is_authority(other) => {
            is("it is that of an authority (CA:TRUE), which no server may use as its own", Advice::GiveOwnCertificate)
        }
        other if other.to_string().contains("UnsupportedCertVersion") => {
            is("it is of an old form (X.509 version 1 or 2), which cannot say for which hosts it is", OPERATOR)
        }
        other => (other.to_string(), OPERATOR),
    }
}

fn other_name(expected: &ServerName<'_>, presented: &[String]) -> String {
    if presented.is_empty() {
        let expected = expected.to_str();
        return format!("it names no host, so not {expected} (a CN alone does not count; it has no subjectAltName)");
    }
    let names: Vec<_> = presented.iter().take(NAMES_MAX).map(|name| plain_name(name)).collect();
    let more = if presented.len() > NAMES_MAX { " and others" } else { "" };
    format!("it is for another host name ({}{more})", names.join(", "))
}

/// `DnsName("a.example")` → `a.example`.
fn plain_name(shown: &str) -> String {
    let bare = shown.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(shown);
    printable(bare.trim_matches('"')).into_owned()
}

fn handshake_words(why: &TlsError) -> (String, Advice) {
    use AlertDescription as Alert;
    let is = |words: &str, advice| (words.to_owned(), advice);
    match why {
        TlsError::AlertReceived(Alert::HandshakeFailure | Alert::InsufficientSecurity)
        | TlsError::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon | PeerIncompatible::NoKxGroupsInCommon) => {
            is(
                "the server takes none of the ciphers that are offered; it may have only old ones (RSA key exchange, DHE \
             or CBC)",
                OLD_SERVER,
            )
        }
        TlsError::AlertReceived(Alert::ProtocolVersion)
        | TlsError::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => is("the server speaks only versions of TLS before 1.2", OLD_SERVER),
        TlsError::AlertReceived(Alert::UnrecognisedName) => {
            is("the server knows no host of this name", Advice::CheckHostName)
        }
        TlsError::AlertReceived(Alert::CertificateRequired | Alert::BadCertificate | Alert::UnknownCA) => {
            is("the server wants a certificate from us that it trusts", Advice::CheckIdentity)
        }
        TlsError::InvalidMessage(_) => is("what answers does not speak TLS", Advice::CheckPortOrScheme),
        other => (other.to_string(), Advice::RunAgainOrAskOperator),
    }
}
