//! Resolves arguments into the engine's options. What clap cannot check is checked here, and not again
//! afterwards.

mod jobs;
mod requests;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use towline_engine::checksum::Sums;
use towline_engine::feed::{ListFormat, ListOptions, ListSource};
use towline_engine::http::cookie_jar::CookieJar;
use towline_engine::options::{Durability, Existing, HttpOptions};
use towline_engine::provider::{Providers, Web};
use towline_engine::report::may_hold_status;
use towline_engine::secret::printable;
use towline_engine::{JobSpec, Options};
use url::Url;

pub(crate) use self::jobs::{fetchable, link};
use self::jobs::{named, sums};
use self::requests::form;
pub(crate) use self::requests::{authorization, headers, http, read_text};
use crate::args::{DurabilityArg, FormatArg, GetArgs, ListArg, ProgressArg};
use crate::complaint::Complaint;
use crate::cookie_jar::JarFile;
use crate::list_url;
use crate::log::Log;
use crate::services;
use crate::stream::{Stream, Target};
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
    pub(crate) on_complete: Option<PathBuf>,
    pub(crate) is_dry_run: bool,
    pub(crate) is_quiet: bool,
    pub(crate) is_verbose: bool,
    pub(crate) log: Log,
    pub(crate) status_file: Option<PathBuf>,
    pub(crate) cookie_jar: Option<JarFile>,
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

/// Resolves the arguments of `get`.
///
/// # Errors
/// Wrong usage (exit code 2); nothing was started.
pub(crate) fn resolve(args: GetArgs) -> Result<Settings, Complaint> {
    let existing = existing(&args)?;
    let target = Target::of_args(&args);
    let status_file = args.status_file.clone().map(status_file).transpose()?;
    if status_file.is_some() && status_file == args.log {
        return Err(Complaint::usage("--status-file and --log cannot be the same file"));
    }
    let log = Log { is_on_screen: args.verbose > 1 && !args.quiet, file: args.log.clone() };
    let mut http_options = http(args.http.clone())?;
    let cookie_jar = args.cookie_jar.clone().map(|path| cookie_jar(path, &mut http_options)).transpose()?;
    let providers = services::providers(&args.which, &http_options.headers)?;
    let which = Which::new(&args.which)?;
    let sums = sums(&args)?.map(Arc::new);
    let (links, mut jobs) = named(&args, sums.as_deref(), &providers)?;
    http_options.form = form(&args)?;
    if let Some(form) = &http_options.form {
        if args.input_file.is_some() || !links.is_empty() {
            return Err(Complaint::usage("--data and --method are for the URLs of the command line"));
        }
        jobs.iter_mut().for_each(|job| job.url = form.at(job.url.clone()));
    }
    let listed = format!("{:?} {:?}", links.iter().map(Url::as_str).collect::<Vec<_>>(), args.which);
    if links.is_empty() && args.which.recursive_index {
        return Err(Complaint::usage("--recursive-index needs the URL of an index page, which ends with /"));
    }
    if links.is_empty() && which.has_patterns() {
        return Err(Complaint::usage("--include and --exclude choose among the files of a service")
            .hint("give a link of one, such as that of a folder in OneDrive"));
    }
    let (list, list_url) = match args.input_file.clone() {
        Some(ListArg::Stdin) => (Some(ListSource::Stdin), None),
        Some(ListArg::File(path)) => (Some(ListSource::File(path)), None),
        Some(ListArg::Url(url)) => (None, Some(url)),
        None => (None, None),
    };
    let list_options = list_options(&args, sums.as_ref())?.requests(&http_options);
    if let Some(program) = &args.on_complete {
        check_program(program)?;
    }
    let mut options = Options::default();
    options.keep_dirs = args.cut_dirs.or(args.keep_dirs.then_some(0)).map(|cut| cut as usize);
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
    options.adopt = args.adopt;
    options.sums = sums;
    options.accept_html = args.accept_html;
    options.newer_than = args.which.newer.map(moment);
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
    let has_list = list.is_some() || list_url.is_some() || !links.is_empty();
    let stream = stream(target, &jobs, has_list, args.progress, args.on_complete.is_some())?;
    if let Some(stream) = &stream {
        options.dir = stream.place.path().to_owned();
        // Nobody goes on with it after a power cut.
        options.durability = Durability::Process;
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
        on_complete: args.on_complete,
        is_dry_run: args.dry_run,
        is_quiet: args.quiet,
        is_verbose: args.verbose > 0 && !args.quiet,
        log,
        status_file,
        cookie_jar,
    })
}

