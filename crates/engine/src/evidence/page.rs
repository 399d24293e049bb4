//! Recognises HTML pages sent in place of a file: a captive portal, a login form or an error page arrives with
//! status 200 under any name. Pure.

use std::borrow::Cow;
use std::path::Path;

use bytes::Bytes;
use html5gum::{DefaultEmitter, Token, Tokenizer};

use crate::secret;

/// Extensions of files that are, or may be, HTML pages.
const PAGE_EXTENSIONS: [&str; 29] = [
    "html", "htm", "xhtml", "xht", "shtml", "shtm", "phtml", "php", "php3", "php4", "php5", "asp", "aspx", "ashx",
    "jsp", "jspx", "jsf", "do", "action", "cgi", "pl", "py", "rb", "cfm", "mspx", "mhtml", "hta", "svc", "page",
];
/// Extensions of files that are HTML pages.
const PAGES: [&str; 6] = ["html", "htm", "xhtml", "xht", "shtml", "shtm"];
/// Extensions of files that are never text.
const BINARY_EXTENSIONS: [&str; 82] = [
    "7z",
    "aac",
    "apk",
    "appimage",
    "avi",
    "avif",
    "bin",
    "bz2",
    "cab",
    "crx",
    "deb",
    "dmg",
    "dll",
    "docx",
    "ear",
    "epub",
    "exe",
    "fits",
    "flac",
    "gif",
    "gz",
    "h5",
    "ico",
    "img",
    "iso",
    "jar",
    "jpeg",
    "jpg",
    "lz",
    "lz4",
    "lzma",
    "m4a",
    "m4v",
    "mkv",
    "mov",
    "mp3",
    "mp4",
    "mpeg",
    "mpg",
    "msi",
    "nc",
    "npy",
    "npz",
    "odt",
    "ogg",
    "onnx",
    "opus",
    "parquet",
    "pdf",
    "pkg",
    "png",
    "pptx",
    "qcow2",
    "rar",
    "rpm",
    "safetensors",
    "so",
    "sqlite",
    "squashfs",
    "tar",
    "tbz",
    "tgz",
    "tif",
    "tiff",
    "ttf",
    "txz",
    "vdi",
    "vhd",
    "vmdk",
    "war",
    "wasm",
    "wav",
    "webm",
    "webp",
    "whl",
    "woff",
    "woff2",
    "xlsx",
    "xpi",
    "xz",
    "zip",
    "zst",
];
/// Longer ones are not extensions: `v2.0-beta-with-notes`.
const EXTENSION_CHARS_MAX: usize = 10;
/// How a page begins, in lower case.
const BEGINNINGS: [&[u8]; 16] = [
    b"<html", b"<head", b"<body", b"<script", b"<title", b"<meta", b"<iframe", b"<style", b"<table", b"<div", b"<h1",
    b"<font", b"<p>", b"<a ", b"<br", b"<center",
];
/// How many bytes of a body decide whether it is a page.
pub(crate) const SNIFF_BYTES: usize = 1024;
/// How much of a page is read for its title.
const TITLE_WITHIN_BYTES: usize = 16 << 10;
const TITLE_CHARS_MAX: usize = 80;

/// Whether one of the media types is that of a page.
pub(crate) fn is_html_type(content_type: &str) -> bool {
    content_type.split(',').any(|told| {
        let kind = told.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
    })
}

/// The part of a body that decides whether it is a page; usually the first chunk holds it.
pub(crate) fn beginning(chunks: &[Bytes]) -> Cow<'_, [u8]> {
    match chunks {
        [] => Cow::Borrowed(&[]),
        [first, rest @ ..] if rest.is_empty() || first.len() >= SNIFF_BYTES => {
            Cow::Borrowed(&first[..first.len().min(SNIFF_BYTES)])
        }
        _ => Cow::Owned(chunks.iter().flatten().copied().take(SNIFF_BYTES).collect()),
    }
}

/// The title of a page, if it is in what has come of it: one line, without control characters.
pub(crate) fn title(chunks: &[Bytes]) -> Option<Box<str>> {
    let bytes: Vec<u8> = chunks.iter().flatten().copied().take(TITLE_WITHIN_BYTES).collect();
    let text = String::from_utf8_lossy(&without_wide(&bytes)).into_owned();
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut is_inside = false;
    let mut title = String::new();
    for token in Tokenizer::new_with_emitter(&*text, emitter).flatten() {
        match token {
            Token::StartTag(tag) if &*tag.name == b"title" => is_inside = true,
            Token::EndTag(tag) if &*tag.name == b"title" => break,
            Token::String(part) if is_inside => title += &String::from_utf8_lossy(&part),
            _ => {}
        }
    }
    let words: Vec<_> = title.split_whitespace().collect();
    let line: String = words.join(" ").chars().take(TITLE_CHARS_MAX).collect();
    (!line.is_empty()).then(|| secret::shown_text(&line).into())
}

