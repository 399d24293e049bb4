//! Tests of the batch through [`Feed`], on real directories.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::mpsc::{Receiver, channel};
use std::time::SystemTime;

use super::*;
use crate::feed::listing::{ListItem, Listing};
use crate::feed::paths::{DIRECTORY, LEDGER};
use crate::feed::status::ledger_status;
use crate::feed::waiting::INLINE_MAX;
use crate::feed::{LedgerStatus, SettledState};
use crate::job::Listed;

#[path = "damage_tests.rs"]
mod damage;

const LONG: Duration = Duration::from_secs(20);

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new(list: &str) -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        fs::write(place.list(), list).unwrap();
        place
    }

    fn list(&self) -> PathBuf {
        self.directory.path().join("list.txt")
    }

    fn dir(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    fn open_with(&self, retry_failed: bool, restart: bool) -> Result<Batch, Error> {
        Batch::open(ListSource::File(self.list()), &self.dir(), retry_failed, restart)
    }

    fn open(&self) -> Batch {
        self.open_with(false, false).unwrap()
    }

    fn ours(&self, name: &str) -> PathBuf {
        self.dir().join(DIRECTORY).join(name)
    }

    /// Runs SQL on the ledger from outside.
    fn sql(&self, text: &str) {
        let conn = rusqlite::Connection::open(self.ours(LEDGER)).unwrap();
        conn.execute_batch(text).unwrap();
    }

    /// Settles everything left as complete under one name, and ends the run in order.
    fn finish_all(&self, mut batch: Batch, name: &str) -> Vec<(EntryId, String)> {
        let jobs = jobs(&all(&mut batch));
        let state = finish(self, EntryId(0), name).state;
        batch.settle(jobs.iter().map(|job| Settled { entry: job.0, state: state.clone() }).collect()).unwrap();
        batch.close().unwrap();
        jobs
    }

    fn status(&self) -> LedgerStatus {
        ledger_status(&self.dir()).unwrap().unwrap()
    }
}

fn all(batch: &mut Batch) -> Vec<FedEntry> {
    let mut entries = Vec::new();
    for _ in 0..100_000 {
        let fed = batch.next(1000, LONG).unwrap();
        assert!(fed.entries.len() <= 1000);
        entries.extend(fed.entries);
        if fed.ended {
            return entries;
        }
    }
    panic!("the batch never ended");
}

fn jobs(entries: &[FedEntry]) -> Vec<(EntryId, String)> {
    entries
        .iter()
        .filter_map(|entry| match entry {
            FedEntry::Job { entry, spec, .. } => Some((*entry, spec.url.to_string())),
            _ => None,
        })
        .collect()
}

fn finish(place: &Place, entry: EntryId, name: &str) -> Settled {
    let path = place.dir().join(name);
    // An existing file keeps its time, by which other entries may recognise it.
    if fs::read(&path).ok().as_deref() != Some(name.as_bytes()) {
        fs::write(&path, name).unwrap();
    }
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let state = SettledState::Done {
        path: name.into(),
        len_bytes: name.len() as u64,
        modified,
        validator: Box::default(),
        digest: None,
    };
    Settled { entry, state }
}

fn there(entries: &[FedEntry]) -> usize {
    entries.iter().filter(|entry| matches!(entry, FedEntry::There { .. })).count()
}

fn numbered(count: usize) -> String {
    (0..count).map(|n| format!("http://h/{n}\n")).collect()
}

fn fail(entry: EntryId, permanent: bool) -> Settled {
    let state = SettledState::Failed {
        kind: ErrorKind::Status(404),
        message: "the server answered 404 Not Found".into(),
        attempts: 2,
        permanent,
    };
    Settled { entry, state }
}

