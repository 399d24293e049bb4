//! Resolves arguments into the engine's options. What clap cannot check is checked here, and not again
//! afterwards.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::{AUTHORIZATION, REFERER};
use towline_engine::checksum::Sums;
use towline_engine::feed::{ListFormat, ListOptions, ListSource, looks_like_host};
use towline_engine::http::is_reserved;
use towline_engine::options::{ClientIdentity, Durability, Existing, Family, HttpOptions, HttpVersion, ProxyChoice};
use towline_engine::provider::{Providers, Web};
use towline_engine::report::may_hold_status;
use towline_engine::secret::{printable, shown_line, shown_url};
use towline_engine::{JobSpec, Options};
use url::Url;

use crate::args::{DurabilityArg, FormatArg, GetArgs, HttpArgs, ListArg, ProgressArg};
use crate::complaint::Complaint;
use crate::globs::{self, Expanded, is_template};
use crate::list_url;
use crate::log::Log;
use crate::services;
use crate::stream::{Stream, Target};
use crate::values;
use crate::which::Which;

/// The resolved arguments of `get`.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) options: Options,
    pub(crate) jobs: Vec<JobSpec>,
    /// Links of services, which are listed.
    pub(crate) links: Vec<Url>,
    pub(crate) providers: Providers,
    /// Which of their files are meant.
    pub(crate) which: Which,
    /// The links and the choice, as a name that is the same in the next run.
    pub(crate) listed: String,
    /// Where the one file goes, if it is not to be created.
    pub(crate) stream: Option<Stream>,
    pub(crate) list: Option<ListSource>,
    /// Where the list is to be fetched from first.
    pub(crate) list_url: Option<Url>,
    pub(crate) list_options: ListOptions,
    pub(crate) progress: ProgressArg,
    pub(crate) is_dry_run: bool,
    pub(crate) is_quiet: bool,
    pub(crate) is_verbose: bool,
    pub(crate) log: Log,
    pub(crate) status_file: Option<PathBuf>,
}

impl Settings {
    /// What is to be fetched beside the URLs that were named: the list, or what the services list.
    ///
    /// # Errors
    /// What kept a list that has a URL from being fetched.
    pub(crate) fn list_source(&mut self, web: Web) -> Result<Option<ListSource>, Complaint> {
        if let Some(url) = self.list_url.take() {
            return list_url::fetch(url, &self.options.http).map(Some);
        }
        if self.links.is_empty() {
            return Ok(self.list.take());
        }
        let which = self.which.clone();
        let listing = self.providers.listing(std::mem::take(&mut self.links), web, move |entry| which.has(entry));
        Ok(Some(ListSource::Listing(listing.known_as(&*self.listed))))
    }
}

/// The most to read of a file of headers.
const HEADERS_BYTES_MAX: u64 = 1 << 20;
/// The engine reserves names that end in this mark and one of `OWN_ENDS` or a number.
const OWN_MARK: &str = ".towline";
const OWN_ENDS: [&str; 5] = ["", ".json", ".json.tmp", ".old", ".old.json"];

