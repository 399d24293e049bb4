//! Files of digests, as `sha256sum` and its kin write them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use super::{Algorithm, Checksum};
use crate::secret::shown_line;

/// A longer line is none.
const LINE_BYTES_MAX: u64 = 16 << 10;
/// The most digests of one file.
const SUMS_MAX: usize = 10_000_000;

/// The digests of files by their names, read from a file such as `SHA256SUMS`.
///
/// ```
/// use towline_engine::checksum::Sums;
///
/// let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  ./sub/empty\n";
/// let sums = Sums::read(text.as_bytes())?;
/// assert!(sums.of("sub/empty".as_ref()).is_some());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sums(HashMap<PathBuf, Checksum>);

impl Sums {
    /// Reads lines of the form `HEX  NAME`, `HEX *NAME`, or `ALGORITHM (NAME) = HEX`. Blank lines, comments and the
    /// lines of a signature are passed over. Of several digests of one name, the strongest counts.
    ///
    /// # Errors
    /// If the file cannot be read, a line is none of these, or a name has two digests of one algorithm; the error names
    /// the line.
    pub fn read(mut file: impl BufRead) -> io::Result<Self> {
        let mut sums: HashMap<PathBuf, Checksum> = HashMap::new();
        let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let (mut line, mut number) = (Vec::new(), 0);
        loop {
            line.clear();
            number += 1;
            if file.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
                return Ok(Self(sums));
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\r', '\n']);
            if text.starts_with("-----BEGIN PGP SIGNATURE") {
                return Ok(Self(sums));
            }
            if text.trim().is_empty() || text.starts_with('#') || text.starts_with("-----") || text.starts_with("Hash:")
            {
                continue;
            }
            let Some((name, checksum)) = digest_in(text) else {
                return Err(wrong(format!("line {number} has no digest and name (got \"{}\")", shown_line(text))));
            };
            match sums.entry(plain(Path::new(&name))) {
                Entry::Vacant(free) => drop(free.insert(checksum)),
                Entry::Occupied(held) if held.get() == &checksum => {}
                Entry::Occupied(held) if held.get().algorithm() == checksum.algorithm() => {
                    return Err(wrong(format!("line {number} has another digest of {}", shown_line(&name))));
                }
                Entry::Occupied(mut held) => {
                    if held.get().algorithm().strength() < checksum.algorithm().strength() {
                        held.insert(checksum);
                    }
                }
            }
            if sums.len() > SUMS_MAX {
                return Err(wrong("it has too many lines".to_owned()));
            }
        }
    }

    /// All names and their digests, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Checksum)> {
        self.0.iter().map(|(name, digest)| (name.as_path(), digest))
    }

    /// The digest of the first of these names that has one.
    pub(crate) fn of_any(&self, names: &[&Path]) -> Option<&Checksum> {
        names.iter().find_map(|name| self.of(name))
    }

    /// The digest of the file with this name, which may have directories.
    pub fn of(&self, name: &Path) -> Option<&Checksum> {
        self.0.get(&plain(name))
    }
}

/// What two digests of one file demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Demanded<'a> {
    /// The stronger one, which is checked.
    pub(crate) digest: Option<&'a Checksum>,
    /// Both are of one kind and differ: one of them must be wrong.
    pub(crate) is_contradicted: bool,
}

impl<'a> Demanded<'a> {
    /// By the file's own digest and that in a file of digests.
    pub(crate) fn by(own: Option<&'a Checksum>, sum: Option<&'a Checksum>) -> Self {
        let strength = |digest: Option<&Checksum>| digest.map(|digest| digest.algorithm().strength());
        let is_contradicted = own.zip(sum).is_some_and(|(own, sum)| own.algorithm() == sum.algorithm() && own != sum);
        Self { digest: if strength(sum) >= strength(own) { sum } else { own }, is_contradicted }
    }
}

