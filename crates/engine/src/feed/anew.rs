//! Whether a file that an earlier run finished has to be looked at again. Pure.

use crate::checksum::{Checksum, Demanded};
use crate::evidence::Evidence;
use crate::feed::entries::Found;
use crate::job::{JobSpec, Left};

/// Whether a service lists another version of a file than the one that was fetched, or may have another one: it lists
/// none, or only a time, and the file was young when it was fetched.
pub(super) fn is_listed_anew(spec: &JobSpec, fetched: Option<&Evidence>) -> bool {
    let Some(listed) = &spec.listed else { return false };
    let before = fetched.and_then(|fetched| fetched.listed.as_deref());
    match (&listed.version, before) {
        (None, _) => true,
        (Some(now), Some(before)) if now != before => true,
        _ => listed.is_coarse && !fetched.is_some_and(Evidence::has_settled_date),
    }
}

/// Whether the list gives another length, or digests that the file was not checked for: it may be of another version.
pub(super) fn is_promised_anew(spec: &JobSpec, demanded: Demanded<'_>, checked: Option<&str>, len_bytes: u64) -> bool {
    // What a service lists may differ from what it sends.
    if spec.listed.is_none() && spec.size_bytes.is_some_and(|size_bytes| size_bytes != len_bytes) {
        return true;
    }
    match (demanded.digest, &spec.pieces) {
        _ if demanded.is_contradicted => true,
        (Some(given), _) => checked.and_then(|checked| checked.parse::<Checksum>().ok()).as_ref() != Some(given),
        (None, Some(pieces)) => checked != Some(&*pieces.fingerprint()),
        (None, None) => false,
    }
}

/// Whether the server had another version already when the file was complete.
pub(super) fn is_outdated(found: &Found) -> bool {
    found.fetched.as_ref().is_some_and(|fetched| fetched.is_outdated)
}

/// What an earlier run left of a service's file, or of one that was outdated even then, may be replaced, under the name
/// that it got.
pub(super) fn go_on_under_its_name(spec: &mut JobSpec, found: &Found) {
    if spec.listed.is_none() && !is_outdated(found) {
        return;
    }
    let Some((name, (len_bytes, modified_ns))) = found.name.as_ref().zip(found.left) else { return };
    let before = found.fetched.as_ref().and_then(|fetched| fetched.listed.as_deref());
    let now = spec.listed.as_ref().and_then(|listed| listed.version.as_deref());
    let mut left = Left::new(len_bytes, modified_ns);
    left.is_changed = is_outdated(found) || now.zip(before).is_some_and(|(now, before)| now != before);
    spec.left = Some(left);
    if spec.output.is_some() {
        // It has its directory in it.
        spec.options.dir = None;
        spec.output = Some(name.clone());
    }
}
