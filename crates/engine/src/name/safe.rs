//! Makes untrusted names safe as the last step, after all decoding: one component, not hidden, not reserved,
//! with room for our suffixes. Names from the user are checked, not changed.

use std::path::{Component, Path, PathBuf};

use unicode_normalization::UnicodeNormalization;
use url::Url;

use super::ours::{BATCH_DIRECTORY, JOURNAL_SUFFIX, OUR_SUFFIXES, PART_SUFFIX};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::{is_unprintable, userinfo_len};

/// The length limit of names: 255, minus the longest suffix that every file gets, that of a journal being
/// written.
pub(crate) const NAME_BYTES_MAX: usize = 238;
/// The most directories of a URL that are kept.
const DIRS_MAX: usize = 64;
/// Extensions up to this length survive when a name is cut.
const EXTENSION_BYTES_MAX: usize = 16;
/// The name of a file without one.
const NAMELESS: &str = "index";

/// Names that are devices on some systems, with any extension.
const DEVICES: [&str; 22] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "lpt1", "lpt2",
    "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

/// The last part of a URL's path, percent-decoded; it must still be made safe.
pub(crate) fn from_url(url: &Url) -> String {
    let mut segments = url.path_segments().into_iter().flatten().filter(|segment| !segment.is_empty()).rev();
    match segments.next() {
        // Credentials of a URL inside the path are secret.
        Some(segment) if userinfo_len(segments.next().unwrap_or_default(), segment) > 0 => {
            segment.rsplit_once('@').map_or(segment, |(_, host)| host).to_owned()
        }
        // `;name=value` is a path parameter, often a secret, and not part of the name.
        Some(segment) => {
            let plain = segment.split_once(';').filter(|(name, rest)| !name.is_empty() && rest.contains('='));
            let name = plain.map_or(segment, |(name, _)| name);
            percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned()
        }
        None => NAMELESS.to_owned(),
    }
}

/// The directories of a URL's path as names, without the first `cut`.
pub(crate) fn dirs_of_url(url: &Url, cut: usize) -> Vec<String> {
    let mut segments: Vec<&str> = url.path_segments().into_iter().flatten().collect();
    segments.pop();
    let decode = |segment: &str| percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned();
    segments.into_iter().filter(|segment| !segment.is_empty()).skip(cut).take(DIRS_MAX).map(decode).collect()
}

/// Turns a name from a server or a URL into one harmless file name of at most 238 bytes.
pub(crate) fn make_safe(name: &str) -> String {
    make_safe_within(name, NAME_BYTES_MAX)
}

/// The same, with at most `bytes_max` bytes.
pub(super) fn make_safe_within(name: &str, bytes_max: usize) -> String {
    if is_plain(name, bytes_max) {
        return name.to_owned();
    }
    let mut safe: String = name
        .chars()
        .map(|char| if char == '\t' { ' ' } else { char })
        .filter(|char| !is_unprintable(*char))
        .map(|char| if matches!(char, '/' | '\\' | ':') { '_' } else { char })
        .collect();
    // Repeats until a round changes nothing, so making a safe name safe again is a no-op. The loop ends: trims
    // and cuts shorten the name. A `_` is prepended at most once, because no rule prepends one to another and
    // cuts keep the start. A `_` is appended at most once, because it is never trimmed and a later cut keeps it
    // as the end of a short extension.
    loop {
        let mended = mended(&safe, bytes_max);
        if mended == safe {
            return safe;
        }
        safe = mended;
    }
}

/// Quick check for a name that is safe as it is, as most are.
fn is_plain(name: &str, bytes_max: usize) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    name.len() <= bytes_max
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && !name.ends_with('.')
        && name.as_bytes().iter().all(is_plain)
        && !is_device(name)
        && !has_our_suffix(name)
}

