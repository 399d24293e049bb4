//! Searches for bytes that make a parser panic or break a guarantee: proptest mutates the seeds, and inputs
//! with a new outcome are mutated further. A planted bug shows that the search can find something.
//!
//! `TOWLINE_FUZZ_SECONDS=120` gives each target this long. A failure prints the bytes; once the bug is fixed,
//! they belong among the seeds. Runs with the feature `fuzz`; `fuzz/` is for a coverage-guided fuzzer.

#![cfg(feature = "fuzz")]

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use towline_engine::fuzz::{Body, TARGETS};
use towline_origin::hostile_dispositions;
use towline_testkit::{number, say};

/// How often to run a body if no duration is given.
const EXECUTIONS: u32 = 20_000;
/// The most attempts to find the planted bug; some tens of thousands suffice.
const CANARY_EXECUTIONS: u32 = 1_000_000;
/// Longer inputs are truncated.
const INPUT_BYTES_MAX: usize = 2048;
/// The most inputs kept for further mutation.
const CORPUS_MAX: usize = 512;
const STEPS_MAX: usize = 6;
const SHRINKS_MAX: u32 = 5_000;

/// One mutation of an input: its kind, position and value. All zeros change nothing, so proptest can shrink a
/// failing input.
type Step = (u8, u64, u64);

#[test]
fn any_bytes_are_a_journal_that_makes_sense_or_none() {
    let seeds: [&[u8]; 6] = [
        include_bytes!("golden/journal-v1.json"),
        br#"{"format":"towline-journal","version":2,"body":{}}"#,
        br#"{"format":"towline-journal","version":1,"crc32":"00000000","body":{}}"#,
        br#"{"generation":7,"saved_unix_ms":1750000000000,"identity":{"url":"https://h/a \"b\"\\","validator":{"etag":"\"v\"","last_modified":null,"total_bytes":1000},"total_bytes":1000},"verified":"unchecked","done":[[0,10],[20,1000]]}"#,
        br#"{"generation":0,"saved_unix_ms":0,"identity":{"url":"","validator":{},"total_bytes":null},"verified":"failed","done":[[0,1],[18446744073709551614,18446744073709551615]]}"#,
        br#"{ "done" : [ ], "verified":"unchecked","later":[1.5e300,{"a":null}], "generation":1,"saved_unix_ms":1,"identity":{"url":"\u00e4","validator":{"etag":"W/\"v\""},"total_bytes":0}}"#,
    ];
    let tokens: [&[u8]; 16] = [
        b"[0,1]",
        b",[5,6]",
        b"[[",
        b"]]",
        b"18446744073709551615",
        b"-1",
        b"1e9",
        b"null",
        b"true",
        b"\"total_bytes\":",
        b"\"failed\"",
        b"\\u0000",
        b"\\\"",
        b"\xff",
        b"{}",
        b" \n",
    ];
    search("journal", &seeds, &tokens);
}

#[test]
fn any_content_range_lies_inside_of_its_length() {
    let seeds: [&[u8]; 6] = [
        b"bytes 0-499/1234",
        b"Bytes 5-5/*",
        b"bytes */10",
        b" bytes  0-0/1 ",
        b"bytes 0-18446744073709551614/18446744073709551615",
        b"bytes 9-5/*",
    ];
    let tokens: [&[u8]; 10] =
        [b"bytes ", b"-", b"/", b"*", b"0", b"18446744073709551615", b"18446744073709551616", b"+", b" ", b"items"];
    search("content-range", &seeds, &tokens);
}

#[test]
fn any_digest_of_a_server_is_read_or_told_odd() {
    let seeds: [&[u8]; 6] = [
        b"sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:, md5=:1B2M2Y8AsgTpgAmY7PhCfg==:",
        b"SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        b"1B2M2Y8AsgTpgAmY7PhCfg==",
        b"crc32c=AAAAAA==,md5=1B2M2Y8AsgTpgAmY7PhCfg==",
        b"unixsum=:AAAA:;x=1, sha-512=::",
        b"sha-256=:=:",
    ];
    let tokens: [&[u8]; 12] =
        [b"sha-256", b"sha-512", b"md5", b"crc32c", b"=", b":", b",", b"; q=1", b"AAAA", b"==", b"\"", b"?1"];
    search("server-digest", &seeds, &tokens);
}

