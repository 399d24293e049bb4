//! The digest that a finished file must have, and who said so. The user's digest always counts; the server's
//! only if the user gave none. Plain values, checked by the dispatcher and the committer.

use bytes::Bytes;

use crate::checksum::{Checksum, Hasher};
use crate::error::{Advice, Error, ErrorKind};
use crate::http::digest::ServerDigest;
use crate::job::Listed;

/// A digest that the content should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// From the user.
    Asked(Checksum),
    /// Given to the run that joined the data.
    Begun(Checksum),
    /// From the service that lists the file.
    Listed(Box<Listed>, Checksum),
    /// From the server.
    Given(ServerDigest),
}

impl Promise {
    pub(crate) fn checksum(&self) -> &Checksum {
        match self {
            Self::Asked(checksum) | Self::Begun(checksum) | Self::Listed(_, checksum) => checksum,
            Self::Given(digest) => digest.checksum(),
        }
    }

    /// Whether a match proves that the content is right: the server's digest may be only a CRC.
    pub(crate) fn proves(&self) -> bool {
        match self {
            Self::Asked(_) => true,
            // It is only a reason to doubt what is there: somebody may have mistyped it.
            Self::Begun(_) => false,
            Self::Listed(listed, checksum) => !listed.may_differ && checksum.algorithm().is_collision_resistant(),
            Self::Given(digest) => digest.checksum().algorithm().is_collision_resistant(),
        }
    }

    /// Whether this digest of the content matches.
    pub(crate) fn is_kept_by(&self, found: &[u8]) -> bool {
        self.checksum().digest() == found
    }

    /// Whether the digest of this content matches.
    pub(crate) fn is_kept_by_content(&self, content: &[Bytes]) -> bool {
        let mut hasher = Hasher::new(self.checksum().algorithm());
        content.iter().for_each(|bytes| hasher.update(bytes));
        self.is_kept_by(&hasher.finish())
    }

    /// What to say of another digest that is no damage; `None` if it is.
    pub(crate) fn remark(&self) -> Option<String> {
        let Self::Listed(listed, _) = self else { return None };
        listed
            .may_differ
            .then(|| format!("{} sends this file otherwise than it lists it, so its digest is not checked", listed.by))
    }

    /// The error for content with this digest instead.
    pub(crate) fn broken_by(&self, found: &[u8]) -> Error {
        let algorithm = self.checksum().algorithm();
        let found = Checksum::new(algorithm, found.to_vec()).map_or_else(String::new, |it| it.to_string());
        match self {
            Self::Asked(asked) | Self::Begun(asked) => {
                let name = algorithm.name();
                let text = format!(
                    "the content does not have the {name} digest that was asked for (expected {asked}, found {found})"
                );
                Error::new(ErrorKind::Digest, text)
            }
            Self::Listed(listed, checksum) => {
                let text = format!(
                    "the content does not have the digest that {} lists (expected {checksum}, found {found})",
                    listed.by
                );
                Error::new(ErrorKind::Digest, text).with_advice(Advice::RunAgainOrIgnoreServerDigest)
            }
            Self::Given(digest) => {
                let text = format!(
                    "the content does not have the digest that the server gave in {} (expected {}, found {found})",
                    digest.field(),
                    digest.checksum(),
                );
                Error::new(ErrorKind::Digest, text).with_advice(Advice::RunAgainOrIgnoreServerDigest)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_gave_is_named_with_what_was_found_instead() {
        let given = Promise::Given("x-goog-hash: crc32c=00000001".parse().unwrap());
        assert!(given.is_kept_by(&[0, 0, 0, 1]));
        assert!(!given.is_kept_by(&[0, 0, 0, 2]));
        let error = given.broken_by(&[0, 0, 0, 2]);
        assert_eq!(error.kind(), ErrorKind::Digest);
        assert_eq!(
            error.message(),
            "the content does not have the digest that the server gave in x-goog-hash \
             (expected crc32c=00000001, found crc32c=00000002)"
        );
        assert_eq!(error.advice(), Some(Advice::RunAgainOrIgnoreServerDigest));
    }

    #[test]
    fn what_the_user_asked_for_keeps_its_words() {
        let asked = Promise::Asked("crc32c=00000001".parse().unwrap());
        let error = asked.broken_by(&[0, 0, 0, 2]);
        assert_eq!(
            error.message(),
            "the content does not have the crc32c digest that was asked for (expected crc32c=00000001, found \
             crc32c=00000002)"
        );
        assert_eq!(error.advice(), Some(Advice::RunAgainOrCheckDigest));
    }
}