/// Whether these first bytes are those of a page (based on the WHATWG's MIME sniffing, section 7.1).
pub(crate) fn begins_like_html(bytes: &[u8]) -> bool {
    let text = without_wide(bytes);
    let mut rest = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    rest = &rest[rest.iter().take_while(|byte| **byte == 0).count()..];
    let is_full = bytes.len() >= SNIFF_BYTES;
    if is_full && rest.trim_ascii_start().is_empty() && !rest.is_empty() {
        // Only whitespace so far; no other file begins like this.
        return true;
    }
    // Comments and declarations come before the page itself.
    loop {
        rest = rest.trim_ascii_start();
        if is_full && rest.starts_with(b"<!--") && !rest.windows(3).any(|window| window == b"-->") {
            // An endless comment.
            return true;
        }
        let skipped = [(&b"<!--"[..], &b"-->"[..]), (b"<?", b"?>")].into_iter().find_map(|(opens, closes)| {
            let inside = rest.strip_prefix(opens)?;
            let end = inside.windows(closes.len()).position(|window| window == closes)?;
            Some(&inside[end + closes.len()..])
        });
        match skipped {
            Some(after) => rest = after,
            None => break,
        }
    }
    is_html_doctype(rest) || BEGINNINGS.iter().any(|beginning| begins_with_tag(rest, beginning))
}

/// Whether a text begins with this tag, as a whole: binary files may begin like a tag too.
fn begins_with_tag(text: &[u8], tag: &[u8]) -> bool {
    let is_whole = |after: &u8| after.is_ascii_whitespace() || matches!(after, b'>' | b'/');
    begins(text, tag) && (tag.ends_with(b">") || tag.ends_with(b" ") || text.get(tag.len()).is_none_or(is_whole))
}

fn begins(text: &[u8], beginning: &[u8]) -> bool {
    text.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning))
}

/// `<!DOCTYPE html`, with any whitespace between.
fn is_html_doctype(text: &[u8]) -> bool {
    const DOCTYPE: &[u8] = b"<!doctype";
    let rest = text.get(DOCTYPE.len()..).unwrap_or_default();
    begins(text, DOCTYPE)
        && rest.first().is_some_and(u8::is_ascii_whitespace)
        && begins(rest.trim_ascii_start(), b"html")
}

/// Whether a body is a JSON or XML message of the server: APIs report errors like this, with any status.
pub(crate) fn is_message(content_type: &str, bytes: &[u8]) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let begins_with: &[u8] = match kind.strip_prefix("application/").or(kind.strip_prefix("text/")) {
        Some("json" | "problem+json") => b"{[",
        Some("xml" | "problem+xml") => b"<",
        _ => return false,
    };
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    text.first().is_some_and(|first| begins_with.contains(first)) && is_text(bytes)
}

/// Converts UTF-16, with or without a byte order mark, to single bytes.
fn without_wide(bytes: &[u8]) -> Cow<'_, [u8]> {
    let first = match bytes {
        [0xff, 0xfe, ..] => 2,
        [0xfe, 0xff, ..] => 3,
        [b'<', 0, _, 0, ..] => 0,
        [0, b'<', 0, _, ..] => 1,
        _ => return Cow::Borrowed(bytes),
    };
    Cow::Owned(bytes.iter().skip(first).step_by(2).copied().collect())
}

/// Whether these first bytes are text: UTF-16, or free of control bytes that only binary files have.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    let is_utf_16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    let is_binary = |byte: &u8| matches!(byte, 0..=8 | 11 | 14..=26 | 28..=31);
    is_utf_16 || !bytes.iter().any(is_binary)
}

/// Whether files of this name are binary: `a.zip`, `a.mp4`.
pub(crate) fn names_binary(name: &Path) -> bool {
    let extension = name.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| BINARY_EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

/// Whether a file of this name is certainly a page: `a.html`, but not `a.php`.
pub(crate) fn names_page(name: &Path) -> bool {
    let extension = name.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| PAGES.iter().any(|page| extension.eq_ignore_ascii_case(page)))
}

