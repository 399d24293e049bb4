//! Makes text printable that is not a URL, or that comes from somebody else.

use std::borrow::Cow;

use super::path::shown_path;

/// The length limit for displaying text that is not a URL.
const SHOWN_CHARS_MAX: usize = 100;

/// The printable part of a line or an argument where a URL was expected: the first word if it may be a URL,
/// otherwise the text before the first sign of a value. Wrong input (another program's list, a header, a
/// configuration) is often a secret.
pub fn shown_line(text: &str) -> String {
    let text = text.trim();
    let word = text.split(char::is_whitespace).next().unwrap_or_default();
    let is_alone = word.len() == text.len();
    let has_scheme = word.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme));
    if has_scheme && !is_alone && text.contains('@') {
        // A password with a space in it.
        return "…".to_owned();
    }
    let may_be_url = has_scheme || is_alone && (word.contains('@') || is_like_place(word));
    let end = match may_be_url {
        true => word.len(),
        false => {
            word.find(|char: char| !char.is_alphanumeric() && !matches!(char, '-' | '_' | '.')).unwrap_or(word.len())
        }
    };
    let mut shown = shown_text(&word[..end]);
    if end < text.len() && !shown.ends_with('…') {
        shown.push('…');
    }
    shown
}

/// `host/path`, `host:port`.
fn is_like_place(word: &str) -> bool {
    let (host, rest) = word.split_at(word.find([':', '/', '?', '#']).unwrap_or(word.len()));
    let port = rest.strip_prefix(':').map(|rest| rest.split('/').next().unwrap_or_default());
    let is_host = host.chars().all(|char| char.is_alphanumeric() || matches!(char, '-' | '.'));
    is_host && port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A text that should have been a URL, for a message: short, printable, and without possible secrets (what
/// precedes an `@`, a query, a fragment, parameters and tokens of a path).
///
/// ```
/// let shown = towline_engine::secret::shown_text("http://u:p@h:99999/a?token=t");
/// assert_eq!(shown, "http://\u{2026}@h:99999/a?\u{2026}");
/// ```
pub fn shown_text(text: &str) -> String {
    let mut safe = String::new();
    let rest = match text.rfind('@') {
        Some(at) => {
            if let Some((scheme, _)) = text[..at].split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
                safe.push_str(scheme);
                safe.push_str("://");
            }
            safe.push('…');
            &text[at..]
        }
        None => text,
    };
    match rest.find(['?', '#']) {
        Some(at) => {
            safe.push_str(&shown_path(&rest[..at], false));
            safe.push_str(&rest[at..=at]);
            safe.push('…');
        }
        None => safe.push_str(&shown_path(rest, false)),
    }
    let safe = printable(&safe);
    let mut short: String = safe.chars().take(SHOWN_CHARS_MAX).collect();
    if short.len() < safe.len() {
        short.push('…');
    }
    short
}

/// Text from a server or a list, made printable: characters that control the terminal or the text direction are
/// escaped.
///
/// ```
/// assert_eq!(towline_engine::secret::printable("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~');
    if text.bytes().all(is_plain) || !text.chars().any(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if is_unprintable(char) {
            safe.extend(char.escape_unicode());
        } else {
            safe.push(char);
        }
    }
    Cow::Owned(safe)
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and characters that change the text
/// direction.
pub(crate) fn is_unprintable(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_controlled_by_what_a_server_says() {
        assert_eq!(printable("caf\u{e9} \u{4e2d}"), "caf\u{e9} \u{4e2d}");
        assert_eq!(printable("\u{202e}gpj.exe\r\n"), "\\u{202e}gpj.exe\\u{d}\\u{a}");
    }

    #[test]
    fn a_text_that_is_no_url_is_shown_without_what_may_be_a_secret() {
        let cases = [
            ("htp://u:p@h/a", "htp://…@h/a"),
            ("a?token=t://u@h", "…@h"),
            ("htp://h/a;token=t/b.iso", "htp://h/a;token=***/b.iso"),
            ("token=t", "token=***"),
            ("h/9JQB8vP1z0yc5DEBnH6JGWM3mBmvIeMrnnxFi3WtJLE", "h/***"),
            ("unknown field `x` at line 1 column 5", "unknown field `x` at line 1 column 5"),
            ("a\u{1b}b", "a\\u{1b}b"),
        ];
        for (text, shown) in cases {
            assert_eq!(shown_text(text), shown);
        }
        let long = "b ".repeat(100);
        assert_eq!(shown_text(&long).chars().count(), SHOWN_CHARS_MAX + 1);
    }
}