#[test]
fn any_disposition_gives_a_harmless_name() {
    let mut seeds: Vec<Vec<u8>> = hostile_dispositions().into_iter().map(|(_, value)| value).collect();
    seeds
        .extend(hostile_names().into_iter().map(|name| [b"attachment; filename=\"".as_slice(), &name, b"\""].concat()));
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    let tokens: [&[u8]; 20] = [
        b"filename=",
        b"filename*=UTF-8''",
        b"filename*=iso-8859-1'en'",
        b"; ",
        b"\"",
        b"\\",
        b"%2F",
        b"%2e%2e",
        b"%00",
        b"%E2%80%AE",
        b"%",
        b"../",
        b"\xe2\x80\xae",
        b"\xff",
        b"con",
        b".towline",
        b".json",
        b".tmp",
        b".",
        b" ",
    ];
    search("content-disposition", &seeds, &tokens);
}

#[test]
fn any_text_becomes_a_harmless_name() {
    let seeds = hostile_names();
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    let tokens: [&[u8]; 20] = [
        b"/",
        b"\\",
        b":",
        b"..",
        b".",
        b" ",
        b"_",
        b"con",
        b"LPT1",
        b".towline",
        b".towline.json",
        b".towline.json.tmp",
        b".towline",
        b"%2f",
        b"%00",
        b"\xe2\x80\xae",
        b"\xe2\x81\xa6",
        b"\xc3\xa4",
        b"\0",
        b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ];
    search("name", &seeds, &tokens);
}

#[test]
fn any_retry_after_is_bounded() {
    let seeds: [&[u8]; 6] = [
        b"120",
        b" 7 ",
        b"99999999999999999999999",
        b"Sun, 06 Nov 1994 08:50:37 GMT",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
    ];
    let tokens: [&[u8]; 9] = [b"0", b"300", b"-1", b"1.5", b"GMT", b"9999", b"1970", b"31 Feb", b"23:59:60"];
    search("retry-after", &seeds, &tokens);
}

#[test]
fn any_list_has_urls_and_complaints_that_can_be_printed() {
    let seeds: [&[u8]; 7] = [
        b"https://example.com/a.iso\nhttp://h:8080/b?x=1#c\n",
        b"\xef\xbb\xbfhttp://u:hunter2@h/a?token=t&X-Amz-Signature=s # the first\r\n\n# nothing",
        b"http://[::1]:80/\nhttp://1.1/\nhttp://\xc3\xa4.example/\xc3\xa4?\xc3\xa4#\xc3\xa4",
        b"example.com/a\nlocalhost:80/a\nftp://h/a\nhttp://\nhttp://h:99999/",
        b"http://h/\xff\nhttp://h/a\tb\nmailto:a@b\ndata:,x",
        b"http:h\nhttp:\\\\h\\a\\..\\b\nhttp://h/%2e%2e/%zz\nHTTPS://H/%41",
        b"http://h/\xe2\x80\xae\nhttp://h\xe2\x80\xae/\nx\x1b[2Jx:y",
    ];
    let tokens: [&[u8]; 18] = [
        b"http://",
        b"https://",
        b"\n",
        b"\r\n",
        b"@",
        b":",
        b"?sig=",
        b"&token=",
        b"#",
        b" #",
        b"%",
        b"[::]",
        b"..",
        b"\\",
        b"\x1b[",
        b"\xe2\x80\xae",
        b"\xe3\x80\x80",
        b"xn--",
    ];
    search("list", &seeds, &tokens);
}