/// Resolves the arguments of `get`.
///
/// # Errors
/// Wrong usage (exit code 2); nothing was started.
pub(crate) fn resolve(args: GetArgs) -> Result<Settings, Complaint> {
    let existing = existing(&args)?;
    let args_output = args.output.clone();
    let status_file = args.status_file.clone().map(status_file).transpose()?;
    if status_file.is_some() && status_file == args.log {
        return Err(Complaint::usage("--status-file and --log cannot be the same file"));
    }
    let log = Log { is_on_screen: args.verbose > 1 && !args.quiet, file: args.log.clone() };
    let http_options = http(args.http.clone())?;
    let providers = services::providers(&args.which, &http_options.headers)?;
    let which = Which::new(&args.which)?;
    let (links, jobs) = named(&args, &providers)?;
    let listed = format!("{:?} {:?}", links.iter().map(Url::as_str).collect::<Vec<_>>(), args.which);
    if links.is_empty() && args.which.recursive_index {
        return Err(Complaint::usage("--recursive-index needs the URL of an index page, which ends with /"));
    }
    if links.is_empty() && !which.is_all() {
        return Err(Complaint::usage("--include, --exclude and --newer choose among the files of a service")
            .hint("give a link of one, such as that of a folder in OneDrive"));
    }
    let (list, list_url) = match args.input_file.clone() {
        Some(ListArg::Stdin) => (Some(ListSource::Stdin), None),
        Some(ListArg::File(path)) => (Some(ListSource::File(path)), None),
        Some(ListArg::Url(url)) => (None, Some(url)),
        None => (None, None),
    };
    let list_options = list_options(&args)?;
    let mut options = Options::default();
    options.keep_dirs = args.cut_dirs.or(args.keep_dirs.then_some(0));
    options.dir = args.dir.unwrap_or(options.dir);
    options.connections = args.connections;
    options.jobs = args.jobs.unwrap_or(options.jobs);
    let wanted = args.connections.max(args.jobs).unwrap_or(0);
    options.max_per_host = args.max_per_host.unwrap_or(options.max_per_host.max(wanted));
    options.max_connections = args.max_connections.unwrap_or(options.max_connections.max(wanted));
    options.threads = args.threads.unwrap_or(options.threads);
    options.piece_size_bytes = args.piece_size.unwrap_or(options.piece_size_bytes);
    options.save_interval = args.save_interval.unwrap_or(options.save_interval);
    options.resume = !args.restart;
    options.existing = existing;
    options.trust_size = args.trust_size;
    options.accept_html = args.accept_html;
    options.max_size_bytes = args.max_size;
    options.limit_rate_bps = args.limit_rate;
    options.limit_rate_per_host_bps = args.limit_rate_per_host;
    options.durability = match args.durability {
        DurabilityArg::Full => Durability::Full,
        DurabilityArg::Process => Durability::Process,
    };
    options.remote_time = args.remote_time;
    options.delay_per_host = args.delay_per_host;
    options.retry_failed = args.retry_failed;
    options.http = http_options;
    options.http.server_digests = !args.no_server_digest;
    let stream = stream(&args_output, &jobs, list.is_some() || list_url.is_some() || !links.is_empty(), args.progress)?;
    if let Some(stream) = &stream {
        options.dir = stream.place.path().to_owned();
        options.durability = Durability::Process;
        // The system's cache is as good a place.
        options.existing = Existing::Overwrite;
    }
    Ok(Settings {
        options,
        jobs,
        links,
        providers,
        which,
        listed,
        stream,
        list,
        list_url,
        list_options,
        progress: if log.is_on_screen { args.progress.without_bars() } else { args.progress },
        is_dry_run: args.dry_run,
        is_quiet: args.quiet,
        is_verbose: args.verbose > 0 && !args.quiet,
        log,
        status_file,
    })
}

/// The stream that `-o` names, if it does.
fn stream(
    output: &Option<PathBuf>,
    jobs: &[JobSpec],
    has_list: bool,
    progress: ProgressArg,
) -> Result<Option<Stream>, Complaint> {
    let Some(target) = output.as_deref().and_then(Target::of) else { return Ok(None) };
    if jobs.len() != 1 || has_list {
        return Err(Complaint::usage("only one file can go to one output").hint("give one URL"));
    }
    if target == Target::Stdout && progress == ProgressArg::Json {
        return Err(Complaint::usage("-o - and --progress json would both write to standard output"));
    }
    Stream::new(target).map(Some)
}

fn list_options(args: &GetArgs) -> Result<ListOptions, Complaint> {
    let option = if args.strict { "--strict" } else { "--input-format" };
    if args.input_file.is_none() && (args.strict || args.input_format.is_some()) {
        return Err(Complaint::usage(format!("{option} is for a list")).hint("give the list with -i"));
    }
    let options = ListOptions::default().strict(args.strict);
    let options = match sums(args)? {
        Some(sums) => options.sums(sums),
        None => options,
    };
    Ok(match args.input_format {
        None => options,
        Some(FormatArg::Plain) => options.format(ListFormat::Plain),
        Some(FormatArg::Aria2) => options.format(ListFormat::Aria2),
        Some(FormatArg::Jsonl) => options.format(ListFormat::JsonLines),
        Some(FormatArg::Csv) => options.format(ListFormat::Csv),
        Some(FormatArg::Metalink) => options.format(ListFormat::Metalink),
    })
}

