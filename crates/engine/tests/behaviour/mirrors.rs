//! Files with mirrors: fast mirrors deliver most, wrong ones are dropped and reported, and the file completes
//! as long as one source is left.

use std::fs;
use std::time::{Duration, Instant, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderName, HeaderValue};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use towline_engine::checksum::Algorithm;
use towline_engine::event::{ErrorReport, SourceShare};
use towline_engine::{ErrorKind, Event, JobSpec, Options, PieceDigests, Session};
use towline_origin::{ETag, Fault, Origin, Ranges, Resource, Scope};
use towline_testkit::content;

use crate::common::{LONG, Live, MIB, Place, Run, fetch, sha256_of, spec, with_watchdog};

const PATH: &str = "/a.iso";
const SLOW: u64 = 1_000_000;
const FAST: u64 = 6_000_000;

/// A server of the file with this rate per connection.
fn origin(resource: Resource, bytes_per_sec: u64) -> Origin {
    Origin::builder().resource(resource).fault(Fault::RatePerConnection(bytes_per_sec)).start().unwrap()
}

/// The same file everywhere, with a different tag on each server.
fn file(seed: u64, size: u64, tag: &str) -> Resource {
    Resource::new(PATH, seed, size).etag(ETag::Custom(format!("\"{tag}\"")))
}

/// The job for the file of the first origin, with the others as mirrors.
fn job(origins: &[&Origin]) -> JobSpec {
    let job = spec(origins[0], PATH);
    origins[1..].iter().fold(job, |job, mirror| job.mirror(mirror.url(PATH).parse().unwrap()))
}

fn with_connections(place: &Place, connections: Option<usize>) -> Options {
    let mut options = place.options();
    options.connections = connections;
    options.http.retries = 1;
    options
}

/// The sources that were dropped: their URLs, why, and how many were left.
fn dropped(run: &Run) -> Vec<(&str, &ErrorReport, u32)> {
    let dropped = run.events.iter().filter_map(|event| match event {
        Event::SourceDropped { url, error, sources_left, .. } => Some((url.as_str(), error, *sources_left)),
        _ => None,
    });
    dropped.collect()
}

/// What each source contributed.
fn shares(run: &Run) -> &[SourceShare] {
    let shares = run.events.iter().find_map(|event| match event {
        Event::Sources { sources, .. } => Some(sources.as_slice()),
        _ => None,
    });
    shares.expect("what each source brought is said")
}

/// Stops a session once more than 40 % of its one file has arrived; returns how many bytes are kept.
fn begin_and_stop(options: Options, job: JobSpec) -> u64 {
    let mut live = Live::start(Session::builder(options));
    live.handle.add(job).unwrap();
    live.handle.close();
    live.wait_for_share(40);
    live.handle.stop();
    live.end().summary().kept_bytes
}

#[test]
fn a_fast_mirror_brings_most_and_one_with_other_content_is_dropped() {
    with_watchdog(LONG, || {
        let size = 24 * MIB;
        for connections in [Some(4), None] {
            let slow = origin(file(701, size, "slow"), SLOW);
            let fast = origin(file(701, size, "fast"), FAST);
            let wrong = origin(file(702, size, "wrong"), FAST);
            let place = Place::new();
            let run = fetch(with_connections(&place, connections), [job(&[&slow, &fast, &wrong])]);
            run.assert_done(1);
            place.assert_content("a.iso", 701, size);
            assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
            assert_eq!((run.restarts(), run.finished()[0].fetched_bytes), (0, size));

            let shares = shares(&run);
            let urls: Vec<_> = shares.iter().map(|share| share.url.as_str()).collect();
            assert_eq!(urls, [slow.url(PATH), fast.url(PATH), wrong.url(PATH)]);
            assert!(shares[0].fetched_bytes > 0 && shares[1].fetched_bytes > 2 * shares[0].fetched_bytes, "{shares:?}");
            assert_eq!((shares[2].fetched_bytes, shares[2].dropped), (0, true), "{shares:?}");
            assert_eq!(shares.iter().map(|share| share.fetched_bytes).sum::<u64>(), size);

            let dropped = dropped(&run);
            assert_eq!(dropped.len(), 1, "{dropped:?}");
            let (url, error, left) = dropped[0];
            assert_eq!((url, left), (wrong.url(PATH).as_str(), 2));
            assert!(error.message.contains("differs from what is there"), "{}", error.message);
            assert!(wrong.stats().body_bytes < MIB, "{} bytes of it were fetched", wrong.stats().body_bytes);
        }
    });
}

