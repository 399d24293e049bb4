//! `towline demo`, small.

use towline_testkit::leftovers;

use crate::common::Place;

#[test]
fn a_small_demo_is_right_and_leaves_nothing() {
    let place = Place::new();
    let root = place.root().to_str().unwrap();
    place
        .towline(&["demo", "--size", "16M", "--files", "20"])
        .env("TMPDIR", root)
        .run()
        .code(0)
        .says(&["20 small files", "Killed (SIGKILL)", "Everything is correct."])
        .writes_nothing();
    assert_eq!(leftovers(place.root()), Vec::<String>::new());
}
