//! The engine from its users' point of view: sessions against a scripted origin, judged by what is on disk,
//! what the events reported and what the origin received.

#[path = "../common/mod.rs"]
mod common;

mod batch;
mod breaks;
mod changes;
mod commands;
mod digests;
mod events;
mod existing;
mod expired;
mod faults;
mod feeds;
mod framing;
mod heads;
mod joins;
mod lengths;
mod listings;
mod lists;
mod lockouts;
mod losses;
mod max_size;
mod mirrors;
mod names;
mod optional;
mod pages;
mod partial;
mod profiles;
mod protocols;
mod providers;
mod quirks;
mod redirects;
mod refusals;
mod regressions;
mod resume;
mod secrets;
mod security;
mod segments;
mod server_digests;
mod sessions;
mod unasked_parts;
mod unknown_length;
mod whole;