#[test]
fn when_all_sources_fail_the_error_names_each_with_its_reason() {
    with_watchdog(LONG, || {
        let gone = Origin::builder().start().unwrap();
        let busy =
            Origin::builder().fault(Fault::Status { code: 503, times: None, retry_after: None }).start().unwrap();
        let dead = Origin::builder().start().unwrap();
        dead.stop();
        let place = Place::new();
        let run = fetch(with_connections(&place, None), [job(&[&gone, &busy, &dead])]);
        // The failure that may be transient decides the kind.
        assert_eq!(run.failure_kinds(), [ErrorKind::Status(503)]);
        let message = &run.failures()[0].message;
        let reasons = [
            format!("{}: the server answered 404 Not Found", gone.url(PATH)),
            format!("{}: the server answered 503 Service Unavailable (tried 2 times)", busy.url(PATH)),
            format!("{}: ", dead.url(PATH)),
        ];
        for reason in &reasons {
            assert!(message.contains(reason), "{reason:?} is not in {message:?}");
        }
        assert!(message.contains("none of 3 sources"), "{message}");
        let left: Vec<u32> = dropped(&run).iter().map(|(_, _, left)| *left).collect();
        assert_eq!(left, [2, 1, 0]);
        assert_eq!(gone.stats().requests, 1);
        assert_eq!(place.leftovers(&[]), [""; 0]);
    });
}

#[test]
fn a_first_source_whose_file_has_another_length_than_the_list_says_gives_way() {
    with_watchdog(LONG, || {
        let size = MIB + 5;
        for (seed, wrong) in [(711, size - 5), (711, size + 5), (712, size - 70_000)] {
            for has_size in [true, false] {
                let first = Origin::builder().resource(file(seed, wrong, "first")).start().unwrap();
                let right = Origin::builder().resource(file(711, size, "right")).start().unwrap();
                let place = Place::new();
                let mut job = job(&[&first, &right]);
                job.size_bytes = has_size.then_some(size);
                if !has_size {
                    job = job.checksum(sha256_of(711, size));
                }
                let run = fetch(with_connections(&place, Some(2)), [job]);
                run.assert_done(1);
                place.assert_content("a.iso", 711, size);
                assert_eq!(dropped(&run).len(), 1, "{wrong} {has_size}: {:?}", dropped(&run));
            }
        }
    });
}

#[test]
fn a_first_source_that_brings_the_same_half_each_time_gives_way() {
    with_watchdog(LONG, || {
        let size = 70_000;
        let first = Resource::new(PATH, 713, size).etag(ETag::None).last_modified(None);
        let first = first.fault(Fault::CutAt(size / 2)).fault(Fault::IgnoreRange);
        let first = Origin::builder().resource(first).start().unwrap();
        let right = Origin::builder().resource(file(713, size, "right")).start().unwrap();
        let place = Place::new();
        let job = job(&[&first, &right]).checksum(sha256_of(713, size));
        let run = fetch(with_connections(&place, Some(1)), [job]);
        run.assert_done(1);
        place.assert_content("a.iso", 713, size);
    });
}

#[test]
fn a_first_source_that_brings_a_few_bytes_each_time_gives_way() {
    with_watchdog(LONG, || {
        let size = 200_000;
        let first = Origin::builder().resource(file(714, size, "a").fault(Fault::StallAt(60, None))).start().unwrap();
        let right = Origin::builder().resource(file(714, size, "a")).start().unwrap();
        let place = Place::new();
        let mut options = with_connections(&place, Some(1));
        options.http.stall_timeout = Duration::from_millis(300);
        let run = fetch(options, [job(&[&first, &right])]);
        run.assert_done(1);
        place.assert_content("a.iso", 714, size);
        assert!(first.requests().len() <= 4, "{} requests", first.requests().len());
    });
}

#[test]
fn a_source_that_only_fails_is_not_asked_for_each_piece_that_another_breaks_off() {
    const FILES: u64 = 60;
    with_watchdog(LONG, || {
        let (size, began) = (200_000, Instant::now());
        let busy = Fault::Status { code: 503, times: None, retry_after: None };
        let (mut first, mut right) = (Origin::builder().fault(busy), Origin::builder().fault(Fault::CutAt(20_000)));
        for number in 0..FILES {
            let file = Resource::new(format!("/{number}.bin"), number, size);
            (first, right) = (first.resource(file.clone()), right.resource(file));
        }
        let (first, right) = (first.start().unwrap(), right.start().unwrap());
        let place = Place::new();
        let mut options = place.options();
        options.http.retries = 5;
        let jobs = (0..FILES).map(|number| {
            let path = format!("/{number}.bin");
            spec(&first, &path).mirror(right.url(&path).parse().unwrap())
        });
        fetch(options, jobs).assert_done(FILES as usize);
        (0..FILES).for_each(|number| place.assert_content(&format!("{number}.bin"), number, size));
        // Some before it was known, and one a second and a quarter from then on.
        let most = 30 + began.elapsed().as_secs();
        let asked = first.requests().len() as u64;
        assert!(asked <= most, "{asked} requests in {:?}", began.elapsed());
    });
}

