//! One large file at the speed of the machine.

use std::fs::File;
use std::io::{self, Write as _};

use super::{Drawing, Extent, Goal, Setting, Suite, fetches, plain};
use crate::contender::{Program, Shape};
use crate::content::Content;
use crate::harness::{Case, Figure, Place, Row};
use crate::source::Source;

const CONNECTIONS: u32 = 8;
const CHUNK_BYTES: usize = 1 << 20;
const PLAIN: &str = "8 connections";
const TLS: &str = "8 connections, TLS";
const FREE: &str = "by default";
const FREE_TLS: &str = "by default, TLS";

pub(super) const SUITE: Suite = Suite {
    name: "big",
    title: "One file of 1 GiB, to memory",
    text: "nginx sends one file over loopback. curl and wget2 use one connection for one file in any setting.",
    cases,
    goals,
    rounds_max: usize::MAX,
    drawing: Drawing::Bars(Figure::Wall),
};

fn cases(setting: &Setting) -> Vec<Case> {
    let (plain_source, tls_source) = sources(setting, setting.extent.pick(1 << 30, 64 << 20));
    let all = plain(&[Program::Towline, Program::Beside, Program::Floor])
        .into_iter()
        .chain(plain(&Program::PEERS))
        .collect::<Vec<_>>();
    [
        (PLAIN, &plain_source, Some(CONNECTIONS)),
        (TLS, &tls_source, Some(CONNECTIONS)),
        (FREE, &plain_source, None),
        (FREE_TLS, &tls_source, None),
    ]
    .into_iter()
    .flat_map(|(name, source, connections)| {
        fetches(setting, name, source, Shape::One(connections), Place::Memory, &all)
    })
    .collect()
}

/// The same file without and with TLS.
pub(super) fn sources(setting: &Setting, bytes: u64) -> (Source, Source) {
    let files = setting.nginx.files();
    let dir = files.join("big");
    std::fs::create_dir_all(&dir).unwrap();
    write(&dir.join(Source::name(0)), bytes).unwrap();
    let source = Source {
        base: setting.nginx.base(),
        folder: "big/".to_owned(),
        count: 1,
        content: Content::SameName(dir),
        ca_file: None,
    };
    let tls = Source { base: setting.nginx.tls_base(), ca_file: Some(setting.nginx.ca_file()), ..source.clone() };
    (source, tls)
}

fn write(path: &std::path::Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    for at in (0..bytes).step_by(CHUNK_BYTES) {
        towline_origin::fill(1, at, &mut chunk);
        file.write_all(&chunk)?;
    }
    Ok(())
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    let mut goals = vec![Goal::beside_floor(rows, PLAIN, Figure::Cpu, 1.05)];
    for setting in [PLAIN, TLS, FREE, FREE_TLS] {
        for figure in [Figure::Wall, Figure::Cpu] {
            goals.push(Goal::beside_best_peer(rows, setting, figure, 1.0));
        }
    }
    goals
}

/// The work of the suite for files on the disk.
pub(super) fn bytes(extent: Extent) -> u64 {
    extent.pick(1 << 30, 64 << 20)
}
