//! The origin's faults and their expected results.

use std::time::{Duration, SystemTime};

use towline_engine::ErrorKind;
use towline_origin::{
    Above, BadChunk, Certificate, ETag, Fault, Length, RangeLie, Ranges, Resource, Rule, Scope, hostile_dispositions,
};

use super::Expected::{self, Bytes, Fails, Untried};
use super::{MOVED, NEW_SEED, PATH, SMALL};

/// Longer than the response timeout.
const TOO_LATE: Duration = Duration::from_millis(1200);

/// A fault and its expected results.
pub(super) struct Row {
    pub(super) fault: String,
    /// In the order of [`super::Mode`].
    pub(super) expected: [Expected; 4],
    /// The faults of a resource of this size.
    pub(super) faults: Box<dyn Fn(u64) -> Vec<Rule> + Send + Sync>,
    /// Sets up the resource, in the earlier run too.
    pub(super) base: fn(Resource) -> Resource,
    /// Changes the resource after that run.
    pub(super) changed: fn(Resource) -> Resource,
    /// The faults of the server.
    pub(super) server: Vec<Rule>,
    /// Served over TLS, and whether HTTP/2 is offered.
    pub(super) tls: Option<bool>,
    pub(super) certificate: Certificate,
    /// Only a digest can detect the fault: the user gives one.
    pub(super) has_digest: bool,
    /// Redirects to a plain server.
    pub(super) leads_elsewhere: bool,
}

fn row(fault: impl Into<String>, expected: [Expected; 4]) -> Row {
    Row {
        fault: fault.into(),
        expected,
        faults: Box::new(|_| Vec::new()),
        base: |resource| resource,
        changed: |resource| resource,
        server: Vec::new(),
        tls: None,
        certificate: Certificate::Good,
        has_digest: false,
        leads_elsewhere: false,
    }
}

/// A row for one fault that is survived in every mode.
fn survived<R: Into<Rule>>(fault: &str, script: impl Fn(u64) -> R + Send + Sync + 'static) -> Row {
    row(fault, [Bytes; 4]).fault(script)
}

/// A row for one fault that leads to this error in every mode.
fn named<R: Into<Rule>>(
    fault: impl Into<String>,
    kind: ErrorKind,
    script: impl Fn(u64) -> R + Send + Sync + 'static,
) -> Row {
    row(fault, [Fails(kind); 4]).fault(script)
}

impl Row {
    /// Adds a fault of the resource, given its size.
    fn fault<R: Into<Rule>>(mut self, script: impl Fn(u64) -> R + Send + Sync + 'static) -> Self {
        let before = self.faults;
        self.faults = Box::new(move |size| {
            let mut rules = before(size);
            rules.push(script(size).into());
            rules
        });
        self
    }

    fn base(mut self, base: fn(Resource) -> Resource) -> Self {
        self.base = base;
        self
    }

    fn changed(mut self, changed: fn(Resource) -> Resource) -> Self {
        self.changed = changed;
        self
    }

    fn server(mut self, rule: impl Into<Rule>) -> Self {
        self.server.push(rule.into());
        self
    }

    fn tls(mut self, http2: bool) -> Self {
        self.tls = Some(http2);
        self
    }

    fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = certificate;
        self.tls(false)
    }

    fn digest(mut self) -> Self {
        self.has_digest = true;
        self
    }

    fn elsewhere(mut self) -> Self {
        self.leads_elsewhere = true;
        self
    }

    /// Whether the other entries of a batch are affected too.
    pub(super) fn is_shared(&self) -> bool {
        !self.server.is_empty() || self.certificate != Certificate::Good
    }
}

/// The whole table.
pub(super) fn rows() -> Vec<Row> {
    let mut rows = bodies();
    rows.extend(lengths());
    rows.extend(ranges());
    rows.extend(versions());
    rows.extend(statuses());
    rows.extend(limits());
    rows.extend(redirects());
    rows.extend(framing());
    rows.extend(heads());
    rows.extend(names());
    rows.extend(handshakes());
    rows.extend(together());
    rows
}

