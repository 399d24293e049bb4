//! Every interleaving of a few threads, for the wait-for graph.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p towline-threads --release --lib loom_tests`

use std::sync::Arc;

use loom::thread;

use super::graph::{Graph, Obstacle};
use crate::agent_id::AgentId;
use crate::holder::{Holder, Owner};
use crate::naming::Name;

fn agent(thread: u32) -> AgentId {
    AgentId::new(thread, 0)
}

/// The waits of a model may point to its locks: the locks outlive the graph.
#[expect(unsafe_code, reason = "as a waiter does")]
fn obstacle(holder: &Holder) -> Obstacle {
    // SAFETY: each model keeps its holders in an `Arc` until all its threads have withdrawn.
    let owner = unsafe { Owner::of(holder) };
    Obstacle::Lock { kind: "Lock", name: Name::given("model"), owner }
}

fn held_by(thread: u32) -> Arc<Holder> {
    let holder = Holder::nobody();
    holder.set(agent(thread));
    Arc::new(holder)
}

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

#[test]
fn of_two_that_close_a_ring_exactly_one_is_told() {
    model(|| {
        let graph = Arc::new(Graph::new());
        let (of_one, of_two) = (held_by(1), held_by(2));
        let (other_graph, wanted) = (Arc::clone(&graph), Arc::clone(&of_one));
        let second = thread::spawn(move || other_graph.publish(vec![agent(2)], obstacle(&wanted), true).is_err());
        let first_told = graph.publish(vec![agent(1)], obstacle(&of_two), true).is_err();
        let second_told = second.join().unwrap();
        assert!(first_told != second_told, "the last of the two, and not the other");
        graph.withdraw(agent(1));
        graph.withdraw(agent(2));
    });
}

#[test]
fn a_ring_of_three_is_told_to_exactly_one() {
    model(|| {
        let graph = Arc::new(Graph::new());
        let holders: Vec<_> = (1..=3).map(held_by).collect();
        let others: Vec<_> = (2..=3)
            .map(|n: u32| {
                let (graph, wanted) = (Arc::clone(&graph), Arc::clone(&holders[n as usize % 3]));
                thread::spawn(move || graph.publish(vec![agent(n)], obstacle(&wanted), true).is_err())
            })
            .collect();
        let mut told = usize::from(graph.publish(vec![agent(1)], obstacle(&holders[1]), true).is_err());
        told += others.into_iter().map(|other| usize::from(other.join().unwrap())).sum::<usize>();
        assert_eq!(told, 1);
        (1..=3).for_each(|n| graph.withdraw(agent(n)));
    });
}

#[test]
fn a_holder_that_lets_go_before_it_waits_closes_no_ring() {
    model(|| {
        let graph = Arc::new(Graph::new());
        let (of_one, of_two) = (held_by(1), held_by(2));
        let (other_graph, own, wanted) = (Arc::clone(&graph), Arc::clone(&of_two), Arc::clone(&of_one));
        let second = thread::spawn(move || {
            // Releases its own lock, and then waits for the first one's.
            own.set(AgentId::NONE);
            let told = other_graph.publish(vec![agent(2)], obstacle(&wanted), true).is_err();
            other_graph.withdraw(agent(2));
            told
        });
        let told = graph.publish(vec![agent(1)], obstacle(&of_two), true).is_err();
        assert!(!told && !second.join().unwrap(), "a false report");
        graph.withdraw(agent(1));
    });
}

#[test]
fn one_that_only_waits_for_a_ring_is_not_told() {
    model(|| {
        let graph = Arc::new(Graph::new());
        let (of_one, of_two) = (held_by(1), held_by(2));
        graph.publish(vec![agent(1)], obstacle(&of_two), true).unwrap();
        let (other_graph, wanted) = (Arc::clone(&graph), Arc::clone(&of_one));
        let outside = thread::spawn(move || {
            let told = other_graph.publish(vec![agent(3)], obstacle(&wanted), true).is_err();
            other_graph.withdraw(agent(3));
            told
        });
        assert!(graph.publish(vec![agent(2)], obstacle(&of_one), true).is_err());
        assert!(!outside.join().unwrap());
        graph.withdraw(agent(1));
    });
}