#[test]
fn files_whose_first_source_asks_for_an_hour_come_from_their_mirrors() {
    const FILES: u64 = 100;
    with_watchdog(LONG, || {
        let (size, hour) = (50_000, Some("3600".to_owned()));
        let (mut first, mut right) = (Origin::builder(), Origin::builder());
        first = first.fault(Fault::Status { code: 503, times: None, retry_after: hour });
        for number in 0..FILES {
            let file = Resource::new(format!("/{number}.bin"), number, size);
            (first, right) = (first.resource(file.clone()), right.resource(file));
        }
        let (first, right) = (first.start().unwrap(), right.start().unwrap());
        let place = Place::new();
        let jobs = (0..FILES).map(|number| {
            let path = format!("/{number}.bin");
            spec(&first, &path).mirror(right.url(&path).parse().unwrap())
        });
        fetch(place.options(), jobs).assert_done(FILES as usize);
        (0..FILES).for_each(|number| place.assert_content(&format!("{number}.bin"), number, size));
    });
}

#[test]
fn a_mirror_whose_file_has_another_length_is_dropped() {
    with_watchdog(LONG, || {
        let size = 6 * MIB;
        let first = origin(file(711, size, "first"), SLOW);
        let longer = origin(file(711, size + 1, "longer"), FAST);
        let place = Place::new();
        let run = fetch(with_connections(&place, Some(4)), [job(&[&first, &longer])]);
        run.assert_done(1);
        place.assert_content("a.iso", 711, size);
        let dropped = dropped(&run);
        assert_eq!(dropped.len(), 1, "{dropped:?}");
        assert!(dropped[0].1.message.contains(&format!("{} bytes instead of {size}", size + 1)), "{dropped:?}");
        assert_eq!(shares(&run)[1].fetched_bytes, 0);
    });
}

#[test]
fn a_mirror_that_gives_another_digest_is_dropped_although_its_beginning_is_the_same() {
    with_watchdog(LONG, || {
        let size = 6 * MIB;
        let field = |seed| format!("sha-256=:{}:", BASE64_STANDARD.encode(Sha256::digest(content(seed, size))));
        let asked = sha256_of(712, size);
        // Once with the first server's digest, once with the user's.
        for checksum in [None, Some(asked)] {
            let given = if checksum.is_none() { field(712) } else { "unixsum=:AAAA:".to_owned() };
            let first = origin(file(712, size, "first").header("Repr-Digest", &given), SLOW);
            let other = Fault::OtherContent { from: size / 2, seed: 713 };
            let other = file(712, size, "other").fault(other).header("Repr-Digest", &field(713));
            let mirror = origin(other, FAST);
            let place = Place::new();
            let mut job = job(&[&first, &mirror]);
            job.checksum = checksum;
            let run = fetch(with_connections(&place, Some(4)), [job]);
            run.assert_done(1);
            place.assert_content("a.iso", 712, size);
            let dropped = dropped(&run);
            assert_eq!(dropped.len(), 1, "{dropped:?}");
            // By its digest, or by the sample if that happens to cover the difference.
            let why = &dropped[0].1.message;
            assert!(why.contains("another digest") || why.contains("content differs"), "{dropped:?}");
            assert_eq!(shares(&run)[1].fetched_bytes, 0);
        }
    });
}

#[test]
fn a_mirror_leads_where_the_first_source_is_gone_and_the_name_stays_that_of_the_first() {
    with_watchdog(LONG, || {
        for size in [20_000, 4 * MIB] {
            let gone = Origin::builder().start().unwrap();
            let mirror = Origin::builder().resource(Resource::new("/other/b.bin", 721, size)).start().unwrap();
            let place = Place::new();
            let job = spec(&gone, PATH).mirror(mirror.url("/other/b.bin").parse().unwrap());
            let run = fetch(with_connections(&place, None), [job]);
            run.assert_done(1);
            place.assert_content("a.iso", 721, size);
            assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
            assert_eq!(run.restarts(), 0);
            let shares: Vec<_> = shares(&run).iter().map(|share| (share.fetched_bytes, share.dropped)).collect();
            assert_eq!(shares, [(0, true), (size, false)]);

            // It already exists the second time, whichever source is used.
            let run = fetch(with_connections(&place, None), [spec(&mirror, "/other/b.bin").output("a.iso")]);
            run.assert_done(1);
            assert!(run.finished()[0].how.was_there(), "{:?}", run.finished());
        }
    });
}

