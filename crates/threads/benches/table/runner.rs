//! Runs the cases of a group, each in a process of its own.
//!
//! The parent starts itself with [`CHILD`], the group, the number of the case, what to look at and
//! the scale. The child prints a line for each figure, or one that says what this machine lacks.

use std::env;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::case::{Case, Row, Trouble, Work};
use crate::group::{Group, Scale};
use crate::meter::{Figure, Figures};
use crate::options::Options;
use crate::{allocations, system};

/// The first argument of a child.
pub(crate) const CHILD: &str = "--child";

const TIME: &str = "time";
const COUNT: &str = "count";
const UNAVAILABLE: &str = "unavailable ";

/// How long one case may take; each is a matter of seconds.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs every case of `group` once in each round, and once more where allocations are counted.
///
/// A case that fails is not tried again.
pub(crate) fn run(group: &'static Group, options: &Options) -> io::Result<Vec<Row>> {
    let program = env::current_exe()?;
    let cases = (group.cases)(options.scale);
    let mut rows: Vec<Row> = cases.iter().map(Row::new).collect();
    for round in 0..options.rounds {
        eprintln!("{}: round {} of {}", group.name, round + 1, options.rounds);
        // Another case begins each round, so that none always follows a pause.
        let first = round * cases.len() / options.rounds;
        for place in 0..cases.len() {
            let index = (first + place) % cases.len();
            sample(&program, group, index, TIME, options.scale, &cases[index], &mut rows[index]);
        }
    }
    if group.columns.contains(&Figure::Allocations) {
        eprintln!("{}: counting allocations", group.name);
        for (index, (case, row)) in cases.iter().zip(&mut rows).enumerate() {
            sample(&program, group, index, COUNT, options.scale, case, row);
        }
    }
    Ok(rows)
}

/// The life of a child; `arguments` are those after [`CHILD`].
pub(crate) fn child(arguments: &[String]) -> ExitCode {
    let Some((case, mode)) = child_case(arguments) else {
        eprintln!("these are not the arguments of a child: {arguments:?}");
        return ExitCode::from(2);
    };
    let Work::Here(work) = &case.work else {
        eprintln!("{} is not run by this program", case.contender);
        return ExitCode::from(2);
    };
    // Before there are other threads: they inherit it.
    if case.one_cpu
        && let Err(lacking) = system::bind_to_one_cpu()
    {
        println!("{UNAVAILABLE}{lacking}");
        return ExitCode::SUCCESS;
    }
    if mode == COUNT {
        allocations::start();
    }
    let figures = work();
    print!("{}", figures.to_lines());
    ExitCode::SUCCESS
}

fn child_case(arguments: &[String]) -> Option<(Case, &str)> {
    let [group, index, mode, scale] = arguments else {
        return None;
    };
    let group = Group::named(group)?;
    let cases = (group.cases)(Scale::from_word(scale)?);
    let case = cases.into_iter().nth(index.parse().ok()?)?;
    Some((case, mode.as_str()))
}

fn sample(program: &Path, group: &Group, index: usize, mode: &str, scale: Scale, case: &Case, row: &mut Row) {
    if row.trouble.is_some() {
        return;
    }
    let mut command = match &case.work {
        Work::Here(_) => {
            let mut command = Command::new(program);
            command.args([CHILD, group.name, &index.to_string(), mode, scale.word()]);
            command
        }
        Work::Python(arguments) => {
            let mut command = Command::new("python3");
            command.arg(script()).args(arguments);
            command
        }
    };
    match answer(&mut command) {
        Ok(figures) => row.add(&figures),
        Err(trouble) => {
            eprintln!("{}: {}, {}: {trouble}", group.name, case.contender, case.setting);
            row.trouble = Some(trouble);
        }
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").join("cpython.py")
}

/// Runs a child to its end and reads its figures.
fn answer(command: &mut Command) -> Result<Figures, Trouble> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let program = command.get_program().to_string_lossy().into_owned();
            return Err(Trouble::Unavailable(format!("{program} is not on PATH")));
        }
        Err(error) => return Err(Trouble::Failed(format!("did not start: {error}"))),
    };
    let Some(mut stdout) = child.stdout.take() else {
        unreachable!("its output was asked for");
    };
    let (told, hears) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.read_to_string(&mut text).map(|_| text);
        // Nobody listens any more if the child took too long.
        let _ = told.send(read);
    });
    // The output ends when the child does.
    let heard = hears.recv_timeout(LIMIT);
    if heard.is_err() {
        // It may have ended by itself meanwhile.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| Trouble::Failed(format!("was lost: {error}")))?;
    let _ = reader.join();
    let text = match heard {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => return Err(Trouble::Failed(format!("was not understood: {error}"))),
        Err(_) => return Err(Trouble::Failed(format!("was not done after {} s", LIMIT.as_secs()))),
    };
    if !status.success() {
        return Err(Trouble::Failed(format!("failed ({status})")));
    }
    if let Some(lacking) = text.strip_prefix(UNAVAILABLE) {
        return Err(Trouble::Unavailable(lacking.trim_end().to_owned()));
    }
    Figures::from_lines(&text).ok_or_else(|| Trouble::Failed("gave no figures".to_owned()))
}
