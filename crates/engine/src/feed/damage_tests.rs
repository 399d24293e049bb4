//! Tests of how a batch handles ledgers that are damaged, old, odd or without their key, and of what it records
//! beyond how entries ended.

use std::fs::File;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};

use super::*;
use crate::feed::identity::KEY_FILE;
use crate::feed::values::unix_ns;

#[test]
fn a_ledger_that_is_damaged_between_runs_is_replaced_by_the_copy() {
    let place = Place::new("http://h/a\n");
    place.finish_all(place.open(), "a");
    let path = place.ours(LEDGER);
    let whole = fs::read(&path).unwrap();
    let damages: [(&str, &dyn Fn()); 15] = [
        ("not SQLite", &|| fs::write(&path, [b'x'; 20_000]).unwrap()),
        ("a short file", &|| fs::write(&path, b"short").unwrap()),
        ("cut", &|| File::options().write(true).open(&path).unwrap().set_len(5000).unwrap()),
        ("an unknown format", &|| File::options().write(true).open(&path).unwrap().write_all_at(&[9, 9], 18).unwrap()),
        ("pages overwritten", &|| {
            let file = File::options().write(true).open(&path).unwrap();
            file.write_all_at(&vec![0xff; whole.len() - 4096], 4096).unwrap();
        }),
        ("a missing table", &|| place.sql("DROP TABLE run")),
        ("a missing column", &|| place.sql("ALTER TABLE entry DROP COLUMN len_bytes")),
        ("a trigger", &|| place.sql("CREATE TRIGGER t AFTER INSERT ON run BEGIN DELETE FROM entry; END")),
        ("a row without end", &|| place.sql("UPDATE entry SET id = 9223372036854775807")),
        ("another application's", &|| {
            fs::remove_file(&path).unwrap();
            place.sql("CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('x')");
        }),
        ("another application's of a version", &|| {
            fs::remove_file(&path).unwrap();
            place.sql("CREATE TABLE bookmarks (url TEXT); PRAGMA user_version = 99");
        }),
        ("a directory", &|| {
            fs::remove_file(&path).unwrap();
            fs::create_dir_all(path.join("theirs")).unwrap();
        }),
        ("a symlink", &|| {
            fs::remove_file(&path).unwrap();
            symlink("theirs", &path).unwrap();
        }),
        ("a pipe", &|| {
            fs::remove_file(&path).unwrap();
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        }),
        ("a directory in the place of its journal", &|| fs::create_dir(place.ours(&format!("{LEDGER}-wal"))).unwrap()),
    ];
    for (number, (what, damage)) in damages.into_iter().enumerate() {
        damage();
        let mut batch = place.open();
        let warnings = batch.take_warnings();
        assert_eq!(warnings.len(), 1, "{what}: {warnings:?}");
        assert!(warnings[0].contains("the copy of the last orderly end is used"), "{what}: {warnings:?}");
        assert_eq!(there(&all(&mut batch)), 1, "{what}");
        batch.close().unwrap();
        let kept = place.ours(&format!("{LEDGER}.damaged-{}", number + 1));
        assert!(kept.is_symlink() || kept.exists(), "{what}");
    }
}

#[test]
fn the_database_of_another_application_keeps_its_bytes_and_its_mode() {
    let place = Place::new("http://h/a\n");
    let path = place.ours(LEDGER);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    place.sql("CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('x')");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::read(&path).unwrap();
    place.finish_all(place.open(), "a");
    let kept = place.ours(&format!("{LEDGER}.damaged-1"));
    assert_eq!(fs::read(&kept).unwrap(), before);
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_ledger_that_is_overwritten_in_the_middle_is_replaced_by_the_copy() {
    let place = Place::new(&numbered(3000));
    place.finish_all(place.open(), "a");
    let mut batch = place.open();
    let path = place.ours(LEDGER);
    let len = fs::metadata(&path).unwrap().len();
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(&vec![0xff; usize::try_from(len).unwrap() - 4096], 4096).unwrap();
    let entries = all(&mut batch);
    assert_eq!(there(&entries), 3000);
    let warnings = batch.take_warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("damaged"), "{warnings:?}");
    batch.close().unwrap();
    drop(batch);
    let mut batch = place.open();
    assert_eq!(there(&all(&mut batch)), 3000);
    assert!(batch.take_warnings().is_empty());
}

