//! The origin as a client sees it: over raw sockets, and over TLS and HTTP/2. Each test starts an
//! origin of its own on a free port.

mod answers;
mod client;
mod conditions;
mod faults;
mod http1;
mod http2;
mod lifecycle;
mod pace;
mod pages;
mod refusals;
mod secure;
mod validators;
mod wire;
