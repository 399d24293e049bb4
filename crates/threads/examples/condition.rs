//! Threads that take turns: each waits until what it needs has become true.
//!
//! From the chapter that lists the tools for keeping threads in step, which names the condition and
//! leaves the example to the reader. Three players pass a ball round. Whoever has thrown it notifies
//! all, and only the one whose turn it is goes on.
//!
//! `cargo run -p towline-threads --example condition`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use towline_threads::deadlock::Deadlock;
use towline_threads::sync::{Condition, Lock};
use towline_threads::thread;

const PLAYERS: [&str; 3] = ["Ada", "Grace", "Barbara"];
const ROUNDS: u32 = 3;

struct Game {
    /// Whose turn it is.
    turn: Lock<usize>,
    thrown: Condition,
}

fn main() -> Result<(), Box<dyn Error>> {
    let game = Arc::new(Game { turn: Lock::new(0), thrown: Condition::new() });
    let mut threads = Vec::new();
    for player in 0..PLAYERS.len() {
        let game = Arc::clone(&game);
        threads.push(thread::spawn(move || play(&game, player)));
    }
    for thread in threads {
        thread.join()??;
    }

    // A fourth player would wait for ever; with a timeout it learns that nothing came.
    let mut turn = game.turn.acquire()?;
    let came = game.thrown.wait_for_timeout(&mut turn, Duration::from_millis(5), |turn| *turn == PLAYERS.len());
    println!("a ball for a fourth player: {came}");
    Ok(())
}

fn play(game: &Game, player: usize) -> Result<(), Deadlock> {
    for round in 1..=ROUNDS {
        let mut turn = game.turn.acquire()?;
        // Lets go of the lock while it waits, and has it again afterwards.
        game.thrown.wait_for(&mut turn, |turn| *turn == player);
        println!("round {round}: {} throws", PLAYERS[player]);
        *turn = (player + 1) % PLAYERS.len();
        game.thrown.notify_all();
    }
    Ok(())
}
