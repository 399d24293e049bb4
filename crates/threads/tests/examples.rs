//! Every example, run for real: it prints what it promises, and it ends.
//!
//! The order of lines is compared where the example forces it. Where threads may interleave as they
//! like, what holds in every order is.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn start_and_join() {
    let expected = [
        "main: starts a thread",
        "thread_job: starts, and 2 threads are running",
        "thread_job: ends",
        "main: the name has 9 letters",
        "main: threads running now: 1",
        "main: their names are [\"MainThread\"]",
        "main: this one is MainThread",
        "main: the thread panicked: out of luck",
    ];
    assert_eq!(lines_of("start_and_join"), expected);
}

#[test]
fn daemon() {
    let expected = [
        "main: starts two threads",
        "worker: starting",
        "watcher: starting",
        "main: all done",
        "worker: finishing",
        "main: leaves [\"watcher\"] behind",
    ];
    assert_eq!(lines_of("daemon"), expected);
}

#[test]
fn many_threads() {
    let lines = lines_of("many_threads");
    let (main, threads): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.starts_with("main: "));

    let (fetched, main) = main.split_last().unwrap();
    let expected = [
        "main: starts thread_1",
        "main: starts thread_2",
        "main: starts thread_3",
        "main: waits for thread_1",
        "main: thread_1 is done",
        "main: waits for thread_2",
        "main: thread_2 is done",
        "main: waits for thread_3",
        "main: thread_3 is done",
    ];
    assert_eq!(main, expected);
    let list = fetched.strip_prefix("main: fetched [").and_then(|rest| rest.strip_suffix(']')).unwrap();
    assert_eq!(sorted(list.split(", ")), ["\"one.txt\"", "\"three.txt\"", "\"two.txt\""]);

    assert_eq!(threads.len(), 6);
    for (number, file) in [(1, "one"), (2, "two"), (3, "three")] {
        let starts = format!("thread_{number}: starts on https://example.org/files/{file}.txt");
        assert!(place(&threads, &starts) < place(&threads, &format!("thread_{number}: has {file}.txt")));
    }
}

#[test]
fn subclassed_thread() {
    let lines = lines_of("subclassed_thread");
    assert_eq!(lines.len(), 11, "{lines:?}");
    for number in 0..5 {
        let starting = place(&lines, &format!("thread {number}: starting"));
        assert!(starting < place(&lines, &format!("thread {number}: finishing")));
    }
    let slept: u64 = between(&lines[10], "main: ", " ms of sleep in ").parse().unwrap();
    assert!(slept >= 100, "{lines:?}");
}

#[test]
fn queue_of_results() {
    let expected = [
        "lists:   [[1, 2, 3], [3, 4, 5], [4, 4, 4], [5, 5, 5]]",
        "squares: [[1, 4, 9], [9, 16, 25], [16, 16, 16], [25, 25, 25]]",
    ];
    assert_eq!(lines_of("queue_of_results"), expected);
}

#[test]
fn lock_counter() {
    assert_eq!(lines_of("lock_counter"), ["about: 25", "contact: 25", "help: 25", "start: 25", "in all: 100"]);
}

#[test]
fn two_jobs_one_lock() {
    let mut expected = Vec::new();
    expected.extend((1..=10).map(|sum| format!("job 1: {sum}")));
    expected.extend((2..=11).map(|tens| format!("job 2: {}", tens * 10)));
    expected.push("in the end: 110".to_owned());
    assert_eq!(lines_of("two_jobs_one_lock"), expected);
}

#[test]
fn four_threads_one_file() {
    let lines = lines_of("four_threads_one_file");
    assert_eq!(lines.len(), 14, "{lines:?}");
    let changes: u32 = between(&lines[0], "without a lock: 12 lines, the author changes ", " times").parse().unwrap();
    assert!((3..=11).contains(&changes), "{lines:?}");
    assert_eq!(lines[1], "with an RLock: 12 lines, the author changes 3 times");

    let mut authors = Vec::new();
    for page in lines[2..].chunks(3) {
        let author = between(&page[0], "thread ", ", line 1");
        assert_eq!(page[1], format!("thread {author}, line 2"));
        assert_eq!(page[2], format!("thread {author}, line 3"));
        authors.push(author);
    }
    assert_eq!(sorted(authors), ["1", "2", "3", "4"]);
}

#[test]
fn race_condition() {
    let expected = [
        "without a lock:",
        "  one update read 0 and wrote 1",
        "  one update read 0 and wrote 1",
        "  the value is 1",
        "with a lock:",
        "  one update read 0 and wrote 1",
        "  one update read 1 and wrote 2",
        "  the value is 2",
    ];
    assert_eq!(lines_of("race_condition"), expected);
}

