//! Digests: what a file must hash to, and how a digest is computed.

mod quick_xor;
mod sums;

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use sha2::Digest as _;

use self::quick_xor::QuickXor;
pub(crate) use self::sums::Demanded;
pub use self::sums::Sums;

/// How much one read takes.
const BUFFER_BYTES: usize = 256 << 10;

/// A digest algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-512 (FIPS 180-4).
    Sha512,
    /// SHA-1; protects against damage, not against malice.
    Sha1,
    /// MD5 (RFC 1321); protects against damage, not against malice.
    Md5,
    /// BLAKE3, 32 bytes.
    Blake3,
    /// CRC-32C (Castagnoli), most significant byte first; protects small files against damage.
    Crc32c,
    /// QuickXorHash, 20 bytes, of OneDrive and SharePoint; protects against damage, not against malice.
    QuickXor,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Self; 7] =
        [Self::Sha256, Self::Sha512, Self::Sha1, Self::Md5, Self::Blake3, Self::Crc32c, Self::QuickXor];

    /// The algorithm's name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
            Self::Sha1 => "sha-1",
            Self::Md5 => "md5",
            Self::Blake3 => "blake3",
            Self::Crc32c => "crc32c",
            Self::QuickXor => "quickxor",
        }
    }

    /// The algorithm with this name, in any case, with or without the dash.
    pub fn from_name(name: &str) -> Option<Self> {
        let plain = |name: &str| name.replace('-', "").to_ascii_lowercase();
        Self::ALL.into_iter().find(|algorithm| plain(algorithm.name()) == plain(name))
    }

    /// The length of a digest, in bytes.
    pub fn digest_bytes(self) -> usize {
        match self {
            Self::Sha256 | Self::Blake3 => 32,
            Self::Sha512 => 64,
            Self::Sha1 | Self::QuickXor => 20,
            Self::Md5 => 16,
            Self::Crc32c => 4,
        }
    }

    /// How much a digest of this kind proves; a higher number proves more.
    pub(crate) fn strength(self) -> u8 {
        match self {
            Self::Sha512 => 4,
            Self::Sha256 | Self::Blake3 => 3,
            Self::Sha1 => 2,
            Self::Md5 => 1,
            Self::Crc32c | Self::QuickXor => 0,
        }
    }

    /// Whether it is infeasible to make two contents with the same digest.
    pub(crate) fn is_collision_resistant(self) -> bool {
        matches!(self, Self::Sha256 | Self::Sha512 | Self::Blake3)
    }
}

/// What a file must hash to.
///
/// ```
/// use towline_engine::Checksum;
///
/// let checksum: Checksum = "MD5=d41d8cd98f00b204e9800998ecf8427e".parse()?;
/// assert_eq!(checksum.to_string(), "md5=d41d8cd98f00b204e9800998ecf8427e");
/// # Ok::<(), towline_engine::checksum::ChecksumError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checksum {
    algorithm: Algorithm,
    digest: Vec<u8>,
}

/// Why a text is not a checksum.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChecksumError {
    /// There is no `=`.
    #[error("a checksum is written ALGORITHM=HEX, for example sha-256=9f86d0…")]
    Form,
    /// The algorithm is unknown.
    #[error("{:?} is no algorithm that is known; sha-256, sha-512, sha-1, md5, blake3, crc32c and quickxor are", crate::secret::shown_line(.0))]
    Algorithm(String),
    /// The digest has characters other than hexadecimal digits, or the wrong number of them.
    #[error("a {algorithm} digest has {expected} hexadecimal digits")]
    Digest {
        /// The algorithm's name.
        algorithm: &'static str,
        /// The number of digits it must have.
        expected: usize,
    },
}

impl Checksum {
    /// A checksum from raw digest bytes; `None` if the algorithm's digests have another length.
    pub(crate) fn new(algorithm: Algorithm, digest: Vec<u8>) -> Option<Self> {
        (digest.len() == algorithm.digest_bytes()).then_some(Self { algorithm, digest })
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The digest.
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }

