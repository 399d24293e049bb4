//! Keys while bars are drawn: pause, more or fewer connections, a limit, the end. A thread of its own reads them; what a
//! key means is decided by [`Keyboard`], which is pure.
//!
//! The terminal is set to pass on each key at once and to show none. It gets its settings back when the run ends or is
//! interrupted (Ctrl-C, Ctrl-\\), and while it is stopped (Ctrl-Z).

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpgrp, getpid, kill_process};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::low_level::emulate_default_handler;
use towline_engine::SessionHandle;
use towline_threads::thread::{Builder, JoinHandle};

use crate::screen::canvas::Canvas;
use crate::{screen::text, values};

/// How often to look whether the run has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The longest limit that can be typed.
const TYPED_MAX: usize = 16;
const HELP: &str = "p pause   + - connections   l limit   q quit   ? close";

/// The thread that reads keys.
pub(crate) struct Keys {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keys {
    /// Reads keys from standard input, if that is a terminal in which the program runs in the foreground.
    pub(crate) fn start(session: SessionHandle, canvas: Arc<Canvas>, connections: Option<usize>) -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let ends = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&ends)).ok()?;
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let (is_restored, quits) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        if !is_ignored(SIGQUIT) {
            // Until the terminal has its settings back, it only ends the thread.
            signal_hook::flag::register_conditional_default(SIGQUIT, Arc::clone(&is_restored)).ok()?;
            signal_hook::flag::register(SIGQUIT, Arc::clone(&quits)).ok()?;
        }
        let stops = Arc::new(AtomicBool::new(false));
        // Without job control, nobody would let it go on.
        if !is_ignored(SIGTSTP) {
            signal_hook::flag::register(SIGTSTP, Arc::clone(&stops)).ok()?;
        }
        let is_ended = Arc::clone(&is_over);
        let mut reader = Reader { session, canvas, keyboard: Keyboard::new(connections), before, is_set: false };
        let run = move || {
            is_restored.store(false, Ordering::Release);
            let is_set = |flag: &AtomicBool| flag.load(Ordering::Acquire);
            while !is_set(&is_ended) && !is_set(&ends) && !is_set(&quits) {
                if stops.swap(false, Ordering::AcqRel) {
                    reader.stop();
                }
                reader.look();
            }
            reader.restore();
            is_restored.store(true, Ordering::Release);
            if is_set(&quits) {
                let _ = emulate_default_handler(SIGQUIT);
            }
        };
        let thread = Builder::new().name("keys").daemon(true).spawn(run).ok()?;
        Some(Self { is_over, thread: Some(thread) })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whether the process ignores a signal, as its parent may have it.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & 1 << (signal - 1) != 0
}

struct Reader {
    session: SessionHandle,
    canvas: Arc<Canvas>,
    keyboard: Keyboard,
    /// The terminal's settings as they were.
    before: Termios,
    is_set: bool,
}

