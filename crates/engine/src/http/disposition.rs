//! The file name in `Content-Disposition` (RFC 6266, RFC 8187), as browsers read it: also in encoded words (RFC
//! 2047), in continuations (RFC 2231), and percent-encoded without being declared so. Make it safe before use.

use std::borrow::Cow;

use encoding_rs::Encoding;
use percent_encoding::percent_decode;

/// Longer values are ignored.
const VALUE_BYTES_MAX: usize = 4096;
/// The most parts that a name may have.
const PARTS_MAX: usize = 64;

/// `filename*` if it is usable, else a `filename` in parts, else the plain `filename`. A path is reduced to its
/// last part; `None` if there is no usable name.
pub(crate) fn file_name(value: &[u8]) -> Option<String> {
    if value.len() > VALUE_BYTES_MAX {
        return None;
    }
    let mut plain = None;
    let mut extended = None;
    let mut parts = Parts::default();
    for (name, value) in (Parameters { rest: value }) {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix(b"filename") {
            Some(b"") => plain = plain.or_else(|| last_part(&decode_plain(&value))),
            Some(b"*") => extended = extended.or_else(|| last_part(&decode_extended(&value)?)),
            Some(rest) => parts.add(rest, value),
            None => {}
        }
    }
    extended.or_else(|| last_part(&parts.joined()?)).or(plain)
}

/// The last part of a path with slashes or backslashes, if it names a file.
fn last_part(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    (!last.is_empty() && !last.bytes().all(|byte| byte == b'.')).then(|| last.to_owned())
}

/// A value in parts (RFC 2231, section 3): `filename*0*=UTF-8''%C3%BCb; filename*1="er.txt"`.
#[derive(Default)]
struct Parts {
    /// Number, whether it is encoded, and the value.
    parts: Vec<(usize, bool, Vec<u8>)>,
    /// A part came twice: everything from there on belongs to something else.
    is_over: bool,
}

impl Parts {
    /// `rest` is what follows `filename`: `*0`, `*1*`.
    fn add(&mut self, rest: &[u8], value: Vec<u8>) {
        let Some(number) = rest.strip_prefix(b"*") else { return };
        let (number, is_encoded) = number.strip_suffix(b"*").map_or((number, false), |number| (number, true));
        let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
        let Some(number) = number.filter(|number| *number < PARTS_MAX) else { return };
        self.is_over |= self.parts.iter().any(|(known, ..)| *known == number);
        if !self.is_over {
            self.parts.push((number, is_encoded, value));
        }
    }

    fn joined(mut self) -> Option<String> {
        self.parts.sort_by_key(|(number, ..)| *number);
        let mut charset = None;
        let mut bytes = Vec::new();
        for (at, (number, is_encoded, value)) in self.parts.iter().enumerate() {
            if *number != at {
                // A part is missing.
                break;
            }
            match (is_encoded, at) {
                (true, 0) => {
                    let (name, encoded) = split_extended(value)?;
                    charset = Some(Encoding::for_label(name)?);
                    bytes.extend(percent_decode(encoded));
                }
                (true, _) => bytes.extend(percent_decode(value)),
                (false, _) => bytes.extend_from_slice(value),
            }
        }
        match charset {
            Some(charset) => decoded(charset, &bytes),
            None => Some(decode_plain(&bytes)),
        }
    }
}

/// The parameters after the disposition type, without quotes. Tolerant of what servers send.
struct Parameters<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a [u8], Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let at = self.rest.iter().position(|byte| *byte == b';');
            // The first part, before any semicolon, is the type; some servers leave it out.
            let equals = self.rest.iter().position(|byte| *byte == b'=');
            match (at, equals) {
                (Some(at), equals) if equals.is_none_or(|equals| at < equals) => self.rest = &self.rest[at + 1..],
                (_, None) => return None,
                (_, Some(equals)) => {
                    let name = self.rest[..equals].trim_ascii();
                    // Some servers leave out the semicolon after the type.
                    let name = name.rsplit(u8::is_ascii_whitespace).next().unwrap_or(name);
                    self.rest = self.rest[equals + 1..].trim_ascii_start();
                    let value = self.value();
                    return Some((name, value));
                }
            }
        }
    }
}

impl Parameters<'_> {
    fn value(&mut self) -> Vec<u8> {
        if self.rest.first() != Some(&b'"') {
            let end = self.rest.iter().position(|byte| *byte == b';').unwrap_or(self.rest.len());
            let value = self.rest[..end].trim_ascii().to_vec();
            self.rest = &self.rest[end..];
            return value;
        }
        let mut value = Vec::new();
        let mut at = 1;
        while let Some(byte) = self.rest.get(at) {
            at += 1;
            match byte {
                b'"' => break,
                b'\\' => {
                    value.extend(self.rest.get(at));
                    at += 1;
                }
                byte => value.push(*byte),
            }
        }
        self.rest = self.rest.get(at..).unwrap_or_default();
        value
    }
}

