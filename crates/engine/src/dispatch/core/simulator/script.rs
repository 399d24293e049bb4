//! The script of a seed: servers and their files, the jobs and commands of a user, and the accidents. Nothing
//! in it changes while a world runs.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use fastrand::Rng;
use http::{HeaderMap, HeaderValue, header};
use url::Url;

use super::storage::{Fault, FaultError};
use crate::checksum::{Algorithm, Checksum, Hasher};
use crate::evidence::Evidence;
use crate::evidence::samples::GATHERED_BYTES_MAX;
use crate::job::JobSpec;
use crate::message::Time;
use crate::name::{journal_path, old_part_path, part_path};
use crate::options::{Existing, Options};

/// Where files go.
pub(super) const DIR: &str = "/simulated";
/// Contents change and servers fail only before this, so that every world can end well.
const CALM_FROM: Time = Time::from_secs(20);
/// How long ago a file was changed, by the clock of this machine.
const YOUNG_SECONDS: u64 = 10;
const OLD_SECONDS: u64 = 3600;
/// Commands come within this.
const COMMANDS_WITHIN: Time = Time::from_secs(8);

/// Everything that a seed decides in advance.
pub(super) struct Script {
    pub(super) options: Options,
    pub(super) hosts: Vec<Host>,
    pub(super) files: Vec<RemoteFile>,
    /// Which file each job fetches.
    pub(super) jobs: Vec<usize>,
    /// Whether the jobs come from a feed.
    pub(super) has_feed: bool,
    /// The orders of the first life.
    pub(super) orders: Vec<(Time, Order)>,
    /// The accidents of each life but the last; at least one.
    pub(super) accidents: Vec<Accident>,
    /// What another program puts there before a life.
    pub(super) stranger: Option<Stranger>,
    /// Before this life, partial files are replaced by copies of themselves, which were made before a range was written.
    pub(super) copied: Option<(usize, Range<usize>)>,
    pub(super) calm_from: Time,
    /// The longest duration of a sync.
    pub(super) disk_takes: Time,
}

pub(super) struct Host {
    pub(super) is_secure: bool,
    pub(super) has_http2: bool,
    pub(super) latency: Time,
    pub(super) rate_bps: u64,
    /// It refuses connections beyond this.
    pub(super) connections_max: usize,
    /// The percentage of requests that go wrong.
    pub(super) trouble_percent: u8,
    /// The percentage of responses that do not name the version.
    pub(super) forgets_percent: u8,
    /// Its files are young by the clock of this machine, whatever its own clock says.
    pub(super) has_clock_ahead: bool,
}

/// A file of a server.
pub(super) struct RemoteFile {
    pub(super) host: usize,
    /// Its old URL redirects to this host.
    pub(super) moved_to: Option<usize>,
    /// Hosts that have it too.
    pub(super) mirrors: Vec<usize>,
    /// What the mirrors have instead, under the same names of versions.
    pub(super) stale: Option<Version>,
    /// The name that the server gives it.
    pub(super) given_name: Option<String>,
    /// The first version, and one for each change.
    pub(super) versions: Vec<Version>,
    pub(super) changes: Vec<Time>,
    pub(super) ranges: Ranges,
    /// Its length is not announced.
    pub(super) is_chunked: bool,
    pub(super) is_gone: bool,
    /// Of the first version.
    pub(super) checksum: Option<Checksum>,
}

/// One version of a file.
pub(super) struct Version {
    pub(super) content: Vec<u8>,
    evidence: Evidence,
}

/// What a server says about versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    Strong,
    Weak,
    Date,
    /// A date that was young when it was given.
    Young,
    Nothing,
}

/// How a server handles ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ranges {
    Honoured,
    Ignored,
    Refused,
}

/// What a user or the machine does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Add(usize),
    Close,
    Pause(usize),
    Resume(usize),
    ResumeAll,
    /// As the user's keys do.
    PauseEverything,
    ResumeEverything,
    SetConnections(usize),
    Cancel(usize),
    SetJobs(usize),
    SetMaxPerHost(usize),
    SetMaxConnections(usize),
    SetLimitRate(Option<u64>),
    AddWorker,
    Stop,
}