impl Reader {
    /// Waits a moment for keys. In the background, none are read: that would stop the program.
    fn look(&mut self) {
        let is_ours = tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp());
        if !is_ours {
            self.is_set = false;
            return std::thread::sleep(LOOK_EVERY);
        }
        self.set();
        if !self.is_as_set() {
            // Another program has the keyboard, such as one that asks for a password.
            return std::thread::sleep(LOOK_EVERY);
        }
        let stdin = io::stdin();
        let mut waiting = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
        let timeout = Timespec { tv_sec: 0, tv_nsec: LOOK_EVERY.as_nanos() as i64 };
        if !poll(&mut waiting, Some(&timeout)).is_ok_and(|ready| ready > 0) {
            return;
        }
        let mut bytes = [0; 64];
        match rustix::io::read(&stdin, &mut bytes) {
            // Nobody will press a key any more.
            Ok(0) | Err(rustix::io::Errno::IO) => std::thread::sleep(LOOK_EVERY),
            Ok(count) => self.take(&String::from_utf8_lossy(&bytes[..count])),
            Err(_) => {}
        }
    }

    fn take(&mut self, text: &str) {
        // The arrows and their like are sequences; none of them is meant.
        if text.starts_with('\u{1b}') && text.len() > 1 {
            return;
        }
        for key in text.chars() {
            let session = &self.session;
            let actions = self.keyboard.press(key, || connections(session));
            for action in actions {
                self.act(action);
            }
        }
        self.canvas.hint(self.keyboard.hint());
    }

    fn act(&self, action: Action) {
        match action {
            Action::Pause => self.session.pause_all(),
            Action::Resume => self.session.resume_all(),
            Action::Connections(connections) => self.session.set_connections(connections),
            Action::Limit(bps) => self.session.set_limit_rate(bps),
            Action::Quit => {
                let _ = kill_process(getpid(), Signal::INT);
            }
        }
    }

    fn set(&mut self) {
        if self.is_set {
            return;
        }
        let mut settings = self.before.clone();
        // Ctrl-C and Ctrl-Z stay signals.
        settings.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        self.is_set = tcsetattr(io::stdin(), OptionalActions::Now, &settings).is_ok();
    }

    /// Whether the terminal is still as it was set here.
    fn is_as_set(&self) -> bool {
        let modes = LocalModes::ICANON | LocalModes::ECHO;
        self.is_set
            && tcgetattr(io::stdin())
                .is_ok_and(|now| !now.local_modes.intersects(modes) && is_alike(&now, &self.before))
    }

    fn restore(&mut self) {
        let is_as_set = self.is_as_set();
        if std::mem::replace(&mut self.is_set, false) && is_as_set {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
        }
    }

    /// Stops the program, as Ctrl-Z asks for, with the terminal as it was.
    fn stop(&mut self) {
        self.restore();
        let _ = emulate_default_handler(SIGTSTP);
    }
}

/// Whether two settings differ in nothing but what is set here.
fn is_alike(now: &Termios, before: &Termios) -> bool {
    let ours = LocalModes::ICANON | LocalModes::ECHO;
    now.input_modes == before.input_modes
        && now.output_modes == before.output_modes
        && now.local_modes - ours == before.local_modes - ours
}

/// The most connections that a file has now.
fn connections(session: &SessionHandle) -> usize {
    let progress = session.snapshot().unwrap_or_default();
    progress.files.iter().map(|file| file.connections as usize).max().unwrap_or(1).max(1)
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Pause,
    Resume,
    Connections(usize),
    Limit(Option<u64>),
    Quit,
}

/// What the keys mean.
#[derive(Debug, Default)]
struct Keyboard {
    connections: Option<usize>,
    is_paused: bool,
    is_helping: bool,
    /// A limit that is being typed.
    typed: Option<String>,
    /// What the last key has changed.
    told: Option<String>,
}

impl Keyboard {
    fn new(connections: Option<usize>) -> Self {
        Self { connections, ..Self::default() }
    }

