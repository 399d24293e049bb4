//! Which versions take part.

use super::{Program, Programs};

/// What a program says of its version; `None` if it is not installed.
#[must_use]
pub fn version(programs: &Programs, program: Program) -> Option<String> {
    let mut command = programs.start(program)?;
    let argument = if program == Program::Rclone { "version" } else { "--version" };
    let output = command.arg(argument).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(number(&text).unwrap_or("of unknown version").to_owned())
}

/// The first word that begins with a digit and has a dot.
fn number(text: &str) -> Option<&str> {
    let words = text.split(|character: char| character.is_whitespace() || character == ',');
    words
        .map(|word| word.strip_prefix('v').unwrap_or(word))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (text, version) in [
            ("curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1", Some("7.88.1")),
            ("GNU Wget2 1.99.1 - multithreaded downloader", Some("1.99.1")),
            ("aria2 version 1.36.0\nCopyright (C) 2006, 2019", Some("1.36.0")),
            ("rclone v1.60.1-DEV\n- os/version: debian 12.0", Some("1.60.1-DEV")),
            ("nothing", None),
        ] {
            assert_eq!(number(text), version, "{text}");
        }
    }
}
