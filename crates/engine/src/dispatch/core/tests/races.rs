//! Races for the last bytes of a file.

use super::*;

/// Ends what is under way of this job, until its last piece, which stalls, is raced.
fn race(world: &mut World, job: JobId, stalled: &Fetch) -> Box<Fetch> {
    for _ in 0..200 {
        world.pass(Time::from_millis(500));
        while world.fetches() > 0 {
            let fetch = world.take_fetch();
            if fetch.job != job {
                continue;
            }
            world.tell(Message::Connected(fetch.slot, Protocol::Http1));
            if fetch.piece.start() == stalled.piece.start() {
                return fetch;
            }
            world.complete(&fetch);
        }
    }
    panic!("nothing raced {stalled:?}");
}

#[test]
fn a_race_that_is_redirected_where_no_connection_is_free_is_run_once_there_is_one() {
    let mut world = World::new(|options| {
        options.http.version = HttpVersion::Http1;
        (options.max_per_host, options.connections) = (2, Some(2));
    });
    let other = world.add(2, "http://busy/other.bin");
    let running = [world.begin_large(other, 64 * MIB), world.take_fetch()];
    let job = world.add(1, "http://h/a.bin");
    let first = world.begin_large(job, 64 * MIB);
    let stalled = world.take_fetch();
    world.tell(Message::Connected(stalled.slot, Protocol::Http1));
    world.tell(Message::Proven(stalled.transfer, head(64 * MIB)));
    world.complete(&first);
    let racer = race(&mut world, job, &stalled);
    let redirect = || {
        let location = Some("http://busy/a.bin".to_owned());
        End::Redirect(Redirect { status: 302, location, ..Redirect::default() })
    };
    world.end(racer.transfer, redirect(), true);
    world.pass(Time::from_millis(20));
    assert_eq!(world.fetches(), 0, "that host has no connection left, and nobody is asked again and again");
    world.tell(Message::Command(Command::Pause(other)));
    running.iter().for_each(|fetch| world.end(fetch.transfer, End::Dropped, false));
    for _ in 0..20 {
        world.pass(Time::from_millis(500));
        if world.fetches() > 0 {
            let again = world.take_fetch();
            assert_eq!((&*again.origin.host, again.piece.start()), ("busy", stalled.piece.start()));
            return;
        }
    }
    panic!("the stalled piece was never raced again");
}