/// Resolves the options for requests.
///
/// # Errors
/// If options conflict, or a header or the proxy is invalid.
pub(crate) fn http(args: HttpArgs) -> Result<HttpOptions, Complaint> {
    let mut http = HttpOptions::default();
    for header in &headers(&args.header)? {
        // Parsed here, because clap would print the value, which may be a secret.
        let (name, value) =
            values::header(header).map_err(|why| Complaint::usage(format!("invalid value for --header: {why}")))?;
        if is_reserved(&name) {
            let text = format!("--header: Towline sets the field {name} itself");
            return Err(Complaint::usage(text).hint("leave it out"));
        }
        http.headers.append(name, value);
    }
    if let Some(referer) = args.referer {
        http.headers.insert(REFERER, referer);
    }
    if let Some(user) = &args.user {
        if http.headers.contains_key(AUTHORIZATION) {
            return Err(Complaint::usage("--user and a header Authorization cannot be used together"));
        }
        http.headers.insert(AUTHORIZATION, authorization(user)?);
    }
    http.identity = identity(args.cert, args.key)?;
    http.pinned_keys = args.pinned_key;
    http.family = match (args.ipv4, args.ipv6) {
        (true, true) => return Err(Complaint::usage("-4 and -6 cannot be used together")),
        (true, false) => Family::V4,
        (false, true) => Family::V6,
        (false, false) => Family::Any,
    };
    http.interface = args.interface;
    http.hosts = args.resolve;
    http.min_speed_bps = args.min_speed;
    http.retry_on = args.retry_on;
    http.user_agent = args.user_agent.unwrap_or(http.user_agent);
    http.proxy = proxy(args.proxy, args.no_proxy)?;
    http.insecure = args.insecure;
    http.ca_file = args.ca_file;
    http.allow_downgrade = args.allow_downgrade;
    http.connect_timeout = args.connect_timeout.unwrap_or(http.connect_timeout);
    http.stall_timeout = args.stall_timeout.unwrap_or(http.stall_timeout);
    http.response_timeout = args.response_timeout.unwrap_or(http.response_timeout);
    http.retries = args.retries.unwrap_or(http.retries);
    http.version = match (args.http1, args.http2) {
        (true, true) => return Err(Complaint::usage("--http1.1 and --http2 cannot be used together")),
        (true, false) => HttpVersion::Http1,
        (false, true) => HttpVersion::Http2,
        (false, false) => HttpVersion::Auto,
    };
    Ok(http)
}

/// The headers that were given, and those in files (`@FILE`), one per line.
fn headers(given: &[String]) -> Result<Vec<String>, Complaint> {
    let mut all = Vec::new();
    for text in given {
        let Some(path) = text.strip_prefix('@') else {
            all.push(text.clone());
            continue;
        };
        let cannot = |why: String| Complaint::usage(format!("--header @{}: {why}", printable(path)));
        let file = fs::File::open(path).map_err(|error| cannot(error.to_string()))?;
        let mut content = String::new();
        file.take(HEADERS_BYTES_MAX).read_to_string(&mut content).map_err(|error| cannot(error.to_string()))?;
        let is_said = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
        all.extend(content.lines().filter(is_said).map(str::to_owned));
    }
    Ok(all)
}

/// Basic credentials (RFC 7617).
fn authorization(user: &str) -> Result<HeaderValue, Complaint> {
    if !user.contains(':') {
        // It may be a password.
        return Err(Complaint::usage("--user: allowed: NAME:PASSWORD"));
    }
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(user)))
        .map_err(|_| Complaint::usage("--user cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn identity(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<ClientIdentity>, Complaint> {
    match (cert, key) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Complaint::usage("--key needs --cert, the certificate of the key")),
        (Some(certificate), key) => {
            let key = key.unwrap_or_else(|| certificate.clone());
            Ok(Some(ClientIdentity { certificate, key }))
        }
    }
}

/// Makes sure that only an earlier status would be replaced, and creates the directory.
fn status_file(path: PathBuf) -> Result<PathBuf, Complaint> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    let directory = path.parent().filter(|directory| *directory != Path::new("")).unwrap_or(Path::new("."));
    let is_writable = made.is_ok() && tempfile::tempfile_in(directory).is_ok();
    if is_writable && may_hold_status(&path) {
        return Ok(path);
    }
    let what = match path.symlink_metadata() {
        _ if made.is_ok() && !is_writable => "cannot write to its directory",
        Ok(found) if found.is_file() => "exists and is not a Towline status file",
        Ok(_) => "exists and is not a regular file",
        Err(_) if made.is_err() => "cannot create its directory",
        Err(_) => "cannot access it",
    };
    let shown = printable(&path.to_string_lossy()).into_owned();
    Err(Complaint::usage(format!("--status-file {shown}: {what}")).hint("choose another name"))
}