/// Encoded words, percent-encoded UTF-8, UTF-8, or else Latin-1, the former default.
fn decode_plain(value: &[u8]) -> String {
    let text = match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => return value.iter().map(|byte| char::from(*byte)).collect(),
    };
    if let Some(words) = decode_words(&text) {
        return words;
    }
    if text.is_ascii() && text.contains('%') {
        // Browsers decode it if the result is valid.
        return percent_decode(value).decode_utf8().map_or(text.clone(), Cow::into_owned);
    }
    text
}

/// Decodes `=?UTF-8?B?w7xiZXIucGRm?=`, encoded words of RFC 2047 among plain text; `None` if there are none.
/// Whitespace between two encoded words is dropped.
fn decode_words(text: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = text;
    let mut is_behind_word = false;
    while let Some((before, word, after)) = next_word(rest) {
        if !is_behind_word || !before.trim_ascii().is_empty() {
            name.push_str(before);
        }
        name.push_str(&word);
        rest = after;
        is_behind_word = true;
    }
    is_behind_word.then(|| name + rest)
}

/// The text before the first readable encoded word, its decoded value, and the text after it.
fn next_word(text: &str) -> Option<(&str, String, &str)> {
    text.match_indices("=?").find_map(|(at, _)| {
        let (word, after) = decode_word(&text[at + 2..])?;
        Some((&text[..at], word, after))
    })
}

/// `text` follows the `=?` of a word.
fn decode_word(text: &str) -> Option<(String, &str)> {
    let mut fields = text.splitn(3, '?');
    let (charset, kind, rest) = (fields.next()?, fields.next()?, fields.next()?);
    let (encoded, after) = rest.split_once("?=")?;
    let charset = Encoding::for_label(charset.split('*').next()?.as_bytes())?;
    let bytes = match kind {
        "B" | "b" => {
            use base64::Engine as _;
            let unpadded = encoded.trim_end_matches('=');
            base64::engine::general_purpose::STANDARD_NO_PAD.decode(unpadded).ok()?
        }
        "Q" | "q" => decode_quoted(encoded)?,
        _ => return None,
    };
    Some((decoded(charset, &bytes)?, after))
}

/// RFC 2047, section 4.2: `_` is a space, `=C3` a byte.
fn decode_quoted(encoded: &str) -> Option<Vec<u8>> {
    let as_percent = encoded.replace('%', "=25").replace('_', " ").replace('=', "%");
    (!has_broken_escape(&as_percent)).then(|| percent_decode(as_percent.as_bytes()).collect())
}

/// `UTF-8'en'a%20b`; `None` if an escape is broken, because then the name was truncated or never encoded.
fn decode_extended(value: &[u8]) -> Option<String> {
    let (charset, encoded) = split_extended(value)?;
    if has_broken_escape(std::str::from_utf8(encoded).ok()?) {
        return None;
    }
    decoded(Encoding::for_label(charset)?, &percent_decode(encoded).collect::<Vec<u8>>())
}

/// The charset and the encoded text; the language is ignored.
fn split_extended(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = value.splitn(3, |byte| *byte == b'\'');
    let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    Some((charset, encoded))
}

/// `None` if the bytes are invalid in this charset.
fn decoded(charset: &'static Encoding, bytes: &[u8]) -> Option<String> {
    charset.decode_without_bom_handling_and_without_replacement(bytes).map(Cow::into_owned)
}

