//! Metalink 4 (RFC 5854) and 3: names, sizes, digests of files and of their pieces, and mirrors in order of preference.
//!
//! Entities are not expanded; other protocols than HTTP, torrents and signatures are passed over.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::path::PathBuf;
use std::rc::Rc;

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::fields::{add_mirror, url};
use super::{Ended, Sink, URLS_MAX};
use crate::checksum::{Algorithm, Checksum};
use crate::job::{JobSpec, PieceDigests};
use crate::secret::shown_line;

/// Elements are nested six deep.
const DEPTH_MAX: usize = 32;
/// Of one name, text or attribute.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// The most pieces of one file.
const PIECES_MAX: usize = 1 << 16;
/// The lowest preference.
const LAST: u64 = 999_999;

/// Whether a list that begins like this is a Metalink.
pub(super) fn is_begin_of(beginning: &[u8]) -> bool {
    let beginning = beginning.trim_ascii_start();
    let has = |name: &[u8]| beginning.windows(name.len()).any(|window| window.eq_ignore_ascii_case(name));
    beginning.starts_with(b"<?xml") && has(b"<metalink") || has_name(beginning, b"<metalink")
}

fn has_name(beginning: &[u8], name: &[u8]) -> bool {
    beginning.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name))
}

pub(super) fn read(list: impl BufRead, sink: &mut Sink<'_>) -> Result<(), Ended> {
    let (left_bytes, line) = (Rc::new(Cell::new(TEXT_BYTES_MAX)), Rc::new(Cell::new(1)));
    let metered = Metered { list, left_bytes: Rc::clone(&left_bytes), line: Rc::clone(&line) };
    let mut reader = Reader::from_reader(metered);
    let (mut buffer, mut state) = (Vec::new(), State::default());
    loop {
        left_bytes.set(TEXT_BYTES_MAX);
        buffer.clear();
        let event = reader.read_event_into(&mut buffer).map_err(|error| malformed(&error))?;
        match event {
            Event::Start(tag) => state.begin(&tag)?,
            Event::Empty(tag) => {
                state.begin(&tag)?;
                state.end(line.get(), sink)?;
            }
            Event::End(_) => state.end(line.get(), sink)?,
            Event::Text(text) => state.text(&text)?,
            Event::CData(text) => state.text(&text)?,
            Event::GeneralRef(reference) => state.text(&resolved(&reference)?)?,
            Event::Eof => break,
            _ => {}
        }
    }
    if !state.path.is_empty() {
        return Err(failed("it ends in the middle"));
    }
    if !state.has_root {
        return Err(failed("it has no element <metalink>"));
    }
    Ok(())
}

fn failed(what: &str) -> Ended {
    Ended::Failed(io::Error::other(format!("not a Metalink: {what}")))
}

/// The parser's message may repeat what it found.
fn malformed(error: &dyn std::fmt::Display) -> Ended {
    failed(&shown_line(&error.to_string()))
}

/// What a reference stands for. Only those that XML itself defines are known.
fn resolved(reference: &BytesRef<'_>) -> Result<String, Ended> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| malformed(&error))? {
        return Ok(character.to_string());
    }
    let name: &str = reference;
    quick_xml::escape::resolve_xml_entity(name)
        .map(str::to_owned)
        .ok_or_else(|| failed(&format!("it uses the entity {}, and entities are not expanded", shown_line(name))))
}

/// Where the reader is.
#[derive(Default)]
struct State {
    has_root: bool,
    /// What stands before the names of Metalink's own elements, and their namespace.
    prefix: Option<String>,
    namespace: Option<String>,
    /// The names of the elements around it; empty ones are not Metalink's.
    path: Vec<String>,
    text: String,
    /// The attributes that count, of the element whose text is read.
    kind: Option<String>,
    rank: Option<u64>,
    file: Option<File>,
}

/// The file that is being read.
#[derive(Default)]
struct File {
    name: String,
    size: Option<String>,
    /// The strongest of them.
    digest: Option<Checksum>,
    pieces: Option<Pieces>,
    /// With their ranks, the best first.
    urls: Vec<(u64, String)>,
    /// A kind of digest that nobody can compute here.
    unknown_kind: Option<String>,
    /// What is wrong with its digests: a file is not fetched as if it had none.
    wrong: Option<String>,
}

struct Pieces {
    algorithm: Option<Algorithm>,
    length_bytes: Option<u64>,
    digests: Vec<Vec<u8>>,
    are_too_many: bool,
    is_whole: bool,
}

