//! Memory with many connections.

use std::fs::{self, File};

use super::{Drawing, Goal, Setting, Suite, fetches, plain};
use crate::contender::{Program, Shape};
use crate::content::Content;
use crate::harness::{Case, Figure, Place, Row};
use crate::source::Source;

const SIZE_BYTES: u64 = 4 << 30;
const CONNECTIONS: u32 = 64;
const MEMORY_MAX_MIB: f64 = 48.0;
const MANY: &str = "64 connections";
const PROGRAMS: [Program; 3] = [Program::Towline, Program::Floor, Program::Axel];

pub(super) const SUITE: Suite = Suite {
    name: "memory",
    title: "A sparse file of 4 GiB over 64 connections",
    text: "nginx sends zeros.",
    cases,
    goals,
    rounds_max: 3,
    drawing: Drawing::None,
};

fn cases(setting: &Setting) -> Vec<Case> {
    let dir = setting.nginx.files().join("sparse");
    fs::create_dir_all(&dir).unwrap();
    let file = File::create(dir.join(Source::name(0))).unwrap();
    file.set_len(setting.extent.pick(SIZE_BYTES, 64 << 20)).unwrap();
    let source = Source {
        base: setting.nginx.base(),
        folder: "sparse/".to_owned(),
        count: 1,
        content: Content::SameName(dir),
        ca_file: None,
    };
    fetches(setting, MANY, &source, Shape::One(Some(CONNECTIONS)), Place::Memory, &plain(&PROGRAMS))
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    vec![Goal::at_most(rows, MANY, Figure::Memory, MEMORY_MAX_MIB)]
}
