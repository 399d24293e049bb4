//! A download that is killed half-way.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use towline_origin::{Fault, Origin, Resource};

use super::{Drawing, Extent, Goal, Setting, Suite};
use crate::contender::{Contender, Program, Shape};
use crate::content::Content;
use crate::harness::{Bench, Case, Figure, Place, Row};
use crate::launch::Usage;
use crate::source::Source;

const SIZE_BYTES: u64 = 128 << 20;
const RATE_BYTES_PER_S: u64 = 4_000_000;
const CONNECTIONS: u32 = 8;
const SEED: u64 = 7;
const TICK: Duration = Duration::from_millis(1);
const TIME_MAX: Duration = Duration::from_secs(60);
const TWICE: &str = "killed at half";
/// One save interval at all rates, and the buffers on the way, in MiB.
const TWICE_MAX_MIB: f64 = (RATE_BYTES_PER_S * CONNECTIONS as u64 / 2) as f64 / (1 << 20) as f64 + 8.0;
const PROGRAMS: [Program; 3] = [Program::Towline, Program::Aria2, Program::Aria2Next];

pub(super) const SUITE: Suite = Suite {
    name: "resume",
    title: "128 MiB over 8 connections of 4 MB/s, killed at half",
    text: "The program is killed by SIGKILL when the server has sent half of the file, and started again. Times are those \
           of the second run; the memory column is what the server sent more than once, in MiB.",
    cases,
    goals,
    rounds_max: usize::MAX,
    drawing: Drawing::None,
};

fn cases(setting: &Setting) -> Vec<Case> {
    let size = match setting.extent {
        Extent::Full => SIZE_BYTES,
        Extent::Quick => 16 << 20,
    };
    let is_there = |program: &Program| setting.bench.programs.start(*program).is_some();
    let case =
        |program: Program| Case::new(TWICE, program.name(), program.role(), move |bench| run(bench, program, size));
    PROGRAMS.into_iter().filter(is_there).map(case).collect()
}

fn run(bench: &Bench, program: Program, size: u64) -> Result<Usage, String> {
    let origin = Origin::builder()
        .threads(2)
        .resource(Resource::new("/0.bin", SEED, size))
        .fault(Fault::RatePerConnection(RATE_BYTES_PER_S))
        .start()
        .map_err(|error| format!("the origin does not start: {error}"))?;
    let content = Content::Seeded { seed: SEED, size };
    let source = Source { base: origin.url("/"), folder: String::new(), count: 1, content, ca_file: None };
    let (out, scratch) = (bench.directory(Place::Memory), bench.directory(Place::Memory));
    let command = || {
        Contender::plain(program)
            .command(&bench.programs, &source, Shape::One(Some(CONNECTIONS)), out.path(), scratch.path())
            .ok_or("it is not installed any more")
    };
    kill_at_half(&mut command()?, &origin, size)?;
    let mut again = command()?;
    if program != Program::Towline {
        again.arg("--continue");
    }
    let mut usage = bench.run(&again)?;
    source.check(out.path())?;
    usage.memory_bytes = origin.stats().path("/0.bin").body_bytes.saturating_sub(size);
    Ok(usage)
}

fn kill_at_half(command: &mut Command, origin: &Origin, size: u64) -> Result<(), String> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let is_half = wait_for_half(&mut child, origin, size);
    let _ = child.kill();
    let _ = child.wait();
    is_half
}

fn wait_for_half(child: &mut Child, origin: &Origin, size: u64) -> Result<(), String> {
    let deadline = Instant::now() + TIME_MAX;
    while origin.stats().path("/0.bin").body_bytes < size / 2 {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return Err("it ended before half of the file was there".to_owned());
        }
        if Instant::now() > deadline {
            return Err("half of the file took too long".to_owned());
        }
        thread::sleep(TICK);
    }
    Ok(())
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    let mut goal = Goal::at_most(rows, TWICE, Figure::Memory, TWICE_MAX_MIB);
    goal.text = format!("{TWICE}: fetched twice, in MiB");
    vec![goal]
}