impl State {
    fn begin(&mut self, tag: &BytesStart<'_>) -> Result<(), Ended> {
        let name = tag.local_name().as_ref().to_owned();
        let attribute = |wanted: &str| -> Result<Option<String>, Ended> {
            for found in tag.attributes().with_checks(false) {
                let found = found.map_err(|error| malformed(&error))?;
                if found.key.as_ref() == wanted {
                    let value = found.normalized_value(XmlVersion::Explicit1_0).map_err(|error| malformed(&error))?;
                    return Ok(Some(value.into_owned()));
                }
            }
            Ok(None)
        };
        let prefix = tag.name().prefix().map(|prefix| prefix.as_ref().to_owned());
        let namespace = attribute(&prefix.as_ref().map_or_else(|| "xmlns".to_owned(), |name| format!("xmlns:{name}")))?;
        if self.path.is_empty() {
            if name != "metalink" || self.has_root {
                return Err(failed("it has no element <metalink> around all"));
            }
            self.has_root = true;
            (self.prefix, self.namespace) = (prefix.clone(), namespace.clone());
        }
        if self.path.len() >= DEPTH_MAX {
            return Err(failed("its elements are nested too deeply"));
        }
        self.text.clear();
        let is_within_others = self.path.iter().any(String::is_empty);
        if is_within_others || prefix != self.prefix || namespace.is_some() && namespace != self.namespace {
            self.path.push(String::new());
            return Ok(());
        }
        self.kind = attribute("type")?.map(|kind| kind.trim().to_owned());
        self.rank = match (attribute("priority")?, attribute("preference")?) {
            (Some(priority), _) => priority.trim().parse().ok(),
            // From 100 down in Metalink 3.
            (None, Some(preference)) => preference.trim().parse().ok().map(|rank: u64| LAST.saturating_sub(rank)),
            (None, None) => None,
        };
        match name.as_str() {
            "file" if self.file.is_none() => {
                self.file = Some(File { name: attribute("name")?.unwrap_or_default(), ..File::default() });
            }
            "pieces" => {
                if let Some(file) = &mut self.file {
                    file.begin_pieces(self.kind.as_deref(), attribute("length")?.as_deref());
                }
            }
            _ => {}
        }
        self.path.push(name);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Ended> {
        if self.text.len() + text.len() > TEXT_BYTES_MAX {
            return Err(failed("a text in it is longer than 64 KiB"));
        }
        self.text.push_str(text);
        Ok(())
    }

    fn end(&mut self, line: u64, sink: &mut Sink<'_>) -> Result<(), Ended> {
        let name = self.path.pop().unwrap_or_default();
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        let parent = self.path.last().map(String::as_str);
        if name == "file" && !self.path.iter().any(|above| above == "file") {
            if let Some(file) = self.file.take() {
                if let Some(kind) = file.unknown_kind.as_ref().filter(|_| file.has_no_digest())
                    && let Err(what) = sink.unknown(line, "kind of digest", kind)?
                {
                    return Ok(sink.bad(line, &what)?);
                }
                match file.spec() {
                    Ok(spec) => sink.entry(spec)?,
                    Err(what) => sink.bad(line, &what)?,
                }
            }
            return Ok(());
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        match name.as_str() {
            "size" if parent == Some("file") => file.size = Some(text.to_owned()),
            "hash" if parent == Some("pieces") => file.add_piece(text),
            "hash" if matches!(parent, Some("file" | "verification")) => file.add_digest(self.kind.as_deref(), text),
            // A home page has a URL as well, and so has a torrent.
            "url"
                if matches!(parent, Some("file" | "resources"))
                    && self.kind.as_deref().is_none_or(|kind| matches!(kind, "http" | "https"))
                    && is_fetchable(text) =>
            {
                file.add_url(self.rank.unwrap_or(LAST), text);
            }
            _ => {}
        }
        Ok(())
    }
}

impl File {
    /// Of several kinds of piece digests, the strongest counts.
    fn begin_pieces(&mut self, kind: Option<&str>, length: Option<&str>) {
        let algorithm = self.algorithm(kind);
        let strength = |algorithm: Option<Algorithm>| algorithm.map(Algorithm::strength);
        let is_stronger = self.pieces.as_ref().is_none_or(|held| strength(held.algorithm) < strength(algorithm));
        if let Some(held) = &mut self.pieces
            && !is_stronger
        {
            held.is_whole = true;
            return;
        }
        // No pieces have the length 0, so that one which cannot be read is an error, too.
        let length_bytes = length.map(|length| length.trim().parse().unwrap_or(0));
        self.pieces =
            Some(Pieces { algorithm, length_bytes, digests: Vec::new(), are_too_many: false, is_whole: false });
    }

    /// The algorithm of this name. Without a name, nobody knows what a digest is of.
    fn algorithm(&mut self, kind: Option<&str>) -> Option<Algorithm> {
        let Some(kind) = kind else {
            self.wrong.get_or_insert_with(|| "a digest has no type".to_owned());
            return None;
        };
        let algorithm = Algorithm::from_name(kind);
        if algorithm.is_none() {
            self.unknown_kind.get_or_insert_with(|| kind.to_owned());
        }
        algorithm
    }

    fn has_no_digest(&self) -> bool {
        self.digest.is_none() && self.pieces.as_ref().is_none_or(|pieces| pieces.algorithm.is_none())
    }

    /// Of more URLs than are kept, the best count; of equal ones, the first.
    fn add_url(&mut self, rank: u64, url: &str) {
        let at = self.urls.partition_point(|(held, _)| *held <= rank);
        if at < URLS_MAX {
            self.urls.truncate(URLS_MAX - 1);
            self.urls.insert(at, (rank, url.to_owned()));
        }
    }

    fn add_digest(&mut self, kind: Option<&str>, text: &str) {
        let Some(algorithm) = self.algorithm(kind) else { return };
        let Some(digest) = checksum_of(algorithm, text) else {
            self.wrong.get_or_insert_with(|| format!("its {} digest cannot be read", algorithm.name()));
            return;
        };
        match &self.digest {
            Some(held) if held.algorithm() == algorithm && *held != digest => {
                self.wrong.get_or_insert_with(|| format!("it has two different {} digests", algorithm.name()));
            }
            Some(held) if held.algorithm().strength() >= algorithm.strength() => {}
            _ => self.digest = Some(digest),
        }
    }

    fn add_piece(&mut self, text: &str) {
        let Some(pieces) = self.pieces.as_mut().filter(|pieces| !pieces.is_whole) else { return };
        let Some(algorithm) = pieces.algorithm else { return };
        match checksum_of(algorithm, text) {
            Some(checksum) if pieces.digests.len() < PIECES_MAX => pieces.digests.push(checksum.digest().to_vec()),
            Some(_) => pieces.are_too_many = true,
            // Without one of them, nobody knows which piece the next one is of.
            None => {
                self.wrong.get_or_insert_with(|| format!("the {} digest of a piece cannot be read", algorithm.name()));
            }
        }
    }

    fn spec(self) -> Result<JobSpec, String> {
        if self.name.contains('\0') || self.name.trim().is_empty() {
            return Err("it has no name".to_owned());
        }
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        let Some((_, lead)) = self.urls.first() else { return Err("none of its URLs is of http or https".to_owned()) };
        let mut spec = JobSpec::new(url(lead)?);
        for (_, mirror) in &self.urls[1..] {
            add_mirror(&mut spec, mirror)?;
        }
        spec.output = Some(PathBuf::from(self.name));
        if let Some(size) = &self.size {
            spec.size_bytes = Some(size.parse().map_err(|_| "its size is no number".to_owned())?);
        }
        spec.checksum = self.digest;
        spec.pieces = match self.pieces {
            // The whole is compared all the same.
            Some(Pieces { are_too_many: true, .. }) if spec.checksum.is_some() => None,
            Some(Pieces { are_too_many: true, .. }) => return Err(format!("it has more than {PIECES_MAX} pieces")),
            Some(Pieces { algorithm: Some(_), length_bytes: None, .. }) => {
                return Err("its pieces have no length".to_owned());
            }
            Some(Pieces { algorithm: Some(_), digests, .. }) if digests.is_empty() => {
                return Err("its pieces have no digests".to_owned());
            }
            Some(Pieces { algorithm: Some(algorithm), length_bytes: Some(length_bytes), digests, .. }) => {
                let pieces = PieceDigests::new(algorithm, length_bytes, digests, spec.size_bytes);
                Some(Box::new(pieces.ok_or("its size and its pieces do not fit each other")?))
            }
            // Of a kind that nobody can compute.
            _ => None,
        };
        if let (None, Some(digest)) = (&spec.checksum, spec.pieces.as_ref().and_then(|pieces| pieces.of_one())) {
            (spec.checksum, spec.pieces) = (Some(digest), None);
        }
        Ok(spec)
    }
}

fn is_fetchable(url: &str) -> bool {
    has_name(url.as_bytes(), b"http://") || has_name(url.as_bytes(), b"https://")
}

fn checksum_of(algorithm: Algorithm, hex: &str) -> Option<Checksum> {
    format!("{}={hex}", algorithm.name()).parse().ok()
}

/// Reads only so much between two events, so that none of them fills the memory.
struct Metered<R> {
    list: R,
    left_bytes: Rc<Cell<usize>>,
    line: Rc<Cell<u64>>,
}

impl<R: BufRead> Read for Metered<R> {
    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(part)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Metered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let left = self.left_bytes.get();
        if left == 0 {
            return Err(io::Error::other("a part of it is longer than 64 KiB"));
        }
        let there = self.list.fill_buf()?;
        Ok(&there[..there.len().min(left)])
    }

    fn consume(&mut self, count: usize) {
        self.left_bytes.set(self.left_bytes.get().saturating_sub(count));
        if let Ok(there) = self.list.fill_buf() {
            let lines = there[..count.min(there.len())].iter().filter(|byte| **byte == b'\n').count();
            self.line.set(self.line.get() + lines as u64);
        }
        self.list.consume(count);
    }
}
