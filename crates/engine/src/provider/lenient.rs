//! Documents of services as they are: what breaks one value breaks no other. Pure.

use std::borrow::Cow;

use serde::{Deserialize as _, Deserializer};
use serde_json::Value;

/// The character in the place of what cannot be read.
const UNREADABLE: char = '\u{fffd}';
/// A reference to a character is no longer than this: `&#x10FFFF;`.
const REFERENCE_BYTES_MAX: usize = 32;

/// The text of a JSON document. Bytes that are no UTF-8, control characters and halves of surrogate pairs, which no
/// parser accepts, are replaced, so that the rest can be read.
pub(super) fn json(body: &[u8]) -> String {
    let text = plain(body);
    let mut readable = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find('\\') {
        readable.push_str(&rest[..at]);
        rest = &rest[at..];
        let escape = rest.get(..6).filter(|escape| escape.starts_with("\\u"));
        let taken = match escape.and_then(|escape| unit(&escape[2..])) {
            Some(0xd800..=0xdbff) if is_second_half(&rest[6..]) => 12,
            Some(0xd800..=0xdfff) => {
                readable.push(UNREADABLE);
                rest = &rest[6..];
                continue;
            }
            _ => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
        };
        readable.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    readable.push_str(rest);
    readable
}

/// The text of an XML document. References to what is no character of XML are replaced, and an ampersand that begins no
/// reference stands for itself.
pub(super) fn xml(body: &[u8]) -> String {
    let text = plain(body);
    let mut readable = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find('&') {
        readable.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let near = &rest.as_bytes()[..rest.len().min(REFERENCE_BYTES_MAX + 1)];
        let name = near.iter().position(|byte| *byte == b';').map(|end| &rest[..end]);
        match name.map(reference) {
            Some(Reference::Known) => readable.push('&'),
            Some(Reference::NoCharacter) => {
                readable.push(UNREADABLE);
                rest = &rest[name.map_or(0, str::len) + 1..];
            }
            Some(Reference::None) | None => readable.push_str("&amp;"),
        }
    }
    readable.push_str(rest);
    readable
}

/// A number, or the same as text; nothing else counts.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().map(|number| number as u64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

/// UTF-8 without a byte order mark and control characters.
fn plain(body: &[u8]) -> Cow<'_, str> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = String::from_utf8_lossy(body);
    let is_odd = |char: char| char < ' ' && !matches!(char, '\t' | '\r' | '\n');
    match text.contains(is_odd) {
        true => Cow::Owned(text.replace(is_odd, " ")),
        false => text,
    }
}

fn is_second_half(rest: &str) -> bool {
    let escape = rest.get(..6).and_then(|escape| escape.strip_prefix("\\u"));
    matches!(escape.and_then(unit), Some(0xdc00..=0xdfff))
}

fn unit(hex: &str) -> Option<u16> {
    u16::from_str_radix(hex, 16).ok()
}

enum Reference {
    Known,
    /// It is written like a reference, and there is no such character in XML.
    NoCharacter,
    None,
}

fn reference(name: &str) -> Reference {
    let Some(number) = name.strip_prefix('#') else {
        return match name {
            "amp" | "lt" | "gt" | "quot" | "apos" => Reference::Known,
            _ => Reference::None,
        };
    };
    let number = match number.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    match number.map(char::from_u32) {
        Ok(Some(char)) if char >= ' ' || matches!(char, '\t' | '\r' | '\n') => Reference::Known,
        Ok(_) => Reference::NoCharacter,
        Err(_) => Reference::None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    fn name(json_text: &[u8]) -> String {
        let value: Value = serde_json::from_str(&json(json_text)).unwrap();
        value["name"].as_str().unwrap().to_owned()
    }

    #[test]
    fn ampersands_are_read_once() {
        let many = "&".repeat(1 << 20);
        assert_eq!(xml(many.as_bytes()).len(), "&amp;".len() << 20);
        assert_eq!(xml("&é&#65;&amp;".as_bytes()), "&amp;é&#65;&amp;");
    }

    #[test]
    fn one_odd_text_hides_nothing_of_a_json_document() {
        for (document, read) in [
            (&br#"{"name":"x\ud83d.txt"}"#[..], "x\u{fffd}.txt"),
            (br#"{"name":"\ude00"}"#, "\u{fffd}"),
            (br#"{"name":"\ud83d\ud83d\ude00"}"#, "\u{fffd}\u{1f600}"),
            (br#"{"name":"\ud83d\u0041"}"#, "\u{fffd}A"),
            (br#"{"name":"a\\ud83d"}"#, "a\\ud83d"),
            (br#"{"name":"a\"\\\u00e9"}"#, "a\"\\\u{e9}"),
            (b"{\"name\":\"a\xff\x01b\"}", "a\u{fffd} b"),
            (b"\xef\xbb\xbf{\"name\":\"b\"}", "b"),
        ] {
            assert_eq!(name(document), read, "{}", String::from_utf8_lossy(document));
        }
    }

    #[test]
    fn one_odd_text_hides_nothing_of_an_xml_document() {
        for (document, read) in [
            ("<a>x&#xD800;&#55296;y</a>", "<a>x\u{fffd}\u{fffd}y</a>"),
            ("<a>R&D &amp; &#228; &#xe4;&lt;</a>", "<a>R&amp;D &amp; &#228; &#xe4;&lt;</a>"),
            ("<a>&nbsp;&#1;&#x110000;&#;</a>&", "<a>&amp;nbsp;\u{fffd}\u{fffd}&amp;#;</a>&amp;"),
        ] {
            assert_eq!(xml(document.as_bytes()), read);
        }
    }

    #[test]
    fn numbers_are_read_as_text_too() {
        #[derive(Deserialize)]
        struct Told {
            #[serde(default, deserialize_with = "number")]
            of: Option<u64>,
        }
        for (text, read) in [
            (r#"{"of":3600}"#, Some(3600)),
            (r#"{"of":"3600"}"#, Some(3600)),
            (r#"{"of":3600.0}"#, Some(3600)),
            (r#"{"of":null}"#, None),
            (r#"{"of":"soon"}"#, None),
            ("{}", None),
        ] {
            assert_eq!(serde_json::from_str::<Told>(text).unwrap().of, read, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_can_be_read_stays_as_it_is(text in any::<String>()) {
            let document = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(serde_json::from_str::<String>(&json(document.as_bytes())).unwrap(), text);
        }

        #[test]
        fn anything_is_read_without_panic(body: Vec<u8>) {
            json(&body);
            xml(&body);
        }
    }
}
