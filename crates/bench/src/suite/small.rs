//! Many small files.

use std::fs;

use super::{Drawing, Goal, Setting, Suite, fetches, plain};
use crate::contender::{Contender, Program, Shape};
use crate::content::Content;
use crate::harness::{Case, Figure, Place, Row};
use crate::source::Source;

const AT_ONCE: u32 = 32;
const SIZE_BYTES: usize = 4 << 10;
const PLAIN: &str = "plain";
const TLS: &str = "TLS";
const HTTP1: Contender = Contender { program: Program::Towline, options: &["--http1.1"] };

pub(super) const SUITE: Suite = Suite {
    name: "small",
    title: "5,000 files of 4 KiB, 32 at a time, to memory",
    text: "A list of URLs, each a file of nginx. Over TLS, Towline, curl and wget2 use HTTP/2. The bare loop is one \
           thread that waits for 32 connections and links each file when it is whole.",
    cases,
    goals,
    rounds_max: usize::MAX,
    drawing: Drawing::Bars(Figure::Wall),
};

fn cases(setting: &Setting) -> Vec<Case> {
    let (source, tls) = sources(setting);
    let mut all = plain(&[Program::Towline, Program::Beside, Program::Floor]);
    all.extend(plain(&Program::PEERS));
    let mut cases = fetches(setting, PLAIN, &source, Shape::Many(AT_ONCE), Place::Memory, &all);
    all.insert(1, HTTP1);
    cases.extend(fetches(setting, TLS, &tls, Shape::Many(AT_ONCE), Place::Memory, &all));
    cases
}

/// The same files without and with TLS.
pub(super) fn sources(setting: &Setting) -> (Source, Source) {
    let count = setting.extent.pick(5000, 200);
    let dir = setting.nginx.files().join("small");
    if !dir.exists() {
        fs::create_dir(&dir).unwrap();
        let mut bytes = vec![0; SIZE_BYTES];
        for number in 0..count {
            towline_origin::fill(number, 0, &mut bytes);
            fs::write(dir.join(Source::name(number)), &bytes).unwrap();
        }
    }
    let source = Source {
        base: setting.nginx.base(),
        folder: "small/".to_owned(),
        count,
        content: Content::SameName(dir),
        ca_file: None,
    };
    let tls = Source { base: setting.nginx.tls_base(), ca_file: Some(setting.nginx.ca_file()), ..source.clone() };
    (source, tls)
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for setting in [PLAIN, TLS] {
        goals.push(Goal::beside_best_peer(rows, setting, Figure::Wall, 0.9));
        goals.push(Goal::beside_best_peer(rows, setting, Figure::Cpu, 1.0));
    }
    goals.push(Goal::beside_floor(rows, PLAIN, Figure::Cpu, 2.2));
    goals
}
