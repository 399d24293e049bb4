//! Names from outside are made safe last, after all decoding: one component, nothing hidden,
//! nothing reserved, room for our suffixes. Names that the user gave are checked, not changed.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use unicode_normalization::UnicodeNormalization;
use url::Url;

use super::{BATCH_DIRECTORY, JOURNAL_SUFFIX, PART_SUFFIX};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::is_unprintable;

/// Names are at most so long: 255, less our longest suffix and that of a temporary file.
pub(crate) const NAME_BYTES_MAX: usize = 241;
/// An extension up to this length survives when a name is cut.
const EXTENSION_BYTES_MAX: usize = 16;
/// The name of a file that has none.
const NAMELESS: &str = "index";

/// Names that are devices somewhere, with whatever extension.
const DEVICES: [&str; 22] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "lpt1",
    "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

/// The last part of a URL's path, percent-decoded; it must still be made safe.
pub(crate) fn from_url(url: &Url) -> String {
    let last = url.path_segments().and_then(|segments| segments.filter(|segment| !segment.is_empty()).next_back());
    match last {
        Some(segment) => percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned(),
        None => NAMELESS.to_owned(),
    }
}

/// A name that a server or a URL gave, as one harmless file name of at most 241 bytes.
pub(crate) fn make_safe(name: &str) -> String {
    let mut safe: String = name
        .chars()
        .filter(|char| !is_unprintable(*char))
        .map(|char| if matches!(char, '/' | '\\' | ':') { '_' } else { char })
        .collect();
    if safe.chars().all(|char| matches!(char, '.' | ' ' | '_')) {
        return NAMELESS.to_owned();
    }
    if safe.starts_with('.') {
        safe.replace_range(..1, "_");
    }
    loop {
        safe.truncate(safe.trim_end_matches(['.', ' ']).len());
        let stem = safe.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
        if DEVICES.contains(&stem.as_str()) {
            safe.insert(0, '_');
        }
        if has_our_suffix(&safe) {
            safe.push('_');
        }
        if safe.len() <= NAME_BYTES_MAX {
            return safe;
        }
        safe = cut(&safe, NAME_BYTES_MAX - 1);
    }
}

/// `a.iso` → `a.3.iso`.
pub(crate) fn numbered(name: &str, number: u32) -> String {
    let (stem, extension) = split_extension(name);
    let ending = format!(".{number}{extension}");
    let room = NAME_BYTES_MAX.saturating_sub(ending.len());
    format!("{}{ending}", &stem[..floor_boundary(stem, room)])
}

/// Equal for names that some file systems take for the same.
pub(crate) fn fold_key(path: &Path) -> String {
    path.to_string_lossy().nfkc().flat_map(char::to_lowercase).nfkc().collect()
}

/// An output in a list: it may have directories, and never leaves the batch's own.
pub(crate) fn check_output(output: &Path) -> Result<PathBuf> {
    let wrong = |why: &str| Err(Error::new(ErrorKind::Usage, format!("the output cannot be used: {why}")).with_path(output));
    let mut clean = PathBuf::new();
    for component in output.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) if name == OsStr::new(BATCH_DIRECTORY) => {
                return wrong("this directory is kept for the ledger");
            }
            Component::Normal(name) if name.len() > 255 => return wrong("a part of it is longer than 255 bytes"),
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => return wrong("it has .. in it"),
            Component::RootDir | Component::Prefix(_) => return wrong("it is not relative"),
        }
    }
    check_file_name(&clean)?;
    Ok(clean)
}

/// An output that the user gave for one file: where it lies is the user's business.
pub(crate) fn check_user_output(output: &Path) -> Result<PathBuf> {
    check_file_name(output)?;
    Ok(output.to_owned())
}

fn check_file_name(path: &Path) -> Result<()> {
    let wrong = |why: String| Err(Error::new(ErrorKind::Usage, format!("the output cannot be used: {why}")).with_path(path));
    let ends_in_separator = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let Some(name) = path.file_name().filter(|_| !ends_in_separator) else {
        return wrong("it names no file".to_owned());
    };
    if name.len() > NAME_BYTES_MAX {
        return wrong(format!("the name is longer than {NAME_BYTES_MAX} bytes, which leaves no room for suffixes"));
    }
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return wrong("it has a NUL in it".to_owned());
    }
    if has_our_suffix(&name.to_string_lossy()) {
        return wrong(format!("names that end in {PART_SUFFIX} or {JOURNAL_SUFFIX} are those of unfinished files"));
    }
    Ok(())
}

