//! Two processes at once: each order of their steps that could do harm is forced by holding one of
//! them between two steps while the other one runs. What has its final name is never touched again.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use towline_origin::{Fault, Origin, Resource};
use towline_testkit::{MIB, journal_bytes, wait_until};

use crate::common::{Outcome, Place, Running, Towline};

const SIZE: u64 = MIB;
const SEED: u64 = 31;
const BUSY: &str = "another process is fetching this file";
const TAKEN: &str = "another file got this name meanwhile";

/// Where the first process is held, or the second.
#[derive(Clone, Copy)]
enum At {
    /// A partial file is open, and not locked yet.
    PartOpened,
    /// The response to a file's first request has come, and its partial file is not looked at again yet.
    Open,
    /// The journal of a file that begins is there, and its partial file is not emptied yet.
    Begun,
    /// A file is whole and synced, and does not have its final name yet.
    Publish,
    /// It was looked at for the last time before it gets its name.
    Checked,
    /// It has its final name, and its journal is still there.
    Published,
    /// The directory of a batch is there, and not locked yet.
    BatchLock,
    /// It is locked, and its ledger is not open yet.
    BatchLocked,
}

impl At {
    fn name(self) -> &'static str {
        match self {
            Self::PartOpened => "part-opened",
            Self::Open => "open",
            Self::Begun => "begun",
            Self::Publish => "publish",
            Self::Checked => "checked",
            Self::Published => "published",
            Self::BatchLock => "batch-lock",
            Self::BatchLocked => "batch-locked",
        }
    }
}

/// A run that has come to a place and waits there.
struct Held {
    running: Running,
    path: PathBuf,
}

impl Held {
    fn start(place: &Place, at: At, towline: Towline) -> Self {
        let path = place.root().join(at.name());
        let running = towline.env("TOWLINE_FAILPOINT", &format!("{}:{}", at.name(), path.display())).start();
        let reached = path.with_extension("reached");
        wait_until(&format!("a process at {}", at.name()), || reached.exists());
        Self { running, path }
    }

    /// Lets it go on, to its end.
    fn finish(self) -> Outcome {
        fs::write(self.path.with_extension("go"), "").unwrap();
        self.running.finish()
    }

    fn kill(self) {
        self.running.kill();
    }
}

/// One file of an origin, and where it goes.
struct One {
    origin: Origin,
    place: Place,
}

impl One {
    fn new() -> Self {
        let origin = Origin::builder().resource(Resource::new("/a.bin", SEED, SIZE)).start().unwrap();
        Self { origin, place: Place::new() }
    }

    /// The same, taking its time, so that it is saved on the way.
    fn slow(bytes_per_sec: u64) -> Self {
        let one = Self::new();
        one.origin.set_faults([Fault::RatePerConnection(bytes_per_sec).into()]);
        one
    }

    fn get(&self) -> Towline {
        self.get_with(&[])
    }

    fn get_with(&self, more: &[&str]) -> Towline {
        let url = self.origin.url("/a.bin");
        self.place.towline(&[more, &["-d", "out", "--save-interval", "50ms", &url]].concat())
    }

    fn held(&self, at: At) -> Held {
        Held::start(&self.place, at, self.get())
    }

    /// Tells one published file from another with the same bytes.
    fn inode(&self) -> u64 {
        fs::metadata(self.place.out("a.bin")).unwrap().ino()
    }

    /// Fails unless the next run finds everything in order, and leaves nothing else.
    fn is_in_order(&self) {
        self.get().run().code(0).says(&["already there"]);
        self.place.check("a.bin", SEED, SIZE);
        assert_eq!(self.place.leftovers(), ["a.bin"]);
    }
}

/// Fails unless it says that the file is there, or that somebody else has the name.
fn gives_way(outcome: Outcome) {
    match outcome.status.code() {
        Some(0) => outcome.says(&["already there"]),
        _ => outcome.code(1).says(&[TAKEN]),
    };
}

