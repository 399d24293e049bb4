//! The origin as a client sees it: over raw sockets, and over TLS and HTTP/2. Each test starts an
//! origin of its own on a free port.

mod answers;
mod client;
mod faults;
mod http1;
mod lifecycle;
mod pace;
mod secure;
mod wire;
