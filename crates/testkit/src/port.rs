//! A free port, for servers that cannot choose one themselves.

use std::net::TcpListener;

/// A port of 127.0.0.1 that is free now. Another process may take it before it is used.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