#[test]
fn a_second_process_is_refused_until_the_first_has_published() {
    let one = One::new();
    let first = one.held(At::Publish);
    one.get().run().code(3).says(&[BUSY]);
    assert!(!one.place.out("a.bin").exists());
    first.finish().code(0);
    one.place.check("a.bin", SEED, SIZE);
    one.is_in_order();
}

#[test]
fn of_two_that_begin_at_once_the_one_without_the_lock_gives_way() {
    let one = One::new();
    let second = one.held(At::PartOpened);
    let first = one.held(At::Publish);
    second.finish().code(3).says(&[BUSY]);
    first.finish().code(0);
    one.is_in_order();
}

/// Nothing but a rename can give a file its name, and a rename takes whatever is there.
#[test]
fn what_another_program_puts_in_the_place_of_a_finished_file_does_not_keep_its_name() {
    for (what, kept_bytes) in [("a file", 6), ("a shorter file", 1000), ("a directory", 0)] {
        let one = One::new();
        let first = one.held(At::Checked);
        let part = one.place.out("a.bin.towline");
        match what {
            "a shorter file" => fs::File::options().write(true).open(&part).unwrap().set_len(1000).unwrap(),
            _ => fs::rename(&part, one.place.out("moved")).unwrap(),
        }
        match what {
            "a file" => fs::write(&part, "theirs").unwrap(),
            "a directory" => fs::create_dir(&part).unwrap(),
            _ => {}
        }
        first.finish().code(3).says(&["replaced or cut while it got its name", "a.bin.towline.1"]);
        assert!(!one.place.out("a.bin").exists(), "{what} has the name");
        let kept = fs::metadata(one.place.out("a.bin.towline.1")).unwrap();
        assert!(kept.is_dir() || kept.len() == kept_bytes, "{what}");
        one.get().run().code(0);
        one.place.check("a.bin", SEED, SIZE);
    }
}

/// Locked at last, the file that it holds open is the published one, and must not be cut to nothing.
#[test]
fn a_file_that_is_published_while_its_partial_file_is_opened_anew_is_not_touched() {
    let one = One::new();
    let second = one.held(At::PartOpened);
    one.get().run().code(0);
    let published = one.inode();
    gives_way(second.finish());
    one.place.check("a.bin", SEED, SIZE);
    assert_eq!(one.inode(), published, "it was replaced");
    one.is_in_order();
}

/// The same for one that wants to go on with what is there.
#[test]
fn a_file_that_is_published_while_its_partial_file_is_opened_again_is_not_touched() {
    let one = One::new();
    let first = one.held(At::Publish);
    let second = one.held(At::PartOpened);
    first.finish().code(0);
    let published = one.inode();
    gives_way(second.finish());
    one.place.check("a.bin", SEED, SIZE);
    assert_eq!(one.inode(), published, "it was replaced");
    one.is_in_order();
}

#[test]
fn what_a_killed_process_left_is_gone_on_with_by_one_that_had_opened_it_before() {
    let one = One::slow(200_000);
    let first = one.get().start();
    wait_until("something in the journal", || journal_bytes(&one.place.out("a.bin.towline.json")) > 0);
    let second = one.held(At::PartOpened);
    first.kill();
    one.origin.set_faults([]);
    second.finish().code(0).says(&["the rest was already there"]);
    one.is_in_order();
}

/// It had found nothing, and asked for the file: the other one began it meanwhile.
#[test]
fn what_another_process_has_begun_meanwhile_keeps_its_journal() {
    for is_killed in [false, true] {
        let one = One::slow(200_000);
        let second = one.held(At::Open);
        let first = one.get().start();
        let journal = one.place.out("a.bin.towline.json");
        wait_until("something in the journal", || journal_bytes(&journal) > 0);
        if is_killed {
            first.kill();
            second.finish().code(3).says(&["another process has begun this file meanwhile"]);
            assert!(journal_bytes(&journal) > 0);
        } else {
            second.finish().code(3).says(&[BUSY]);
            assert!(journal_bytes(&journal) > 0);
            first.kill();
        }
        one.origin.set_faults([]);
        one.get().run().code(0).says(&["the rest was already there"]);
        one.is_in_order();
    }
}