/// Parses a URL that Towline can fetch.
///
/// # Errors
/// If it is not one, with a guess at what was meant.
pub(crate) fn fetchable(text: &str) -> Result<Url, Complaint> {
    let shown = shown_line(text);
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        Ok(url) if text.contains("://") => Err(Complaint::usage(format!("cannot fetch {}", shown_url(&url)))
            .hint("only http:// and https:// are supported")),
        _ => {
            let complaint = Complaint::usage(format!("not a URL: {shown}"));
            Err(if Path::new(text).is_file() {
                complaint.hint(format!("for a list of URLs, write -i {shown}"))
            } else if !text.contains("://") && looks_like_host(text) {
                complaint.hint(format!("write https://{shown}"))
            } else {
                complaint.hint("a URL begins with https:// or http://")
            })
        }
    }
}

fn existing(args: &GetArgs) -> Result<Existing, Complaint> {
    match (args.overwrite, args.auto_rename, args.skip_existing) {
        (false, false, false) => Ok(Existing::Fail),
        (true, false, false) => Ok(Existing::Overwrite),
        (false, true, false) => Ok(Existing::AutoRename),
        (false, false, true) => Ok(Existing::Skip),
        _ => Err(Complaint::usage("--overwrite, --auto-rename and --skip-existing cannot be used together")),
    }
}

/// What the user named: links of services, and plain URLs.
fn named(args: &GetArgs, providers: &Providers) -> Result<(Vec<Url>, Vec<JobSpec>), Complaint> {
    let links = args.urls.iter().filter_map(|text| link(text).ok()).filter(|url| providers.of(url).is_some());
    let links: Vec<Url> = links.collect();
    if links.is_empty() {
        return Ok((links, jobs(args)?));
    }
    if args.input_file.is_some() {
        return Err(Complaint::usage("a link of a service cannot be fetched together with a list")
            .hint("fetch it on its own, with a directory of its own (-d)"));
    }
    if links.len() < args.urls.len() {
        return Err(Complaint::usage("a link of a service cannot be fetched together with other URLs")
            .hint("fetch it on its own"));
    }
    if args.output.is_some() {
        return Err(Complaint::usage("-o names one file, and a link of a service may have many")
            .hint("use -d to choose the directory"));
    }
    check_several(args, false)?;
    Ok((links, Vec::new()))
}

/// Parses a link, which a service may know.
///
/// # Errors
/// If it is no URL at all.
pub(crate) fn link(text: &str) -> Result<Url, Complaint> {
    if let Some(path) = text.strip_prefix("onedrive:") {
        return own_path(path);
    }
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "onedrive" | "dav" | "davs" | "webdav" | "webdavs") => Ok(url),
        _ => fetchable(text),
    }
}

/// A path of the user's own drive, each character as it is: `#`, `?` and `%` may be in names.
fn own_path(path: &str) -> Result<Url, Complaint> {
    if path.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(Complaint::usage(format!("onedrive:{}: `.` and `..` are no folders there", printable(path))));
    }
    let path = path.replace('%', "%25").replace('#', "%23").replace('?', "%3F");
    Url::parse(&format!("onedrive:{path}")).map_err(|_| Complaint::usage(format!("no path: {}", printable(&path))))
}