#[test]
fn a_small_file_comes_from_its_first_source_alone() {
    with_watchdog(LONG, || {
        let (first, mirror) = (origin(file(722, 20_000, "first"), FAST), origin(file(722, 20_000, "mirror"), FAST));
        let place = Place::new();
        fetch(with_connections(&place, Some(4)), [job(&[&first, &mirror])]).assert_done(1);
        place.assert_content("a.iso", 722, 20_000);
        assert_eq!(mirror.stats().requests, 0);
    });
}

#[test]
fn a_source_that_dies_half_way_leaves_the_rest_to_its_mirror() {
    with_watchdog(LONG, || {
        let size = 12 * MIB;
        for dies in [0, 1] {
            let origins = [origin(file(731, size, "a"), 2_000_000), origin(file(731, size, "b"), 2_000_000)];
            let place = Place::new();
            let mut live = Live::start(Session::builder(with_connections(&place, Some(4))));
            live.handle.add(job(&[&origins[0], &origins[1]])).unwrap();
            live.handle.close();
            live.wait_for_share(30);
            origins[dies].stop();
            let run = live.end();
            run.assert_done(1);
            place.assert_content("a.iso", 731, size);
            assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
            assert_eq!(run.restarts(), 0);
            let shares = shares(&run);
            assert_eq!(shares.iter().map(|share| share.fetched_bytes).sum::<u64>(), size);
            assert!(shares[1 - dies].fetched_bytes > shares[dies].fetched_bytes, "{shares:?}");
        }
    });
}

#[test]
fn sources_that_break_off_early_again_and_again_go_on_with_what_they_brought() {
    with_watchdog(LONG, || {
        let size = 400_000;
        // The second brings next to nothing each time, and so does nobody harm.
        for second in [30_000, 1000] {
            let cut = |tag: &str, at| origin(file(732, size, tag).fault(Fault::CutAt(at)), FAST);
            let (first, mirror) = (cut("same", 30_000), cut("same", second));
            let place = Place::new();
            let run = fetch(with_connections(&place, Some(2)), [job(&[&first, &mirror])]);
            run.assert_done(1);
            place.assert_content("a.iso", 732, size);
            assert_eq!(run.restarts(), 0);
            let requests = first.requests().len() + mirror.requests().len();
            assert!(requests < 40, "{second}: {requests} requests");
        }
    });
}

#[test]
fn sources_that_never_get_beyond_their_beginning_are_given_up() {
    with_watchdog(LONG, || {
        let cut = |tag: &str| {
            let file = file(733, 70_000, tag).fault(Fault::CutAt(2000)).fault(Fault::RefuseRange);
            origin(file, FAST)
        };
        let (first, mirror) = (cut("same"), cut("same"));
        let place = Place::new();
        let run = fetch(with_connections(&place, Some(2)), [job(&[&first, &mirror])]);
        assert_eq!(run.summary().failed_files, 1);
        let requests = [&first, &mirror].map(|origin| origin.requests().len());
        assert!(requests.iter().all(|count| *count < 20), "{requests:?}");
    });
}

#[test]
fn a_place_that_refuses_what_pieces_are_redirected_to_is_not_asked_endlessly() {
    with_watchdog(LONG, || {
        for status in [401, 403, 404, 410] {
            let gone = Fault::Status { code: status, times: None, retry_after: None };
            let away = Origin::builder().resource(file(734, 70_000, "away").fault(gone.clone())).start().unwrap();
            let redirect = Fault::Redirect { status: 302, location: away.url(PATH) };
            let first = file(734, 70_000, "first")
                .fault(Fault::CutAt(20_000).when(Scope::every().first(2)))
                .fault(redirect.when(Scope::every().starting_at(3)));
            let (first, mirror) = (origin(first, FAST), origin(file(734, 70_000, "mirror").fault(gone), FAST));
            let place = Place::new();
            let run = fetch(with_connections(&place, Some(2)), [job(&[&first, &mirror])]);
            assert_eq!(run.summary().failed_files, 1, "{status}");
            let requests = [&first, &mirror, &away].map(|origin| origin.requests().len());
            assert!(requests.iter().all(|count| *count < 15), "{status}: {requests:?}");
        }
    });
}

#[test]
fn files_do_not_wait_one_by_one_for_a_first_source_that_never_answers() {
    with_watchdog(LONG, || {
        // It accepts, and its handshake never ends.
        let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let dead = format!("https://{}", mute.local_addr().unwrap());
        let count = 12;
        let mirror = Origin::builder().files("/{}.bin", count, 5000, 735).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.http.connect_timeout = Duration::from_secs(3);
        let jobs = (0..count).map(|number| {
            let path = format!("/{number}.bin");
            JobSpec::new(format!("{dead}{path}").parse().unwrap()).mirror(mirror.url(&path).parse().unwrap())
        });
        let began = Instant::now();
        fetch(options, jobs.collect::<Vec<_>>()).assert_done(count as usize);
        assert!(began.elapsed() < Duration::from_secs(3 * 6), "{:?}", began.elapsed());
    });
}

