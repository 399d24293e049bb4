//! Resolves what is to be fetched: URLs, patterns in them, links of services, outputs and digests.

use std::collections::HashSet;
use std::fs;
use std::io::BufReader;
use std::path::{Component, Path, PathBuf};

use towline_engine::JobSpec;
use towline_engine::checksum::Sums;
use towline_engine::feed::looks_like_host;
use towline_engine::provider::Providers;
use towline_engine::secret::{printable, shown_line, shown_url};
use url::Url;

use crate::args::GetArgs;
use crate::complaint::Complaint;
use crate::globs::{self, Expanded, is_template};
use crate::stream::Target;

/// The engine reserves names that end in this mark and one of `OWN_ENDS` or a number.
const OWN_MARK: &str = ".towline";
const OWN_ENDS: [&str; 5] = ["", ".json", ".json.tmp", ".old", ".old.json"];

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
            } else if let Some(command) = crate::args::command_like(text) {
                complaint.hint(format!("did you mean `towline {command}`?"))
            } else {
                complaint.hint("a URL begins with https:// or http://")
            })
        }
    }
}

/// What the user named: links of services, and plain URLs.
pub(super) fn named(
    args: &GetArgs,
    sums: Option<&Sums>,
    providers: &Providers,
) -> Result<(Vec<Url>, Vec<JobSpec>), Complaint> {
    let links = args.urls.iter().filter_map(|text| link(text).ok()).filter(|url| providers.of(url).is_some());
    let links: Vec<Url> = links.collect();
    if links.is_empty() {
        return Ok((links, jobs(args, sums)?));
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

fn jobs(args: &GetArgs, sums: Option<&Sums>) -> Result<Vec<JobSpec>, Complaint> {
    if args.urls.is_empty() && args.input_file.is_none() {
        return Err(Complaint::usage("nothing to download")
            .hint("give a URL, or a list of URLs with -i; `towline get --help` shows more"));
    }
    let is_stream = Target::of_args(args).is_some();
    if let Some(output) = args.output.as_ref().filter(|_| !is_stream) {
        check_output(output)?;
    }
    let expanded = expanded(args)?;
    // A name such as `a-#1` is one for each of them.
    let template = args.output.as_ref().and_then(|output| output.to_str()).filter(|output| is_template(output));
    let is_pattern = args.urls.len() == 1 && expanded.iter().any(|one| !one.parts.is_empty());
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
        } else if let (Some(sums), Some(name)) = (sums, job.output.clone()) {
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
pub(super) fn sums(args: &GetArgs) -> Result<Option<Sums>, Complaint> {
    let Some(path) = &args.checksum_file else { return Ok(None) };
    let read = fs::File::open(path).and_then(|file| Sums::read(BufReader::new(file)));
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
