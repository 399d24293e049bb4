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
            extended = extended.or_else(|| decode_extended(&value));
        } else if name.eq_ignore_ascii_case(b"filename") {
            plain = plain.or_else(|| Some(decode_plain(&value)));
        }
    }
    extended.or(plain).filter(|name| !name.is_empty())
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

/// `UTF-8'en'a%20b`.
fn decode_extended(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let mut parts = text.splitn(3, '\'');
    let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(encoded).collect();
    if charset.eq_ignore_ascii_case("utf-8") {
        return String::from_utf8(bytes).ok();
    }
    charset.eq_ignore_ascii_case("iso-8859-1").then(|| bytes.iter().map(|byte| char::from(*byte)).collect())
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

    proptest! {
        #[test]
        fn anything_is_survived(value in prop::collection::vec(any::<u8>(), 0..200)) {
            file_name(&value);
        }
    }
}