#[test]
fn a_source_whose_pieces_stay_wrong_is_replaced() {
    with_watchdog(LONG, || {
        for size in [300_000, 3 * MIB] {
            let piece_bytes = 1 << 16;
            let whole = content(737, size);
            let digests = whole.chunks(piece_bytes).map(|piece| Sha256::digest(piece).to_vec()).collect();
            let pieces = PieceDigests::new(Algorithm::Sha256, piece_bytes as u64, digests, Some(size)).unwrap();
            // Another content from some place on.
            let wrong = file(737, size, "same").fault(Fault::OtherContent { from: size - 5000, seed: 738 });
            let (wrong, right) = (origin(wrong, FAST), origin(file(737, size, "same"), FAST));
            let place = Place::new();
            let run = fetch(with_connections(&place, Some(2)), [job(&[&wrong, &right]).pieces(pieces)]);
            run.assert_done(1);
            place.assert_content("a.iso", 737, size);
        }
    });
}

#[test]
fn a_stopped_file_goes_on_with_any_of_its_sources() {
    with_watchdog(LONG, || {
        let size = 8 * MIB;
        let place_with_a_part = || {
            let (a, b) = (origin(file(741, size, "a"), SLOW), origin(file(741, size, "b"), SLOW));
            let place = Place::new();
            let kept_bytes = begin_and_stop(with_connections(&place, Some(4)), job(&[&a, &b]));
            assert!(kept_bytes > size / 4 && kept_bytes < size, "{kept_bytes} bytes are kept");
            let journal: Value = serde_json::from_slice(&fs::read(place.file("a.iso.towline.json")).unwrap()).unwrap();
            assert_eq!(journal["body"]["identity"]["url"], a.url(PATH), "{journal}");
            (place, a, b, kept_bytes)
        };
        let check = |place: &Place, run: &Run, kept_bytes| {
            run.assert_done(1);
            place.assert_content("a.iso", 741, size);
            assert_eq!((run.restarts(), run.resumed_bytes()), (0, kept_bytes));
            assert_eq!(run.finished()[0].fetched_bytes, size - kept_bytes);
            assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
        };

        // The first source is gone, and the mirror is a new one.
        let (place, a, _, kept_bytes) = place_with_a_part();
        assert!(a.remove(PATH));
        let c = origin(file(741, size, "c"), FAST);
        let run = fetch(with_connections(&place, Some(4)), [job(&[&a, &c])]);
        check(&place, &run, kept_bytes);
        assert!(dropped(&run).iter().any(|(url, error, _)| *url == a.url(PATH) && error.status == Some(404)));

        // The former mirror is now the first source.
        let (place, a, b, kept_bytes) = place_with_a_part();
        let run = fetch(with_connections(&place, Some(4)), [job(&[&b, &a])]);
        check(&place, &run, kept_bytes);
        assert!(dropped(&run).is_empty(), "{:?}", dropped(&run));

        // No mirror at all.
        let (place, a, _, kept_bytes) = place_with_a_part();
        let run = fetch(with_connections(&place, Some(4)), [spec(&a, PATH)]);
        check(&place, &run, kept_bytes);
    });
}

#[test]
fn a_mirror_whose_file_changes_is_dropped_and_nothing_of_the_new_version_is_kept() {
    with_watchdog(LONG, || {
        let size = 16 * MIB;
        let changes = Fault::ChangeEtagAt { request: 3, etag: "\"new\"".to_owned(), seed: 752 };
        let first = origin(file(751, size, "first"), SLOW);
        let mirror = origin(file(751, size, "old").fault(changes), FAST);
        let place = Place::new();
        let mut options = with_connections(&place, Some(4));
        options.piece_size_bytes = 256 << 10;
        let run = fetch(options, [job(&[&first, &mirror])]);
        run.assert_done(1);
        place.assert_content("a.iso", 751, size);
        assert_eq!(run.restarts(), 0);
        let dropped = dropped(&run);
        assert_eq!(dropped.len(), 1, "{dropped:?}");
        assert_eq!((dropped[0].0, dropped[0].1.kind), (mirror.url(PATH).as_str(), ErrorKind::Changed));
        assert!(shares(&run)[1].fetched_bytes > 0, "{:?}", shares(&run));
    });
}