#[test]
fn a_second_run_fetches_only_what_is_missing() {
    let place = Place::new("http://h/a\nhttp://h/b\nhttp://h/c\n");
    let mut batch = place.open();
    let first = jobs(&all(&mut batch));
    assert_eq!(first.len(), 3);
    batch.settle(vec![finish(&place, first[0].0, "a"), finish(&place, first[1].0, "b")]).unwrap();
    batch.close().unwrap();
    drop(batch);

    let mut batch = place.open();
    let second = all(&mut batch);
    assert_eq!(jobs(&second), [first[2].clone()]);
    let there: Vec<_> = second
        .iter()
        .filter_map(|entry| match entry {
            FedEntry::There { entry, url, path, len_bytes, .. } => {
                Some((*entry, url.clone(), path.clone(), *len_bytes))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        there,
        [
            (first[0].0, "http://h/a".to_owned(), PathBuf::from("a"), 1),
            (first[1].0, "http://h/b".to_owned(), PathBuf::from("b"), 1)
        ]
    );
}

#[test]
fn a_file_that_was_changed_or_removed_is_fetched_again() {
    let place = Place::new("http://h/a\nhttp://h/b\nhttp://h/c\n");
    let mut batch = place.open();
    let first = jobs(&all(&mut batch));
    let settled = first.iter().zip(["a", "b", "c"]).map(|(job, name)| finish(&place, job.0, name));
    batch.settle(settled.collect()).unwrap();
    drop(batch);

    fs::write(place.dir().join("a"), "longer").unwrap();
    fs::remove_file(place.dir().join("b")).unwrap();
    File::open(place.dir().join("c")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let mut batch = place.open();
    assert_eq!(jobs(&all(&mut batch)), first);
    assert_eq!(place.status().pending, 3);
}

#[test]
fn restart_fetches_everything_again() {
    let place = Place::new("http://h/a\nhttp://h/b\n");
    let mut batch = place.open();
    let first = jobs(&all(&mut batch));
    batch.settle(vec![finish(&place, first[0].0, "a"), fail(first[1].0, true)]).unwrap();
    drop(batch);
    let mut batch = place.open_with(false, true).unwrap();
    assert_eq!(jobs(&all(&mut batch)), first);
}

#[test]
fn what_failed_for_good_is_only_tried_again_when_told_to() {
    let place = Place::new("http://h/a\nhttp://h/b\n");
    let mut batch = place.open();
    let first = jobs(&all(&mut batch));
    batch.settle(vec![fail(first[0].0, true), fail(first[1].0, false)]).unwrap();
    drop(batch);

    let mut batch = place.open();
    let second = all(&mut batch);
    assert_eq!(jobs(&second), [first[1].clone()]);
    let before = second.iter().find_map(|entry| match entry {
        FedEntry::FailedBefore { url, error, .. } => Some((url.clone(), error.clone())),
        _ => None,
    });
    let (url, error) = before.unwrap();
    assert_eq!(url, "http://h/a");
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Status(404), 2));
    drop(batch);

    let mut batch = place.open_with(true, false).unwrap();
    assert_eq!(jobs(&all(&mut batch)).len(), 2);
}

#[test]
fn bad_lines_have_their_numbers() {
    let place = Place::new("# list\nhttp://h/a\nfoo bar\n\nftp://h/b\r\n");
    let mut batch = place.open();
    let entries = all(&mut batch);
    let lines: Vec<u64> = entries
        .iter()
        .filter_map(|entry| match entry {
            FedEntry::Bad { line, error } => {
                assert_eq!(error.kind(), ErrorKind::ListLine);
                Some(*line)
            }
            _ => None,
        })
        .collect();
    assert_eq!(lines, [3, 5]);
    assert_eq!(jobs(&entries).len(), 1);
    assert_eq!(batch.read_entries, 3);
}

#[test]
fn the_same_url_twice_is_one_entry_in_every_run() {
    let place = Place::new("http://h/a\nhttp://h/b\nhttp://h/a\nhttp://h/a\n");
    let mut batch = place.open();
    let first: HashSet<EntryId> = jobs(&all(&mut batch)).into_iter().map(|job| job.0).collect();
    assert_eq!(first.len(), 2);
    assert_eq!(batch.read_entries, 2);
    let warnings = batch.take_warnings();
    assert!(warnings.len() == 1 && warnings[0].starts_with("2 lines of the list"), "{warnings:?}");
    drop(batch);
    let mut batch = place.open();
    let second: HashSet<EntryId> = jobs(&all(&mut batch)).into_iter().map(|job| job.0).collect();
    assert_eq!(first, second);
}

#[test]
fn copies_that_are_far_apart_are_one_entry_too() {
    let list: String = (0..3000).map(|n| format!("http://h/{}\n", n % 1000)).collect();
    let place = Place::new(&list);
    for _ in 0..2 {
        let mut batch = place.open();
        let ids: HashSet<EntryId> = jobs(&all(&mut batch)).into_iter().map(|job| job.0).collect();
        assert_eq!(ids.len(), 1000);
        assert_eq!(place.status().total, 1000);
    }
}

#[test]
fn a_list_that_changed_between_runs_keeps_the_ids_of_its_lines() {
    let place = Place::new(&(0..2000).map(|n| format!("http://h/{n}\n")).collect::<String>());
    let mut batch = place.open();
    let first = jobs(&all(&mut batch));
    drop(batch);
    let changed = (0..2000).filter(|n| n % 7 != 3).map(|n| format!("http://h/{n}\nhttp://h/x{n}\n"));
    fs::write(place.list(), changed.collect::<String>()).unwrap();
    let mut batch = place.open();
    let second = jobs(&all(&mut batch));
    let known: HashSet<_> = first.iter().cloned().collect();
    let kept = second.iter().filter(|job| known.contains(*job)).count();
    let gone = (0..2000).filter(|n| n % 7 == 3).count();
    assert_eq!(kept, 2000 - gone);
    assert_eq!(second.iter().map(|job| job.0).collect::<HashSet<_>>().len(), second.len());
    assert_eq!(place.status().total, second.len() as u64);
}

#[test]
fn no_secret_is_in_any_file_of_the_ledger() {
    let list = "http://me:hunter2@h/a\nhttp://h/b?X-Amz-Signature=hunter2&token=hunter2\n";
    let place = Place::new(list);
    let look = || {
        let mut files = 0;
        for file in fs::read_dir(place.dir().join(DIRECTORY)).unwrap() {
            let path = file.unwrap().path();
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", path.display());
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(7).any(|part| part == b"hunter2"), "{}", path.display());
            files += 1;
        }
        assert!(files >= 2);
    };
    let source = ListSource::Reader(Box::new(io::Cursor::new(list)));
    let mut batch = Batch::open(source, &place.dir(), false, false).unwrap();
    let entries = jobs(&all(&mut batch));
    assert_eq!(entries.len(), 2);
    look();
    batch.settle(entries.iter().map(|job| fail(job.0, true)).collect()).unwrap();
    batch.close().unwrap();
    drop(batch);
    look();
}