/// What goes wrong with the disk in a life, if anything, counted from its start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Accident {
    pub(super) fault: Option<Fault>,
    pub(super) stop_at: Option<u64>,
}

/// A file of another program.
pub(super) struct Stranger {
    pub(super) before_life: usize,
    pub(super) path: PathBuf,
    pub(super) content: Vec<u8>,
    /// The file of ours whose final name it has.
    takes_name_of: Option<usize>,
}

impl Stranger {
    fn new(file: usize, given_name: Option<&str>, lives: usize, dice: &mut Rng) -> Self {
        let final_path = Path::new(DIR).join(given_name.map_or_else(|| format!("f{file}.bin"), str::to_owned));
        let (path, takes_name_of) = match dice.u8(0..5) {
            0..=1 => (part_path(&final_path), None),
            2 => (journal_path(&final_path), None),
            3 => (old_part_path(&final_path), None),
            _ => (final_path, Some(file)),
        };
        let content = format!("the file of another program {}", "x".repeat(dice.usize(0..3000))).into_bytes();
        Self { before_life: dice.usize(0..lives), path, content, takes_name_of }
    }
}

impl Script {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Rng::with_seed(seed);
        let hosts: Vec<Host> = (0..dice.usize(1..=3)).map(|_| Host::new(&mut dice)).collect();
        let files: Vec<RemoteFile> =
            (0..dice.usize(1..=4)).map(|number| RemoteFile::new(number, hosts.len(), &mut dice)).collect();
        let mut jobs: Vec<usize> = (0..files.len()).collect();
        if dice.u8(0..8) == 0 {
            jobs.push(0);
        }
        let has_feed = dice.u8(0..4) == 0;
        let orders = orders(jobs.len(), has_feed, &mut dice);
        let accidents: Vec<Accident> = (0..dice.usize(1..=2)).map(|_| Accident::new(&mut dice)).collect();
        let stranger = (dice.u8(0..4) == 0).then(|| {
            let file = dice.usize(0..files.len());
            Stranger::new(file, files[file].given_name.as_deref(), accidents.len() + 1, &mut dice)
        });
        let copied = (stranger.is_none() && dice.u8(0..4) == 0).then(|| {
            let start = [0, 0, dice.usize(0..100_000)][dice.usize(0..3)];
            (dice.usize(1..=accidents.len()), start..start + [0, dice.usize(0..100_000)][dice.usize(0..2)])
        });
        Self {
            options: options(&mut dice),
            hosts,
            files,
            jobs,
            has_feed,
            orders,
            accidents,
            stranger,
            copied,
            calm_from: CALM_FROM,
            disk_takes: Time::from_millis([1, 20, 400, 2500][dice.usize(0..4)]),
        }
    }

    /// The spec of a job.
    pub(super) fn spec(&self, job: usize) -> JobSpec {
        let number = self.jobs[job];
        let file = &self.files[number];
        let mut spec = JobSpec::new(self.url(file.host, "", number));
        spec.mirrors = file.mirrors.iter().map(|host| self.url(*host, "mirror/", number)).collect();
        match &file.checksum {
            Some(checksum) => spec.checksum(checksum.clone()),
            None => spec,
        }
    }

    /// Where a host has a file; `place` is empty or ends with a slash.
    pub(super) fn url(&self, host: usize, place: &str, file: usize) -> Url {
        let scheme = if self.hosts[host].is_secure { "https" } else { "http" };
        format!("{scheme}://h{host}/{place}f{file}.bin").parse().expect("a URL")
    }

    /// The server of this name.
    pub(super) fn host(&self, name: &str) -> &Host {
        let number: usize = name.strip_prefix('h').and_then(|number| number.parse().ok()).expect("one of our hosts");
        &self.hosts[number]
    }

    /// The file of a name, of its last part or of a URL: `f3.bin`, `n3.1.bin.part` …
    pub(super) fn file_of(&self, path: &Path) -> &RemoteFile {
        &self.files[number_of(path)]
    }

    /// How many jobs fetch a file.
    pub(super) fn jobs_of(&self, file: usize) -> usize {
        self.jobs.iter().filter(|job| **job == file).count()
    }

    /// Whether another program's file may be lost: the user lets it be replaced.
    pub(super) fn may_replace(&self, stranger: &Stranger) -> bool {
        stranger.takes_name_of.is_some() && self.options.existing == Existing::Overwrite
    }

    /// Whether it is the content of another program's file.
    pub(super) fn is_of_stranger(&self, content: &[u8]) -> bool {
        self.stranger.as_ref().is_some_and(|stranger| stranger.content == content)
    }

    /// Whether a life without accidents may end without this file.
    pub(super) fn may_fail(&self, number: usize) -> bool {
        let file = &self.files[number];
        let is_secure = |host: usize| self.hosts[host].is_secure;
        let is_downgraded = file.moved_to.is_some_and(|to| is_secure(file.host) && !is_secure(to));
        // If an earlier life finished the file, nothing may show that it is this one: it has no length, or it
        // is too large to be compared and samples are not available.
        let is_large = file.versions[0].content.len() as u64 > GATHERED_BYTES_MAX;
        let is_anonymous = file.is_chunked || is_large && file.ranges != Ranges::Honoured;
        // A copy of what was begun cannot be compared.
        let is_incomparable = self.copied.is_some() && file.ranges != Ranges::Honoured;
        // A mirror that had another file may have brought it in an earlier life.
        let is_displaced = self.stranger.as_ref().is_some_and(|stranger| stranger.takes_name_of == Some(number));
        let has_another = file.stale.is_some() && file.checksum.is_none();
        let may_change = file.versions.len() > 1 || has_another;
        file.is_gone
            || is_downgraded
            || is_anonymous
            || is_incomparable
            || may_change
            || is_displaced
            || self.jobs_of(number) > 1
    }
}

