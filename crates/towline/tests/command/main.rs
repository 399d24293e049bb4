//! The command as its user meets it: the real binary against real servers and the scripted origin.

#[path = "../common/mod.rs"]
mod common;

mod demo;
mod errors;
mod interrupts;
mod killed;
mod output;
mod proxies;
mod secrets;
mod servers;
mod terminal;
mod transfer;