/// The same where it is to replace what has the name, and came whole with its response.
#[test]
fn a_small_file_replaces_no_partial_file_that_another_process_has_begun_meanwhile() {
    let one = One::slow(200_000);
    let small = Origin::builder().resource(Resource::new("/a.bin", SEED, 5000)).start().unwrap();
    let overwriting = one.place.towline(&["--overwrite", "-d", "out", &small.url("/a.bin")]);
    let second = Held::start(&one.place, At::Open, overwriting);
    let first = one.get().start();
    let journal = one.place.out("a.bin.towline.json");
    wait_until("something in the journal", || journal_bytes(&journal) > 0);
    first.kill();
    second.finish().code(3).says(&["another process has begun this file meanwhile"]);
    assert!(journal_bytes(&journal) > 0);
}

/// What the first run wrote and did not save is emptied, and no kill makes it look like somebody else's.
#[test]
fn a_partial_file_of_ours_is_still_ours_after_a_kill_just_before_it_is_emptied() {
    let one = One::slow(500_000);
    let first = one.place.towline(&["-d", "out", "--save-interval", "60s", &one.origin.url("/a.bin")]).start();
    let part = one.place.out("a.bin.towline");
    wait_until("bytes that are not saved", || fs::read(&part).is_ok_and(|part| part.iter().any(|byte| *byte != 0)));
    first.kill();
    one.held(At::Begun).kill();
    one.origin.set_faults([]);
    one.get().run().code(0).hides("cannot be resumed");
    one.is_in_order();
}

/// The partial file was looked at before the request, and is emptied after the response.
#[test]
fn what_another_program_puts_in_the_place_of_a_partial_file_is_not_emptied() {
    for (flag, save_interval) in [("--verbose", "60s"), ("--restart", "50ms")] {
        let one = One::slow(500_000);
        let args = [flag, "-d", "out", "--save-interval", save_interval, &one.origin.url("/a.bin")];
        let part = one.place.out("a.bin.towline");
        let first = one.place.towline(&args[1..]).start();
        wait_until("bytes", || fs::read(&part).is_ok_and(|part| part.iter().any(|byte| *byte != 0)));
        first.kill();
        one.origin.set_faults([]);
        let second = Held::start(&one.place, At::Open, one.place.towline(&args));
        fs::rename(&part, one.place.root().join("away")).unwrap();
        fs::write(&part, "theirs").unwrap();
        second.finish().code(0).says(&["a.bin.towline.1"]);
        one.place.check("a.bin", SEED, SIZE);
        assert_eq!(fs::read(one.place.out("a.bin.towline.1")).unwrap(), b"theirs", "{flag}");
    }
}

#[test]
fn a_journal_that_outlives_its_file_by_a_kill_is_cleared_away() {
    let one = One::slow(2_000_000);
    one.held(At::Published).kill();
    assert_eq!(one.place.leftovers(), ["a.bin", "a.bin.towline.json"]);
    one.is_in_order();
}

#[test]
fn a_file_of_the_users_that_takes_the_name_is_kept_until_overwrite_is_said() {
    let one = One::new();
    let held = one.held(At::Publish);
    fs::write(one.place.out("a.bin"), "mine").unwrap();
    held.finish().code(1).says(&[TAKEN, "--overwrite"]);
    assert_eq!(fs::read(one.place.out("a.bin")).unwrap(), b"mine");
    // What came is kept meanwhile, and is not fetched again.
    let sent = one.origin.stats().body_bytes;
    one.get_with(&["--overwrite"]).run().code(0);
    assert_eq!(one.origin.stats().body_bytes, sent);
    one.is_in_order();
}