/// The name with its first problem fixed.
fn mended(name: &str, bytes_max: usize) -> String {
    let name = name.trim_end_matches(['.', ' ']);
    if name.chars().all(|char| matches!(char, '.' | ' ' | '_')) {
        return NAMELESS.to_owned();
    }
    // Neither hidden, nor an option of a program that gets it as an argument.
    if let Some(rest) = name.strip_prefix(['.', '-']) {
        return format!("_{rest}");
    }
    if is_device(name) {
        return format!("_{name}");
    }
    if name.len() > bytes_max {
        return cut(name, bytes_max - 1);
    }
    if has_our_suffix(name) {
        return format!("{name}_");
    }
    name.to_owned()
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    DEVICES.iter().any(|device| stem.eq_ignore_ascii_case(device))
}

/// `a.iso` → `a.3.iso`.
pub(super) fn numbered(base: &str, number: u32, bytes_max: usize) -> String {
    let (stem, extension) = split_extension(base);
    let ending = format!(".{number}{extension}");
    let room = bytes_max.saturating_sub(ending.len());
    let name = format!("{}{ending}", &stem[..floor_boundary(stem, room)]);
    // The cut may have removed what made it harmless (`con   …   x.iso`).
    if is_device(&name) && !is_device(base) { format!("_{}", cut(&name, bytes_max - 1)) } else { name }
}

/// Equal for names that some file systems treat as the same.
pub(crate) fn fold_key(path: &Path) -> String {
    if let Some(text) = path.to_str().filter(|text| text.is_ascii()) {
        return text.to_ascii_lowercase();
    }
    // Via upper case, which turns `ß` into `SS` and a final sigma into a sigma; the capital `ß` becomes `SS`
    // only if it is lower-cased first.
    let key: String = path
        .to_string_lossy()
        .nfkc()
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfkc()
        .filter(|char| !is_ignored(*char))
        .collect();
    if path.to_str().is_some() {
        return key;
    }
    // All bytes that are not UTF-8 became the same character; a NUL occurs in no other name.
    let bytes = path.as_os_str().as_encoded_bytes().to_ascii_lowercase();
    format!("{key}\0{}", bytes.escape_ascii())
}

