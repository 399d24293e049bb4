//! A whole download in one call, with the parameters that one would expect.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use towline_threads::supervisor::InterruptSource;
use url::Url;

use crate::checksum::Checksum;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{ErrorReport, Event, How, Reporter};
use crate::job::JobSpec;
use crate::options::{Options, ProxyChoice};
use crate::session::Session;

/// Downloads `url` into the current directory, over several connections where that helps, and resumes an
/// earlier call.
///
/// ```no_run
/// let file = towline_engine::download("https://example.com/a.iso")?;
/// println!("{} bytes in {}", file.bytes, file.path.display());
/// # Ok::<(), towline_engine::Error>(())
/// ```
///
/// # Errors
///
/// Whatever ended the download; what has arrived stays in the partial file for the next call.
pub fn download(url: &str) -> Result<Downloaded> {
    Download::new(url).run()
}

/// A download and its parameters.
///
/// ```no_run
/// use std::time::Duration;
/// use towline_engine::Download;
///
/// let file = Download::new("https://example.com/a.iso")
///     .dir("downloads")
///     .filename("a.iso")
///     .threads(8)
///     .chunk_size(4 << 20)
///     .timeout(Duration::from_secs(10))
///     .header("Accept-Language", "en")
///     .resume(true)
///     .run()?;
/// # Ok::<(), towline_engine::Error>(())
/// ```
#[must_use]
pub struct Download {
    url: String,
    options: Options,
    mirrors: Vec<Url>,
    filename: Option<PathBuf>,
    checksum: Option<Checksum>,
    same_content: bool,
    reporter: Option<Box<dyn Reporter>>,
    interrupts: Option<Box<dyn InterruptSource>>,
    /// The first invalid parameter.
    wrong: Option<Error>,
}

/// A downloaded file.
#[derive(Clone, Debug)]
pub struct Downloaded {
    /// Where it is.
    pub path: PathBuf,
    /// Its length, in bytes.
    pub bytes: u64,
    /// The bytes fetched over the network for it in this call.
    pub fetched_bytes: u64,
    /// How the file got there.
    pub how: How,
}

