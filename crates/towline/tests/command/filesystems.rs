//! File systems that lack calls: network file systems, FUSE, containers. Each call is refused by the
//! kernel, by a filter of the process, in each way that is known of some file system.

use std::collections::BTreeMap;
use std::env;
use std::fs;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use towline_origin::{Fault, Origin, Resource};
use towline_testkit::{MIB, journal_bytes, wait_until};

use crate::common::Place;

const FILES: u64 = 40;
const SMALL_BYTES: u64 = 3000;
const LARGE_SEED: u64 = 7777;
const LARGE_BYTES: u64 = 5 * MIB;
const RATE_PER_CONNECTION: u64 = 1_500_000;

/// A call, and what it answers.
type Refusal = (libc::c_long, i32);

/// Those of locks on stretches of a file; `fcntl` does much else.
const LOCK_COMMANDS: [libc::c_int; 6] =
    [libc::F_GETLK, libc::F_SETLK, libc::F_SETLKW, libc::F_OFD_GETLK, libc::F_OFD_SETLK, libc::F_OFD_SETLKW];

/// One filter for each refusal: where several speak, the kernel takes the strictest.
fn filters(refusals: &[Refusal]) -> Vec<BpfProgram> {
    refusals.iter().map(|refusal| filter(*refusal)).collect()
}

fn filter((call, code): Refusal) -> BpfProgram {
    let rules = match call {
        libc::SYS_fcntl => LOCK_COMMANDS.map(with_command).into(),
        _ => Vec::new(),
    };
    let refuses = SeccompAction::Errno(u32::try_from(code).unwrap());
    let architecture = env::consts::ARCH.try_into().unwrap();
    SeccompFilter::new(BTreeMap::from([(call, rules)]), SeccompAction::Allow, refuses, architecture)
        .unwrap()
        .try_into()
        .unwrap()
}

fn with_command(command: libc::c_int) -> SeccompRule {
    let command = u64::try_from(command).unwrap();
    let is_it = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, command).unwrap();
    SeccompRule::new(vec![is_it]).unwrap()
}

/// One small file, one in pieces and a list: each arrives whole, and nothing is left beside it.
fn brings_everything(refusals: &[Refusal]) {
    let origin = Origin::builder()
        .resource(Resource::new("/large.bin", LARGE_SEED, LARGE_BYTES))
        .files("/{}.bin", FILES, SMALL_BYTES, 0)
        .start()
        .unwrap();
    let place = Place::new();
    let list: String = (1..FILES).map(|number| origin.url(&format!("/{number}.bin\n"))).collect();
    place.write("list", &list);
    let (small, large) = (origin.url("/0.bin"), origin.url("/large.bin"));
    for args in [&["get", &small][..], &["get", "-x", "2", &large], &["get", "-i", "list"]] {
        let args: Vec<_> = args.iter().copied().chain(["-d", "out"]).collect();
        let outcome = place.towline(&args).refused(filters(refusals)).run();
        assert!(outcome.status.success(), "{refusals:?}, {args:?}: {}", outcome.stderr);
    }
    place.check("large.bin", LARGE_SEED, LARGE_BYTES);
    for number in 0..FILES {
        place.check(&format!("{number}.bin"), number, SMALL_BYTES);
    }
    assert_eq!(place.leftovers_beside_numbered(FILES), [".towline", "large.bin"], "{refusals:?}");
}

fn each_brings_everything(calls: &[(libc::c_long, &[i32])]) {
    for (call, codes) in calls {
        for code in *codes {
            brings_everything(&[(*call, *code)]);
        }
    }
}

#[test]
fn files_get_their_names_without_renames_that_replace_nothing_and_without_links() {
    each_brings_everything(&[
        (libc::SYS_renameat2, &[libc::EINVAL, libc::ENOSYS, libc::EPERM]),
        (libc::SYS_linkat, &[libc::EPERM, libc::EOPNOTSUPP, libc::ENOENT, libc::EXDEV, libc::EMLINK]),
    ]);
    brings_everything(&[(libc::SYS_renameat2, libc::EINVAL), (libc::SYS_linkat, libc::EPERM)]);
}

#[test]
fn files_come_where_nothing_can_be_synced() {
    each_brings_everything(&[
        (libc::SYS_fdatasync, &[libc::EINVAL, libc::ENOSYS]),
        (libc::SYS_fsync, &[libc::EINVAL, libc::EBADF, libc::EACCES]),
        (libc::SYS_syncfs, &[libc::ENOSYS, libc::EINVAL]),
        (libc::SYS_sync_file_range, &[libc::ENOSYS, libc::ESPIPE]),
    ]);
    let all = [libc::SYS_fdatasync, libc::SYS_fsync, libc::SYS_syncfs];
    brings_everything(&all.map(|call| (call, libc::EINVAL)));
}

