//! Slow hosts and the places of a list.

use super::*;

const JOBS: usize = 4;

fn world() -> World {
    World::new(|options| {
        options.jobs = JOBS;
        options.http.version = HttpVersion::Http1;
    })
}

/// Adds a file of which nothing exists on the disk.
fn add_prepared(world: &mut World, id: u64, host: &str) -> JobId {
    let job = world.add(id, &format!("http://{host}/{id}.bin"));
    world.prepare(job, Prepared::default());
    job
}

fn asked(world: &mut World) -> Vec<String> {
    std::iter::from_fn(|| (world.fetches() > 0).then(|| world.take_fetch().origin.host.to_string())).collect()
}

#[test]
fn hosts_that_bring_nothing_leave_their_places_to_others() {
    let mut world = world();
    for id in 0..4 {
        add_prepared(&mut world, id, ["slow", "slower"][id as usize % 2]);
    }
    assert_eq!(asked(&mut world).len(), JOBS);
    add_prepared(&mut world, 4, "good");
    world.pass(Time::from_secs(4));
    assert_eq!(asked(&mut world), [""; 0], "four files are on their way");
    world.pass(Time::from_secs(2));
    assert_eq!(asked(&mut world), ["good"]);
}

#[test]
fn a_slow_host_gets_no_more_files_for_being_slow() {
    let mut world = world();
    for id in 0..7 {
        add_prepared(&mut world, id, "slow");
    }
    assert_eq!(asked(&mut world).len(), JOBS);
    world.pass(Time::from_secs(60));
    assert_eq!(asked(&mut world), [""; 0]);
}

#[test]
fn files_that_wait_for_their_slow_host_keep_no_others_from_being_begun() {
    let mut world = world();
    for id in 0..7 {
        add_prepared(&mut world, id, "slow");
    }
    assert_eq!(asked(&mut world).len(), JOBS);
    world.pass(Time::from_secs(6));
    add_prepared(&mut world, 7, "good");
    assert_eq!(asked(&mut world), ["good"]);
}

#[test]
fn a_limited_rate_makes_nobody_slow() {
    let mut world = World::new(|options| {
        options.jobs = 1;
        options.limit_rate_bps = Some(10);
    });
    let job = world.add(0, "http://one/0.bin");
    world.begin_large(job, MIB);
    add_prepared(&mut world, 1, "other");
    world.pass(Time::from_secs(60));
    assert_eq!(asked(&mut world), [""; 0]);
}

#[test]
fn files_that_are_redirected_to_a_slow_host_hold_up_none_of_the_host_that_sent_them() {
    let mut world = world();
    for id in 0..50 {
        world.add(id, &format!("http://first/{id}.bin"));
    }
    let is_prepare = |effect: &Effect| match effect {
        Effect::Open(OpenRequest::Prepare { job, .. }) => Some(*job),
        _ => None,
    };
    let mut asked_of_first = HashSet::new();
    for _ in 0..100 {
        while let Some(job) = world.effects.iter().find_map(is_prepare) {
            world.prepare(job, Prepared::default());
        }
        while world.fetches() > 0 {
            let fetch = world.take_fetch();
            if &*fetch.origin.host == "first" && asked_of_first.insert(fetch.job) {
                let location = Some(format!("http://silent/{}", fetch.job.get()));
                let redirect = Redirect { status: 302, location, ..Redirect::default() };
                world.end(fetch.transfer, End::Redirect(redirect), true);
            }
        }
        world.pass(Time::from_secs(1));
    }
    assert_eq!(asked_of_first.len(), 50);
}

#[test]
fn files_that_have_to_wait_for_long_keep_no_others_from_being_begun() {
    let mut world = world();
    let is_prepare = |effect: &Effect| match effect {
        Effect::Open(OpenRequest::Prepare { job, .. }) => Some(*job),
        _ => None,
    };
    for id in 0..500 {
        world.add(id, &format!("http://sick{id}/{id}.bin"));
    }
    world.add(500, "http://good/500.bin");
    let mut asked = HashSet::new();
    for _ in 0..600 {
        while let Some(job) = world.effects.iter().find_map(is_prepare) {
            world.prepare(job, Prepared::default());
        }
        while world.fetches() > 0 {
            let fetch = world.take_fetch();
            asked.insert(fetch.origin.host.to_string());
            if &*fetch.origin.host != "good" {
                let error = Error::new(ErrorKind::Status(503), "busy");
                let retry_after = Some(Time::from_secs(3600));
                world.end(fetch.transfer, End::Failed { error, retry_after }, true);
            }
        }
        world.pass(Time::from_millis(20));
    }
    assert!(asked.contains("good"), "{} were asked", asked.len());
}

#[test]
fn files_that_break_off_and_wait_leave_their_places_to_others() {
    let mut world = world();
    let begun: Vec<_> = (0..JOBS as u64)
        .map(|id| {
            let job = world.add(id, &format!("http://sick{id}/{id}.bin"));
            world.begin_large(job, MIB)
        })
        .collect();
    add_prepared(&mut world, 10, "good");
    assert_eq!(asked(&mut world), [""; 0], "there is no place");
    for fetch in begun {
        fetch.piece.advance(fetch.piece.start() + 100);
        world.end(fetch.transfer, broken(), false);
    }
    assert!(asked(&mut world).contains(&"good".to_owned()));
}

#[test]
fn begun_files_that_stand_by_keep_no_others_from_being_begun() {
    let mut world = world();
    let is_prepare = |effect: &Effect| match effect {
        Effect::Open(OpenRequest::Prepare { job, .. }) => Some(*job),
        _ => None,
    };
    let is_open = |effect: &Effect| match effect {
        Effect::Open(OpenRequest::Open(request)) => Some(request.job),
        _ => None,
    };
    for id in 0..500 {
        world.add(id, &format!("http://sick{id}/{id}.bin"));
    }
    world.add(500, "http://good/500.bin");
    let mut asked = HashSet::new();
    for _ in 0..600 {
        while let Some(job) = world.effects.iter().find_map(is_prepare) {
            world.prepare(job, Prepared::default());
        }
        while world.fetches() > 0 {
            let fetch = world.take_fetch();
            asked.insert(fetch.origin.host.to_string());
            if &*fetch.origin.host == "good" {
                continue;
            }
            world.tell(Message::Connected(fetch.slot, Protocol::Http1));
            world.tell(Message::Answered(fetch.transfer, head(MIB), None));
            while let Some(at) = world.effects.iter().position(|effect| is_open(effect).is_some()) {
                let job = is_open(&world.effects.remove(at)).unwrap();
                world.tell(Message::Opened(job, Ok(None)));
            }
            fetch.piece.advance(100);
            world.end(fetch.transfer, broken(), false);
        }
        world.pass(Time::from_millis(20));
    }
    assert!(asked.contains("good"), "{} were asked", asked.len());
}