#[test]
fn mirrors_without_ranges_are_dropped_and_a_first_source_without_them_is_helped() {
    with_watchdog(LONG, || {
        let size = 8 * MIB;
        let first = origin(file(761, size, "first"), SLOW);
        let mirror = origin(file(761, size, "mirror").ranges(Ranges::Refused), FAST);
        let place = Place::new();
        let run = fetch(with_connections(&place, Some(4)), [job(&[&first, &mirror])]);
        run.assert_done(1);
        place.assert_content("a.iso", 761, size);
        let shares_of_both: Vec<_> = shares(&run).iter().map(|share| (share.fetched_bytes, share.dropped)).collect();
        assert_eq!(shares_of_both, [(size, false), (0, true)]);

        // It may say that it has none, or be found out by a trial.
        for ranges in [Ranges::Refused, Ranges::Ignored] {
            let first = origin(file(761, size, "first").ranges(ranges), SLOW);
            let mirror = origin(file(761, size, "mirror"), FAST);
            let place = Place::new();
            let run = fetch(with_connections(&place, Some(4)), [job(&[&first, &mirror])]);
            run.assert_done(1);
            place.assert_content("a.iso", 761, size);
            assert_eq!((run.restarts(), run.ranges().last()), (0, Some(&true)));
            assert!(shares(&run)[1].fetched_bytes > shares(&run)[0].fetched_bytes, "{:?}", shares(&run));
        }
    });
}

#[test]
fn a_mirror_that_ignores_ranges_now_and_then_is_asked_again() {
    with_watchdog(LONG, || {
        let size = 8 * MIB;
        let ignores = Fault::IgnoreRange.when(Scope::every().starting_at(2).first(2).only_ranges());
        // Slow enough that the mirror returns from its backoff before the file is complete.
        let first = origin(file(771, size, "first"), 500_000);
        // A weak tag, so that no If-Range could be the reason.
        let weak = Resource::new(PATH, 771, size).etag(ETag::Weak).fault(ignores);
        let mirror = origin(weak, 3_000_000);
        let place = Place::new();
        // One more than the first source takes while the mirror is paused.
        let run = fetch(with_connections(&place, Some(4)), [job(&[&first, &mirror])]);
        run.assert_done(1);
        place.assert_content("a.iso", 771, size);
        assert_eq!((run.restarts(), dropped(&run).len()), (0, 0));
        assert!(shares(&run)[1].fetched_bytes > 0, "{:?} {:?}", shares(&run), run.retries());
        assert!(mirror.requests().iter().any(|request| request.range.is_some() && request.status == 200));
    });
}

#[test]
fn a_mirror_that_asks_for_patience_is_asked_no_more_often_than_retries_allow() {
    with_watchdog(LONG, || {
        let size = 6 * MIB;
        let first = origin(file(782, size, "first"), SLOW);
        let busy = Fault::Status { code: 503, times: None, retry_after: Some("1".to_owned()) };
        let mirror = origin(file(782, size, "mirror").fault(busy), FAST);
        let place = Place::new();
        let mut options = with_connections(&place, Some(4));
        options.http.retries = 0;
        let run = fetch(options, [job(&[&first, &mirror])]);
        run.assert_done(1);
        place.assert_content("a.iso", 782, size);
        assert_eq!(mirror.stats().requests, 1, "it is left after the first refusal");
        assert_eq!(dropped(&run).len(), 1);
    });
}

#[test]
fn what_is_given_for_the_first_source_stays_with_it() {
    with_watchdog(LONG, || {
        let size = 6 * MIB;
        let (first, mirror) = (origin(file(781, size, "first"), SLOW), origin(file(781, size, "mirror"), FAST));
        let place = Place::new();
        let mut options = with_connections(&place, Some(4));
        options.http.headers.insert(HeaderName::from_static("x-key"), HeaderValue::from_static("SECRET"));
        let with_password = mirror.url(PATH).replace("http://", "http://user:SECRET@");
        let run = fetch(options, [spec(&first, PATH).mirror(with_password.parse().unwrap())]);
        run.assert_done(1);
        place.assert_content("a.iso", 781, size);
        for request in first.requests() {
            assert_eq!((request.header("x-key"), request.header("authorization")), (Some("SECRET"), None));
        }
        assert!(mirror.stats().requests > 0, "the mirror was not asked");
        for request in mirror.requests() {
            assert_eq!(request.header("x-key"), None);
            assert!(request.header("authorization").is_some_and(|value| value.starts_with("Basic ")));
        }
        let told = serde_json::to_string(&run.events).unwrap();
        assert!(!told.contains("SECRET") && told.contains(&mirror.url(PATH)), "{told}");
    });
}

#[test]
fn a_mirror_that_sends_wrong_bytes_is_found_out_by_the_digest_and_its_bytes_are_replaced() {
    with_watchdog(LONG, || {
        let size = 12 * MIB;
        let right = origin(file(741, size, "right"), SLOW * 2);
        // The data to compare with is right: the other server's first stream has not got further.
        let wrong = file(741, size, "wrong").fault(Fault::OtherContent { from: 6 * MIB, seed: 742 });
        let wrong = origin(wrong, FAST);
        let digest = sha256_of(741, size);
        let place = Place::new();
        let run = fetch(with_connections(&place, Some(2)), [job(&[&right, &wrong]).checksum(digest)]);
        run.assert_done(1);
        place.assert_content("a.iso", 741, size);
        let dropped = dropped(&run);
        assert_eq!(dropped.len(), 1, "{dropped:?}");
        assert_eq!((dropped[0].0, dropped[0].1.kind), (wrong.url(PATH).as_str(), ErrorKind::Digest));
    });
}