fn bodies() -> Vec<Row> {
    let always_cut = [Bytes, Bytes, Bytes, Fails(ErrorKind::Broken)];
    vec![
        row("nothing", [Bytes; 4]),
        survived("closed at a byte", |size| Fault::CutAt(size / 3).first(1)),
        // Data of a small file is not kept, so each response starts over.
        row("closed at a byte each time", always_cut).fault(|size| Fault::CutAt(size / 3)),
        survived("closed behind the last byte", Fault::CutAt),
        survived("closed where chance wants it", |_| Fault::CutSomewhere { seed: 5 }.first(2)),
        survived("reset at a byte", |size| Fault::ResetAt(size / 3).first(1)),
        survived("silent from a byte on", |size| Fault::StallAt(size / 3, None).first(1)),
        survived("silent from the middle on each time", |size| Fault::StallAt(size / 2 + 1, None)),
        named("silent behind the head each time", ErrorKind::Stalled, |_| Fault::StallAt(0, None)),
        survived("silent for a while", |size| Fault::StallAt(size / 3, Some(Duration::from_millis(150)))),
        survived("a trickle", |_| Fault::Trickle { bytes_per_sec: 2_000_000 }),
        // Only a minimum speed would replace the only connection, and nobody asks for one.
        row("the first answer crawls", [Untried, Bytes, Bytes, Untried])
            .fault(|_| Fault::Trickle { bytes_per_sec: 3000 }.first(1)),
        survived("closed at a byte of a stream", |size| Fault::CutAt(size / 3).first(1)).tls(true),
        survived("reset at a byte of a stream", |size| Fault::ResetAt(size / 3).first(1)).tls(true),
        survived("a stream silent from a byte on", |size| Fault::StallAt(size / 3, None).first(1)).tls(true),
    ]
}

fn lengths() -> Vec<Row> {
    let (broken, digest) = (Fails(ErrorKind::Broken), Fails(ErrorKind::Digest));
    vec![
        survived("a body that goes on behind its length", |_| Fault::LongBody { extra: 1000 }),
        // A piece has the length of its range, whatever the header says.
        row("a length that is too large", [broken, broken, Bytes, broken]).fault(|_| Fault::ContentLength { by: 1000 }),
        // With existing data, one tag with two lengths does not identify the version.
        row("a length that is too small", [digest, digest, Fails(ErrorKind::Changed), digest])
            .fault(|_| Fault::ContentLength { by: -1000 })
            .digest(),
    ]
}

/// Ranges that are not served as requested: then one stream fetches everything from the first byte.
fn ranges() -> Vec<Row> {
    let lie = |fault: &str, lie: RangeLie| survived(fault, move |_| Fault::ContentRange(lie.clone()));
    let digest = Fails(ErrorKind::Digest);
    let first_ranges = || Scope::every().first(2).only_ranges();
    let some_ranges = || Scope::every().starting_at(3).first(4).only_ranges();
    vec![
        lie("a range that says another start", RangeLie::Start(1)),
        lie("a range that says another end", RangeLie::End(-1)),
        lie("a range that says another length of the whole", RangeLie::Total(1000)),
        lie("a range that says no length of the whole", RangeLie::UnknownTotal),
        lie("a range of another unit", RangeLie::Unit("items".to_owned())),
        lie("a range that does not say which", RangeLie::Missing),
        survived("another range", |_| Fault::OtherRange { by: 4096 }),
        survived("another range for some", move |_| Fault::OtherRange { by: 4096 }.when(some_ranges())),
        survived("200 to each range", |_| Fault::IgnoreRange),
        survived("200 to the first ranges", move |_| Fault::IgnoreRange.when(first_ranges())),
        survived("200 to some ranges", move |_| Fault::IgnoreRange.when(some_ranges())),
        survived("200 to If-Range though nothing has changed", |_| Fault::IgnoreIfRange),
        survived("multipart/byteranges", |_| Fault::Multipart),
        survived("416 to each range", |_| Fault::RefuseRange),
        row("ranges that are not offered", [Bytes; 4]).changed(|resource| resource.ranges(Ranges::Refused)),
        row("ranges that nobody mentions", [Bytes; 4]).changed(|resource| resource.ranges(Ranges::Ignored)),
        row("206 with other data", [Bytes, digest, digest, Bytes])
            .fault(|_| Fault::OtherContent { from: 0, seed: NEW_SEED }.when(Scope::every().only_ranges()))
            .digest(),
    ]
}