    /// Takes a key; `now` tells how many connections a file has.
    fn press(&mut self, key: char, now: impl FnOnce() -> usize) -> Vec<Action> {
        if let Some(typed) = &mut self.typed {
            match key {
                '\n' | '\r' => return self.limit(),
                '\u{1b}' => self.typed = None,
                '\u{7f}' | '\u{8}' => drop(typed.pop()),
                key if key.is_ascii_graphic() && typed.len() < TYPED_MAX => typed.push(key),
                _ => {}
            }
            return Vec::new();
        }
        self.told = None;
        match key {
            'p' | ' ' => {
                self.is_paused = !self.is_paused;
                vec![if self.is_paused { Action::Pause } else { Action::Resume }]
            }
            '+' | '=' => self.change_connections(now, |count| count + 1),
            '-' => self.change_connections(now, |count| count.saturating_sub(1).max(1)),
            'l' => {
                self.typed = Some(String::new());
                Vec::new()
            }
            'q' => vec![Action::Quit],
            '?' | 'h' => {
                self.is_helping = !self.is_helping;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn change_connections(&mut self, now: impl FnOnce() -> usize, change: fn(usize) -> usize) -> Vec<Action> {
        let count = change(self.connections.unwrap_or_else(now));
        self.connections = Some(count);
        let connections = if count == 1 { "connection" } else { "connections" };
        self.told = Some(format!("up to {count} {connections} per file"));
        vec![Action::Connections(count)]
    }

    /// A limit was typed; an empty one means none.
    fn limit(&mut self) -> Vec<Action> {
        let typed = self.typed.take().unwrap_or_default();
        if typed.is_empty() {
            self.told = Some("no limit".to_owned());
            return vec![Action::Limit(None)];
        }
        match values::rate(&typed) {
            Ok(bps) => {
                self.told = Some(format!("limited to {}", text::rate(bps)));
                vec![Action::Limit(Some(bps))]
            }
            Err(_) => {
                self.told = Some(format!("{typed} is no rate; such as 500k or 2M"));
                Vec::new()
            }
        }
    }

    /// The line below the progress.
    fn hint(&self) -> Option<String> {
        let words = if let Some(typed) = &self.typed {
            Some(format!("limit, such as 2M (empty: none): {typed}_"))
        } else if self.is_helping {
            Some(HELP.to_owned())
        } else {
            self.told.clone()
        };
        match (self.is_paused, words) {
            (true, Some(words)) => Some(format!("paused; {words}")),
            (true, None) => Some("paused; p resumes".to_owned()),
            (false, words) => words,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(keyboard: &mut Keyboard, keys: &str) -> Vec<Action> {
        keys.chars().flat_map(|key| keyboard.press(key, || 4)).collect()
    }

    #[test]
    fn keys_do_what_the_help_says() {
        let mut keyboard = Keyboard::new(None);
        assert_eq!(pressed(&mut keyboard, "?"), []);
        assert_eq!(keyboard.hint().as_deref(), Some(HELP));
        assert_eq!(pressed(&mut keyboard, "?x\t"), []);
        assert_eq!(keyboard.hint(), None);
        assert_eq!(pressed(&mut keyboard, "p"), [Action::Pause]);
        assert_eq!(keyboard.hint().as_deref(), Some("paused; p resumes"));
        assert_eq!(pressed(&mut keyboard, "pq"), [Action::Resume, Action::Quit]);
    }

    #[test]
    fn connections_are_counted_from_those_that_there_are() {
        let mut keyboard = Keyboard::new(None);
        assert_eq!(pressed(&mut keyboard, "+"), [Action::Connections(5)]);
        assert_eq!(keyboard.hint().as_deref(), Some("up to 5 connections per file"));
        assert_eq!(pressed(&mut keyboard, "-------"), [4, 3, 2, 1, 1, 1, 1].map(Action::Connections));
        assert_eq!(pressed(&mut Keyboard::new(Some(16)), "+"), [Action::Connections(17)]);
    }

    #[test]
    fn a_limit_is_typed() {
        let mut keyboard = Keyboard::new(None);
        assert_eq!(pressed(&mut keyboard, "l2x\u{7f}Mp"), []);
        assert_eq!(keyboard.hint().as_deref(), Some("limit, such as 2M (empty: none): 2Mp_"));
        assert_eq!(pressed(&mut keyboard, "\u{8}\n"), [Action::Limit(Some(2 << 20))]);
        assert_eq!(keyboard.hint().as_deref(), Some("limited to 2.00 MiB/s"));
        assert_eq!(pressed(&mut keyboard, "l\r"), [Action::Limit(None)]);
        assert_eq!(pressed(&mut keyboard, "lfast\n"), []);
        assert_eq!(keyboard.hint().as_deref(), Some("fast is no rate; such as 500k or 2M"));
        assert_eq!(pressed(&mut keyboard, "l9\u{1b}"), []);
        assert_eq!(keyboard.hint(), None);
    }
}
