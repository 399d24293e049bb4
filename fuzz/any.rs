//! Each fuzzing body of the engine under libFuzzer; `TOWLINE_FUZZ_TARGET` says which one.
//!
//! ```text
//! mkdir -p fuzz/corpus/journal
//! TOWLINE_FUZZ_TARGET=journal cargo +nightly fuzz run any fuzz/corpus/journal -- -max_total_time=120
//! ```

#![no_main]

use std::env;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use towline_engine::fuzz::{Body, TARGETS};

static BODY: LazyLock<Body> = LazyLock::new(|| {
    let name = env::var("TOWLINE_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.into_iter().find(|(target, _)| *target == name);
    found.unwrap_or_else(|| panic!("{name:?} is none of {:?}", TARGETS.map(|(target, _)| target))).1
});

fuzz_target!(|bytes: &[u8]| {
    (*BODY)(bytes);
});
