//! A server that limits each connection.

use towline_origin::{Fault, Origin, Resource, Rule, Scope};

use super::{Drawing, Goal, Setting, Suite, plain};
use crate::contender::{Contender, Program, Shape};
use crate::content::Content;
use crate::harness::{Case, Figure, Place, Row};
use crate::source::Source;

const RATE_BYTES_PER_S: u64 = 4_000_000;
const SLOW_BYTES_PER_S: u64 = 500_000;
const SIZE_BYTES: u64 = 256 << 20;
const CONNECTIONS: u32 = 16;
/// As many as Towline opens by itself.
const CONNECTIONS_BY_ITSELF: u32 = 8;
const SEED: u64 = 3;

const EVEN: &str = "16 connections";
const HALF: &str = "16 connections, every second one at 0.5 MB/s";
const FREE: &str = "by default";

pub(super) const SUITE: Suite = Suite {
    name: "throttled",
    title: "256 MiB from a server that gives each connection 4 MB/s",
    text: "The limit holds for a connection, not for a request. By default, Towline adds connections up to eight; `-x 8` \
           in that setting is the best fixed number within its cap.",
    cases,
    goals,
    rounds_max: usize::MAX,
    drawing: Drawing::Bars(Figure::Wall),
};

const PEERS: [Program; 5] = [Program::Towline, Program::Aria2, Program::Aria2Next, Program::Axel, Program::Pypdl];
const EIGHT: Contender = Contender { program: Program::Towline, options: &["-x8"] };

fn cases(setting: &Setting) -> Vec<Case> {
    let size = setting.extent.pick(SIZE_BYTES, 16 << 20);
    let even = || vec![Rule::from(Fault::RatePerConnection(RATE_BYTES_PER_S))];
    let half = || {
        let slow = Fault::RatePerConnection(SLOW_BYTES_PER_S).when(Scope::every().every_other_connection());
        vec![Fault::RatePerConnection(RATE_BYTES_PER_S).into(), slow]
    };
    let mut cases = Vec::new();
    cases.extend(paced(setting, EVEN, size, Some(CONNECTIONS), &plain(&PEERS), even));
    cases.extend(paced(setting, HALF, size, Some(CONNECTIONS), &plain(&PEERS), half));
    let mut free = plain(&PEERS);
    free.insert(1, EIGHT);
    cases.extend(paced(setting, FREE, size, None, &free, even));
    cases
}

/// Cases whose server plays `faults`. Each run has an origin of its own, so that connections count from
/// one.
pub(super) fn paced(
    setting: &Setting,
    name: &str,
    size: u64,
    connections: Option<u32>,
    contenders: &[Contender],
    faults: impl Fn() -> Vec<Rule> + Clone + 'static,
) -> Vec<Case> {
    let serve = move || {
        let builder = Origin::builder().threads(2).resource(Resource::new("/0.bin", SEED, size));
        faults().into_iter().fold(builder, |builder, rule| builder.fault(rule)).start()
    };
    served(setting, name, Shape::One(connections), contenders, Content::Seeded { seed: SEED, size }, 1, serve)
}

/// Cases with an origin of their own for each run.
pub(super) fn served(
    setting: &Setting,
    name: &str,
    shape: Shape,
    contenders: &[Contender],
    content: Content,
    count: u64,
    serve: impl Fn() -> std::io::Result<Origin> + Clone + 'static,
) -> Vec<Case> {
    let able = |contender: &&Contender| {
        let source = source(String::new(), content.clone(), count);
        let scratch = setting.bench.directory(Place::Memory);
        contender.command(&setting.bench.programs, &source, shape, scratch.path(), scratch.path()).is_some()
    };
    let case = |contender: &Contender| {
        let (contender, content, serve, name) = (*contender, content.clone(), serve.clone(), name.to_owned());
        Case::new(name.clone(), contender.label(), contender.program.role(), move |bench| {
            let origin = serve().map_err(|error| format!("the origin does not start: {error}"))?;
            let source = source(origin.url("/"), content.clone(), count);
            let case = Case::fetch(bench, &name, contender, &source, shape, Place::Memory);
            case.ok_or("it is not installed any more")?.run(bench)
        })
    };
    contenders.iter().filter(able).map(case).collect()
}

fn source(base: String, content: Content, count: u64) -> Source {
    Source { base, folder: String::new(), count, content, ca_file: None }
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    let size = SIZE_BYTES as f64;
    let rate = RATE_BYTES_PER_S as f64;
    let even = size / (rate * f64::from(CONNECTIONS));
    let half = size / ((rate + SLOW_BYTES_PER_S as f64) * f64::from(CONNECTIONS) / 2.0);
    let free = size / (rate * f64::from(CONNECTIONS_BY_ITSELF));
    vec![
        Goal::beside_ideal(rows, EVEN, even, 1.0 / 0.95),
        Goal::beside_ideal(rows, HALF, half, 1.0 / 0.95),
        Goal::beside_ideal(rows, FREE, free, 1.0 / 0.9),
        Goal::beside(rows, FREE, &EIGHT.label(), Figure::Wall, 1.0 / 0.9),
        Goal::beside(rows, EVEN, "aria2c", Figure::Wall, 1.0),
        Goal::beside(rows, HALF, "aria2c", Figure::Wall, 1.0),
        Goal::beside(rows, FREE, "aria2c", Figure::Wall, 1.0),
    ]
}
