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
    total_bytes: u64,
    /// All digests, one behind the other.
    digests: Vec<u8>,
}

impl PieceDigests {
    /// The digests of a file of `total_bytes` in pieces of `piece_bytes`; `None` if they are not one for each piece.
    pub fn new(algorithm: Algorithm, piece_bytes: u64, digests: Vec<Vec<u8>>, total_bytes: u64) -> Option<Self> {
        let each = algorithm.digest_bytes();
        let fits = digests.iter().all(|digest| digest.len() == each);
        fits.then(|| Self::of(algorithm, piece_bytes, digests.concat(), total_bytes)).flatten()
    }

    fn of(algorithm: Algorithm, piece_bytes: u64, digests: Vec<u8>, total_bytes: u64) -> Option<Self> {
        let each = algorithm.digest_bytes() as u64;
        let is_whole = piece_bytes > 0 && total_bytes > 0 && digests.len() as u64 / each * each == digests.len() as u64;
        let pieces = total_bytes.checked_div(piece_bytes)? + u64::from(!total_bytes.is_multiple_of(piece_bytes.max(1)));
        let is_one_each = is_whole && pieces == digests.len() as u64 / each;
        is_one_each.then_some(Self { algorithm, piece_bytes, total_bytes, digests })
    }

    /// The algorithm of all digests.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The length of the file, in bytes.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// The range of each piece and its digest, in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (ByteRange, &[u8])> {
        let range = |number: usize| {
            let start = number as u64 * self.piece_bytes;
            ByteRange::new(start, start.saturating_add(self.piece_bytes).min(self.total_bytes))
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
        let wrong = self.wrong_in(&mut whole.as_slice(), &|| true);
        whole.len() as u64 == self.total_bytes && wrong.is_ok_and(|wrong| wrong.is_some_and(|wrong| wrong.is_empty()))
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
    total_bytes: u64,
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
        assert!(PieceDigests::new(Algorithm::Sha1, 100, digests(3), 201).is_some());
        assert!(PieceDigests::new(Algorithm::Sha1, 100, digests(2), 200).is_some());
        for (piece_bytes, count, total_bytes) in
            [(100, 2, 201), (100, 4, 300), (0, 1, 10), (100, 0, 0), (u64::MAX, 2, 5)]
        {
            assert_eq!(PieceDigests::new(Algorithm::Sha1, piece_bytes, digests(count), total_bytes), None);
        }
        assert_eq!(PieceDigests::new(Algorithm::Sha1, 100, vec![vec![7; 19]], 10), None);
    }

    #[test]
    fn they_are_kept_and_read_as_the_same() {
        let pieces = PieceDigests::new(Algorithm::Md5, 10, vec![vec![1; 16], vec![2; 16]], 15).unwrap();
        let text = serde_json::to_string(&pieces).unwrap();
        let again: PieceDigests = serde_json::from_str(&text).unwrap();
        assert_eq!(again, pieces);
        let ranges: Vec<_> = again.pieces().map(|(range, digest)| (range.start, range.end, digest[0])).collect();
        assert_eq!(ranges, [(0, 10, 1), (10, 15, 2)]);
        assert!(serde_json::from_str::<PieceDigests>(&text.replace("15", "25")).is_err());
    }
}