/// Whether a file of this name is certainly not a page: `a.iso`, `a.tar.gz`, but neither `a` nor `a.php`.
pub(crate) fn names_no_page(name: &Path) -> bool {
    let Some(extension) = name.extension().and_then(|extension| extension.to_str()) else { return false };
    let is_extension = extension.len() <= EXTENSION_CHARS_MAX
        && extension.chars().all(|char| char.is_ascii_alphanumeric())
        && extension.chars().any(|char| char.is_ascii_alphabetic());
    is_extension && !PAGE_EXTENSIONS.iter().any(|page| extension.eq_ignore_ascii_case(page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_of_a_page_is_one_line() {
        for (page, said) in [
            (
                &b"<!doctype html><html><head><meta x><title>\n Quota &amp;\n exceeded </title>"[..],
                Some("Quota & exceeded"),
            ),
            (b"<script>'<title>no</title>'</script><TITLE lang=en>Sign in", Some("Sign in")),
            (b"<title>\x1b[31mred</title>", Some("\\u{1b}[31mred")),
            (b"<title></title>", None),
            (b"<p>no title</p>", None),
            (b"<title>see https://h/a?sig=0123456789abcdef</title>", Some("see https://h/a?…")),
        ] {
            assert_eq!(title(&[Bytes::from_static(page)]).as_deref(), said);
        }
    }

    #[test]
    fn pages_are_told_by_how_they_begin() {
        let pages: [&[u8]; 11] = [
            b"<!doctype\thtml>",
            b"<!DOCTYPE HTML><p>",
            b"\xef\xbb\xbf\r\n <html>",
            b"<!-- a portal --> <!-- b --><HEAD>",
            b"<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC>",
            b"<script>location='/login'</script>",
            b"  <title>Sign in",
            b"\xff\xfe<\0h\0t\0m\0l\0>\0",
            b"\xfe\xff\0<\0h\0t\0m\0l\0>",
            b"<\0h\0t\0m\0l\0>\0",
            b"\0<!DOCTYPE html>",
        ];
        for page in pages {
            assert!(begins_like_html(page), "{:?}", String::from_utf8_lossy(page));
        }
        let long = [&b"<!-- "[..], &[b'x'; SNIFF_BYTES]].concat();
        assert!(begins_like_html(&long));
        assert!(begins_like_html(&[b' '; SNIFF_BYTES]));
        for binary in [&b"<br\xc1"[..], b"<div\x90", b"<html\0\x01", b"<h1\xff", b"<titles>"] {
            assert!(!begins_like_html(binary), "{binary:?}");
        }
        assert!(!begins_like_html(&[b' '; 100]) && !begins_like_html(&[0; SNIFF_BYTES]));
        let others: [&[u8]; 7] = [
            b"",
            b"PK\x03\x04<html>",
            b"<?xml version=\"1.0\"?><rss>",
            b"<!-- never closed <html>",
            b"<svg",
            b"<",
            b"{}",
        ];
        for other in others {
            assert!(!begins_like_html(other), "{:?}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn only_names_with_an_extension_of_a_file_are_none_of_a_page() {
        for name in ["a.iso", "a.tar.gz", "A.ZIP", "a.mp4", "dir/a.bin", "a.7z", "a.json", "a.txt"] {
            assert!(names_no_page(Path::new(name)), "{name}");
        }
        for name in ["a", "index", "a.html", "a.PHP", "Rust_1.0", "release-2.5", ".hidden", "a.with-some-more-words"] {
            assert!(!names_no_page(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn under_the_name_of_an_archive_text_is_told_from_what_an_archive_holds() {
        assert!(names_binary(Path::new("a.ZIP")) && names_binary(Path::new("a.tar.gz")));
        assert!(!names_binary(Path::new("a.csv")) && !names_binary(Path::new("zip")));
        for text in [&b"Notice: undefined\n\t<!DOCTYPE html>"[..], b"\xff\xfe<\0h\0", b"\xc2\xa0<html>"] {
            assert!(is_text(text), "{text:?}");
        }
        for binary in [&b"PK\x03\x04"[..], b"\x1f\x8b\x08\0", b"text\0"] {
            assert!(!is_text(binary), "{binary:?}");
        }
    }

    #[test]
    fn media_types_of_pages_are_told_with_their_parameters() {
        assert!(is_html_type("text/html") && is_html_type("Text/HTML; charset=utf-8"));
        assert!(is_html_type(" application/xhtml+xml ;q=1"));
        assert!(is_html_type("text/html,application/zip"));
        assert!(!is_html_type("") && !is_html_type("text/plain") && !is_html_type("application/octet-stream"));
    }
}
