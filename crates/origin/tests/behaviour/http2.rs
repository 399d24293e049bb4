//! How HTTP/2 streams and connections end, seen by a client that tells the ends apart.

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Error, Reason};
use http::{HeaderMap, Request};
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;
use towline_origin::{Fault, Length, Origin, Resource, StreamEnd, first_difference};
use towline_testkit::wait_until;

use crate::secure::config;

/// Fits into the window that a client opens with.
const SIZE: u64 = 50_000;
const AT: u64 = 20_000;

/// A response: its length as announced, its bytes as they came, and its trailers or its error.
struct Got {
    length: Option<String>,
    body: Vec<u8>,
    end: Result<Option<HeaderMap>, Error>,
}

impl Got {
    fn assert_whole(&self) {
        assert_eq!(self.body.len() as u64, SIZE);
        assert_eq!(first_difference(7, 0, &self.body), None);
        assert!(self.end.is_ok(), "{:?}", self.end);
    }

    /// The error behind the first bytes, of which there are at most [`AT`].
    fn broken(self) -> Error {
        assert!(self.body.len() as u64 <= AT, "{} bytes", self.body.len());
        assert_eq!(first_difference(7, 0, &self.body), None);
        self.end.unwrap_err()
    }
}

/// `/a.bin` with these faults, and `/right.bin` without.
fn origin(faults: impl IntoIterator<Item = Fault>) -> Origin {
    let resource = Resource::new("/a.bin", 7, SIZE);
    serve(faults.into_iter().fold(resource, Resource::fault))
}