#[test]
fn hosts_take_turns() {
    let mut list: String = (0..100).map(|n| format!("http://slow/{n}\n")).collect();
    list.push_str("http://quick/a\nhttp://other/b\n");
    let place = Place::new(&list);
    let mut batch = place.open();
    let fed = batch.next(6, LONG).unwrap();
    let given: Vec<String> = jobs(&fed.entries).into_iter().map(|job| job.1).collect();
    assert_eq!(given.len(), 6);
    assert!(given[..3].contains(&"http://quick/a".to_owned()));
    assert!(given[..3].contains(&"http://other/b".to_owned()));
    assert!(fed.read_all && !fed.ended);
}

#[test]
fn a_long_list_does_not_wait_in_memory() {
    let place = Place::new(&(0..20_000).map(|n| format!("http://h/{n}\n")).collect::<String>());
    let mut batch = place.open();
    let mut order = Vec::new();
    loop {
        let fed = batch.next(100, LONG).unwrap();
        assert!(batch.waiting.inline() <= INLINE_MAX);
        order.extend(jobs(&fed.entries).into_iter().map(|job| job.1));
        if fed.ended {
            break;
        }
    }
    let wanted: Vec<String> = (0..20_000).map(|n| format!("http://h/{n}")).collect();
    assert_eq!(order, wanted);
}

#[test]
fn a_damaged_ledger_is_kept_and_a_new_one_begun() {
    let place = Place::new("http://h/a\n");
    let directory = place.dir().join(DIRECTORY);
    fs::create_dir_all(&directory).unwrap();
    for (round, content) in [vec![b'x'; 10_000], b"short".to_vec()].into_iter().enumerate() {
        fs::write(directory.join(LEDGER), &content).unwrap();
        let mut batch = place.open();
        assert!(batch.take_warnings()[0].contains("damaged"));
        assert_eq!(jobs(&all(&mut batch)).len(), 1);
        drop(batch);
        let kept = directory.join(format!("{LEDGER}.damaged-{}", round + 1));
        assert_eq!(fs::read(kept).unwrap(), content);
    }
}