#[test]
fn files_come_where_room_attributes_modes_and_times_are_refused() {
    each_brings_everything(&[
        (libc::SYS_fallocate, &[libc::EOPNOTSUPP, libc::ENOSYS, libc::EINVAL, libc::EPERM, libc::EIO]),
        (libc::SYS_ftruncate, &[libc::EPERM, libc::EINVAL]),
        (libc::SYS_fsetxattr, &[libc::EOPNOTSUPP, libc::ENOSPC, libc::EPERM, libc::EINVAL, libc::EIO]),
        (libc::SYS_fchmod, &[libc::EPERM, libc::EOPNOTSUPP, libc::EINVAL, libc::EIO]),
        (libc::SYS_utimensat, &[libc::EPERM, libc::ENOSYS]),
        (libc::SYS_statfs, &[libc::ENOSYS]),
        (libc::SYS_statx, &[libc::ENOSYS]),
    ]);
}

#[test]
fn files_come_where_there_are_no_locks() {
    each_brings_everything(&[
        (libc::SYS_flock, &[libc::ENOSYS, libc::ENOLCK, libc::EOPNOTSUPP, libc::EINVAL]),
        (libc::SYS_fcntl, &[libc::ENOLCK, libc::ENOSYS, libc::EINVAL]),
    ]);
    brings_everything(&[(libc::SYS_flock, libc::ENOLCK), (libc::SYS_fcntl, libc::ENOLCK)]);
}

#[test]
fn what_a_file_system_lacks_is_said_once() {
    let origin = Origin::builder().resource(Resource::new("/large.bin", LARGE_SEED, LARGE_BYTES)).start().unwrap();
    let place = Place::new();
    let refusals = [libc::SYS_fdatasync, libc::SYS_fsync, libc::SYS_flock, libc::SYS_fcntl];
    let refusals = refusals.map(|call| (call, libc::EINVAL));
    let outcome = place.towline(&[&origin.url("/large.bin"), "-d", "out"]).refused(filters(&refusals)).run().code(0);
    for said in ["does not sync", "has no locks"] {
        assert_eq!(outcome.stderr.matches(said).count(), 1, "{said}: {}", outcome.stderr);
    }
}

#[test]
fn without_locks_a_second_process_is_told_whose_the_file_is_and_a_dead_ones_is_taken_over() {
    let refusals = [(libc::SYS_flock, libc::ENOLCK), (libc::SYS_fcntl, libc::ENOLCK)];
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", 1, LARGE_BYTES))
        .fault(Fault::RatePerConnection(RATE_PER_CONNECTION))
        .start()
        .unwrap();
    let place = Place::new();
    place.write("list", &origin.url("/a.bin"));
    let url = origin.url("/a.bin");
    let single = ["get", "-x", "1", &url, "-d", "out"];
    let list = ["get", "-x", "1", "-i", "list", "-d", "out"];
    for (args, lock) in [(&single[..], "a.bin.towline.lock"), (&list[..], ".towline/lock.lock")] {
        let first = place.towline(args).refused(filters(&refusals)).start();
        let journal = place.out("a.bin.towline.json");
        wait_until("bytes that are saved", || journal_bytes(&journal) > 0);
        let refused = place.towline(args).refused(filters(&refusals)).run().code(3);
        let _ = refused.says(&["another", "process", lock]);
        first.kill();
        assert!(fs::symlink_metadata(place.out(lock)).is_ok(), "a killed process leaves its lock");
        let asked = origin.requests().len();
        let _ = place.towline(args).refused(filters(&refusals)).run().code(0);
        place.check("a.bin", 1, LARGE_BYTES);
        let again = &origin.requests()[asked];
        assert!(again.is_range() && !again.range.as_deref().unwrap().starts_with("bytes=0-"), "{again:?}");
        assert!(fs::symlink_metadata(place.out(lock)).is_err());
        fs::remove_dir_all(place.out("")).unwrap();
    }
}

/// The lock is a file with the name of the partial file, which is replaced.
#[test]
fn without_locks_what_was_begun_begins_anew() {
    let refusals = [(libc::SYS_flock, libc::ENOLCK), (libc::SYS_fcntl, libc::ENOLCK)];
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", 1, LARGE_BYTES))
        .fault(Fault::RatePerConnection(RATE_PER_CONNECTION))
        .start()
        .unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    let args = ["get", "-x", "1", &url, "-d", "out", "--restart"];
    let first = place.towline(&args).refused(filters(&refusals)).start();
    wait_until("bytes that are saved", || journal_bytes(&place.out("a.bin.towline.json")) > 0);
    first.kill();
    let _ = place.towline(&args).refused(filters(&refusals)).run().code(0);
    place.check("a.bin", 1, LARGE_BYTES);
    assert!(fs::symlink_metadata(place.out("a.bin.towline.lock")).is_err());
}
