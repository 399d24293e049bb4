//! What no disk of a simulated world may hold: anything but one whole version of a file under its final name,
//! or a journal that claims bytes that are not on the disk.

use std::ops::Range;
use std::path::Path;

use super::script::{RemoteFile, Script, Version};
use super::storage::Disk;
use crate::journal::{Journal, Verified};
use crate::name::ours::{JOURNAL_SUFFIX, OUR_SUFFIXES};
use crate::name::{journal_path, part_path};
use crate::ranges::ByteRange;

/// Checks everything.
pub(super) fn all(script: &Script, disk: &Disk) {
    for name in disk.names() {
        one(script, disk, name);
    }
}

/// Checks that what other programs put there before this life is still there, under whatever name.
pub(super) fn strangers(script: &Script, disk: &Disk, life: usize) {
    for stranger in script.stranger.iter().filter(|stranger| stranger.before_life <= life) {
        let is_there = disk.names().any(|name| disk.content(name) == Some(&*stranger.content));
        let shown = stranger.path.display();
        assert!(is_there || script.may_replace(stranger), "the file of another program at {shown} is gone");
    }
}

/// Checks a final name and its journal.
pub(super) fn path(script: &Script, disk: &Disk, path: &Path) {
    one(script, disk, path);
    one(script, disk, &journal_path(path));
}

/// Checks that a file reported as fetched is durable.
pub(super) fn fetched(script: &Script, disk: &Disk, path: &Path, bytes: u64) {
    let content = disk.durable(path).unwrap_or_else(|| panic!("{} was fetched and would not last", path.display()));
    assert_eq!(content.len() as u64, bytes, "{}", path.display());
    assert!(is_version(script.file_of(path), content), "{} has wrong bytes on the disk", path.display());
}

/// The names of what is unfinished.
pub(super) fn leftovers(disk: &Disk) -> Vec<&Path> {
    disk.names().filter(|name| is_unfinished(&name.to_string_lossy())).collect()
}

fn one(script: &Script, disk: &Disk, name: &Path) {
    let Some(content) = disk.content(name) else { return };
    let file = script.file_of(name);
    let text = name.to_string_lossy();
    if let Some(of) = text.strip_suffix(JOURNAL_SUFFIX) {
        return journal(file, disk, Path::new(of), content);
    }
    let is_right = is_unfinished(&text) || is_version(file, content) || script.is_of_stranger(content);
    assert!(is_right, "{text} has {} bytes that its server never had", content.len());
}

fn journal(file: &RemoteFile, disk: &Disk, of: &Path, text: &[u8]) {
    let shown = of.display();
    // The first journal is not synced: after a crash it may be torn, and then it claims nothing.
    let Ok(journal) = Journal::decode(text) else { return };
    let part = part_path(of);
    let (Some(content), Some(synced)) = (disk.content(&part), disk.synced(&part)) else { return };
    // A journal with another length is not trusted, nor one that says that its bytes are wrong.
    if journal.identity.total_bytes != Some(content.len() as u64) || journal.verified == Verified::Failed {
        return;
    }
    let found = disk.stat(&part).and_then(|stat| stat.file);
    if journal.file.zip(found).is_some_and(|(held, found)| !held.is_same(&found)) {
        // It names another file, so what it claims is compared first.
        return;
    }
    let versions = file.versions_of(&journal.identity.evidence, content.len());
    assert!(!versions.is_empty(), "the journal of {shown} is of no version that there was: {:?}", journal.identity);
    let has =
        |version: &Version, range: ByteRange| has_bytes(version, synced, range.start as usize..range.end as usize);
    let has_all = |version: &&Version| journal.done.iter().all(|range| has(version, range));
    let is_there = match file.checksum {
        // If there is a digest, responses that agree weakly are joined: the digest decides.
        Some(_) => journal.done.iter().all(|range| is_of_some_version(file, synced, range)),
        None => versions.iter().any(has_all),
    };
    assert!(is_there, "the journal of {shown} claims {:?}, and the disk has not got it of one version", journal.done);
}

fn has_bytes(version: &Version, synced: &[u8], at: Range<usize>) -> bool {
    synced.get(at.clone()).is_some_and(|bytes| Some(bytes) == version.content.get(at))
}

fn is_of_some_version(file: &RemoteFile, synced: &[u8], range: ByteRange) -> bool {
    let has = |at: usize| file.versions.iter().chain(&file.stale).any(|version| has_bytes(version, synced, at..at + 1));
    (range.start as usize..range.end as usize).all(has)
}

/// Whether it is one version, whole. What a mirror has counts where the user gives no digest.
pub(super) fn is_version(file: &RemoteFile, content: &[u8]) -> bool {
    let of_mirrors = file.stale.as_ref().filter(|_| file.checksum.is_none());
    file.versions.iter().chain(of_mirrors).any(|version| version.content == content)
}

fn is_unfinished(name: &str) -> bool {
    // What is set aside is numbered.
    let unnumbered = name.trim_end_matches(|char: char| char.is_ascii_digit()).trim_end_matches('.');
    let is_damaged =
        [".towline.json.damaged-", ".towline.old.json.damaged-"].iter().any(|end| unnumbered.ends_with(end));
    is_damaged || OUR_SUFFIXES.into_iter().any(|suffix| name.ends_with(suffix) || unnumbered.ends_with(suffix))
}