fn has_broken_escape(encoded: &str) -> bool {
    let is_escape =
        |rest: &str| rest.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    encoded.split('%').skip(1).any(|rest| !is_escape(rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_found_in_what_servers_send() {
        let cases: [(&[u8], Option<&str>); 41] = [
            (b"attachment; filename=a.bin", Some("a.bin")),
            (b"attachment; filename=\"a b.bin\"", Some("a b.bin")),
            (b"attachment; filename=\"a\\\"b;c.bin\"; x=y", Some("a\"b;c.bin")),
            (b"attachment; filename=\"plain\"; filename*=UTF-8''na%C3%AFve.txt", Some("na\u{ef}ve.txt")),
            (b"attachment; filename*=iso-8859-1'en'%A3.txt", Some("\u{a3}.txt")),
            (b"attachment; filename*=UTF-8''%ff; filename=ok", Some("ok")),
            (b"attachment; filename=\"\xe4.txt\"", Some("\u{e4}.txt")),
            (b"attachment; filename=\"open", Some("open")),
            (b"filename=bare.txt", Some("bare.txt")),
            (b"attachment; filename=../../etc/x", Some("x")),
            (b"attachment; filename=\"C:\\\\Users\\\\me\\\\report.doc\"", Some("report.doc")),
            (b"attachment; filename=..", None),
            (b"attachment; filename=\"a/..\"", None),
            (b"attachment; filename=\"a/\"", None),
            (b"attachment; filename=%E4%B8%AD.txt", Some("\u{4e2d}.txt")),
            (b"attachment; filename=\"100%.txt\"", Some("100%.txt")),
            (b"attachment; filename=\"%ff.txt\"", Some("%ff.txt")),
            (b"attachment; filename==?UTF-8?B?w7xiZXIucGRm?=", Some("\u{fc}ber.pdf")),
            (b"attachment; filename=\"=?utf-8?Q?=C3=BCb_er.pdf?=\"", Some("\u{fc}b er.pdf")),
            (b"attachment; filename=\"=?UTF-8?Q?a?= =?UTF-8?Q?b.txt?=\"", Some("ab.txt")),
            (b"attachment; filename=\"=?x-none?Q?a?=\"", Some("=?x-none?Q?a?=")),
            (b"attachment; filename=\"=?iso-8859-1?Q?caf=E9_?= .txt\"", Some("caf\u{e9}  .txt")),
            (b"attachment; filename=\"my =?UTF-8?Q?=C3=BC?= =?UTF-8?B?Yg?=.txt\"", Some("my \u{fc}b.txt")),
            (b"attachment; filename==?UTF-8?Q?a?==?UTF-8?Q?b.txt?=", Some("ab.txt")),
            (b"attachment; filename=\"=?UTF-8?X?a?= =?UTF-8?Q?b?=\"", Some("=?UTF-8?X?a?= b")),
            (b"attachment; filename=\"=?UTF-8?Q?a\"", Some("=?UTF-8?Q?a")),
            (b"attachment; filename=\"100%%20sure.txt\"", Some("100% sure.txt")),
            (b"attachment; filename=\"50%-%41.txt\"", Some("50%-A.txt")),
            (b"attachment; filename*0=first; filename*1=second; filename*0=wrong", Some("firstsecond")),
            (b"attachment; filename*1=b; filename*0=a; filename*1=wrong; filename*2=c", Some("ab")),
            (b"attachment; filename*=utf8''%C3%BC.pdf", Some("\u{fc}.pdf")),
            (b"attachment; filename*=gbk''%D6%D0.txt", Some("\u{4e2d}.txt")),
            (b"attachment; filename*=windows-1252''%80.txt", Some("\u{20ac}.txt")),
            (b"attachment; filename*0=\"part1\"; filename*1=\".txt\"", Some("part1.txt")),
            (b"attachment; filename*1=\".txt\"; filename*0=\"part1\"; filename=x", Some("part1.txt")),
            (b"attachment; filename*0*=UTF-8''%C3%BCb; filename*1=\"er.txt\"", Some("\u{fc}ber.txt")),
            (b"attachment; filename*0=a; filename*2=c", Some("a")),
            (b"attachment; filename*1=a; filename=b", Some("b")),
            (b"attachment; filename*0=a; filename*=UTF-8''b", Some("b")),
            (b"inline", None),
            (b"attachment; filename=\"\"", None),
        ];
        for (value, expected) in cases {
            assert_eq!(file_name(value).as_deref(), expected, "{}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn an_empty_name_gives_way_to_another() {
        assert_eq!(file_name(b"attachment; filename*=UTF-8''; filename=a").as_deref(), Some("a"));
        assert_eq!(file_name(b"attachment; filename=a; filename*=UTF-8''").as_deref(), Some("a"));
        assert_eq!(file_name(b"attachment; filename=\"\"; filename=a").as_deref(), Some("a"));
        assert_eq!(file_name(b"attachment; filename*=UTF-8''"), None);
    }

    #[test]
    fn a_broken_escape_makes_an_extended_name_unusable() {
        for broken in ["a%4", "a%", "%4g", "%%41", "%+1"] {
            let value = format!("attachment; filename*=UTF-8''{broken}; filename=ok");
            assert_eq!(file_name(value.as_bytes()).as_deref(), Some("ok"), "{broken}");
        }
        assert_eq!(file_name(b"attachment; filename*=UTF-8''%41%4a").as_deref(), Some("AJ"));
    }

    #[test]
    fn a_semicolon_may_be_missing_after_the_type() {
        assert_eq!(file_name(b"attachment filename=a").as_deref(), Some("a"));
        assert_eq!(file_name(b"attachment  filename = \"a b\"; x=y").as_deref(), Some("a b"));
        assert_eq!(file_name(b"attachment\tfilename*=UTF-8''%61").as_deref(), Some("a"));
        assert_eq!(file_name(b"attachment myfilename=a"), None);
    }

    proptest! {
        #[test]
        fn anything_is_survived(value in prop::collection::vec(any::<u8>(), 0..200)) {
            file_name(&value);
        }
    }
}