#[test]
fn a_ledger_of_a_newer_version_is_left_alone() {
    let place = Place::new("http://h/a\n");
    let mut batch = place.open();
    all(&mut batch);
    batch.close().unwrap();
    drop(batch);
    let path = place.dir().join(DIRECTORY).join(LEDGER);
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(conn);
    let before = fs::read(&path).unwrap();
    let error = place.open_with(false, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::JournalVersion);
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(ledger_status(&place.dir()).unwrap_err().kind(), ErrorKind::JournalVersion);
}

#[test]
fn a_directory_has_one_batch_at_a_time() {
    let place = Place::new("http://h/a\n");
    let batch = place.open();
    let error = place.open_with(false, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert_eq!(error.path(), Some(place.dir().as_path()));
    drop(batch);
    place.open();
}

#[test]
fn a_symlink_in_place_of_our_directory_is_refused() {
    let place = Place::new("http://h/a\n");
    fs::create_dir_all(place.dir()).unwrap();
    symlink(place.directory.path(), place.dir().join(DIRECTORY)).unwrap();
    let error = place.open_with(false, false).unwrap_err();
    assert!(error.message().contains("symlink"), "{error}");
}

#[test]
fn a_missing_list_is_named_and_nothing_is_made() {
    let place = Place::new("");
    fs::remove_file(place.list()).unwrap();
    let error = place.open_with(false, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(error.path(), Some(place.list().as_path()));
    assert!(!place.dir().exists());
}

#[test]
fn the_status_can_be_asked_while_a_batch_runs_and_afterwards() {
    let place = Place::new("http://h/a\nhttp://h/b\nhttp://h/c\n");
    assert_eq!(ledger_status(&place.dir()).unwrap(), None);
    let mut batch = place.open();
    let first = jobs(&all(&mut batch));
    batch.settle(vec![finish(&place, first[0].0, "a"), fail(first[1].0, true)]).unwrap();
    let mut wanted = LedgerStatus {
        total: 3,
        done: 1,
        skipped: 0,
        failed: 1,
        pending: 1,
        done_bytes: 1,
        read_all: true,
        failures: vec![("http://h/b".into(), "the server answered 404 Not Found".into())],
        running: true,
    };
    assert_eq!(place.status(), wanted);
    batch.settle(vec![Settled { entry: first[2].0, state: SettledState::Skipped }]).unwrap();
    batch.close().unwrap();
    drop(batch);
    wanted = LedgerStatus { skipped: 1, pending: 0, running: false, ..wanted };
    assert_eq!(place.status(), wanted);
    let files = fs::read_dir(place.dir().join(DIRECTORY)).unwrap().count();
    assert_eq!(files, 4, "only the ledger, its copy, its key and the lock");
}

#[test]
fn a_line_that_left_the_list_leaves_the_status() {
    let place = Place::new("http://h/a\nhttp://h/typo\n");
    let mut batch = place.open();
    let first = jobs(&all(&mut batch));
    batch.settle(vec![fail(first[1].0, true)]).unwrap();
    drop(batch);
    fs::write(place.list(), "http://h/a\n").unwrap();
    all(&mut place.open());
    let status = place.status();
    assert_eq!((status.total, status.failed), (1, 0));
}

struct Piped(Receiver<&'static [u8]>);

impl Read for Piped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Ok(bytes) = self.0.recv() else { return Ok(0) };
        let mut rest = buffer;
        rest.write_all(bytes)?;
        Ok(bytes.len())
    }
}

#[test]
fn a_pipe_that_brings_nothing_yet_keeps_nobody_waiting() {
    let place = Place::new("");
    let (sender, receiver) = channel();
    let source = ListSource::Reader(Box::new(Piped(receiver)));
    let mut batch = Batch::open(source, &place.dir(), false, false).unwrap();
    let fed = batch.next(10, Duration::from_millis(1)).unwrap();
    assert!(fed.entries.is_empty() && !fed.read_all && !fed.ended);

    sender.send(b"http://h/a\nhttp://h").unwrap();
    let fed = batch.next(10, LONG).unwrap();
    assert_eq!(jobs(&fed.entries).len(), 1);
    assert!(!fed.read_all);

    sender.send(b"/b").unwrap();
    drop(sender);
    let rest = all(&mut batch);
    assert_eq!(jobs(&rest)[0].1, "http://h/b");
    assert_eq!(rest.len(), 1);
}

/// A listing of these files, each `URL NAME`, that ends when nothing can be sent any more.
fn listing(files: &'static [(&'static str, &'static str)], end: Receiver<()>) -> ListSource {
    let list = move |send: &mut dyn FnMut(ListItem) -> bool| {
        for (url, name) in files {
            let mut spec = JobSpec::new(url.parse().unwrap());
            spec.output = Some(name.into());
            spec.listed = Some(Box::new(Listed::new("a service")));
            send(ListItem::File(Box::new(spec)));
        }
        let _ = end.recv();
    };
    ListSource::Listing(Listing::new(list).known_as("a share"))
}

#[test]
fn what_an_interrupted_run_of_a_listing_fetched_is_gone_too_and_what_another_list_has_is_not() {
    let place = Place::new("http://h/9\n");
    let open = |files: &'static [(&'static str, &'static str)]| {
        let (_, ended) = channel();
        Batch::open(listing(files, ended), &place.dir(), false, false).unwrap()
    };
    // The first run is killed when one of two files is there; later runs are killed when they have read all.
    let mut batch = open(&[("http://h/1", "a"), ("http://h/2", "b")]);
    let first = jobs(&all(&mut batch));
    batch.settle(vec![finish(&place, first[0].0, "a")]).unwrap();
    drop(batch);
    place.finish_all(place.open(), "c");
    for files in [&[("http://h/1", "a")][..], &[("http://h/1", "a"), ("http://h/2", "b")]] {
        all(&mut open(files));
    }

    let mut batch = open(&[("http://h/3", "a"), ("http://h/4", "c")]);
    let new = jobs(&all(&mut batch));
    assert!(matches!(batch.owner(new[0].0, Path::new("a")).unwrap(), Owner::Gone { .. }));
    assert!(matches!(batch.owner(new[1].0, Path::new("c")).unwrap(), Owner::Another(_)));
}