fn jobs(args: &GetArgs) -> Result<Vec<JobSpec>, Complaint> {
    if args.urls.is_empty() && args.input_file.is_none() {
        return Err(Complaint::usage("nothing to download")
            .hint("give a URL, or a list of URLs with -i; `towline get --help` shows more"));
    }
    let is_stream = args.output.as_deref().and_then(Target::of).is_some();
    if let Some(output) = args.output.as_ref().filter(|_| !is_stream) {
        check_output(output)?;
    }
    let expanded = expanded(args)?;
    let sums = sums(args)?;
    // A name such as `a-#1` is one for each of them.
    let template = args.output.as_ref().and_then(|output| output.to_str()).filter(|output| is_template(output));
    let is_pattern = args.urls.len() == 1 && expanded.len() > 1;
    let template = template.filter(|_| is_pattern && args.input_file.is_none());
    if expanded.len() != 1 || args.input_file.is_some() {
        check_several(args, template.is_some())?;
    }
    let mut jobs = Vec::with_capacity(expanded.len());
    let mut urls = HashSet::new();
    for one in &expanded {
        let mut job = JobSpec::new(fetchable(&one.url)?);
        if !urls.insert(job.url.clone()) {
            // A repeated URL is one file, as in a list.
            continue;
        }
        for mirror in &args.mirror {
            job = job.mirror(fetchable(mirror)?);
        }
        if let Some(template) = template {
            let output = PathBuf::from(one.fill(template));
            check_output(&output)?;
            job = job.output(output);
        } else if let Some(output) = args.output.as_ref().filter(|_| !is_stream) {
            job = job.output(output);
        }
        if let Some(checksum) = &args.checksum {
            job = job.checksum(checksum.clone());
        } else if let Some(sums) = &sums {
            let name = job.output.clone().unwrap_or_else(|| job.name_in_url());
            let digest = sums.of(&name).or_else(|| sums.of(Path::new(name.file_name()?))).cloned();
            let missing = || {
                let text = format!("--checksum-file: it has no digest of {}", printable(&name.to_string_lossy()));
                Complaint::usage(text).hint("give the name that the file of digests uses with -o")
            };
            job = job.checksum(digest.ok_or_else(missing)?);
        }
        if args.same_content {
            job = job.same_content();
        }
        jobs.push(job);
    }
    Ok(jobs)
}

/// The digests in `--checksum-file`.
fn sums(args: &GetArgs) -> Result<Option<Sums>, Complaint> {
    let Some(path) = &args.checksum_file else { return Ok(None) };
    let read = fs::File::open(path).and_then(|file| Sums::read(std::io::BufReader::new(file)));
    let shown = path.display();
    read.map(Some).map_err(|error| Complaint::usage(format!("--checksum-file {shown}: {error}")))
}

/// The URLs of the command line, those that patterns stand for one by one.
fn expanded(args: &GetArgs) -> Result<Vec<Expanded>, Complaint> {
    let mut all = Vec::new();
    for text in &args.urls {
        if args.no_glob {
            all.push(Expanded { url: text.clone(), ..Expanded::default() });
            continue;
        }
        let cannot = |why| {
            let complaint = Complaint::usage(format!("{}: {why}", shown_line(text)));
            complaint.hint("--no-glob takes brackets and braces literally")
        };
        all.extend(globs::expand(text).map_err(cannot)?);
    }
    Ok(all)
}

/// Refuses options for one file where there may be several.
fn check_several(args: &GetArgs, has_template: bool) -> Result<(), Complaint> {
    if args.output.is_some() && !has_template {
        return Err(Complaint::usage("-o names one file, but there are several URLs or a list").hint(
            "use -d to choose the directory; with a pattern such as [1-9], #1 in the name stands for its value",
        ));
    }
    let given = [
        ("--checksum", args.checksum.is_some()),
        ("--same-content", args.same_content),
        ("--mirror", !args.mirror.is_empty()),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((option, _)) => {
            Err(Complaint::usage(format!("{option} is for one file, but there are several URLs or a list")))
        }
        None => Ok(()),
    }
}

fn check_output(output: &Path) -> Result<(), Complaint> {
    let text = output.to_string_lossy();
    if text.ends_with('/') || text.ends_with("/.") || output.file_name().is_none() {
        let shown = printable(&text);
        return Err(Complaint::usage(format!("-o {shown} names no file")).hint("use -d for a directory"));
    }
    if output.is_relative() && output.components().any(|part| part == Component::ParentDir) {
        return Err(Complaint::usage(format!("-o {} leads out of the directory", printable(&text)))
            .hint("use -d to choose the directory"));
    }
    if is_own(&text) {
        let shown = printable(&text);
        let message = format!("-o {shown}: names that end in .towline, .towline.json or .towline.1 are reserved");
        return Err(Complaint::usage(message).hint("choose another name"));
    }
    Ok(())
}

/// Whether the engine uses such names for incomplete files.
fn is_own(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let Some((_, end)) = name.rsplit_once(OWN_MARK) else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    OWN_ENDS.contains(&end) || end.strip_prefix('.').is_some_and(is_number)
}