#[test]
fn what_is_in_hand_or_waits_is_settled_in_the_ledger_that_replaced_a_damaged_one() {
    let count = INLINE_MAX + 1000;
    let place = Place::new(&numbered(count));
    let mut batch = place.open();
    let mut first = Vec::new();
    while !batch.read_all {
        first.extend(jobs(&batch.next(50, LONG).unwrap().entries));
    }
    assert!(first.len() + batch.waiting.inline() < count, "the others wait in the table");
    place.sql("DROP TABLE entry");
    let state = finish(&place, EntryId(0), "a").state;
    batch.settle(first.iter().map(|job| Settled { entry: job.0, state: state.clone() }).collect()).unwrap();
    assert!(batch.take_warnings()[0].contains("a new one is begun"));
    let rest = jobs(&all(&mut batch));
    assert_eq!(first.len() + rest.len(), count);
    batch.settle(rest.iter().map(|job| Settled { entry: job.0, state: state.clone() }).collect()).unwrap();
    batch.close().unwrap();
    drop(batch);
    let status = place.status();
    assert_eq!((status.total, status.done), (count as u64, count as u64));
    let mut batch = place.open();
    assert_eq!(there(&all(&mut batch)), count);
    assert!(place.status().read_all);
}

#[test]
fn a_row_that_is_taken_away_in_the_middle_is_made_again() {
    let place = Place::new("http://h/a\nhttp://h/b\n");
    let mut batch = place.open();
    let first = jobs(&all(&mut batch));
    place.sql("DELETE FROM entry WHERE url = 'http://h/a'; UPDATE name SET entry = 'x'");
    batch.settle(vec![finish(&place, first[0].0, "a"), finish(&place, first[1].0, "b")]).unwrap();
    batch.close().unwrap();
    assert!(batch.take_warnings().is_empty());
    drop(batch);
    assert_eq!(there(&all(&mut place.open())), 2);
}

#[test]
fn a_ledger_that_is_damaged_again_and_again_is_an_error_that_names_it() {
    let place = Place::new("http://h/a\n");
    let mut batch = place.open();
    let first = jobs(&all(&mut batch));
    let error = (0..100).find_map(|_| {
        place.sql("DROP TABLE entry");
        batch.owner(first[0].0, Path::new("a")).err()
    });
    let error = error.unwrap();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Storage, Some(place.ours(LEDGER).as_path())));
}