/// The number in the name of a file.
pub(super) fn number_of(path: &Path) -> usize {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let digits = name.split('.').next().and_then(|stem| stem.get(1..)).unwrap_or_default();
    digits.parse().unwrap_or_else(|_| panic!("{} is none of our files", path.display()))
}

impl RemoteFile {
    fn new(number: usize, hosts: usize, dice: &mut Rng) -> Self {
        let tags = [Tag::Strong, Tag::Strong, Tag::Strong, Tag::Weak, Tag::Date, Tag::Young, Tag::Nothing];
        let tag = tags[dice.usize(0..tags.len())];
        let is_chunked = dice.u8(0..8) == 0;
        let mut versions = vec![Version::new(tag, 0, size(dice), dice)];
        let mut changes = Vec::new();
        if dice.u8(0..5) == 0 {
            let before = versions[0].content.len();
            // Without any validator, a change that keeps the length cannot be noticed.
            let keeps_size = tag != Tag::Nothing && dice.bool();
            versions.push(Version::new(tag, 1, if keeps_size { before } else { before + 1000 }, dice));
            changes.push(Time::from_millis(dice.u64(0..10_000)));
        }
        let checksum = (dice.u8(0..5) == 0).then(|| sha256(&versions[0].content));
        let ranges = match dice.u8(0..8) {
            _ if is_chunked => Ranges::Ignored,
            0 => Ranges::Ignored,
            1 => Ranges::Refused,
            _ => Ranges::Honoured,
        };
        let is_gone = dice.u8(0..30) == 0;
        let may_have_mirrors = versions.len() == 1 && dice.u8(0..4) == 0;
        let mirrors =
            if may_have_mirrors { (0..dice.usize(1..=2)).map(|_| dice.usize(0..hosts)).collect() } else { vec![] };
        // If nobody else has it, what they have is the file.
        let is_stale = may_have_mirrors && !is_gone && dice.u8(0..3) == 0;
        let stale = is_stale.then(|| Version::new(tag, 0, versions[0].content.len(), dice));
        Self {
            host: dice.usize(0..hosts),
            moved_to: (dice.u8(0..6) == 0).then(|| dice.usize(0..hosts)),
            mirrors,
            stale,
            given_name: (dice.u8(0..4) == 0).then(|| format!("n{number}.bin")),
            versions,
            changes,
            ranges,
            is_chunked,
            is_gone,
            checksum,
        }
    }