fn proxy(proxy: Option<String>, no_proxy: Option<String>) -> Result<ProxyChoice, Complaint> {
    let except = no_proxy.unwrap_or_default();
    if except.trim() == "*" {
        return Ok(ProxyChoice::Direct);
    }
    // An empty variable counts as unset; an empty argument is a mistake, probably a script's.
    let is_unset = |text: &String| text.is_empty() && env::var_os("TOWLINE_PROXY").is_some_and(|text| text.is_empty());
    let Some(text) = proxy.filter(|text| !is_unset(text)) else {
        if except.is_empty() {
            return Ok(ProxyChoice::Environment);
        }
        return Err(Complaint::usage("--no-proxy needs --proxy")
            .hint("set no_proxy in the environment, or use --no-proxy '*' for no proxy at all"));
    };
    // It may contain a password, so it is not shown.
    ProxyChoice::parse(&text, &except).map_err(|error| {
        Complaint::usage(format!("--proxy (or TOWLINE_PROXY): {}", error.message()))
            .hint("allowed: http://, https://, socks5:// or socks5h://, then HOST:PORT")
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::args::{self, Command};
    use crate::exit_codes;

    fn resolved(words: &[&str]) -> Result<Settings, Complaint> {
        let words = ["towline", "get"].iter().chain(words).map(OsString::from).collect();
        match args::parse(words).unwrap().command {
            Command::Get(args) => resolve(*args),
            other => panic!("{other:?}"),
        }
    }

    fn refused(words: &[&str]) -> String {
        let complaint = resolved(words).unwrap_err();
        assert_eq!(complaint.code(), exit_codes::USAGE);
        format!("{complaint:?}")
    }

    #[test]
    fn a_url_that_is_given_twice_is_one_file_and_an_output_stays_in_the_directory() {
        assert_eq!(resolved(&["http://h/a", "http://h/b", "http://h/a"]).unwrap().jobs.len(), 2);
        for output in ["../a", "b/../../a"] {
            assert!(refused(&["http://h/a", "-o", output]).contains("leads out of the directory"), "{output}");
        }
        for output in ["Title: part 2.pdf", "Token economy.pdf"] {
            assert_eq!(resolved(&["http://h/a", "-o", output]).unwrap().jobs.len(), 1, "{output}");
        }
    }

    #[test]
    fn without_options_the_engines_defaults_hold() {
        let settings = resolved(&["http://h/a"]).unwrap();
        let defaults = Options::default();
        assert_eq!(settings.options.jobs, defaults.jobs);
        assert_eq!(settings.options.max_per_host, defaults.max_per_host);
        assert_eq!(settings.options.connections, None);
        assert_eq!(settings.options.existing, Existing::Fail);
        assert!(settings.options.resume);
        assert_eq!(settings.jobs.len(), 1);
        assert!(settings.list.is_none());
    }

    #[test]
    fn explicit_connections_and_jobs_raise_the_limits_that_are_not_given() {
        let options = resolved(&["-x", "100", "http://h/a"]).unwrap().options;
        assert_eq!((options.max_per_host, options.max_connections), (100, 100));
        let options = resolved(&["-j", "40", "-i", "list"]).unwrap().options;
        assert_eq!((options.max_per_host, options.max_connections), (40, 64));
        let options = resolved(&["-x", "100", "--max-per-host", "3", "http://h/a"]).unwrap().options;
        assert_eq!((options.max_per_host, options.max_connections), (3, 100));
    }

    #[test]
    fn one_name_is_for_one_url() {
        assert!(refused(&["-o", "a", "http://h/a", "http://h/b"]).contains("-o names one file"));
        assert!(refused(&["-o", "a", "-i", "list"]).contains("-o names one file"));
        assert!(resolved(&["-o", "-", "http://h/a"]).unwrap().stream.is_some());
        assert!(refused(&["-o", "out/", "http://h/a"]).contains("names no file"));
        let settings = resolved(&["-o", "b", "http://h/a"]).unwrap();
        assert_eq!(settings.jobs[0].output.as_deref(), Some(Path::new("b")));
    }

    #[test]
    fn the_names_of_what_is_not_complete_are_ours() {
        for name in [".towline", "a.towline", "A.TOWLINE.JSON", "d/a.towline.1", "a.towline.old", "a.towline.old.json"]
        {
            assert!(refused(&["-o", name, "http://h/a"]).contains("are reserved"), "{name}");
        }
        for name in ["a.part", "a.part.json", "towline", "a.towline.x", "a.towline.", "a.towline/b"] {
            assert!(resolved(&["-o", name, "http://h/a"]).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_counts_as_the_file_is_strict_unless_told_otherwise() {
        let options = resolved(&["http://h/a"]).unwrap().options;
        assert!(!options.trust_size && !options.accept_html);
        assert!(resolved(&["--trust-size", "http://h/a"]).unwrap().options.trust_size);
        assert!(resolved(&["--accept-html", "http://h/a"]).unwrap().options.accept_html);
    }

    #[test]
    fn no_retries_means_none() {
        let retries = |words: &[&str]| resolved(words).unwrap().options.http.retries;
        assert_eq!(retries(&["http://h/a"]), Options::default().http.retries);
        assert_eq!(retries(&["--retries", "0", "http://h/a"]), 0);
    }

    #[test]
    fn nothing_to_download_is_wrong_usage() {
        assert!(refused(&[]).contains("-i"));
    }

    #[test]
    fn what_is_no_url_is_told_so() {
        assert!(refused(&["example.com/a.iso"]).contains("write https://example.com/a.iso"));
        assert!(refused(&["localhost:8080/a"]).contains("write https://localhost:8080/a"));
        assert!(refused(&["nonsense"]).contains("not a URL: nonsense"));
        assert!(refused(&["ftp://h/a"]).contains("cannot fetch ftp://h/a"));
    }

    #[test]
    fn what_happens_to_another_file_is_said_once() {
        assert!(refused(&["--overwrite", "--skip-existing", "http://h/a"]).contains("cannot be used together"));
        assert_eq!(resolved(&["--auto-rename", "http://h/a"]).unwrap().options.existing, Existing::AutoRename);
    }

    #[test]
    fn proxies_are_urls_or_none() {
        let choice = |words: &[&str]| {
            let words: Vec<_> = words.iter().copied().chain(["http://h/a"]).collect();
            resolved(&words).unwrap().options.http.proxy
        };
        assert!(matches!(choice(&[]), ProxyChoice::Environment));
        assert!(matches!(choice(&["--no-proxy", "*"]), ProxyChoice::Direct));
        match choice(&["--proxy", "p:3128", "--no-proxy", "a,b"]) {
            ProxyChoice::Use { url, except } => assert_eq!((url.as_str(), except.as_str()), ("http://p:3128/", "a,b")),
            other => panic!("{other:?}"),
        }
        for proxy in ["ftp://p", "socks4://p", "socks://p", "http://[bad", "http://p:0", "http://", ""] {
            assert!(refused(&["--proxy", proxy, "http://h/a"]).contains("--proxy"), "{proxy}");
        }
        assert!(refused(&["--proxy", "ftp://p", "http://h/a"]).contains("socks5h"));
        assert!(refused(&["--no-proxy", "a", "http://h/a"]).contains("needs --proxy"));
    }

    #[test]
    fn what_servers_say_is_believed_unless_told_otherwise() {
        let options = resolved(&["http://h/a"]).unwrap().options;
        assert!(options.http.server_digests);
        assert_eq!(options.max_size_bytes, None);
        let options = resolved(&["--no-server-digest", "--max-size", "2M", "http://h/a"]).unwrap().options;
        assert!(!options.http.server_digests);
        assert_eq!(options.max_size_bytes, Some(2 << 20));
    }

    #[test]
    fn the_same_content_is_said_of_one_file() {
        assert!(!resolved(&["http://h/a"]).unwrap().jobs[0].same_content);
        assert!(resolved(&["--same-content", "http://h/a"]).unwrap().jobs[0].same_content);
        assert!(refused(&["--same-content", "http://h/a", "http://h/b"]).contains("for one file"));
        assert!(refused(&["--same-content", "-i", "l"]).contains("for one file"));
    }

    #[test]
    fn mirrors_are_urls_of_one_file() {
        let settings = resolved(&["--mirror", "http://m/a", "--mirror", "https://n/a", "http://h/a"]).unwrap();
        let mirrors: Vec<_> = settings.jobs[0].mirrors.iter().map(Url::as_str).collect();
        assert_eq!(mirrors, ["http://m/a", "https://n/a"]);
        assert!(refused(&["--mirror", "http://m/a", "http://h/a", "http://h/b"]).contains("for one file"));
        assert!(refused(&["--mirror", "http://m/a", "-i", "l"]).contains("for one file"));
        assert!(refused(&["--mirror", "m/a", "http://h/a"]).contains("not a URL"));
    }

    #[test]
    fn a_list_may_be_standard_input() {
        assert!(matches!(resolved(&["-i", "-"]).unwrap().list, Some(ListSource::Stdin)));
        assert!(matches!(resolved(&["-i", "l"]).unwrap().list, Some(ListSource::File(_))));
    }
}