#[test]
fn where_the_digest_shows_that_the_first_source_is_wrong_another_is_asked_for_the_whole() {
    with_watchdog(LONG * 3, || {
        for size in [20_000, 6 * MIB] {
            for (what, wrong) in [
                ("other bytes", file(752, size, "wrong")),
                ("another length", file(752, size + 1000, "wrong")),
                (
                    "other bytes at the end",
                    file(751, size, "wrong").fault(Fault::OtherContent { from: size / 2, seed: 753 }),
                ),
            ] {
                let (wrong, right) = (origin(wrong, FAST), origin(file(751, size, "right"), FAST));
                let another = origin(file(754, size, "another"), FAST);
                for mirrors in [vec![&wrong, &right], vec![&wrong, &another, &right]] {
                    let place = Place::new();
                    let job = job(&mirrors).checksum(sha256_of(751, size));
                    let run = fetch(with_connections(&place, Some(2)), [job]);
                    let what = format!("{what}, {size} bytes, {} sources", mirrors.len());
                    assert_eq!(run.summary().done_files, 1, "{what}: {:?}", run.failures());
                    place.assert_content("a.iso", 751, size);
                    assert_eq!(place.leftovers(&["a.iso"]), [""; 0], "{what}");
                    let culprit = dropped(&run).into_iter().find(|(url, ..)| *url == wrong.url(PATH));
                    assert!(culprit.is_some(), "{what}: who sent wrong bytes is said");
                }
            }
        }
    });
}

#[test]
fn a_search_for_wrong_bytes_ends_where_the_source_that_is_asked_serves_no_ranges() {
    with_watchdog(LONG * 2, || {
        let size = 8 * MIB;
        let without_ranges = file(755, size, "wrong").fault(Fault::IgnoreRange);
        let first = origin(without_ranges, 2 * SLOW);
        let mirror = origin(file(755, size, "wrong too"), SLOW);
        let right = origin(file(756, size, "right"), FAST);
        let place = Place::new();
        let job = job(&[&first, &mirror, &right]).checksum(sha256_of(756, size));
        let run = fetch(with_connections(&place, Some(4)), [job]);
        assert_eq!(run.summary().done_files, 1, "{:?}", run.failures());
        place.assert_content("a.iso", 756, size);
        assert!(mirror.requests().len() > 1, "the mirror has brought a part of it");
    });
}

#[test]
fn where_all_sources_are_wrong_each_is_asked_once_and_the_digest_is_the_reason() {
    with_watchdog(LONG * 2, || {
        for size in [20_000, 3 * MIB] {
            let (one, two) = (origin(file(761, size, "one"), FAST), origin(file(762, size, "two"), FAST));
            let place = Place::new();
            let job = job(&[&one, &two]).checksum(sha256_of(763, size));
            let run = fetch(with_connections(&place, Some(2)), [job]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Digest], "{size}");
            assert!(!place.file("a.iso").exists());
            assert!(one.requests().len() + two.requests().len() < 40, "{size}");
        }
    });
}

#[test]
fn a_mirror_of_which_nothing_agrees_but_a_sample_brings_nothing_beside_others() {
    with_watchdog(LONG, || {
        let size = 12 * MIB;
        let lead = origin(file(743, size, "lead"), FAST);
        let silent = Resource::new(PATH, 743, size).etag(ETag::None).last_modified(None);
        let silent = origin(silent.fault(Fault::OtherContent { from: 8 * MIB, seed: 744 }), FAST);
        let place = Place::new();
        let run = fetch(with_connections(&place, Some(4)), [job(&[&lead, &silent])]);
        run.assert_done(1);
        place.assert_content("a.iso", 743, size);
        let brought = shares(&run).iter().find(|share| share.url == silent.url(PATH)).map(|share| share.fetched_bytes);
        assert_eq!(brought, Some(0));
    });
}

