//! The digests of a file's pieces.

use std::io::{self, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::checksum::{self, Algorithm, Checksum};
use crate::ranges::ByteRange;

/// The digests of the pieces of a file. All pieces are equally long but the last. A piece with another digest is fetched
/// again, by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct PieceDigests {
    algorithm: Algorithm,
    piece_bytes: u64,
    /// `None` if nobody has told it.
    total_bytes: Option<u64>,
    /// All digests, one behind the other.
    digests: Vec<u8>,
}

impl PieceDigests {
    /// The digests of a file of `total_bytes`, if that is known, in pieces of `piece_bytes`; `None` if they are not one for
    /// each piece.
    pub fn new(
        algorithm: Algorithm,
        piece_bytes: u64,
        digests: Vec<Vec<u8>>,
        total_bytes: Option<u64>,
    ) -> Option<Self> {
        let each = algorithm.digest_bytes();
        let fits = digests.iter().all(|digest| digest.len() == each);
        fits.then(|| Self::of(algorithm, piece_bytes, digests.concat(), total_bytes)).flatten()
    }

    fn of(algorithm: Algorithm, piece_bytes: u64, digests: Vec<u8>, total_bytes: Option<u64>) -> Option<Self> {
        let each = algorithm.digest_bytes();
        let is_whole = piece_bytes > 0 && !digests.is_empty() && digests.len().is_multiple_of(each);
        let pieces = Self { algorithm, piece_bytes, total_bytes: None, digests };
        match total_bytes.filter(|_| is_whole) {
            Some(total_bytes) => pieces.of_length(total_bytes),
            None => is_whole.then_some(pieces),
        }
    }

    /// The same for a file of this length; `None` if it is another length than it was said to have, or has another number of
    /// pieces.
    #[must_use]
    pub(crate) fn of_length(&self, total_bytes: u64) -> Option<Self> {
        let count = (self.digests.len() / self.algorithm.digest_bytes()) as u64;
        let is_one_each = total_bytes > 0 && total_bytes.div_ceil(self.piece_bytes) == count;
        let is_it = is_one_each && self.total_bytes.is_none_or(|told| told == total_bytes);
        is_it.then(|| Self { total_bytes: Some(total_bytes), ..self.clone() })
    }

    /// About how many bytes it takes in memory.
    pub(crate) fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.digests.len()
    }

    /// The algorithm of all digests.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The length of the file, in bytes, if it is known.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// The range of each piece and its digest, in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (ByteRange, &[u8])> {
        let end = self.total_bytes.unwrap_or(u64::MAX);
        let range = move |number: usize| {
            let start = (number as u64).saturating_mul(self.piece_bytes);
            ByteRange::new(start, start.saturating_add(self.piece_bytes).min(end))
        };
        self.digests
            .chunks(self.algorithm.digest_bytes())
            .enumerate()
            .map(move |(number, digest)| (range(number), digest))
    }
}

impl PieceDigests {
    /// The pieces with another digest. `None` if `goes_on` says that nobody waits for that any more.
    ///
    /// # Errors
    /// If the content cannot be read, or ends early.
    pub(crate) fn wrong_in(
        &self,
        content: &mut dyn Read,
        goes_on: &dyn Fn() -> bool,
    ) -> io::Result<Option<Vec<ByteRange>>> {
        let mut wrong = Vec::new();
        for (range, digest) in self.pieces() {
            let mut piece = content.take(range.len());
            match checksum::digest_of(&mut piece, self.algorithm, goes_on)? {
                Some(found) if found == digest => {}
                Some(_) => wrong.push(range),
                None => return Ok(None),
            }
        }
        Ok(Some(wrong))
    }

    /// Whether all pieces of this content have their digests.
    pub(crate) fn fit(&self, content: &[Bytes]) -> bool {
        let whole = content.concat();
        let Some(pieces) = self.of_length(whole.len() as u64) else { return false };
        let wrong = pieces.wrong_in(&mut whole.as_slice(), &|| true);
        wrong.is_ok_and(|wrong| wrong.is_some_and(|wrong| wrong.is_empty()))
    }