    /// A version by its number; the one behind the last is what stale mirrors have.
    pub(super) fn served(&self, version: usize) -> &Version {
        self.versions.get(version).or(self.stale.as_ref()).expect("a version")
    }

    /// Whether its server may leave out what names a version: another version of the same length could not be told from
    /// it then.
    pub(super) fn may_be_silent(&self) -> bool {
        let lens: HashSet<usize> = self.versions.iter().map(|version| version.content.len()).collect();
        lens.len() == self.versions.len()
    }

    /// Which version is served at this time.
    pub(super) fn version_at(&self, time: Time) -> usize {
        self.changes.iter().filter(|change| **change <= time).count()
    }

    /// The versions with this validator, as far as it has one, and this length.
    pub(super) fn versions_of(&self, evidence: &Evidence, len: usize) -> Vec<&Version> {
        let is_it = |version: &&Version| {
            let has_tag = evidence.etag.is_none() || version.evidence.etag == evidence.etag;
            let has_date = evidence.last_modified.is_none() || version.evidence.last_modified == evidence.last_modified;
            version.content.len() == len && has_tag && has_date
        };
        self.versions.iter().chain(&self.stale).filter(is_it).collect()
    }
}

impl Version {
    fn new(tag: Tag, number: u8, size: usize, dice: &mut Rng) -> Self {
        let mut content = vec![0; size];
        towline_origin::fill(dice.u64(..), 0, &mut content);
        let mut headers = HeaderMap::new();
        let text = match tag {
            Tag::Strong => format!("\"v{number}\""),
            Tag::Weak => format!("W/\"v{number}\""),
            Tag::Date | Tag::Young => format!("Tue, 14 Nov 2023 22:13:2{number} GMT"),
            Tag::Nothing => String::new(),
        };
        let field = if matches!(tag, Tag::Date | Tag::Young) { header::LAST_MODIFIED } else { header::ETAG };
        if tag != Tag::Nothing {
            headers.insert(field, HeaderValue::try_from(text).expect("a header value"));
        }
        // A date is settled an hour later, and young ten seconds later.
        let answered =
            if tag == Tag::Young { "Tue, 14 Nov 2023 22:13:35 GMT" } else { "Tue, 14 Nov 2023 23:13:25 GMT" };
        headers.insert(header::DATE, HeaderValue::from_static(answered));
        Self { content, evidence: Evidence::from_headers(&headers, None) }
    }

    /// The evidence of a response with this length, which may not name the version, and may come while the version is
    /// young.
    pub(super) fn evidence(&self, total_bytes: Option<u64>, is_silent: bool, is_young: bool) -> Evidence {
        let mut evidence = Evidence { total_bytes, ..self.evidence.clone() };
        if is_silent {
            (evidence.etag, evidence.last_modified) = (None, None);
        }
        let modified = evidence.last_modified_time().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let age = if is_young { YOUNG_SECONDS } else { OLD_SECONDS };
        evidence.seen_unix = modified.map(|modified| modified.as_secs() + age);
        evidence
    }
}

impl Host {
    fn new(dice: &mut Rng) -> Self {
        let is_secure = dice.u8(0..3) == 0;
        Self {
            is_secure,
            has_http2: is_secure && dice.bool(),
            latency: Time::from_millis(dice.u64(1..200)),
            rate_bps: 50_000 << dice.u32(0..8),
            connections_max: [1, 2, 4, 64][dice.usize(0..4)],
            trouble_percent: [0, 5, 30][dice.usize(0..3)],
            forgets_percent: [0, 0, 0, 30][dice.usize(0..4)],
            has_clock_ahead: dice.u8(0..6) == 0,
        }
    }
}