#[test]
fn a_row_that_makes_no_sense_stops_nothing_and_is_looked_at_again() {
    let place = Place::new("http://h/a\nhttp://h/b\n");
    place.finish_all(place.open(), "a");
    let outside = place.directory.path().join("secret");
    fs::write(&outside, "a").unwrap();
    let modified = File::open(place.dir().join("a")).unwrap().metadata().unwrap().modified().unwrap();
    File::options().write(true).open(&outside).unwrap().set_modified(modified).unwrap();
    fs::copy(&outside, place.dir().join("x.towline")).unwrap();
    File::options().write(true).open(place.dir().join("x.towline")).unwrap().set_modified(modified).unwrap();
    let changes = [
        "state = 'forgotten'".to_owned(),
        "state = x'00ff'".to_owned(),
        "state = 7".to_owned(),
        format!("path = '{}'", outside.display()),
        "path = '../secret'".to_owned(),
        "path = './../secret'".to_owned(),
        "path = '.towline/key'".to_owned(),
        "path = 'x.towline'".to_owned(),
        "path = ''".to_owned(),
        "path = NULL".to_owned(),
        "path = 7.5".to_owned(),
        "path = x'ff00fe'".to_owned(),
        "len_bytes = 'long'".to_owned(),
        "len_bytes = -1".to_owned(),
        "len_bytes = NULL".to_owned(),
        "modified_ns = 'yesterday'".to_owned(),
        "modified_ns = NULL".to_owned(),
        "run = 'first'".to_owned(),
        "copies = 9223372036854775807, run = 9223372036854775807".to_owned(),
        "occurrence = 'none'".to_owned(),
        "key = 'text'".to_owned(),
        "key = x'00'".to_owned(),
        "key = (SELECT key FROM entry WHERE url = 'http://h/b')".to_owned(),
        "state = 'failed_permanent', error = x'00'".to_owned(),
        "state = 'failed_permanent', error = 'e', error_kind = 'tls', attempts = -1".to_owned(),
    ];
    for change in changes {
        place.sql(&format!("UPDATE entry SET {change} WHERE url = 'http://h/a'"));
        let mut batch = place.open();
        let entries = all(&mut batch);
        assert_eq!(there(&entries) + jobs(&entries).len(), 2, "{change}: {entries:?}");
        assert!(batch.take_warnings().is_empty(), "{change}");
        for entry in &entries {
            if let FedEntry::There { path, .. } = entry {
                assert_eq!(path, Path::new("a"), "{change}");
            }
        }
        let must_look = !["run", "copies", "occurrence", "key"].iter().any(|column| change.starts_with(column));
        assert!(!must_look || jobs(&entries).iter().any(|job| job.1 == "http://h/a"), "{change}");
        place.status();
        // Restore the ledger.
        let settled = jobs(&entries).into_iter().map(|job| finish(&place, job.0, "a"));
        batch.settle(settled.collect()).unwrap();
        batch.close().unwrap();
        drop(batch);
        let (len, modified) = (1, unix_ns(fs::metadata(place.dir().join("a")).unwrap().modified().unwrap()));
        place.sql(&format!(
            "UPDATE entry SET state = 'done', path = 'a', len_bytes = {len}, modified_ns = {modified};
             UPDATE entry SET run = 1, copies = 1, occurrence = 0 WHERE typeof(run) = 'text' OR run > 1000000
                 OR typeof(occurrence) = 'text'"
        ));
        assert_eq!(there(&all(&mut place.open())), 2, "{change}");
    }
}

#[test]
fn a_name_that_is_missing_or_leads_to_another_row_leads_nobody_there() {
    let place = Place::new(&numbered(100));
    for change in [
        "DELETE FROM name",
        "UPDATE name SET entry = 1",
        "UPDATE name SET entry = 4000",
        "UPDATE name SET entry = x'00'",
    ] {
        fs::write(place.list(), numbered(100)).unwrap();
        place.finish_all(place.open(), "a");
        place.sql(change);
        // In reverse, so that rows are looked up by name.
        let list: String = (0..100).rev().map(|n| format!("http://h/{n}\n")).collect();
        fs::write(place.list(), list).unwrap();
        let mut batch = place.open();
        let entries = all(&mut batch);
        let urls: HashSet<String> = jobs(&entries).into_iter().map(|job| job.1).collect();
        assert_eq!(urls.len() + there(&entries), 100, "{change}");
        drop(batch);
        place.finish_all(place.open(), "a");
        assert_eq!(there(&all(&mut place.open())), 100, "{change}");
    }
}

