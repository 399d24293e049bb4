//! The file name in `Content-Disposition` (RFC 6266, RFC 8187), as sent: it must be made safe
//! before it is used.

/// Longer values are not looked at.
const VALUE_BYTES_MAX: usize = 4096;

/// `filename*` if it is usable, else `filename`.
pub(crate) fn file_name(value: &[u8]) -> Option<String> {
    if value.len() > VALUE_BYTES_MAX {
        return None;
    }
    let mut plain = None;
    let mut extended = None;
    for (name, value) in (Parameters { rest: value }) {
        if name.eq_ignore_ascii_case(b"filename*") {
            extended = extended.or_else(|| decode_extended(&value).filter(|name| !name.is_empty()));
        } else if name.eq_ignore_ascii_case(b"filename") {
            plain = plain.or_else(|| Some(decode_plain(&value)).filter(|name| !name.is_empty()));
        }
    }
    extended.or(plain)
}

/// The parameters after the disposition type, quotes taken off. Tolerant of what servers send.
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

/// UTF-8, or else Latin-1, which was once the rule.
fn decode_plain(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// `UTF-8'en'a%20b`; nothing if an escape is broken, for then the name was cut or never encoded.
fn decode_extended(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let mut parts = text.splitn(3, '\'');
    let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    if has_broken_escape(encoded) {
        return None;
    }
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(encoded).collect();
    if charset.eq_ignore_ascii_case("utf-8") {
        return String::from_utf8(bytes).ok();
    }
    charset.eq_ignore_ascii_case("iso-8859-1").then(|| bytes.iter().map(|byte| char::from(*byte)).collect())
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
        let cases: [(&[u8], Option<&str>); 12] = [
            (b"attachment; filename=a.bin", Some("a.bin")),
            (b"attachment; filename=\"a b.bin\"", Some("a b.bin")),
            (b"attachment; filename=\"a\\\"b;c.bin\"; x=y", Some("a\"b;c.bin")),
            (b"attachment; filename=\"plain\"; filename*=UTF-8''na%C3%AFve.txt", Some("na\u{ef}ve.txt")),
            (b"attachment; filename*=iso-8859-1'en'%A3.txt", Some("\u{a3}.txt")),
            (b"attachment; filename*=UTF-8''%ff; filename=ok", Some("ok")),
            (b"attachment; filename=\"\xe4.txt\"", Some("\u{e4}.txt")),
            (b"attachment; filename=\"open", Some("open")),
            (b"filename=bare.txt", Some("bare.txt")),
            (b"attachment; filename=../../etc/x", Some("../../etc/x")),
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
