//! A bank account whose methods call one another, each under the account's own lock.
//!
//! From the chapter on the re-entrant lock: a transfer holds the account's lock and then calls
//! `withdraw`, which takes the same lock again. Many transfers at once must not overdraw it.
//!
//! An `RLock` can be held several times at once, so it gives a shared reference: what is to change
//! inside is in a `Cell`.
//!
//! `cargo run -p towline-threads --example bank_account`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::cell::Cell;
use std::error::Error;
use std::sync::Arc;

use towline_threads::deadlock::Deadlock;
use towline_threads::sync::RLock;
use towline_threads::thread;

const TELLERS: usize = 4;
const TRIES: usize = 100;

struct BankAccount {
    balance: RLock<Cell<u32>>,
}

impl BankAccount {
    fn new(name: &'static str, balance: u32) -> Self {
        Self { balance: RLock::named(name, Cell::new(balance)) }
    }

    fn balance(&self) -> Result<u32, Deadlock> {
        Ok(self.balance.acquire()?.get())
    }

    fn deposit(&self, amount: u32) -> Result<(), Deadlock> {
        let balance = self.balance.acquire()?;
        balance.set(balance.get() + amount);
        Ok(())
    }

    /// False if there is not enough; the balance is unchanged then.
    fn withdraw(&self, amount: u32) -> Result<bool, Deadlock> {
        let balance = self.balance.acquire()?;
        let Some(rest) = balance.get().checked_sub(amount) else {
            return Ok(false);
        };
        balance.set(rest);
        Ok(true)
    }

    /// As one step: nobody else sees this account between the two halves.
    fn transfer(&self, amount: u32, other: &Self) -> Result<bool, Deadlock> {
        let _closed = self.balance.acquire()?;
        // The lock is held already; the same thread may take it again.
        let enough = self.withdraw(amount)?;
        if enough {
            other.deposit(amount)?;
        }
        Ok(enough)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let savings = Arc::new(BankAccount::new("savings", 250));
    let daily = Arc::new(BankAccount::new("daily", 0));

    let mut tellers = Vec::new();
    for _ in 0..TELLERS {
        let (savings, daily) = (Arc::clone(&savings), Arc::clone(&daily));
        tellers.push(thread::spawn(move || -> Result<usize, Deadlock> {
            let mut moved = 0;
            for _ in 0..TRIES {
                moved += usize::from(savings.transfer(1, &daily)?);
            }
            Ok(moved)
        }));
    }
    let mut moved = 0;
    for teller in tellers {
        moved += teller.join()??;
    }

    println!("{moved} of {} transfers went through", TELLERS * TRIES);
    println!("savings: {}, daily: {}", savings.balance()?, daily.balance()?);
    Ok(())
}