#[test]
fn a_partial_file_that_was_exchanged_is_not_published() {
    let one = One::new();
    let held = one.held(At::Publish);
    fs::rename(one.place.out("a.bin.towline"), one.place.root().join("away")).unwrap();
    fs::write(one.place.out("a.bin.towline"), vec![0; SIZE as usize]).unwrap();
    held.finish().code(3).says(&["the partial file was removed or replaced while it was written"]);
    assert!(!one.place.out("a.bin").exists());
}

/// Small files have no partial file that could be locked: who comes first has the name.
#[test]
fn of_two_small_files_with_one_name_the_second_is_not_published_over_the_first() {
    let small = |path: &str, seed: u64| Resource::new(path, seed, 5000);
    let origin = Origin::builder().resource(small("/one/a", 1)).resource(small("/two/a", 2)).start().unwrap();
    for (flag, code, names) in [("--verbose", 1, &["a"][..]), ("--auto-rename", 0, &["a", "a.1"][..])] {
        let place = Place::new();
        let late = Held::start(&place, At::Publish, place.towline(&[flag, "-d", "out", &origin.url("/one/a")]));
        place.towline(&["-d", "out", &origin.url("/two/a")]).run().code(0);
        late.finish().code(code);
        place.check("a", 2, 5000);
        assert_eq!(place.leftovers(), names);
        if code == 0 {
            place.check("a.1", 1, 5000);
        }
    }
    let place = Place::new();
    let late = Held::start(&place, At::Publish, place.towline(&["--overwrite", "-d", "out", &origin.url("/one/a")]));
    fs::write(place.out("a"), "mine").unwrap();
    late.finish().code(0);
    place.check("a", 1, 5000);
}

/// A batch of three files.
struct Three {
    origin: Origin,
    place: Place,
}

impl Three {
    fn new() -> Self {
        let origin = Origin::builder().files("/{}.bin", 3, SIZE, SEED).start().unwrap();
        let place = Place::new();
        place.write("list.txt", &(0..3).map(|number| origin.url(&format!("/{number}.bin\n"))).collect::<String>());
        Self { origin, place }
    }

    fn get(&self) -> Towline {
        self.place.towline(&["-i", "list.txt", "-d", "out"])
    }

    fn held(&self, at: At) -> Held {
        Held::start(&self.place, at, self.get())
    }

    fn check(&self) {
        for number in 0..3 {
            self.place.check(&format!("{number}.bin"), SEED + number, SIZE);
        }
        assert_eq!(self.place.leftovers(), [".towline", "0.bin", "1.bin", "2.bin"]);
    }
}

#[test]
fn a_second_batch_is_refused_while_the_first_one_works_or_has_only_just_begun() {
    for at in [At::BatchLocked, At::Publish] {
        let three = Three::new();
        let first = three.held(at);
        three.get().run().code(3).says(&["another towline is downloading into this directory"]);
        first.finish().code(0);
        three.check();
    }
}

#[test]
fn a_batch_that_comes_late_to_the_lock_finds_everything_done() {
    let three = Three::new();
    let second = three.held(At::BatchLock);
    three.get().run().code(0);
    let requests = three.origin.stats().requests;
    second.finish().code(0).says(&["3 already there"]);
    assert_eq!(three.origin.stats().requests, requests);
    three.check();
}

#[test]
fn a_batch_leaves_a_file_that_another_process_fetches_and_takes_the_others() {
    let three = Three::new();
    let url = three.origin.url("/0.bin");
    let single = Held::start(&three.place, At::Publish, three.place.towline(&["-d", "out", &url]));
    three.get().run().code(3).says(&[BUSY]);
    three.place.check("1.bin", SEED + 1, SIZE);
    three.place.check("2.bin", SEED + 2, SIZE);
    single.finish().code(0);
    three.get().run().code(0);
    three.check();
}
