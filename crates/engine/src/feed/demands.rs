//! What entries of one identity demand of their file. A line that repeats another is one file; if it demands something
//! else, nobody can say which of them is meant, and each is an entry of its own.
//!
//! Owned by the batch, on the feed thread. Entries that demand nothing cost no memory, others eight bytes.

use http::header::{AUTHORIZATION, COOKIE};

use crate::feed::identity::Key;
use crate::job::JobSpec;
use crate::key_set::KeySet;

/// The demands of the entries so far, as hashes.
#[derive(Debug, Default)]
pub(super) struct Demands(KeySet);

impl Demands {
    /// Notes what an entry demands. Whether it demands something that none of this identity has demanded before.
    pub(super) fn are_new(&mut self, key: Key, spec: &JobSpec) -> bool {
        demand(key, spec).is_some_and(|demand| self.0.insert(demand))
    }
}

/// What is demanded and is no part of the identity, because it may change between two runs.
fn demand(key: Key, spec: &JobSpec) -> Option<u64> {
    let credentials = spec.options.headers.iter().filter(|(name, _)| *name == AUTHORIZATION || *name == COOKIE);
    let is_none = spec.checksum.is_none()
        && spec.size_bytes.is_none()
        && spec.pieces.is_none()
        && credentials.clone().next().is_none();
    if is_none {
        return None;
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&key);
    let promises = (&spec.checksum, spec.size_bytes, &spec.pieces);
    hasher.update(serde_json::to_string(&promises).unwrap_or_default().as_bytes());
    credentials.for_each(|(name, value)| {
        hasher.update(&[0]).update(name.as_str().as_bytes()).update(&[0]).update(value.as_bytes());
    });
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    Some(u64::from_le_bytes(first))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_another_demand_is_new() {
        let mut demands = Demands::default();
        let plain = JobSpec::new("http://h/a".parse().unwrap());
        let sized = |size_bytes| JobSpec { size_bytes: Some(size_bytes), ..plain.clone() };
        let mut bearer = plain.clone();
        bearer.options.headers.push((AUTHORIZATION, HeaderValue::from_static("Bearer 1")));
        for (spec, is_new) in [
            (&plain, false),
            (&sized(1), true),
            (&sized(1), false),
            (&sized(2), true),
            (&bearer, true),
            (&bearer, false),
            (&sized(1), false),
        ] {
            assert_eq!(demands.are_new([1; 16], spec), is_new, "{spec:?}");
        }
        assert!(demands.are_new([2; 16], &sized(1)), "of another entry");
    }
}