/// The mirror has another version of the same length, which differs where no sample is taken.
#[test]
fn what_one_source_has_brought_goes_on_with_no_mirror_that_names_another_version() {
    with_watchdog(LONG, || {
        let size = 8 * MIB;
        let silent = |resource: Resource| resource.etag(ETag::None).last_modified(None);
        let dated = |resource: Resource| resource.last_modified(Some(UNIX_EPOCH + Duration::from_secs(1_400_000_000)));
        for change in [silent as fn(Resource) -> Resource, dated] {
            let first = origin(file(745, size, "first"), SLOW);
            let place = Place::new();
            begin_and_stop(with_connections(&place, Some(1)), job(&[&first]));
            assert!(first.remove(PATH));
            let other = change(file(745, size, "other")).fault(Fault::OtherContent { from: 7 * MIB, seed: 746 });
            let other = origin(other, FAST);
            let run = fetch(with_connections(&place, Some(1)), [job(&[&first, &other])]);
            run.assert_done(1);
            assert_eq!(run.finished()[0].fetched_bytes, size, "all of it is the mirror's");
        }
    });
}

/// Nobody but the digest knows that the mirror has other bytes than those that were compared.
#[test]
fn what_a_mirror_brought_for_a_digest_is_checked_by_a_later_run_without_it() {
    with_watchdog(LONG, || {
        let size = 24 * MIB;
        let slow = origin(file(731, size, "slow"), SLOW);
        let wrong = file(731, size, "fast")
            .fault(Fault::OtherContent { from: 0, seed: 732 }.when(Scope::every().starting_at(2)));
        let wrong = origin(wrong.last_modified(None), FAST);
        let place = Place::new();
        let asked = job(&[&slow, &wrong]).checksum(sha256_of(731, size));
        let kept_bytes = begin_and_stop(with_connections(&place, Some(4)), asked);
        assert!(kept_bytes > 0 && wrong.stats().body_bytes > MIB, "{} bytes of it", wrong.stats().body_bytes);
        let run = fetch(with_connections(&place, Some(4)), [job(&[&slow])]);
        run.assert_done(1);
        place.assert_content("a.iso", 731, size);
        assert_eq!(run.restarts(), 1);
    });
}

/// In the first run, only the mirror answers, with a shorter file; in the second one, only the first source.
#[test]
fn what_a_mirror_brought_and_the_digest_disproved_says_nothing_about_the_length_of_the_file() {
    with_watchdog(LONG, || {
        for (size, wrong_size) in [(6 * MIB, 4 * MIB), (4 * MIB, 6 * MIB), (30_000, 20_000), (2 * MIB, 20_000)] {
            let (first, mirror) =
                (origin(file(764, size, "right"), FAST), origin(file(765, wrong_size, "wrong"), FAST));
            assert!(first.remove(PATH));
            let place = Place::new();
            let asked = || job(&[&first, &mirror]).checksum(sha256_of(764, size));
            let run = fetch(with_connections(&place, Some(2)), [asked()]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Digest], "{size}, {wrong_size}");
            first.add(file(764, size, "right"));
            assert!(mirror.remove(PATH));
            let run = fetch(with_connections(&place, Some(2)), [asked()]);
            assert_eq!(run.summary().done_files, 1, "{size}, {wrong_size}: {:?}", run.failures());
            place.assert_content("a.iso", 764, size);
        }
    });
}

/// The first source is gone, and the mirror has a longer file.
#[test]
fn what_one_source_has_brought_gives_way_to_no_mirror_with_a_file_of_another_length() {
    with_watchdog(LONG, || {
        for connections in [Some(1), None] {
            let first = origin(file(747, 8 * MIB, "first"), SLOW);
            let place = Place::new();
            let kept_bytes = begin_and_stop(with_connections(&place, Some(1)), job(&[&first]));
            assert!(first.remove(PATH));
            let other = origin(file(748, 9 * MIB, "other"), FAST);
            let run = fetch(with_connections(&place, connections), [job(&[&first, &other])]);
            assert_eq!(run.failures().len(), 1, "{connections:?}");
            assert!(!place.file("a.iso").exists());
            assert_eq!(run.summary().kept_bytes, kept_bytes);
        }
    });
}

/// A new link for what was begun, and a mirror.
#[test]
fn a_first_source_that_must_be_compared_is_waited_for_and_then_left_for_a_mirror() {
    with_watchdog(LONG, || {
        let size = 8 * MIB;
        for retry_after in [None, Some("1".to_owned())] {
            let old = origin(file(749, size, "one"), SLOW);
            let place = Place::new();
            begin_and_stop(with_connections(&place, Some(1)), job(&[&old]));
            let busy = file(749, size, "one").fault(Fault::Status { code: 503, times: None, retry_after });
            let busy = Origin::builder().resource(busy).start().unwrap();
            let mirror = origin(file(749, size, "one"), FAST);
            let mut options = with_connections(&place, Some(2));
            options.http.retries = 1;
            let run = fetch(options, [job(&[&busy, &mirror])]);
            run.assert_done(1);
            place.assert_content("a.iso", 749, size);
            assert!(busy.stats().requests < 12, "{} requests", busy.stats().requests);
        }
    });
}