fn has_our_suffix(name: &str) -> bool {
    let lower = name.to_lowercase();
    lower.ends_with(PART_SUFFIX) || lower.ends_with(JOURNAL_SUFFIX) || lower == BATCH_DIRECTORY
}

/// Cuts a name to `bytes`, at a character, keeping its extension.
fn cut(name: &str, bytes: usize) -> String {
    let (stem, extension) = split_extension(name);
    let room = bytes.saturating_sub(extension.len());
    format!("{}{extension}", &stem[..floor_boundary(stem, room)])
}

/// The extension with its dot, if it is one.
fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= EXTENSION_BYTES_MAX => name.split_at(at),
        _ => (name, ""),
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_names_become_harmless() {
        let cases = [
            ("../../etc/passwd", "_._.._etc_passwd"),
            ("/etc/x", "_etc_x"),
            ("C:\\x", "C__x"),
            ("con", "_con"),
            ("NUL.txt", "_NUL.txt"),
            (".bashrc", "_bashrc"),
            ("a\u{202e}gpj.exe", "agpj.exe"),
            ("a\0b\n", "ab"),
            ("..", "index"),
            ("", "index"),
            ("a. ", "a"),
            ("a.part", "a.part_"),
            ("a.part.json", "a.part.json_"),
            (".towline", "_towline"),
            ("na\u{ef}ve.txt", "na\u{ef}ve.txt"),
        ];
        for (name, expected) in cases {
            assert_eq!(make_safe(name), expected, "{name:?}");
        }
        let long = make_safe(&format!("{}.iso", "\u{e4}".repeat(400)));
        assert!(long.len() <= NAME_BYTES_MAX && long.ends_with(".iso"));
    }

    #[test]
    fn names_come_from_the_end_of_the_path() {
        let cases = [
            ("https://h/a/b.iso?x=1", "b.iso"),
            ("https://h/a/", "a"),
            ("https://h/", "index"),
            ("https://h/a%20b%2Fc", "a b/c"),
        ];
        for (url, expected) in cases {
            assert_eq!(from_url(&url.parse().unwrap()), expected);
        }
    }

    #[test]
    fn outputs_of_a_list_stay_below_their_directory() {
        assert_eq!(check_output(Path::new("./a/./b.bin")).unwrap(), Path::new("a/b.bin"));
        assert_eq!(check_output(Path::new(".hidden")).unwrap(), Path::new(".hidden"));
        for wrong in ["", ".", "..", "a/../b", "/a", "a.part", "a/b.part.json", ".towline/x", "a\0b"] {
            assert_eq!(check_output(Path::new(wrong)).unwrap_err().kind(), ErrorKind::Usage, "{wrong:?}");
        }
        assert!(check_user_output(Path::new("/abs/a.bin")).is_ok());
        assert!(check_user_output(Path::new("dir/")).is_err());
    }

    #[test]
    fn numbers_go_before_the_extension() {
        assert_eq!(numbered("a.iso", 1), "a.1.iso");
        assert_eq!(numbered("README", 2), "README.2");
        assert_eq!(numbered(&"x".repeat(300), 12).len(), NAME_BYTES_MAX);
    }

    #[test]
    fn names_that_differ_in_case_or_composition_have_one_key() {
        assert_eq!(fold_key(Path::new("\u{c4}.TXT")), fold_key(Path::new("a\u{308}.txt")));
        assert_ne!(fold_key(Path::new("a")), fold_key(Path::new("b")));
    }

    proptest! {
        #[test]
        fn a_safe_name_is_one_component_and_stays_as_it_is(name in "\\PC{0,300}|[./\\\\ :a-z]{0,40}|(con|nul)[. ]{0,3}(part)?") {
            let safe = make_safe(&name);
            prop_assert!(safe.len() <= NAME_BYTES_MAX && !safe.is_empty());
            let components: Vec<_> = Path::new(&safe).components().collect();
            prop_assert!(matches!(components[..], [Component::Normal(_)]), "{:?}", safe);
            prop_assert!(!safe.starts_with('.') && !has_our_suffix(&safe));
            prop_assert_eq!(make_safe(&safe), safe.clone());
            prop_assert_eq!(check_output(Path::new(&safe)).unwrap(), Path::new(&safe));
        }
    }
}
