//! A small batch: twenty files that are stored whole and one with a journal. Its ledger is on this machine's
//! file system, which we cannot break; its files may be elsewhere.

use std::time::Duration;

use towline_engine::feed::{Batch, ListSource, ledger_status};
use towline_engine::options::Durability;
use towline_origin::{Fault as Trouble, Origin, Resource};
use towline_testkit::content;

use super::storage::TestStorage;
use super::{Expected, ExpectedFile, Run, options, run};

/// The number of files.
pub(crate) const FILES: u64 = SMALL_FILES + 1;

const LIST: &str = "list.txt";
const SMALL_FILES: u64 = 20;
const SMALL_BYTES: u64 = 3000;
const SMALL_SEED: u64 = 300;
const LARGE_BYTES: u64 = 100_000;
const LARGE_SEED: u64 = 299;
const RATE_BPS: u64 = 4_000_000;

/// An origin with the files, and a list of them.
pub(crate) fn serve() -> (Origin, String) {
    let large = Resource::new("/large.bin", LARGE_SEED, LARGE_BYTES).fault(Trouble::RatePerConnection(RATE_BPS));
    let origin =
        Origin::builder().files("/many/{}.bin", SMALL_FILES, SMALL_BYTES, SMALL_SEED).resource(large).start().unwrap();
    let mut list = origin.url("/large.bin") + "\n";
    for number in 0..SMALL_FILES {
        list += &origin.url(&format!("/many/{number}.bin"));
        list += "\n";
    }
    (origin, list)
}

/// A directory for the batch, with its list beside it.
pub(crate) struct Place(towline_testkit::Place);

impl Place {
    pub(crate) fn new(list: &str) -> Self {
        let place = towline_testkit::Place::new("downloads");
        place.write(LIST, list);
        Self(place)
    }

    /// An in-memory disk under the same name.
    pub(crate) fn storage(&self) -> TestStorage {
        TestStorage::new(&self.0.dir())
    }

    /// The expected result.
    pub(crate) fn expected(&self) -> Expected {
        let file = |name: String, seed, size| ExpectedFile {
            path: self.0.file(&name),
            content: content(seed, size),
            old: None,
        };
        let small = (0..SMALL_FILES).map(|number| file(format!("{number}.bin"), SMALL_SEED + number, SMALL_BYTES));
        let large = file("large.bin".to_owned(), LARGE_SEED, LARGE_BYTES);
        Expected::new(small.chain([large]).collect())
    }

    /// Runs the command once, as a user would; without a storage, on this machine's file system.
    pub(crate) fn run(&self, storage: Option<&TestStorage>) -> Result<Run, String> {
        let mut options = options(&self.0.dir());
        options.jobs = 8;
        options.save_interval = Duration::from_millis(5);
        // This machine will not lose power.
        options.durability = if storage.is_some() { Durability::Full } else { Durability::Process };
        let batch = Batch::open(ListSource::File(self.0.beside(LIST)), &self.0.dir(), false, false)
            .map_err(|error| format!("the batch cannot be opened: {error}"))?;
        run(storage, options, Some(batch), Vec::new())
    }

    /// How many files the ledger considers done.
    pub(crate) fn done_in_ledger(&self) -> u64 {
        ledger_status(&self.0.dir()).unwrap().map_or(0, |status| status.done)
    }
}
