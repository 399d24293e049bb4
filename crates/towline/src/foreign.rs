//! Options of curl, wget and aria2 that are called otherwise here, or that nobody needs: an error names what to write
//! instead. docs/coming-from.md has all of them.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// Options, and what stands for them here.
const MEANT: [(&[&str], &str); 16] = [
    (
        &["-O", "--remote-name", "--output-document"],
        "files get the names of their URLs or servers; -o chooses another one",
    ),
    (&["-L", "--location"], "redirects are followed"),
    (
        &["-C", "-c", "--continue", "--continue-at"],
        "what an earlier run has begun is resumed; --adopt goes on with a half file of another program, and --cookie-jar writes cookies",
    ),
    (&["-J", "--remote-header-name", "--content-disposition"], "the server's name counts where it gives one"),
    (&["-k", "--no-check-certificate", "--check-certificate"], "--insecure accepts any certificate"),
    (&["-s", "-S", "--silent"], "-q prints nothing but errors"),
    (&["-f", "--fail"], "a status that is no success is an error, and stores nothing"),
    (&["-P", "--directory-prefix", "--output-dir"], "-d chooses the directory"),
    (
        &["-n", "-nc", "--no-clobber"],
        "files that are there are left alone; --skip-existing counts them as done, and --netrc reads names and passwords",
    ),
    (
        &["-N", "--timestamping", "-z", "--time-cond"],
        "--newer fetches only what was changed since; --remote-time keeps the server's time",
    ),
    (&["-r", "--recursive", "-m"], "--recursive-index lists index pages; pages and their links are not fetched"),
    (&["--accept", "-R", "--reject"], "--include and --exclude choose files by patterns"),
    (&["--retry", "--tries", "-t", "--max-tries"], "--retries says how often"),
    (&["--create-dirs", "--parents"], "directories are made"),
    (&["-Z", "--parallel", "--split"], "files are fetched at once (-j), and large ones in pieces (-x)"),
    (&["-b", "--load-cookies", "--cookie"], "--cookies reads a file of cookies; -H 'Cookie: NAME=VALUE' sends one"),
];

/// Puts what is meant in the place of guesses about an option of another program.
pub(crate) fn explained(mut error: Error) -> Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else { return error };
    let Some((_, meant)) = MEANT.iter().find(|(names, _)| names.contains(&given.as_str())) else { return error };
    error.remove(ContextKind::SuggestedArg);
    error.remove(ContextKind::TrailingArg);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(*meant)]));
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::command;

    #[test]
    fn options_of_others_are_explained_by_options_that_there_are() {
        for (names, meant) in MEANT {
            for name in names {
                let error = command().try_get_matches_from(["towline", "get", name, "http://h/"]).unwrap_err();
                let text = explained(error).to_string();
                assert!(text.contains(meant), "{name}: {text}");
            }
            let command = command();
            let get = command.find_subcommand("get").unwrap();
            for word in meant.split([' ', ',', ';', '(', ')']).filter(|word| word.starts_with('-')) {
                let is_of = |arg: &clap::Arg| {
                    let short = arg.get_short().map(|short| format!("-{short}"));
                    let long = arg.get_long().map(|long| format!("--{long}"));
                    short.as_deref() == Some(word) || long.as_deref() == Some(word)
                };
                assert!(get.get_arguments().any(is_of), "{word}");
            }
        }
    }
}
