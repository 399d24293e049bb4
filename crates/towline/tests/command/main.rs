//! The command as its user meets it: the real binary against real servers and the scripted origin.

#[path = "../common/mod.rs"]
mod common;

mod adopt;
mod certificates;
mod config;
mod demo;
mod digests;
mod dry_run;
mod errors;
mod expired;
mod filesystems;
mod forms;
mod interrupts;
mod killed;
mod lists;
mod max_size;
mod mirrors;
mod newer;
mod nextcloud;
mod onedrive;
mod output;
mod proxies;
#[cfg(debug_assertions)]
mod races;
mod requests;
mod secrets;
mod security;
mod servers;
mod sites;
mod streams;
mod terminal;
mod texts;
mod transfer;
mod verify;