impl Download {
    /// Starts a download of this URL.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            options: Options::default(),
            mirrors: Vec::new(),
            filename: None,
            checksum: None,
            same_content: false,
            reporter: None,
            interrupts: None,
            wrong: None,
        }
    }

    /// Adds another URL of the same file; it is used too once its bytes agree with the existing data.
    pub fn mirror(mut self, url: &str) -> Self {
        match Url::parse(url) {
            Ok(url) => self.mirrors.push(url),
            Err(why) => self.complain(format!("the mirror is not a URL: {why}")),
        }
        self
    }

    /// Sets the output directory; the current directory by default.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.options.dir = dir.as_ref().to_owned();
        self
    }

    /// Sets the file name, relative to the directory; by default the server and the URL decide.
    pub fn filename(mut self, name: impl Into<PathBuf>) -> Self {
        self.filename = Some(name.into());
        self
    }

    /// Sets the maximum number of connections; by default as many as make it faster, up to 8.
    pub fn threads(mut self, connections: usize) -> Self {
        self.options.connections = Some(connections.max(1));
        self
    }

    /// Sets the smallest piece worth a connection, in bytes.
    pub fn chunk_size(mut self, bytes: u64) -> Self {
        self.options.piece_size_bytes = bytes.max(1);
        self
    }

    /// Sets how long to wait for a connection, for a response, and for more data.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.http.connect_timeout = timeout;
        self.options.http.stall_timeout = timeout;
        self.options.http.response_timeout = timeout;
        self
    }

    /// Sets the number of retries for a piece that makes no progress.
    pub fn retries(mut self, retries: u32) -> Self {
        self.options.http.retries = retries;
        self
    }

    /// Adds a request header, sent to the URL's own origin only.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                self.options.http.headers.append(name, value);
            }
            _ => self.complain(format!("{name:?} with its value is no HTTP header")),
        }
        self
    }

    /// Sets a proxy for everything: `http`, `https`, `socks5` or `socks5h`.
    pub fn proxy(mut self, url: &str) -> Self {
        match ProxyChoice::parse(url, "") {
            Ok(proxy) => self.options.http.proxy = proxy,
            Err(error) => self.complain(error.message().to_owned()),
        }
        self
    }

    /// Whether to resume existing data (the default) or start over.
    pub fn resume(mut self, resume: bool) -> Self {
        self.options.resume = resume;
        self
    }

    /// Sets the digest that the content must have.
    pub fn checksum(mut self, checksum: Checksum) -> Self {
        self.checksum = Some(checksum);
        self
    }

    /// Resumes existing data even if the server (or a new URL of the same file) reports another version, once
    /// samples match.
    pub fn same_content(mut self) -> Self {
        self.same_content = true;
        self
    }

    /// Refuses the file if it is larger than this many bytes.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.options.max_size_bytes = Some(bytes);
        self
    }

    /// Sets the reporter for events; a closure `|event: &Event| …` is one.
    pub fn progress(mut self, reporter: impl Reporter + 'static) -> Self {
        self.reporter = Some(Box::new(reporter));
        self
    }

    /// Sets the source of interrupts.
    pub fn interrupts(mut self, source: impl InterruptSource + 'static) -> Self {
        self.interrupts = Some(Box::new(source));
        self
    }

    /// Changes any other option.
    pub fn options(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// Downloads the file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] for an invalid parameter, otherwise whatever ended the download; what has arrived
    /// stays in the partial file for the next call.
    pub fn run(self) -> Result<Downloaded> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        let url = Url::parse(&self.url)
            .map_err(|source| Error::new(ErrorKind::Usage, format!("not a URL: {source}")).with_source(source))?;
        let mut spec = JobSpec::new(url);
        spec.mirrors = self.mirrors;
        spec.output = self.filename.map(|name| crate::name::safe::check_user_output(&name)).transpose()?;
        spec.checksum = self.checksum;
        spec.same_content = self.same_content;
        let end = Arc::new(Mutex::new(None));
        let watcher = Watcher { inner: self.reporter, end: Arc::clone(&end) };
        let mut builder = Session::builder(self.options).reporter(watcher);
        if let Some(source) = self.interrupts {
            builder = builder.interrupts(Boxed(source));
        }
        let session = builder.build()?;
        let handle = session.handle();
        handle.add(spec)?;
        handle.close();
        session.run()?;
        let end = end.lock().take();
        end.unwrap_or_else(|| Err(Error::new(ErrorKind::Interrupted, "interrupted; what has come is kept")))
    }

    fn complain(&mut self, message: String) {
        self.wrong.get_or_insert_with(|| Error::new(ErrorKind::Usage, message));
    }
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Passes events on, and keeps the outcome of the one file.
struct Watcher {
    inner: Option<Box<dyn Reporter>>,
    end: Arc<Mutex<Option<Result<Downloaded>>>>,
}

impl Reporter for Watcher {
    fn report(&mut self, event: &Event) {
        match event {
            Event::Finished { path, bytes, fetched_bytes, how, .. } => {
                let file = Downloaded { path: path.clone(), bytes: *bytes, fetched_bytes: *fetched_bytes, how: *how };
                *self.end.lock() = Some(Ok(file));
            }
            Event::Failed { url, error, .. } => *self.end.lock() = Some(Err(from_report(url, error))),
            _ => {}
        }
        if let Some(inner) = &mut self.inner {
            inner.report(event);
        }
    }
}

fn from_report(url: &str, report: &ErrorReport) -> Error {
    let error = Error::new(report.kind, report.message.clone()).with_url(url).with_attempts(report.attempts);
    let error = match report.advice {
        Some(advice) => error.with_advice(advice),
        None => error,
    };
    match &report.path {
        Some(path) => error.with_path(path.clone()),
        None => error,
    }
}

/// A boxed source, as a source.
struct Boxed(Box<dyn InterruptSource>);

impl InterruptSource for Boxed {
    fn start(self: Box<Self>, sink: towline_threads::supervisor::InterruptSink) {
        self.0.start(sink);
    }
}