#[test]
fn any_version_agrees_with_itself() {
    let seeds: [&[u8]; 6] =
        [b"\"v1\"", b"W/\"v1\"", b"\"\"", b"unquoted", b"Sun, 06 Nov 1994 08:49:37 GMT", b" \"a\\b\" "];
    let tokens: [&[u8]; 6] = [b"\"", b"W/", b"w/", b"\\", b"\xe4", b"GMT"];
    search("validator", &seeds, &tokens);
}

#[test]
fn any_checksum_has_the_length_of_its_algorithm() {
    let seeds: [&[u8]; 5] = [
        b"md5=d41d8cd98f00b204e9800998ecf8427e",
        b"SHA1 = a9993e364706816aba3e25717850c26c9cd0d89d",
        b"sha-256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        b"blake3=6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
        b"crc=00",
    ];
    let tokens: [&[u8]; 8] =
        [b"=", b"-", b"sha", b"512", b"00000000000000000000000000000000", b"+f", b" ", b"\xc3\xa4"];
    search("checksum", &seeds, &tokens);
}

#[test]
fn a_planted_mistake_is_found() {
    let began = Instant::now();
    let seeds: [&[u8]; 1] = [b""];
    let search = Search::new("canary", &seeds, &[]);
    let found = search.run(CANARY_EXECUTIONS).expect_err("nothing was found");
    assert_eq!(found.why, "the planted mistake");
    assert!(found.input.starts_with(b"tow!"), "{found:?}");
    search.say("canary, found", began);
}