#[test]
fn a_ledger_of_version_1_is_gone_on_with() {
    let list = "http://h/a\nhttp://h/b?token=1\nhttp://h/a\nhttp://h/c\n";
    let place = Place::new(list);
    fs::create_dir_all(place.dir().join(DIRECTORY)).unwrap();
    place.sql(include_str!("../../tests/golden/ledger-v1.sql"));
    for name in ["a", "a.1"] {
        fs::write(place.dir().join(name), "x").unwrap();
        let modified = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789);
        File::options().write(true).open(place.dir().join(name)).unwrap().set_modified(modified).unwrap();
    }
    let unkeyed: [&[u8]; 2] = [b"\xe6\x50\x18\x0b\x2d\x5d\xb6\x88", b"\xa6\xa8\xf5\xe4\xed\xcb\xd8\x6d"];
    let holds =
        |file: &str, bytes: &[u8]| fs::read(place.ours(file)).unwrap().windows(bytes.len()).any(|part| part == bytes);
    assert!(unkeyed.iter().all(|hash| holds(LEDGER, hash)));
    for run in 0..2 {
        let mut batch = place.open();
        let entries = all(&mut batch);
        let warnings = batch.take_warnings();
        assert!(warnings.len() == 1 && warnings[0].starts_with("1 line of the list"), "{warnings:?}");
        // An earlier build made two entries of a duplicate line.
        assert_eq!(there(&entries), 1, "{entries:?}");
        assert_eq!(jobs(&entries), [(EntryId(4), "http://h/c".to_owned())]);
        let before = entries.iter().find_map(|entry| match entry {
            FedEntry::FailedBefore { entry, error, .. } => Some((*entry, error.kind())),
            _ => None,
        });
        assert_eq!(before, Some((EntryId(2), ErrorKind::Status(404))));
        batch.settle(vec![fail(EntryId(4), false)]).unwrap();
        batch.close().unwrap();
        drop(batch);
        for file in [LEDGER.to_owned(), format!("{LEDGER}.ok")] {
            assert!(!unkeyed.iter().any(|hash| holds(&file, hash)), "run {run}: {file}");
        }
    }
    assert_eq!(place.status().total, 3);
}

#[test]
fn without_its_key_a_ledger_is_begun_anew_and_nobody_owns_a_name() {
    for content in [None, Some(vec![0; 31]), Some(vec![7; 32])] {
        let place = Place::new("http://h/a\nhttp://h/b\n");
        let first = place.finish_all(place.open(), "a");
        match &content {
            Some(content) => fs::write(place.ours(KEY_FILE), content).unwrap(),
            None => fs::remove_file(place.ours(KEY_FILE)).unwrap(),
        }
        let mut batch = place.open();
        let warnings = batch.take_warnings();
        assert!(warnings.iter().any(|warning| warning.contains("looked at again")), "{warnings:?}");
        let second = jobs(&all(&mut batch));
        assert_eq!(second.len(), first.len());
        assert_eq!(batch.owner(second[0].0, Path::new("a")).unwrap(), Owner::Nobody);
        drop(batch);
        place.finish_all(place.open(), "a");
        let mut batch = place.open();
        assert_eq!(there(&all(&mut batch)), 2);
        assert!(batch.take_warnings().is_empty());
    }
}

#[test]
fn two_directories_know_the_same_list_by_other_keys() {
    let keys = || {
        let place = Place::new("http://h/a\n");
        all(&mut place.open());
        let conn = rusqlite::Connection::open(place.ours(LEDGER)).unwrap();
        conn.query_row("SELECT key FROM entry", [], |row| row.get::<_, Vec<u8>>(0)).unwrap()
    };
    assert_ne!(keys(), keys());
}