fn serve(resource: Resource) -> Origin {
    let right = Resource::new("/right.bin", 7, SIZE);
    Origin::builder().tls(true).http2(true).resource(resource).resource(right).start().unwrap()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn connect(origin: &Origin) -> SendRequest<Bytes> {
    let tcp = tokio::net::TcpStream::connect(origin.addr()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = TlsConnector::from(config(origin, &["h2"])).connect(name, tcp).await.unwrap();
    let (sender, connection) = h2::client::handshake(tls).await.unwrap();
    tokio::spawn(async move {
        // How it ends is seen by its streams.
        let _ = connection.await;
    });
    sender
}

/// An error is one that came before the head.
async fn get(sender: &SendRequest<Bytes>, url: String) -> Result<Got, Error> {
    let mut sender = sender.clone().ready().await?;
    let (response, _) = sender.send_request(Request::get(url).body(()).unwrap(), true)?;
    let response = response.await?;
    let length = response.headers().get("content-length").map(|value| value.to_str().unwrap().to_owned());
    let mut stream = response.into_body();
    let mut body = Vec::new();
    while let Some(bytes) = stream.data().await {
        match bytes {
            Ok(bytes) => {
                // A stream that has ended wants no more capacity.
                let _ = stream.flow_control().release_capacity(bytes.len());
                body.extend_from_slice(&bytes);
            }
            Err(error) => return Ok(Got { length, body, end: Err(error) }),
        }
    }
    let end = stream.trailers().await;
    Ok(Got { length, body, end })
}

/// What comes of `/a.bin` with this end, and of `/right.bin` on the same connection after it.
fn ended(how: StreamEnd) -> (Got, Result<Got, Error>) {
    let origin = origin([Fault::EndStream { at: AT, how }]);
    run(async {
        let sender = connect(&origin).await;
        let got = get(&sender, origin.url("/a.bin")).await.unwrap();
        assert_eq!(got.length.as_deref(), Some("50000"));
        (got, get(&sender, origin.url("/right.bin")).await)
    })
}

#[test]
fn a_stream_is_reset_with_the_code_that_was_scripted() {
    for reason in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
        let (got, next) = ended(StreamEnd::Reset(reason.into()));
        let error = got.broken();
        assert!(error.is_reset() && error.is_remote(), "{error:?}");
        assert_eq!(error.reason(), Some(reason));
        next.unwrap().assert_whole();
    }
}

#[test]
fn a_stream_is_reset_behind_its_last_byte() {
    let how = StreamEnd::Reset(Reason::NO_ERROR.into());
    let origin = origin([Fault::EndStream { at: SIZE, how }]);
    let got = run(async { get(&connect(&origin).await, origin.url("/a.bin")).await.unwrap() });
    assert!(got.end.is_err_and(|error| error.is_reset()));
    assert_eq!(first_difference(7, 0, &got.body), None);
}

#[test]
fn a_stream_ends_early_in_order() {
    // With a length the client sees it.
    let (got, next) = ended(StreamEnd::Early);
    let error = got.broken();
    assert!(!error.is_remote() && error.reason() == Some(Reason::PROTOCOL_ERROR), "{error:?}");
    next.unwrap().assert_whole();
    // Without one nobody can.
    let early = Fault::EndStream { at: AT, how: StreamEnd::Early };
    let origin = serve(Resource::new("/a.bin", 7, SIZE).length(Length::Chunked).fault(early));
    let got = run(async { get(&connect(&origin).await, origin.url("/a.bin")).await.unwrap() });
    assert_eq!((got.length, got.body.len() as u64), (None, AT));
    assert_eq!(got.end.unwrap(), None);
}

#[test]
fn a_stream_without_a_length_ends_in_order() {
    let origin = serve(Resource::new("/a.bin", 7, SIZE).length(Length::Chunked));
    let got = run(async { get(&connect(&origin).await, origin.url("/a.bin")).await.unwrap() });
    assert_eq!(got.length, None);
    got.assert_whole();
}

#[test]
fn trailers_come_behind_a_stream() {
    let origin = origin([Fault::Trailers(vec![("X-One".to_owned(), "1".to_owned())])]);
    let got = run(async { get(&connect(&origin).await, origin.url("/a.bin")).await.unwrap() });
    got.assert_whole();
    let trailers = got.end.unwrap().unwrap();
    assert_eq!(trailers.get("x-one").map(|value| value.as_bytes()), Some(b"1".as_slice()));
}

#[test]
fn a_stream_goes_on_behind_a_goaway_that_lets_it_live() {
    let (got, next) = ended(StreamEnd::GoAway(Reason::NO_ERROR.into()));
    got.assert_whole();
    assert!(next.is_err(), "the connection takes no more streams");
}

#[test]
fn a_stream_behind_the_last_of_a_goaway_is_over() {
    for reason in [Reason::NO_ERROR, Reason::ENHANCE_YOUR_CALM] {
        let (got, next) = ended(StreamEnd::GoAwayBefore(reason.into()));
        let error = got.broken();
        assert!(error.is_go_away() && error.is_remote(), "{error:?}");
        assert_eq!(error.reason(), Some(reason));
        assert!(next.is_err(), "the connection takes no more streams");
    }
}

#[test]
fn a_connection_is_closed_in_mid_stream() {
    for how in [StreamEnd::Close, StreamEnd::GoAwayAndClose(Reason::NO_ERROR.into())] {
        let origin = origin([Fault::EndStream { at: AT, how }]);
        let got = run(async { get(&connect(&origin).await, origin.url("/a.bin")).await.unwrap() });
        let error = got.broken();
        assert!(!error.is_reset(), "{error:?}");
        wait_until("the end of the connection", || origin.stats().connections_open == 0);
    }
}

#[test]
fn a_stream_is_refused_before_there_is_an_answer() {
    for reason in [Reason::REFUSED_STREAM, Reason::HTTP_1_1_REQUIRED] {
        let refused = Fault::RefuseStream(reason.into()).first(1);
        let origin = serve(Resource::new("/a.bin", 7, SIZE).fault(refused));
        run(async {
            let sender = connect(&origin).await;
            let error = get(&sender, origin.url("/a.bin")).await.err().unwrap();
            assert!(error.is_reset() && error.is_remote(), "{error:?}");
            assert_eq!(error.reason(), Some(reason));
            get(&sender, origin.url("/a.bin")).await.unwrap().assert_whole();
        });
        let statuses: Vec<_> = origin.requests().iter().map(|request| request.status).collect();
        assert_eq!(statuses, [0, 200]);
    }
}

#[test]
fn only_the_first_streams_of_a_connection_are_answered() {
    let origin = origin([Fault::GoAwayAbove { streams: 2 }]);
    run(async {
        for _ in 0..2 {
            let sender = connect(&origin).await;
            for _ in 0..2 {
                get(&sender, origin.url("/a.bin")).await.unwrap().assert_whole();
            }
            let error = get(&sender, origin.url("/a.bin")).await.err().unwrap();
            assert!(error.is_go_away() && error.is_remote(), "{error:?}");
            assert_eq!(error.reason(), Some(Reason::NO_ERROR));
        }
    });
    let connections: Vec<_> = origin.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 1, 1, 2, 2, 2]);
}
