//! Lists as other programs write them: UTF-16 (PowerShell's `>`), or lines that end with only a carriage return
//! (old Macs) or a NUL (`find -print0`). Converts them to UTF-8 with line feeds.

use std::io::{self, Read};

use encoding_rs::{CoderResult, Decoder, UTF_16BE, UTF_16LE};

/// How much of a list to inspect for its format.
const PEEKED_BYTES: usize = 64 << 10;

/// The format of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// UTF-8 with line feeds.
    Plain,
    Utf16Le,
    Utf16Be,
    /// Lines end with this byte.
    EndsWith(u8),
}

impl Form {
    /// The format of a list that begins like this.
    pub(crate) fn of(beginning: &[u8]) -> Self {
        match beginning {
            [0xff, 0xfe, ..] => return Self::Utf16Le,
            [0xfe, 0xff, ..] => return Self::Utf16Be,
            _ => {}
        }
        let has = |end: u8| beginning.contains(&end);
        // A carriage return at the very end may be half of a line end.
        let has_return = beginning.iter().rev().skip(1).any(|byte| *byte == b'\r');
        match () {
            () if has(b'\n') => Self::Plain,
            () if has(0) => Self::EndsWith(0),
            () if has_return => Self::EndsWith(b'\r'),
            () => Self::Plain,
        }
    }
}

/// A list converted to UTF-8 with line feeds.
pub(crate) struct Plain<R> {
    source: R,
    form: Option<Form>,
    decoder: Option<Decoder>,
    /// Bytes to return next, from `at`.
    ready: Vec<u8>,
    at: usize,
    has_ended: bool,
}

impl<R: Read> Plain<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, form: None, decoder: None, ready: Vec::new(), at: 0, has_ended: false }
    }

    /// Prepares the next part.
    fn fill(&mut self) -> io::Result<()> {
        let mut bytes = vec![0; PEEKED_BYTES];
        let mut count = self.source.read(&mut bytes)?;
        if self.form.is_none() && count == 1 {
            // The byte order mark of UTF-16 has two bytes.
            count += self.source.read(&mut bytes[1..])?;
        }
        bytes.truncate(count);
        self.has_ended = count == 0;
        let form = *self.form.get_or_insert_with(|| Form::of(&bytes));
        (self.ready, self.at) = (self.plain(form, bytes), 0);
        Ok(())
    }

    fn plain(&mut self, form: Form, mut bytes: Vec<u8>) -> Vec<u8> {
        let encoding = match form {
            Form::Plain => return bytes,
            Form::EndsWith(end) => {
                bytes.iter_mut().filter(|byte| **byte == end).for_each(|byte| *byte = b'\n');
                return bytes;
            }
            Form::Utf16Le => UTF_16LE,
            Form::Utf16Be => UTF_16BE,
        };
        let decoder = self.decoder.get_or_insert_with(|| encoding.new_decoder_with_bom_removal());
        let mut text = String::with_capacity(decoder.max_utf8_buffer_length(bytes.len()).unwrap_or(0));
        let (result, _, is_damaged) = decoder.decode_to_string(&bytes, &mut text, self.has_ended);
        debug_assert_eq!(result, CoderResult::InputEmpty, "there was room for all");
        match is_damaged {
            true => damaged(&text),
            false => text.into_bytes(),
        }
    }
}

/// What was no character is no character of UTF-8 either, so that its line is told as a bad one.
fn damaged(text: &str) -> Vec<u8> {
    text.split(char::REPLACEMENT_CHARACTER).map(str::as_bytes).collect::<Vec<_>>().join(&0xff)
}

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.ready.len() && !self.has_ended {
            self.fill()?;
        }
        let rest = &self.ready[self.at..];
        let count = rest.len().min(part.len());
        part[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns its bytes in parts of a given size.
    struct InParts<'a>(&'a [u8], usize);

    impl Read for InParts<'_> {
        fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(self.1).min(part.len());
            part[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn half_a_character_is_none() {
        let mut read = Vec::new();
        Plain::new(InParts(b"\xff\xfea\0\n\0b\0c", 3)).read_to_end(&mut read).unwrap();
        assert_eq!(read, b"a\nb\xff");
    }

    fn read(bytes: &[u8], size: usize) -> String {
        let mut text = String::new();
        Plain::new(InParts(bytes, size)).read_to_string(&mut text).unwrap();
        text
    }

    fn utf_16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(unit).collect()
    }

    #[test]
    fn utf_16_is_read_however_it_comes() {
        let text = "http://h/\u{e4}\r\nhttp://h/\u{1f600}\r\n";
        for size in 1..9 {
            assert_eq!(read(&utf_16(text, u16::to_le_bytes), size), text, "{size}");
            assert_eq!(read(&utf_16(text, u16::to_be_bytes), size), text, "{size}");
        }
    }

    #[test]
    fn other_line_ends_become_line_feeds() {
        assert_eq!(read(b"http://h/a\rhttp://h/b\r", 100), "http://h/a\nhttp://h/b\n");
        assert_eq!(read(b"http://h/a\0http://h/b\0", 100), "http://h/a\nhttp://h/b\n");
        for plain in ["http://h/a\r\nhttp://h/b\r\n", "http://h/a\r", "http://h/a", "", "http://h/a\n\0\r"] {
            assert_eq!(read(plain.as_bytes(), 100), plain);
        }
    }
}