#[test]
fn a_name_belongs_to_the_last_entry_that_completed_it_in_an_earlier_run() {
    let place = Place::new("http://h/a\nhttp://h/b?key=hunter2\n");
    let mut batch = place.open();
    let first = jobs(&all(&mut batch));
    assert_eq!(batch.owner(first[0].0, Path::new("a")).unwrap(), Owner::Nobody);
    batch.settle(vec![finish(&place, first[0].0, "a")]).unwrap();
    assert_eq!(batch.owner(first[1].0, Path::new("a")).unwrap(), Owner::Nobody, "that was in this run");
    batch.close().unwrap();
    drop(batch);

    fs::remove_file(place.dir().join("a")).unwrap();
    let mut batch = place.open();
    let second = jobs(&all(&mut batch));
    assert_eq!(second, first);
    assert!(matches!(batch.owner(first[0].0, Path::new("a")).unwrap(), Owner::Itself { left: Some(_) }));
    assert_eq!(batch.owner(first[1].0, Path::new("a")).unwrap(), Owner::Another("http://h/a".to_owned()));
    assert_eq!(batch.owner(first[1].0, Path::new("A")).unwrap(), Owner::Nobody);
    assert_eq!(batch.owner(first[1].0, Path::new("b")).unwrap(), Owner::Nobody);
    batch.settle(vec![fail(first[0].0, false), finish(&place, first[1].0, "a")]).unwrap();
    // A run that does not end in order may leave files without rows.
    drop(batch);

    let mut batch = place.open();
    let third = jobs(&all(&mut batch));
    assert_eq!(third, [first[0].clone()]);
    assert_eq!(batch.owner(first[0].0, Path::new("a")).unwrap(), Owner::Another("http://h/b?key=***".to_owned()));
    assert_eq!(batch.owner(first[0].0, Path::new("b")).unwrap(), Owner::NobodyKnows);
}

#[test]
fn a_file_that_was_not_current_is_fetched_again_over_what_was_left() {
    let place = Place::new("http://h/a\n");
    let mut batch = place.open();
    let first = jobs(&all(&mut batch));
    let mut settled = finish(&place, first[0].0, "a");
    let SettledState::Done { validator, .. } = &mut settled.state else { panic!("not done") };
    validator.is_outdated = true;
    batch.settle(vec![settled]).unwrap();
    batch.close().unwrap();
    drop(batch);
    assert_eq!(place.status().done, 1);
    let mut again = place.open();
    let given = all(&mut again);
    let FedEntry::Job { spec, name, .. } = &given[0] else { panic!("{given:?}") };
    assert!(spec.left.is_some_and(|left| left.is_changed), "{spec:?}");
    assert_eq!(name.as_deref(), Some(Path::new("a")));
    assert_eq!(jobs(&given), first);
    again.settle(vec![finish(&place, first[0].0, "a")]).unwrap();
    again.close().unwrap();
    drop(again);
    assert_eq!(there(&all(&mut place.open())), 1);
}

#[test]
fn a_run_that_settles_nothing_leaves_the_copy_alone() {
    let place = Place::new("http://h/a\n");
    let copy = place.ours(&format!("{LEDGER}.ok"));
    let mut batch = place.open();
    all(&mut batch);
    batch.close().unwrap();
    drop(batch);
    assert!(!copy.exists());
    place.finish_all(place.open(), "a");
    let as_it_was = [fs::read(&copy).unwrap(), b"as it was".to_vec()].concat();
    fs::write(&copy, &as_it_was).unwrap();
    place.finish_all(place.open(), "a");
    assert!(fs::read(&copy).unwrap() == as_it_was);
}

#[test]
fn the_status_of_rows_that_make_no_sense_can_be_asked_and_is_printable() {
    let place = Place::new("http://h/a\nhttp://h/b\n");
    let mut batch = place.open();
    let first = jobs(&all(&mut batch));
    batch.settle(vec![finish(&place, first[0].0, "a"), fail(first[1].0, true)]).unwrap();
    batch.close().unwrap();
    drop(batch);
    place.sql(
        "UPDATE entry SET len_bytes = 'long' WHERE state = 'done';
         UPDATE entry SET url = x'00', error = 'a' || char(27) || '[2J' WHERE state <> 'done';
         UPDATE run SET read_all = 'all'",
    );
    let status = place.status();
    assert_eq!((status.done, status.done_bytes, status.failed), (1, 0, 1));
    assert_eq!(status.failures, [(String::new(), "a\\u{1b}[2J".to_owned())]);
}