#[test]
fn deadlock() {
    let lines = lines_of("deadlock");
    let to_itself = "a Lock twice: deadlock: MainThread waits for Lock `ledger` held by MainThread";
    assert_eq!(lines[..2], [to_itself, "an RLock 3 times: fine"]);

    // Either thread may be the one that is told; its ring begins with itself, and it ends last.
    let first = "transfer-1 waits for Lock `b` held by transfer-2";
    let second = "transfer-2 waits for Lock `a` held by transfer-1";
    let reports = [format!("reported: deadlock: {first}; {second}"), format!("reported: deadlock: {second}; {first}")];
    let told = reports.iter().position(|report| *report == lines[2]);
    let (mut first, mut second) = ("transfer-2: moved 5", "transfer-1: moved 10");
    match told {
        Some(0) => {}
        Some(_) => std::mem::swap(&mut first, &mut second),
        None => panic!("{lines:?}"),
    }
    assert_eq!(lines[3..], [first, second, "a has 95, b has 105"]);
}

#[test]
fn bank_account() {
    assert_eq!(lines_of("bank_account"), ["250 of 400 transfers went through", "savings: 0, daily: 250"]);
}

#[test]
fn semaphore_connections() {
    let mut lines = lines_of("semaphore_connections");
    assert_eq!(lines.len(), 6, "{lines:?}");
    let most: u32 = lines.remove(4).strip_prefix("connections in use at most: ").unwrap().parse().unwrap();
    assert!((1..=3).contains(&most), "{most}");
    let expected = [
        "3 taken, one more now: false",
        "one more within 5 ms: false",
        "all given back, free: 3",
        "8 clients were served, the answers add up to 204",
        "one too many given back, refused: true, free: 3",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn timer_cancel() {
    let expected = [
        "timer: are you still there?",
        "main: too late to cancel, and no harm done",
        "main: the answer is here, the second timer is cancelled",
        "main: the end, without an hour of waiting",
    ];
    assert_eq!(lines_of("timer_cancel"), expected);
}

#[test]
fn barrier_start() {
    let lines = lines_of("barrier_start");
    assert_eq!(lines.len(), 11, "{lines:?}");
    let each = |does: &str| [1, 2, 3, 4].map(|number| format!("worker {number}: {does}"));
    assert_eq!(sorted(lines[..4].to_vec()), each("ready"));
    assert_eq!(lines[4], "all 4 are ready");
    assert_eq!(sorted(lines[5..9].to_vec()), each("working"));
    assert_eq!(lines[9..], ["places of arrival: [0, 1, 2, 3]", "given up: true, and the one that came knows: true"]);
}

#[test]
fn condition() {
    let mut expected = Vec::new();
    for round in 1..=3 {
        expected.extend(["Ada", "Grace", "Barbara"].map(|player| format!("round {round}: {player} throws")));
    }
    expected.push("a ball for a fourth player: false".to_owned());
    assert_eq!(lines_of("condition"), expected);
}

#[test]
fn producer_consumer() {
    let lines = lines_of("producer_consumer");
    assert_eq!(lines.len(), 13, "{lines:?}");
    let messages: Vec<_> = (1..=10).map(|number| format!("consumer: message {number}")).collect();
    assert_eq!(lines[..10], messages);
    assert_eq!(lines[10], "main: that will do");
    let produced: u32 = between(&lines[11], "main: produced ", ", unfinished 0").parse().unwrap();
    assert!(produced >= 10, "{lines:?}");
    assert_eq!(lines[12], format!("main: consumed {produced}"));
}

#[test]
fn pool_submit() {
    let expected = [
        "workers: 2",
        "  first is done: false",
        "  second is cancelled: false",
        "  first: the task was not done when the time was up",
        "  first: first video",
        "  second: second video",
        "workers: 1",
        "  first is done: false",
        "  second is cancelled: true",
        "  first: the task was not done when the time was up",
        "  first: first video",
        "  second: the task was cancelled",
        "divisions:",
        "  2",
        "  division by zero",
        "  5",
        "  1.5",
    ];
    assert_eq!(lines_of("pool_submit"), expected);
}

#[test]
fn pool_as_completed() {
    let expected = [
        "............ome in any o..................................",
        "............ome in any order and end......................",
        "The pieces come in any order and end......................",
        "The pieces come in any order and end............ey belong.",
        "The pieces come in any order and end up where they belong.",
        "every piece is there: true",
    ];
    assert_eq!(lines_of("pool_as_completed"), expected);
}

#[test]
fn pool_map() {
    let expected = [
        "video 1 is handed over",
        "video 2 is handed over",
        "video 3 is handed over",
        "they were finished in the order [2, 3, 1]",
        "[2, 2, 10] by [1, 2, 2]:",
        "  2",
        "  1",
        "  5",
        "[2, 2, 10] by [1, 0, 2]:",
        "  2",
        "  the task panicked: attempt to divide by zero",
        "  5",
    ];
    assert_eq!(lines_of("pool_map"), expected);
}

#[test]
fn pool_wait() {
    let expected = [
        "after 5 ms: 0 done, 3 not",
        "the first to be done: [2]",
        "all the others: [1, 3], left: 0",
        "the wait is over: the task panicked: no such video",
        "the other one: stopped by a failure elsewhere",
    ];
    assert_eq!(lines_of("pool_wait"), expected);
}

#[test]
fn pool_callback() {
    let expected = [
        "unwanted: Cancelled, says MainThread",
        "download, first callback: Finished, says pool_0",
        "download, second callback: Finished, says pool_0",
        "broken: Panicked, says pool_0",
        "download, late callback: Finished, says MainThread",
        "result: 42",
    ];
    assert_eq!(lines_of("pool_callback"), expected);
}

#[test]
fn pool_shutdown() {
    let lines = lines_of("pool_shutdown");
    assert_eq!(lines.len(), 10, "{lines:?}");
    assert_eq!(lines[0], "before the pool");
    assert_eq!(sorted(lines[1..4].to_vec()), [0, 1, 2].map(|number| format!("task {number}: finishing")));
    let expected = [
        "after the pool",
        "cancelled: 3 of 3",
        "the running one is cancelled: false",
        "refused: the pool has been shut down",
        "run here instead: a late task",
        "the running one has finished",
    ];
    assert_eq!(lines[4..], expected);
}

#[test]
fn cpu_bound() {
    let processors = std::thread::available_parallelism().unwrap().get();
    let mut seen = Vec::new();
    // Other tests may have the processors to themselves for a moment.
    for _attempt in 1..=3 {
        let lines = lines_of("cpu_bound");
        assert_eq!(lines.len(), 5, "{lines:?}");
        assert!(lines[0].starts_with("below "), "{lines:?}");
        assert_eq!(lines[1], "the threads agree: true");
        let alone: u64 = between(&lines[2], "one thread: ", " ms").parse().unwrap();
        assert!(alone >= 150, "{lines:?}");
        between(&lines[3], &format!("threads, {processors} of them: "), " ms").parse::<u64>().unwrap();
        let ratio: f64 = lines[4].strip_prefix("ratio: ").unwrap().parse().unwrap();
        if processors == 1 || ratio > 1.2 {
            return;
        }
        seen.push(ratio);
    }
    panic!("{processors} threads against one: {seen:?}");
}

/// An example that is running; it does not outlive the test.
struct Run(Child);

impl Drop for Run {
    fn drop(&mut self) {
        // Both fail if it has ended, as it should have.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the example to its end and returns the lines that it printed.
fn lines_of(name: &str) -> Vec<String> {
    let mut command = Command::new(example_path(name));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = Run(command.spawn().unwrap());
    let stdout = drain(run.0.stdout.take().unwrap());
    // What it says of panics is of interest only if it fails.
    let stderr = drain(run.0.stderr.take().unwrap());
    let [output, errors] =
        [stdout, stderr].map(|text| text.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("{name}: no end in {LIMIT:?}")));
    let status = run.0.wait().unwrap();
    assert!(status.success(), "{name}: {status}\n{output}\n{errors}");
    output.lines().map(str::to_owned).collect()
}

/// Reads to the end on a thread of its own, so that the reader of the result can give up.
fn drain(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sends, receives) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        // Nobody listens any more if the test has given up.
        let _ = sends.send(text);
    });
    receives
}

/// `target/debug/examples/NAME`, next to `target/debug/deps/`, where this test lies.
fn example_path(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let path = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is missing: build it with `cargo build -p towline-threads --examples`", path.display());
    path
}

fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort_unstable();
    items
}

/// Where the line stands; each is expected once.
fn place(lines: &[String], line: &str) -> usize {
    let places: Vec<usize> = (0..lines.len()).filter(|&at| lines[at] == line).collect();
    assert_eq!(places.len(), 1, "{line:?} in {lines:?}");
    places[0]
}

fn between<'a>(line: &'a str, before: &str, after: &str) -> &'a str {
    let rest = line.strip_prefix(before).unwrap_or_else(|| panic!("{line:?} does not begin with {before:?}"));
    rest.split_once(after).unwrap_or_else(|| panic!("no {after:?} in {line:?}")).0
}