fn versions() -> Vec<Row> {
    let changes = |request, etag: &str| {
        let etag = etag.to_owned();
        move |_: u64| Fault::ChangeEtagAt { request, etag: etag.clone(), seed: NEW_SEED }
    };
    let nameless = |resource: Resource| resource.etag(ETag::None).last_modified(None);
    vec![
        survived("another tag and content from the second request on", changes(2, "\"new\"")),
        survived("another tag and content from the third request on", changes(3, "\"new\"")),
        survived("another weak tag from the third request on", changes(3, "W/\"new\""))
            .base(|resource| resource.etag(ETag::Weak)),
        row("a weak tag", [Bytes; 4]).base(|resource| resource.etag(ETag::Weak)),
        row("a date and no tag", [Bytes; 4]).base(|resource| resource.etag(ETag::None)),
        row("no validator", [Bytes; 4]).base(nameless),
        survived("no validator, and other content than before", |_| Fault::OtherContent { from: 0, seed: NEW_SEED })
            .base(nameless),
        named("other content from the middle on, and the same tag", ErrorKind::Digest, |size| Fault::OtherContent {
            from: size / 2,
            seed: NEW_SEED,
        })
        .digest(),
        survived("servers that have tags of their own", |_| Fault::Backends(2)),
    ]
}

fn statuses() -> Vec<Row> {
    let status = |code, times, retry_after: Option<&str>| {
        let retry_after = retry_after.map(str::to_owned);
        move |_: u64| Fault::Status { code, times, retry_after: retry_after.clone() }
    };
    let date = |seconds_from_now: i64| {
        move |_: u64| {
            let second = Duration::from_secs(seconds_from_now.unsigned_abs());
            let now = SystemTime::now();
            let time = if seconds_from_now < 0 { now - second } else { now + second };
            Fault::Status { code: 503, times: Some(1), retry_after: Some(httpdate::fmt_http_date(time)) }
        }
    };
    let mut rows = vec![
        survived("429, in a second", status(429, Some(1), Some("1"))),
        survived("503, at a date", date(2)),
        survived("503, at a date that is over", date(-60)),
        survived("503, at a time that is none", status(503, Some(1), Some("soon"))),
        survived("500 twice", status(500, Some(2), None)),
        named("500 for ever", ErrorKind::Status(500), status(500, None, None)),
        named("429 for ever", ErrorKind::Status(429), status(429, None, None)),
        named("503 for ever, each time at once", ErrorKind::Status(503), status(503, None, Some("0"))),
    ];
    for code in [401_u16, 403, 404, 407, 410] {
        rows.push(named(code.to_string(), ErrorKind::Status(code), status(code, None, None)));
    }
    rows
}

fn limits() -> Vec<Row> {
    let limit = |max, above| Fault::ConnectionLimit { max, above };
    vec![
        row("one connection, 503 above", [Bytes; 4]).server(limit(1, Above::Unavailable)),
        row("one connection, reset above", [Bytes; 4]).server(limit(1, Above::Reset)),
        survived("two answers at once, 503 above", move |_| limit(2, Above::Unavailable)),
        survived("a rate for each connection", |_| Fault::RatePerConnection(4_000_000)),
        survived("late", |_| Fault::Latency(Duration::from_millis(150))),
        named("too late each time", ErrorKind::Stalled, |_| Fault::Latency(TOO_LATE)),
    ]
}

fn redirects() -> Vec<Row> {
    let to = |status, location: &str| {
        let location = location.to_owned();
        move |_: u64| Fault::Redirect { status, location: location.clone() }
    };
    let hops = |hops| move |_: u64| Fault::RedirectHops { status: 302, hops };
    vec![
        survived("ten redirects", hops(10)),
        named("eleven redirects", ErrorKind::Redirect, hops(11)),
        named("redirects in a loop", ErrorKind::Redirect, to(301, PATH)),
        survived("a relative redirect", to(308, MOVED.trim_start_matches('/'))),
        named("a redirect to another scheme", ErrorKind::Redirect, to(302, "ftp://localhost/a.bin")),
        row("a redirect to another server", [Bytes; 4]).elsewhere(),
        row("a redirect from https to http", [Fails(ErrorKind::Redirect); 4]).tls(false).elsewhere(),
    ]
}