/// Searches for a while and fails with what it finds.
fn search(name: &str, seeds: &[&[u8]], tokens: &[&'static [u8]]) {
    let began = Instant::now();
    let search = Search::new(name, seeds, tokens);
    let mut result = search.run(EXECUTIONS);
    while let Some(seconds) = number("TOWLINE_FUZZ_SECONDS")
        && result.is_ok()
        && began.elapsed() < Duration::from_secs(seconds)
    {
        result = search.run(EXECUTIONS);
    }
    if let Err(found) = result {
        panic!("{name}: {}\nfor these bytes: b\"{}\"", found.why, found.input.escape_ascii());
    }
    search.say(name, began);
}

/// A search in progress.
struct Search {
    body: Body,
    tokens: Vec<&'static [u8]>,
    /// The seeds, and inputs with new outcomes.
    corpus: RefCell<Vec<Vec<u8>>>,
    outcomes: RefCell<HashSet<u64>>,
    executions: Cell<u64>,
    /// A body has panicked, and proptest is shrinking its input: the corpus must not change.
    is_frozen: Cell<bool>,
}

/// The smallest failing input found.
#[derive(Debug)]
struct Found {
    input: Vec<u8>,
    why: String,
}

impl Search {
    /// Starts with the seeds, which must pass.
    fn new(name: &str, seeds: &[&[u8]], tokens: &[&'static [u8]]) -> Self {
        let (_, body) = TARGETS.into_iter().find(|(target, _)| *target == name).expect("a target of this name");
        let search = Self {
            body,
            tokens: tokens.to_vec(),
            corpus: RefCell::new(seeds.iter().map(|seed| seed.to_vec()).collect()),
            outcomes: RefCell::default(),
            executions: Cell::new(0),
            is_frozen: Cell::new(false),
        };
        for seed in seeds {
            search.execute(seed);
        }
        search
    }

    /// Runs the body this many times.
    fn run(&self, executions: u32) -> Result<(), Found> {
        let config =
            Config { cases: executions, failure_persistence: None, max_shrink_iters: SHRINKS_MAX, ..Config::default() };
        let changes = (any::<u64>(), prop::collection::vec(any::<Step>(), 0..STEPS_MAX));
        let ended = TestRunner::new(config).run(&changes, |(choice, steps)| {
            self.execute(&self.made(choice, &steps));
            Ok(())
        });
        match ended {
            Ok(()) => Ok(()),
            Err(TestError::Fail(why, (choice, steps))) => {
                Err(Found { input: self.made(choice, &steps), why: why.message().to_owned() })
            }
            Err(TestError::Abort(why)) => panic!("proptest gave up: {why}"),
        }
    }

    fn execute(&self, input: &[u8]) {
        self.executions.set(self.executions.get() + 1);
        let is_frozen = self.is_frozen.replace(true);
        let outcome = (self.body)(input);
        self.is_frozen.set(is_frozen);
        let mut corpus = self.corpus.borrow_mut();
        if !is_frozen && self.outcomes.borrow_mut().insert(outcome) && corpus.len() < CORPUS_MAX {
            corpus.push(input.to_vec());
        }
    }

    /// The input after these mutations. Every other time it is based on one of the newest two, which got
    /// furthest.
    fn made(&self, choice: u64, steps: &[Step]) -> Vec<u8> {
        let corpus = self.corpus.borrow();
        let count = corpus.len();
        let at = match choice % 2 {
            0 => count - 1 - picked(choice / 2, count.min(2)),
            _ => picked(choice / 2, count),
        };
        let mut input = corpus[at].clone();
        for step in steps {
            change(&mut input, *step, &self.tokens, &corpus);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    /// Prints the figures even if the test succeeds, bypassing the harness, which would capture them.
    fn say(&self, name: &str, began: Instant) {
        let (executions, outcomes) = (self.executions.get(), self.outcomes.borrow().len());
        let seconds = began.elapsed().as_secs_f64();
        say(&format!("fuzz {name}: {executions} executions, {outcomes} outcomes, {seconds:.1} s"));
    }
}

fn change(input: &mut Vec<u8>, (sort, at, what): Step, tokens: &[&[u8]], corpus: &[Vec<u8>]) {
    let place = placed(at, input.len() + 1);
    let printable = b' ' + (what % 95) as u8;
    match sort % 12 {
        0 => {}
        1 => input.truncate(place),
        2 => {
            let end = (place + 1 + picked(what, 8)).min(input.len());
            input.drain(place..end);
        }
        3 => input.insert(place, what as u8),
        4 => input.insert(place, printable),
        5 | 6 => {
            if !tokens.is_empty() {
                let token = tokens[picked(what, tokens.len())];
                input.splice(place..place, token.iter().copied());
            }
        }
        7 => {
            let other = &corpus[picked(what, corpus.len())];
            input.truncate(place);
            input.extend_from_slice(&other[picked(what >> 32, other.len() + 1)..]);
        }
        8 => {
            let piece = input[place.saturating_sub(1 + picked(what, 64))..place].to_vec();
            input.splice(place..place, piece);
        }
        sort => {
            if let Some(byte) = input.get_mut(place) {
                *byte = match sort {
                    9 => *byte ^ (1_u8 << (what % 8)),
                    10 => what as u8,
                    _ => printable,
                };
            }
        }
    }
}

/// One of `count` positions, every other time one of the first eight, where much is decided.
fn placed(at: u64, count: usize) -> usize {
    picked(at / 2, if at.is_multiple_of(2) { count.min(8) } else { count })
}

/// A number below `count`.
fn picked(choice: u64, count: usize) -> usize {
    (choice % count as u64) as usize
}

/// Names that a hostile server may choose.
fn hostile_names() -> Vec<Vec<u8>> {
    let spaces = " ".repeat(232);
    let mut names: Vec<Vec<u8>> = [
        "../../etc/passwd",
        "C:\\x",
        "con",
        "NUL .txt",
        ".bashrc",
        "a\u{202e}gpj.exe",
        "a. ",
        "a.PART.json",
        ".Towline",
        "..",
        "",
    ]
    .map(|name| name.as_bytes().to_vec())
    .into();
    names.push("\u{e4}".repeat(200).into_bytes());
    names.push(format!("{}.towline.json", "x".repeat(231)).into_bytes());
    // The number replaces what kept it from being a device name.
    names.push(format!("con{spaces}x.iso").into_bytes());
    names
}