/// Whether file systems that fold case pass a character over (Unicode, `Default_Ignorable_Code_Point`).
fn is_ignored(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Checks an output from a list: it may have directories, but never leaves the batch's own.
pub(crate) fn check_output(output: &Path) -> Result<PathBuf> {
    let wrong =
        |why: &str| Err(Error::new(ErrorKind::Usage, format!("the output cannot be used: {why}")).with_path(output));
    if names_directory(output) {
        return wrong("it names no file");
    }
    let mut clean = PathBuf::new();
    for component in output.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) if is_batch_directory(&name.to_string_lossy()) => {
                return wrong("this directory is kept for the ledger");
            }
            Component::Normal(name) if has_our_suffix(&name.to_string_lossy()) => {
                return wrong(&ours_alone());
            }
            Component::Normal(name) if name.to_string_lossy().chars().any(char::is_control) => {
                return wrong("it has a control character in it");
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

/// Checks an output that the user gave for one file: its location is the user's choice.
pub(crate) fn check_user_output(output: &Path) -> Result<PathBuf> {
    check_file_name(output)?;
    Ok(output.to_owned())
}

fn check_file_name(path: &Path) -> Result<()> {
    let wrong =
        |why: String| Err(Error::new(ErrorKind::Usage, format!("the output cannot be used: {why}")).with_path(path));
    let Some(name) = path.file_name().filter(|_| !names_directory(path)) else {
        return wrong("it names no file".to_owned());
    };
    if name.len() > NAME_BYTES_MAX {
        return wrong(format!("the name is longer than {NAME_BYTES_MAX} bytes, which leaves no room for suffixes"));
    }
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return wrong("it has a NUL in it".to_owned());
    }
    if path.iter().any(|part| is_batch_directory(&part.to_string_lossy())) {
        return wrong(format!("{BATCH_DIRECTORY} is where the ledger of a list is kept"));
    }
    if has_our_suffix(&name.to_string_lossy()) {
        return wrong(ours_alone());
    }
    Ok(())
}

fn ours_alone() -> String {
    format!("names that end in {PART_SUFFIX} or {JOURNAL_SUFFIX} are those of unfinished files")
}

/// `a/` and `a/.`, which `Path` treats like `a`.
fn names_directory(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.ends_with(b"/") || bytes.ends_with(b"/.")
}

/// A name as file systems read it that fold case, pass characters over, or drop dots and spaces at its end.
fn as_read(name: &str) -> String {
    fold_key(Path::new(name)).trim_end_matches(['.', ' ']).to_owned()
}

/// Whether a directory may be that of the ledger.
pub(crate) fn is_batch_directory(name: &str) -> bool {
    as_read(name) == BATCH_DIRECTORY
}

fn has_our_suffix(name: &str) -> bool {
    let lower = as_read(name);
    // Files set aside are numbered: `a.iso.towline.1`.
    let unnumbered = lower.trim_end_matches(|char: char| char.is_ascii_digit());
    let is_aside = unnumbered.len() < lower.len() && unnumbered.ends_with(&format!("{PART_SUFFIX}."));
    OUR_SUFFIXES.into_iter().any(|suffix| lower.ends_with(suffix)) || is_aside || lower == BATCH_DIRECTORY
}

/// Cuts a name to `bytes` at a character boundary, keeping its extension.
fn cut(name: &str, bytes: usize) -> String {
    let (stem, extension) = split_extension(name);
    let room = bytes.saturating_sub(extension.len());
    format!("{}{extension}", &stem[..floor_boundary(stem, room)])
}

/// The extension with its dot, if there is one.
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
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use proptest::prelude::*;

    use super::*;

    /// Anything, path lookalikes, devices, and runs of trimmed or meaningless characters, about as long as the
    /// length limit.
    const NAMES: &str = "\\PC{0,300}|[./\\\\ :a-z]{0,40}|(con|nul)[. ]{0,3}(towline)?|[ _.]{0,300}[a-z]{0,3}\
        |( {0,300}|_{0,300}|x{0,300})(a{0,4}|\\.towline(\\.(old|json|1))?(\\.json)?(\\.tmp)?)\
        |(con|[.]con|x)?( {225,300}|_{225,300}|[.]{225,300}|x{225,300})([.]towline|[.]towline[.]json|[a-z. _]{0,20})";

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
            ("a\tb", "a b"),
            ("..", "index"),
            ("", "index"),
            ("a. ", "a"),
            ("a.towline", "a.towline_"),
            ("a.towline.json", "a.towline.json_"),
            ("a.towline.12", "a.towline.12_"),
            ("a.part", "a.part"),
            ("a.towline.old", "a.towline.old_"),
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
    fn a_name_of_which_a_cut_leaves_nothing_is_nameless() {
        assert_eq!(make_safe(&format!("{}a", " ".repeat(300))), NAMELESS);
        assert_eq!(make_safe(&format!("{}aaa", "_".repeat(240))), NAMELESS);
        assert_eq!(make_safe(&format!("con{}a", " ".repeat(300))), "_con");
    }

    #[test]
    fn the_suffix_of_a_journal_being_written_is_ours() {
        assert!(has_our_suffix("a.towline.json.tmp") && has_our_suffix("A.TOWLINE.JSON.TMP"));
        assert!(!has_our_suffix("a.tmp") && !has_our_suffix("a.json.tmp"));
        assert!(check_user_output(Path::new("/abs/a.towline.json.tmp")).is_err());
        assert!(check_user_output(Path::new(".towline/ledger.sqlite.ok")).is_err());
        assert!(OUR_SUFFIXES.contains(&format!("{JOURNAL_SUFFIX}.tmp").as_str()));
        assert_eq!(OUR_SUFFIXES.map(str::len).into_iter().max(), Some(255 - NAME_BYTES_MAX));
    }

    #[test]
    fn names_come_from_the_end_of_the_path() {
        let cases = [
            ("https://h/a/b.iso?x=1", "b.iso"),
            ("https://h/a/", "a"),
            ("https://h/", "index"),
            ("https://h/a%20b%2Fc", "a b/c"),
            ("https://h/a.iso;token=SECRET", "a.iso"),
            ("https://h/a;b.iso", "a;b.iso"),
        ];
        for (url, expected) in cases {
            assert_eq!(from_url(&url.parse().unwrap()), expected);
        }
    }

    #[test]
    fn outputs_of_a_list_stay_below_their_directory() {
        assert_eq!(check_output(Path::new("./a/./b.bin")).unwrap(), Path::new("a/b.bin"));
        assert_eq!(check_output(Path::new(".hidden")).unwrap(), Path::new(".hidden"));
        for wrong in [
            "",
            ".",
            "..",
            "a/../b",
            "/a",
            "a.towline",
            "a/b.towline.json",
            ".towline/x",
            "a\0b",
            ".Towline./x",
            ".tow\u{ad}line /x",
            "a.towline/x",
            "a.towline.json.tmp/x",
        ] {
            assert_eq!(check_output(Path::new(wrong)).unwrap_err().kind(), ErrorKind::Usage, "{wrong:?}");
        }
        assert!(check_user_output(Path::new("/abs/a.bin")).is_ok());
        assert!(check_user_output(Path::new("dir/")).is_err());
    }

    #[test]
    fn an_output_that_names_a_directory_is_refused() {
        for wrong in ["a/", "a/b//", "a/.", "./"] {
            assert_eq!(check_output(Path::new(wrong)).unwrap_err().kind(), ErrorKind::Usage, "{wrong:?}");
            assert!(check_user_output(Path::new(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_directory_of_the_ledger_is_refused_whatever_its_case() {
        for wrong in [".TOWLINE/x", "a/.Towline/x", ".Towline"] {
            assert_eq!(check_output(Path::new(wrong)).unwrap_err().kind(), ErrorKind::Usage, "{wrong:?}");
        }
    }

    #[test]
    fn numbers_go_before_the_extension() {
        assert_eq!(numbered("a.iso", 1, NAME_BYTES_MAX), "a.1.iso");
        assert_eq!(numbered("README", 2, NAME_BYTES_MAX), "README.2");
        assert_eq!(numbered(&"x".repeat(300), 12, NAME_BYTES_MAX).len(), NAME_BYTES_MAX);
    }

    #[test]
    fn names_that_differ_in_case_or_composition_have_one_key() {
        assert_eq!(fold_key(Path::new("\u{c4}.TXT")), fold_key(Path::new("a\u{308}.txt")));
        assert_ne!(fold_key(Path::new("a")), fold_key(Path::new("b")));
    }

    #[test]
    fn a_sharp_s_and_a_final_sigma_are_folded() {
        for name in ["stra\u{df}e", "STRASSE", "STRA\u{1e9e}E"] {
            assert_eq!(fold_key(Path::new(name)), "strasse");
        }
        let (small, capital) = ("\u{3bf}\u{3b4}\u{3bf}\u{3c2}", "\u{39f}\u{394}\u{39f}\u{3a3}");
        assert_eq!(fold_key(Path::new(small)), fold_key(Path::new(capital)));
    }

    #[test]
    fn what_file_systems_pass_over_is_passed_over() {
        for name in ["so\u{ad}ft", "so\u{200d}ft", "soft\u{fe0f}", "so\u{e0001}FT"] {
            assert_eq!(fold_key(Path::new(name)), "soft", "{name:?}");
        }
    }

    #[test]
    fn names_that_are_not_utf_8_have_keys_of_their_own() {
        let key = |name: &[u8]| fold_key(Path::new(OsStr::from_bytes(name)));
        assert_ne!(key(b"a\xff"), key(b"a\xfe"));
        assert_ne!(key(b"a\xff"), key("a\u{fffd}".as_bytes()));
        assert_eq!(key(b"A\xff"), key(b"a\xff"));
    }

    proptest! {
        #[test]
        fn a_safe_name_is_one_component_and_stays_as_it_is(name in NAMES) {
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
