//! Both semaphores against a counter. A failure prints the steps, and the seed that finds them again.

use std::time::Duration;

use proptest::prelude::*;
use towline_threads::sync::{BoundedSemaphore, Semaphore};

#[derive(Debug, Clone)]
enum Step {
    TryAcquire,
    AcquireTimeout,
    Release(usize),
    /// Drops one of the guards that are there.
    Drop(prop::sample::Index),
    /// Forgets one of the guards that are there.
    Forget(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::TryAcquire),
        1 => Just(Step::AcquireTimeout),
        3 => (0..4_usize).prop_map(Step::Release),
        4 => any::<prop::sample::Index>().prop_map(Step::Drop),
        2 => any::<prop::sample::Index>().prop_map(Step::Forget),
    ];
    prop::collection::vec(step, 0..80)
}

/// Takes one of the guards out.
fn pick<G>(held: &mut Vec<G>, index: &prop::sample::Index) -> Option<G> {
    if held.is_empty() { None } else { Some(held.swap_remove(index.index(held.len()))) }
}

proptest! {
    #[test]
    fn a_semaphore_does_as_its_counter(initial in 0..5_usize, steps in steps()) {
        let semaphore = Semaphore::new(initial);
        let mut held = Vec::new();
        let mut counter = initial;
        for step in steps {
            match step {
                Step::TryAcquire | Step::AcquireTimeout => {
                    let permit = match step {
                        Step::TryAcquire => semaphore.try_acquire(),
                        _ => semaphore.acquire_timeout(Duration::ZERO),
                    };
                    prop_assert_eq!(permit.is_some(), counter > 0);
                    counter = counter.saturating_sub(1);
                    held.extend(permit);
                }
                Step::Release(permits) => {
                    semaphore.release(permits);
                    counter += permits;
                }
                Step::Drop(index) => {
                    if let Some(permit) = pick(&mut held, &index) {
                        drop(permit);
                        counter += 1;
                    }
                }
                Step::Forget(index) => {
                    if let Some(permit) = pick(&mut held, &index) {
                        permit.forget();
                    }
                }
            }
            prop_assert_eq!(semaphore.available(), counter);
        }
        counter += held.len();
        held.clear();
        prop_assert_eq!(semaphore.available(), counter);
    }

    #[test]
    fn a_bounded_semaphore_does_as_its_counter(initial in 0..5_usize, steps in steps()) {
        let semaphore = BoundedSemaphore::new(initial);
        let mut held = Vec::new();
        let mut counter = initial;
        for step in steps {
            match step {
                Step::TryAcquire | Step::AcquireTimeout => {
                    let permit = match step {
                        Step::TryAcquire => semaphore.try_acquire(),
                        _ => semaphore.acquire_timeout(Duration::ZERO),
                    };
                    prop_assert_eq!(permit.is_some(), counter > 0);
                    counter = counter.saturating_sub(1);
                    held.extend(permit);
                }
                Step::Release(permits) => {
                    // Refused as a whole, or done.
                    let fits = counter + permits <= initial;
                    prop_assert_eq!(semaphore.release(permits).is_ok(), fits);
                    if fits {
                        counter += permits;
                    }
                }
                Step::Drop(index) => {
                    if let Some(permit) = pick(&mut held, &index) {
                        drop(permit);
                        // Its permit may have been released by hand before.
                        counter = initial.min(counter + 1);
                    }
                }
                Step::Forget(index) => {
                    if let Some(permit) = pick(&mut held, &index) {
                        permit.forget();
                    }
                }
            }
            prop_assert_eq!(semaphore.available(), counter);
        }
        counter = initial.min(counter + held.len());
        held.clear();
        prop_assert_eq!(semaphore.available(), counter);
    }
}