/// A name without `./`.
fn plain(name: &Path) -> PathBuf {
    name.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect()
}

fn digest_in(line: &str) -> Option<(String, Checksum)> {
    // Such a line has characters in its name that are written in two.
    let (line, is_escaped) = line.strip_prefix('\\').map_or((line, false), |line| (line, true));
    let (name, checksum) = parts_of(line)?;
    Some((if is_escaped { unescaped(name)? } else { name.to_owned() }, checksum))
}

fn unescaped(name: &str) -> Option<String> {
    let mut chars = name.chars();
    let mut plain = String::with_capacity(name.len());
    while let Some(char) = chars.next() {
        plain.push(match char {
            '\\' => match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                '\\' => '\\',
                _ => return None,
            },
            char => char,
        });
    }
    Some(plain)
}

fn parts_of(line: &str) -> Option<(&str, Checksum)> {
    if let Some((hex, rest)) = line.split_once(' ')
        && let Some(algorithm) = algorithm_of(hex)
        && let Some(name) = rest.strip_prefix([' ', '*'])
    {
        return Some((name, format!("{}={hex}", algorithm.name()).parse().ok()?));
    }
    let (head, hex) = line.rsplit_once(" = ")?;
    let (algorithm, name) = head.split_once(" (")?;
    let algorithm = Algorithm::from_name(algorithm)?;
    Some((name.strip_suffix(')')?, format!("{}={hex}", algorithm.name()).parse().ok()?))
}

/// The algorithm whose digests are that long.
fn algorithm_of(hex: &str) -> Option<Algorithm> {
    let algorithms = [Algorithm::Sha256, Algorithm::Sha1, Algorithm::Md5, Algorithm::Sha512];
    algorithms.into_iter().find(|algorithm| algorithm.digest_bytes() * 2 == hex.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA_256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

    #[test]
    fn all_forms_are_read() {
        let text = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# comment\r\n{SHA_256}  a b\r\n{MD5} *./sub/c\n\
             MD5 (d (1)) = {MD5}\nSHA2-256x\n"
        );
        let sums = |text: &str| Sums::read(text.as_bytes());
        let error = sums(&text).unwrap_err().to_string();
        assert!(error.starts_with("line 8 has no digest"), "{error}");
        let good = sums(&(text.replace("SHA2-256x\n", "") + "-----BEGIN PGP SIGNATURE-----\nxyz\n")).unwrap();
        assert_eq!(good.of("a b".as_ref()).unwrap().to_string(), format!("sha-256={SHA_256}"));
        assert_eq!(good.of("sub/c".as_ref()).unwrap().to_string(), format!("md5={MD5}"));
        assert_eq!(good.of("d (1)".as_ref()).unwrap().to_string(), format!("md5={MD5}"));
        assert!(good.of("xyz".as_ref()).is_none());
    }

    #[test]
    fn of_several_digests_the_strongest_counts_and_two_of_a_kind_are_an_error() {
        let (weak, strong) = (format!("MD5 (a) = {MD5}\n"), format!("{SHA_256}  ./a\n"));
        for text in [weak.clone() + &strong, strong.clone() + &weak, strong.repeat(2)] {
            let sums = Sums::read(text.as_bytes()).unwrap();
            assert_eq!(sums.of("a".as_ref()).unwrap().to_string(), format!("sha-256={SHA_256}"));
        }
        let error = Sums::read((strong + &"0".repeat(64) + "  a\n").as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "line 2 has another digest of a");
    }

    #[test]
    fn names_are_read_as_they_were_written() {
        let sums = Sums::read(format!("\\{MD5}  a\\nb\\\\c\n{MD5}  d\\ne\n").as_bytes()).unwrap();
        assert!(sums.of("a\nb\\c".as_ref()).is_some() && sums.of("d\\ne".as_ref()).is_some());
        assert!(Sums::read(format!("\\{MD5}  a\\x\n").as_bytes()).is_err());
    }
}