impl Accident {
    fn new(dice: &mut Rng) -> Self {
        let at = 1 + dice.u64(0..8).pow(3);
        match dice.u8(0..8) {
            0..=3 => Self::default(),
            4..=5 => Self { stop_at: Some(at), ..Self::default() },
            _ => {
                let error = FaultError::ALL[dice.usize(0..FaultError::ALL.len())];
                let fault = Fault { at, error, is_for_good: dice.u8(0..3) == 0 };
                Self { fault: Some(fault), stop_at: dice.bool().then(|| at + dice.u64(0..100)) }
            }
        }
    }
}

/// Most files are small, as in practice, and because many seeds are tried.
fn size(dice: &mut Rng) -> usize {
    match dice.u8(0..20) {
        0 => 0,
        1..=9 => dice.usize(0..70_000),
        10..=17 => dice.usize(64 << 10..500_000),
        _ => dice.usize(1 << 20..3 << 20),
    }
}

fn sha256(content: &[u8]) -> Checksum {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(content);
    let hex: Vec<String> = hasher.finish().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha-256={}", hex.concat()).parse().expect("a checksum")
}

fn options(dice: &mut Rng) -> Options {
    let existing = [Existing::Fail, Existing::Fail, Existing::Overwrite, Existing::AutoRename];
    Options {
        dir: DIR.into(),
        connections: [None, None, Some(1), Some(2), Some(4), Some(8)][dice.usize(0..6)],
        jobs: dice.usize(1..=5),
        max_per_host: dice.usize(1..=6),
        max_connections: dice.usize(1..=10),
        piece_size_bytes: [16 << 10, 64 << 10, 256 << 10][dice.usize(0..3)],
        save_interval: Time::from_millis(dice.u64(200..1500)),
        existing: existing[dice.usize(0..existing.len())],
        resume: dice.u8(0..16) != 0,
        ..Options::default()
    }
}

/// Adds all jobs, and does something with some of them. A paused job is always resumed.
fn orders(jobs: usize, has_feed: bool, dice: &mut Rng) -> Vec<(Time, Order)> {
    let mut orders = Vec::new();
    let mut last = Time::ZERO;
    if !has_feed {
        for job in 0..jobs {
            last += Time::from_millis(dice.u64(0..400));
            orders.push((last, Order::Add(job)));
        }
    }
    orders.push((last, Order::Close));
    let when = |dice: &mut Rng| COMMANDS_WITHIN.mul_f64(dice.f64().powi(2));
    for _ in 0..dice.usize(0..4) {
        let (at, job) = (when(dice), dice.usize(0..jobs));
        let order = match dice.u8(0..10) {
            0..=3 => {
                orders.push((at + when(dice), Order::Resume(job)));
                Order::Pause(job)
            }
            4 => Order::Cancel(job),
            5 => Order::SetJobs(dice.usize(0..4)),
            6 => Order::SetMaxPerHost(dice.usize(1..=8)),
            7 => Order::SetMaxConnections(dice.usize(1..=12)),
            8 => Order::SetLimitRate(dice.bool().then(|| dice.u64(20_000..2_000_000))),
            _ => Order::AddWorker,
        };
        orders.push((at, order));
    }
    if dice.u8(0..6) == 0 {
        orders.push((when(dice), Order::Stop));
    }
    if dice.u8(0..5) == 0 {
        let at = when(dice);
        orders.push((at, Order::PauseEverything));
        orders.push((at + when(dice), Order::ResumeEverything));
    }
    if dice.u8(0..5) == 0 {
        orders.push((when(dice), Order::SetConnections(dice.usize(1..=6))));
    }
    orders
}
