//! Four threads write into one file: first each as it likes, then each a whole page at a time.
//!
//! From the chapter on keeping threads in step: four threads append their text to a file, at first
//! without a lock, then with a lock that its owner may take again. Here the page takes the lock,
//! and each of its lines takes it once more. Whose page is first is up to the system either way.
//!
//! `cargo run -p towline-threads --example four_threads_one_file`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use towline_threads::sync::RLock;
use towline_threads::thread;

const LINES: u32 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("four_threads_one_file-{}.txt", std::process::id()));
    let outcome = compare(&path);
    fs::remove_file(&path)?;
    outcome
}

fn compare(path: &Path) -> Result<(), Box<dyn Error>> {
    File::create(path)?;
    let shared = path.to_owned();
    four_threads(move |author| page_without_lock(&shared, author))?;
    let text = fs::read_to_string(path)?;
    println!("without a lock: {} lines, the author changes {} times", text.lines().count(), changes(&text));

    let book = Book { file: RLock::new(File::create(path)?) };
    four_threads(move |author| book.page(author))?;
    let text = fs::read_to_string(path)?;
    println!("with an RLock: {} lines, the author changes {} times", text.lines().count(), changes(&text));
    print!("{text}");
    Ok(())
}

fn four_threads<F>(write: F) -> Result<(), Box<dyn Error>>
where
    F: Fn(u32) -> io::Result<()> + Send + Sync + 'static,
{
    let write = Arc::new(write);
    let mut threads = Vec::new();
    for author in 1..=4 {
        let write = Arc::clone(&write);
        threads.push(thread::spawn(move || write(author)));
    }
    for thread in threads {
        thread.join()??;
    }
    Ok(())
}

fn page_without_lock(path: &Path, author: u32) -> io::Result<()> {
    for line in 1..=LINES {
        let mut file = OpenOptions::new().append(true).open(path)?;
        file.write_all(format!("thread {author}, line {line}\n").as_bytes())?;
        // Any other thread may come in between.
        std::thread::yield_now();
    }
    Ok(())
}

struct Book {
    file: RLock<File>,
}

impl Book {
    fn page(&self, author: u32) -> io::Result<()> {
        let _whole_page = self.file.acquire().map_err(io::Error::other)?;
        for line in 1..=LINES {
            self.line(author, line)?;
            std::thread::yield_now();
        }
        Ok(())
    }

    fn line(&self, author: u32, line: u32) -> io::Result<()> {
        let file = self.file.acquire().map_err(io::Error::other)?;
        writeln!(&*file, "thread {author}, line {line}")
    }
}

/// How often a line is by another author than the one before it.
fn changes(text: &str) -> usize {
    let authors: Vec<&str> = text.lines().filter_map(|line| line.split(',').next()).collect();
    authors.windows(2).filter(|pair| pair[0] != pair[1]).count()
}