/// The same moment by the system's clock; what was before 1970 is 1970.
fn moment(timestamp: Timestamp) -> SystemTime {
    let seconds = u64::try_from(timestamp.as_second()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Makes sure that there is a program to run, before the first file is complete.
fn check_program(program: &Path) -> Result<(), Complaint> {
    let shown = printable(&program.to_string_lossy()).into_owned();
    let has_directory = program.components().count() > 1;
    let places = std::env::var_os("PATH").unwrap_or_default();
    let is_there = match has_directory {
        true => program.exists(),
        false => std::env::split_paths(&places).any(|place| place.join(program).is_file()),
    };
    if is_there {
        return Ok(());
    }
    let complaint = Complaint::usage(format!("--on-complete {shown}: there is no such program"));
    Err(complaint.hint("one in this directory is ./NAME; it gets the path of each file and no other arguments"))
}

/// The file that gets the cookies of the run.
fn cookie_jar(path: PathBuf, http: &mut HttpOptions) -> Result<JarFile, Complaint> {
    let jar = Arc::new(http.cookies.as_deref().map(CookieJar::with).unwrap_or_default());
    http.cookie_jar = Some(Arc::clone(&jar));
    JarFile::new(path, jar)
}

/// The stream that `-o` names, if it does.
fn stream(
    target: Option<Target>,
    jobs: &[JobSpec],
    has_list: bool,
    progress: ProgressArg,
    has_program: bool,
) -> Result<Option<Stream>, Complaint> {
    let Some(target) = target else { return Ok(None) };
    if jobs.len() != 1 || has_list {
        return Err(Complaint::usage("only one file can go to one output").hint("give one URL"));
    }
    if target == Target::Stdout && progress == ProgressArg::Json {
        return Err(Complaint::usage("-o - and --progress json would both write to standard output"));
    }
    if has_program {
        return Err(Complaint::usage("--on-complete wants a file, and there is none with this -o"));
    }
    Stream::new(target).map(Some)
}

fn list_options(args: &GetArgs, sums: Option<&Arc<Sums>>) -> Result<ListOptions, Complaint> {
    let option = if args.strict { "--strict" } else { "--input-format" };
    if args.input_file.is_none() && (args.strict || args.input_format.is_some()) {
        return Err(Complaint::usage(format!("{option} is for a list")).hint("give the list with -i"));
    }
    let options = ListOptions::default().strict(args.strict);
    let options = match sums {
        Some(sums) => options.sums(Arc::clone(sums)),
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

fn existing(args: &GetArgs) -> Result<Existing, Complaint> {
    match (args.overwrite, args.auto_rename, args.skip_existing) {
        (false, false, false) => Ok(Existing::Fail),
        (true, false, false) => Ok(Existing::Overwrite),
        (false, true, false) => Ok(Existing::AutoRename),
        (false, false, true) => Ok(Existing::Skip),
        _ => Err(Complaint::usage("--overwrite, --auto-rename and --skip-existing cannot be used together")),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use towline_engine::options::ProxyChoice;

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
        for list in ["", "a"] {
            assert_eq!(choice(&["--no-proxy", list]), ProxyChoice::EnvironmentExcept { except: list.to_owned() });
        }
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
