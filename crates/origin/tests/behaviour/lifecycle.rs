//! Starting, stopping, restarting and changing an origin.

use std::net::TcpStream;

use towline_origin::{Origin, Resource};

use crate::client::{Client, End};

#[test]
fn a_stop_closes_connections_and_a_restart_takes_the_same_port() {
    let origin = Origin::builder().resource(Resource::new("/a.bin", 7, 1000)).start().unwrap();
    let addr = origin.addr();
    for round in 1..=3 {
        let mut client = Client::connect(&origin);
        client.get("/a.bin").assert_content(7, 0, 1000);
        origin.stop();
        assert_eq!(client.end(), End::Closed);
        assert_eq!(origin.stats().connections_open, 0);
        assert!(TcpStream::connect(addr).is_err());
        origin.stop();
        origin.restart().unwrap();
        assert_eq!(origin.addr(), addr);
        assert_eq!(origin.stats().connections_opened, round);
    }
    Client::connect(&origin).get("/a.bin").assert_content(7, 0, 1000);
}

#[test]
fn a_restart_stops_what_runs() {
    let origin = Origin::builder().resource(Resource::new("/a.bin", 7, 1000)).threads(2).start().unwrap();
    let mut clients = [(); 4].map(|()| Client::connect(&origin));
    for client in &mut clients {
        client.get("/a.bin").assert_content(7, 0, 1000);
    }
    assert_eq!(origin.stats().connections_peak, 4);
    origin.restart().unwrap();
    for client in &mut clients {
        assert_eq!(client.end(), End::Closed);
    }
    assert_eq!(Client::connect(&origin).get("/a.bin").status, 200);
}

#[test]
fn resources_change_while_the_origin_runs() {
    let origin = Origin::builder().start().unwrap();
    let mut client = Client::connect(&origin);
    assert_eq!(client.get("/a.bin").status, 404);
    origin.add(Resource::new("/a.bin", 7, 1000));
    client.get("/a.bin").assert_content(7, 0, 1000);
    origin.set_resource(Resource::new("/a.bin", 8, 500));
    client.get("/a.bin").assert_content(8, 0, 500);
    assert!(origin.remove("/a.bin"));
    assert!(!origin.remove("/a.bin"));
    assert_eq!(client.get("/a.bin").status, 404);
}

#[test]
fn a_dropped_origin_is_stopped() {
    let origin = Origin::builder().start().unwrap();
    let addr = origin.addr();
    assert_eq!(origin.url("/a"), format!("http://{addr}/a"));
    assert_eq!(origin.ca_pem(), None);
    drop(origin);
    assert!(TcpStream::connect(addr).is_err());
}