    /// What a ledger keeps of them, to know them again: no digest of the file.
    pub(crate) fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.algorithm.name().as_bytes()).update(&[0]);
        hasher.update(&self.piece_bytes.to_le_bytes()).update(&self.digests);
        format!("pieces={}", &hasher.finalize().to_hex()[..32])
    }

    /// The digest of the whole file, if it is one piece.
    pub(crate) fn of_one(&self) -> Option<Checksum> {
        let is_one = self.digests.len() == self.algorithm.digest_bytes();
        is_one.then(|| Checksum::new(self.algorithm, self.digests.clone())).flatten()
    }
}

/// How the digests are kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    algorithm: String,
    piece_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total_bytes: Option<u64>,
    digests: String,
}

impl From<PieceDigests> for Written {
    fn from(pieces: PieceDigests) -> Self {
        Self {
            algorithm: pieces.algorithm.name().to_owned(),
            piece_bytes: pieces.piece_bytes,
            total_bytes: pieces.total_bytes,
            digests: STANDARD.encode(&pieces.digests),
        }
    }
}

impl TryFrom<Written> for PieceDigests {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let algorithm =
            Algorithm::from_name(&written.algorithm).ok_or("the digests of pieces have no known algorithm")?;
        let digests = STANDARD.decode(&written.digests).map_err(|_| "the digests of pieces are not Base64")?;
        Self::of(algorithm, written.piece_bytes, digests, written.total_bytes)
            .ok_or("the digests of pieces are not one for each piece")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_digest_for_each_piece() {
        let digests = |count: usize| vec![vec![7; 20]; count];
        assert!(PieceDigests::new(Algorithm::Sha1, 100, digests(3), Some(201)).is_some());
        assert!(PieceDigests::new(Algorithm::Sha1, 100, digests(2), Some(200)).is_some());
        for (piece_bytes, count, total_bytes) in
            [(100, 2, 201), (100, 4, 300), (0, 1, 10), (100, 0, 0), (u64::MAX, 2, 5)]
        {
            assert_eq!(PieceDigests::new(Algorithm::Sha1, piece_bytes, digests(count), Some(total_bytes)), None);
        }
        assert_eq!(PieceDigests::new(Algorithm::Sha1, 100, vec![vec![7; 19]], Some(10)), None);
    }

    #[test]
    fn without_a_length_the_file_shows_whether_they_are_its() {
        let content = |len: usize| vec![Bytes::from(vec![1; len])];
        let digest =
            |len: usize| checksum::digest_of(&mut &vec![1; len][..], Algorithm::Sha1, &|| true).unwrap().unwrap();
        let pieces = PieceDigests::new(Algorithm::Sha1, 10, vec![digest(10), digest(5)], None).unwrap();
        assert!(pieces.fit(&content(15)));
        for len in [0, 5, 10, 14, 16, 25] {
            assert!(!pieces.fit(&content(len)), "{len}");
        }
        assert_eq!(PieceDigests::new(Algorithm::Sha1, 10, Vec::new(), None), None);
        let again: PieceDigests = serde_json::from_str(&serde_json::to_string(&pieces).unwrap()).unwrap();
        assert_eq!(again, pieces);
    }

    #[test]
    fn they_are_kept_and_read_as_the_same() {
        let pieces = PieceDigests::new(Algorithm::Md5, 10, vec![vec![1; 16], vec![2; 16]], Some(15)).unwrap();
        let text = serde_json::to_string(&pieces).unwrap();
        let again: PieceDigests = serde_json::from_str(&text).unwrap();
        assert_eq!(again, pieces);
        let ranges: Vec<_> = again.pieces().map(|(range, digest)| (range.start, range.end, digest[0])).collect();
        assert_eq!(ranges, [(0, 10, 1), (10, 15, 2)]);
        assert!(serde_json::from_str::<PieceDigests>(&text.replace("15", "25")).is_err());
    }
}