#[test]
fn a_new_file_whose_name_is_taken_waits_for_the_end_of_its_listing_and_nothing_else_does() {
    let place = Place::new("");
    let open = |files, end| Batch::open(listing(files, end), &place.dir(), false, false).unwrap();
    let (_, ended) = channel();
    place.finish_all(open(&[("http://h/1", "a")], ended), "a");

    let (sender, receiver) = channel();
    let mut batch = open(&[("http://h/2", "a"), ("http://h/3", "b")], receiver);
    let mut seen = Vec::new();
    while seen.is_empty() {
        seen = jobs(&batch.next(10, LONG).unwrap().entries);
    }
    assert_eq!(seen[0].1, "http://h/3");
    // Nobody waits for the listing meanwhile, which may need what the entries hold.
    assert_eq!(batch.owner(seen[0].0, Path::new("b")).unwrap(), Owner::Nobody);
    assert!(matches!(batch.owner(seen[0].0, Path::new("a")).unwrap(), Owner::Another(_)));
    drop(sender);
    let rest = jobs(&all(&mut batch));
    assert_eq!(rest.iter().map(|job| job.1.as_str()).collect::<Vec<_>>(), ["http://h/2"]);
    assert_eq!(batch.take_warnings(), [""; 0], "it is replaced, not gone");
    assert!(matches!(batch.owner(rest[0].0, Path::new("a")).unwrap(), Owner::Gone { .. }));
    // What was not done in this run is still to do in the next.
    drop(batch);
    let (_, ended) = channel();
    let mut batch = open(&[("http://h/2", "a"), ("http://h/3", "b")], ended);
    let rest = jobs(&all(&mut batch));
    let again = rest.iter().find(|job| job.1 == "http://h/2").unwrap();
    assert!(matches!(batch.owner(again.0, Path::new("a")).unwrap(), Owner::Gone { .. }));
    // A file that may be the user's own stays.
    place.sql(r#"UPDATE entry SET validator = '{"is_adopted":true}' WHERE path = 'a'"#);
    assert!(matches!(batch.owner(again.0, Path::new("a")).unwrap(), Owner::Another(_)));
}

#[test]
fn lines_that_are_no_entries_keep_nobody_waiting() {
    for line in ["\n", "# nothing\n", "\0\r"] {
        let place = Place::new(&(line.repeat(60_000) + "\nhttp://h/last\n"));
        let fed = place.open().next(10, LONG).unwrap();
        assert_eq!(jobs(&fed.entries).len(), 1);
    }
}

#[test]
fn an_interrupted_run_counts_until_another_has_done_everything() {
    let place = Place::new("http://h/a\nhttp://h/b\n");
    let owner = |batch: &mut Batch| batch.owner(EntryId(1), Path::new("other")).unwrap();
    assert_eq!(owner(&mut place.open()), Owner::Nobody, "nothing was interrupted yet");
    // That one was.
    let mut batch = place.open();
    assert_eq!(owner(&mut batch), Owner::NobodyKnows);
    // It reads all, and ends in order with everything left to do, as after Ctrl-C.
    all(&mut batch);
    batch.close().unwrap();
    drop(batch);
    let mut batch = place.open();
    assert_eq!(owner(&mut batch), Owner::NobodyKnows);
    drop(batch);
    place.finish_all(place.open(), "a");
    assert_eq!(owner(&mut place.open()), Owner::Nobody);
}

#[test]
fn a_run_that_ends_while_a_file_gets_its_name_was_interrupted() {
    let place = Place::new("http://h/a\n");
    let mut batch = place.open();
    let entry = jobs(&all(&mut batch))[0].0;
    batch.settle(vec![Settled { entry, state: SettledState::Unknown }]).unwrap();
    batch.close().unwrap();
    drop(batch);
    assert_eq!(place.open().owner(EntryId(1), Path::new("other")).unwrap(), Owner::NobodyKnows);
}

#[test]
fn what_the_ledger_cannot_take_is_noted_later() {
    let place = Place::new("http://h/a\nhttp://h/b\n");
    let mut batch = place.open();
    let both = jobs(&all(&mut batch));
    // Somebody else writes to it, and it refuses like a full disk.
    let other = rusqlite::Connection::open(place.ours(LEDGER)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    batch.settle(vec![finish(&place, both[0].0, "a")]).unwrap_err();
    other.execute_batch("ROLLBACK").unwrap();
    batch.settle(vec![finish(&place, both[1].0, "b")]).unwrap();
    batch.close().unwrap();
    drop(batch);
    assert_eq!(jobs(&all(&mut place.open())), []);
}

#[test]
fn a_line_before_that_repeats_a_later_one_is_its_entry() {
    let entry = |name: &str| format!(r#"{{"url":"http://h/{name}","output":"{name}","size":5}}"#);
    let place = Place::new(&format!("{}\n{}\n", entry("a"), entry("b")));
    let mut batch = place.open();
    assert_eq!(jobs(&all(&mut batch)).len(), 2);
    drop(batch);
    fs::write(place.list(), format!("{}\n{}\n{}\n", entry("b"), entry("a"), entry("b"))).unwrap();
    assert_eq!(jobs(&all(&mut place.open())).len(), 2, "a repeated line is no entry");
}

#[test]
fn what_was_read_before_an_error_of_the_list_is_given_out_first() {
    let count = 20_000;
    let place = Place::new(&numbered(count));
    let mut batch = place.open();
    let mut given = jobs(&batch.next(10, LONG).unwrap().entries).len();
    let mut list = fs::OpenOptions::new().append(true).open(place.list()).unwrap();
    list.write_all(b"http://h/more\n").unwrap();
    let error = loop {
        match batch.next(512, LONG) {
            Ok(fed) => given += jobs(&fed.entries).len(),
            Err(error) => break error,
        }
    };
    assert!(error.message().contains("it was changed while it was read"), "{error}");
    assert_eq!(given, count + 1, "all that could be read");
}