fn framing() -> Vec<Row> {
    let bad = |fault: &str, how| {
        // A violation of HTTP is not retried.
        named(fault, ErrorKind::Protocol, move |_| Fault::BadChunk { at: SMALL / 2, how })
    };
    let (broken, digest) = (Fails(ErrorKind::Broken), Fails(ErrorKind::Digest));
    let trailers = [("X-Checksum", "1"), ("ETag", "\"other\""), ("Content-Length", "1")];
    let trailers = trailers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    vec![
        row("chunked", [Bytes; 4]).changed(|resource| resource.length(Length::Chunked)),
        bad("a chunk whose size is no number", BadChunk::Size),
        bad("a chunk whose size is beyond all bounds", BadChunk::Overflow),
        bad("a chunk without its end", BadChunk::End),
        // A piece has the length of its range and does not need the last chunk. So a large file continues if
        // the response to a range reports its length.
        row("chunks without the last one", [Bytes, Bytes, Bytes, broken])
            .fault(|_| Fault::BadChunk { at: 0, how: BadChunk::NoLast }),
        survived("trailers", move |_| Fault::Trailers(trailers.clone())),
        survived("Connection: close", |_| Fault::CloseAfterEach),
        survived("HTTP/1.0", |_| Fault::Http10),
        row("a body that ends with its connection", [Bytes; 4]).changed(|resource| resource.length(Length::UntilClose)),
        row("a body that ends with its connection, too early", [digest, digest, Bytes, digest])
            .changed(|resource| resource.length(Length::UntilClose))
            .fault(|size| Fault::CutAt(size / 3).first(1))
            .digest(),
        // Existing data is not encoded, so nothing shows that it is the same.
        row("Content-Encoding: gzip to identity", [Bytes, Bytes, Fails(ErrorKind::Changed), Bytes])
            .fault(|_| Fault::Header { name: "Content-Encoding".to_owned(), value: b"gzip".to_vec() }),
    ]
}

fn heads() -> Vec<Row> {
    vec![
        named("a header of 1 MiB", ErrorKind::Protocol, |_| Fault::LargeHeader(1 << 20)),
        named("10,000 headers", ErrorKind::Protocol, |_| Fault::ManyHeaders(10_000)),
        named("NUL in a header", ErrorKind::Protocol, |_| Fault::RawHeader(b"X-Nul: a\0b".to_vec())),
        named("no HTTP", ErrorKind::Protocol, |_| Fault::Raw(b"220 mail.example ESMTP\r\n".to_vec())),
        survived("no answer", |_| Fault::Raw(Vec::new()).first(1)),
        named("no answer for ever", ErrorKind::Broken, |_| Fault::Raw(Vec::new())),
    ]
}

fn names() -> Vec<Row> {
    let hostile = |(what, value): (&str, Vec<u8>)| {
        let script = move |_: u64| Fault::Header { name: "Content-Disposition".to_owned(), value: value.clone() };
        survived(&format!("a name that is {what}"), script)
    };
    hostile_dispositions().into_iter().map(hostile).collect()
}

fn handshakes() -> Vec<Row> {
    let refused = |fault: &str, certificate| row(fault, [Fails(ErrorKind::Tls); 4]).certificate(certificate);
    vec![
        row("TLS", [Bytes; 4]).tls(false),
        refused("a certificate that has expired", Certificate::Expired),
        refused("a certificate for another host", Certificate::WrongHost),
        refused("a certificate that signed itself", Certificate::SelfSigned),
        row("a handshake cut at its beginning", [Bytes; 4]).tls(false).server(Fault::CutHandshake { at: 0 }.first(1)),
        row("a handshake cut in its midst", [Bytes; 4]).tls(false).server(Fault::CutHandshake { at: 100 }.first(1)),
        row("a handshake cut each time", [Fails(ErrorKind::Broken); 4])
            .tls(false)
            .server(Fault::CutHandshake { at: 100 }),
    ]
}

fn together() -> Vec<Row> {
    vec![
        row("several at once", [Bytes; 4])
            .base(|resource| resource.etag(ETag::Weak))
            .fault(|_| Fault::Latency(Duration::from_millis(20)))
            .fault(|_| Fault::Status { code: 503, times: Some(1), retry_after: None })
            .fault(|size| Fault::ResetAt(size / 2).first(2))
            .fault(|_| Fault::IgnoreRange.when(Scope::every().first(3).only_ranges()))
            .fault(|_| Fault::CloseAfterEach),
        survived("cut now and then", |_| Fault::CutSomewhere { seed: 5 }.when(Scope::every().now_and_then(30, 11))),
    ]
}