    /// Whether this content has it.
    ///
    /// # Errors
    /// If the content cannot be read.
    pub fn is_of(&self, content: &mut dyn Read) -> io::Result<bool> {
        let found = digest_of(content, self.algorithm, &|| true)?;
        Ok(found.is_some_and(|found| found == self.digest))
    }
}

impl FromStr for Checksum {
    type Err = ChecksumError;

    fn from_str(text: &str) -> Result<Self, ChecksumError> {
        let (name, hex) = text.split_once('=').ok_or(ChecksumError::Form)?;
        let algorithm =
            Algorithm::from_name(name.trim()).ok_or_else(|| ChecksumError::Algorithm(name.trim().to_owned()))?;
        let expected = algorithm.digest_bytes() * 2;
        let digest = from_hex(hex.trim()).filter(|digest| digest.len() * 2 == expected);
        let digest = digest.ok_or(ChecksumError::Digest { algorithm: algorithm.name(), expected })?;
        Ok(Self { algorithm, digest })
    }
}

impl Serialize for Checksum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Checksum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.algorithm.name())?;
        self.digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A digest in the making.
#[derive(Clone)]
pub(crate) enum Hasher {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
    Sha1(sha1::Sha1),
    Md5(md5::Md5),
    Blake3(Box<blake3::Hasher>),
    Crc32c(u32),
    QuickXor(Box<QuickXor>),
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(sha2::Sha512::new()),
            Algorithm::Sha1 => Self::Sha1(sha1::Sha1::new()),
            Algorithm::Md5 => Self::Md5(md5::Md5::new()),
            Algorithm::Blake3 => Self::Blake3(Box::new(blake3::Hasher::new())),
            Algorithm::Crc32c => Self::Crc32c(0),
            Algorithm::QuickXor => Self::QuickXor(Box::new(QuickXor::new())),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Self::Crc32c(crc) => *crc = crc32c::crc32c_append(*crc, bytes),
            Self::QuickXor(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            Self::Sha512(hasher) => hasher.finalize().to_vec(),
            Self::Sha1(hasher) => hasher.finalize().to_vec(),
            Self::Md5(hasher) => hasher.finalize().to_vec(),
            Self::Blake3(hasher) => hasher.finalize().as_bytes().to_vec(),
            Self::Crc32c(crc) => crc.to_be_bytes().to_vec(),
            Self::QuickXor(hasher) => hasher.finish().to_vec(),
        }
    }
}

/// The digest of everything `reader` yields; `None` if `go_on` returned false on the way.
pub(crate) fn digest_of(
    reader: &mut dyn Read,
    algorithm: Algorithm,
    go_on: &dyn Fn() -> bool,
) -> io::Result<Option<Vec<u8>>> {
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; BUFFER_BYTES];
    while go_on() {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(Some(hasher.finish())),
            Ok(length) => hasher.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits?;
    (digits.len() % 2 == 0).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let cases = [
            ("sha-256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            ("sha-1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("md5", "900150983cd24fb0d6963f7d28e17f72"),
            ("blake3", "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
            ("crc32c", "364b3fb7"),
            (
                "sha-512",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ];
        for (name, hex) in cases {
            let algorithm = Algorithm::from_name(name).unwrap();
            let digest = digest_of(&mut &b"abc"[..], algorithm, &|| true).unwrap().unwrap();
            assert_eq!(Checksum { algorithm, digest }.to_string(), format!("{name}={hex}"));
        }
    }

    #[test]
    fn what_is_no_checksum_says_what_is() {
        assert_eq!("abc".parse::<Checksum>(), Err(ChecksumError::Form));
        assert_eq!("crc=00".parse::<Checksum>(), Err(ChecksumError::Algorithm("crc".to_owned())));
        let expected = Err(ChecksumError::Digest { algorithm: "md5", expected: 32 });
        assert_eq!("md5=00".parse::<Checksum>(), expected);
        assert_eq!(format!("md5={}", "z".repeat(32)).parse::<Checksum>(), expected);
        assert!("SHA256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".parse::<Checksum>().is_ok());
    }

    #[test]
    fn a_digest_that_is_broken_off_is_no_digest() {
        assert_eq!(digest_of(&mut io::repeat(0), Algorithm::Md5, &|| false).unwrap(), None);
    }
}
