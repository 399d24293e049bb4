//! TLS and HTTP/2, with the certificate that the origin made.

use std::net::TcpStream;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::ring;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;
use towline_origin::{Above, Certificate, Fault, Origin, Resource, first_difference};

use crate::client::{Client, End};

const SIZE: u64 = 1_000_003;

fn origin(http2: bool) -> Origin {
    Origin::builder()
        .tls(true)
        .http2(http2)
        .resource(Resource::new("/a.bin", 7, SIZE))
        .resource(Resource::new("/cut.bin", 7, SIZE).fault(Fault::CutAt(10_000)))
        .resource(Resource::new("/whole.bin", 7, 10_000).fault(Fault::CutAt(10_000)))
        .resource(Resource::new("/reset.bin", 7, SIZE).fault(Fault::ResetAt(10_000)))
        .start()
        .unwrap()
}

pub(crate) fn config(origin: &Origin, protocols: &[&str]) -> Arc<ClientConfig> {
    let pem = origin.ca_pem().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

fn connect(origin: &Origin, name: &'static str) -> Client<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::try_from(name).unwrap();
    let session = ClientConnection::new(config(origin, &["http/1.1"]), name).unwrap();
    let tcp = TcpStream::connect(origin.addr()).unwrap();
    Client::new(StreamOwned::new(session, tcp))
}

#[test]
fn content_comes_over_tls_under_either_name() {
    let origin = origin(true);
    assert!(origin.url("/a.bin").starts_with("https://127.0.0.1:"));
    for name in ["localhost", "127.0.0.1"] {
        let mut client = connect(&origin, name);
        for _ in 0..2 {
            let answer = client.get("/a.bin");
            assert_eq!((answer.status, answer.end), (200, End::Whole));
            answer.assert_content(7, 0, SIZE as usize);
        }
    }
    assert_eq!(origin.stats().http1_requests, 4);
}

#[test]
fn cut_and_reset_come_over_tls() {
    let origin = origin(false);
    let answer = connect(&origin, "localhost").get("/cut.bin");
    assert_eq!(answer.end, End::Closed);
    answer.assert_content(7, 0, 10_000);
    let answer = connect(&origin, "localhost").get("/reset.bin");
    assert_eq!(answer.end, End::Reset);
}

#[test]
fn a_body_without_a_length_ends_with_or_without_a_word_of_tls() {
    for close_notify in [true, false] {
        let fault = Fault::CloseDelimited { close_notify };
        let resource = Resource::new("/a.bin", 7, SIZE).fault(fault);
        let origin = Origin::builder().tls(true).resource(resource).start().unwrap();
        let mut client = connect(&origin, "localhost");
        client.send("GET", "/a.bin", &[]).unwrap();
        let (answer, is_told) = client.rest_and_notice();
        assert_eq!(is_told, close_notify);
        let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        assert_eq!((answer.len() - head) as u64, SIZE);
        assert_eq!(first_difference(7, 0, &answer[head..]), None);
    }
}

/// How a handshake with this origin ends.
fn handshake(origin: &Origin) -> std::io::Result<()> {
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut session = ClientConnection::new(config(origin, &["http/1.1"]), name).unwrap();
    let mut tcp = TcpStream::connect(origin.addr()).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut tcp)?;
    }
    Ok(())
}

#[test]
fn a_certificate_that_is_not_good_is_refused_for_what_is_wrong_with_it() {
    let cases = [
        (Certificate::Good, None),
        (Certificate::Expired, Some("Expired")),
        (Certificate::WrongHost, Some("NotValidForName")),
        (Certificate::SelfSigned, Some("UnknownIssuer")),
    ];
    for (certificate, expected) in cases {
        let origin = Origin::builder().tls(true).certificate(certificate).start().unwrap();
        let outcome = handshake(&origin);
        match expected {
            None => outcome.unwrap(),
            Some(expected) => {
                let said = format!("{:?}", outcome.unwrap_err());
                assert!(said.contains(expected), "{certificate:?}: {said}");
            }
        }
    }
}

#[test]
fn a_handshake_is_cut_as_often_as_scripted() {
    let cut = |at| Fault::CutHandshake { at }.first(2);
    for at in [0, 100] {
        let origin = Origin::builder().tls(true).fault(cut(at)).start().unwrap();
        for _ in 0..2 {
            let error = handshake(&origin).unwrap_err();
            assert!(error.get_ref().is_none_or(|inner| !inner.is::<rustls::Error>()), "{error:?}");
        }
        handshake(&origin).unwrap();
        assert_eq!(origin.stats().requests, 0);
    }
}

#[test]
fn connections_above_the_limit_can_get_an_alert() {
    let limit = Fault::ConnectionLimit { max: 1, above: Above::Alert };
    let origin = Origin::builder().tls(true).resource(Resource::new("/a.bin", 7, 100)).fault(limit).start().unwrap();
    let mut first = connect(&origin, "localhost");
    assert_eq!(first.get("/a.bin").status, 200);
    let said = format!("{:?}", handshake(&origin).unwrap_err());
    assert!(said.contains("AlertReceived(InternalError)"), "{said}");
    assert_eq!(first.get("/a.bin").status, 200);
}

#[test]
fn content_and_faults_come_over_http2() {
    let origin = origin(true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tcp = tokio::net::TcpStream::connect(origin.addr()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(config(&origin, &["h2", "http/1.1"]));
        let tls = connector.connect(name, tcp).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let io = TokioIo::new(tls);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let get = async |path: &str| {
            let request = Request::get(origin.url(path));
            let request = request.body(Empty::<Bytes>::new()).unwrap();
            let response = sender.clone().send_request(request).await.unwrap();
            response.into_body().collect().await
        };
        let body = get("/a.bin").await.unwrap().to_bytes();
        assert_eq!(body.len() as u64, SIZE);
        assert_eq!(first_difference(7, 0, &body), None);
        assert!(get("/cut.bin").await.is_err());
        assert!(get("/whole.bin").await.is_err());
        assert!(get("/a.bin").await.is_ok());
        assert!(get("/reset.bin").await.is_err());
    });
    let stats = origin.stats();
    assert_eq!((stats.http2_requests, stats.connections_opened), (5, 1));
}
