//! HTTP: connections with their TLS and proxies, requests and their answers, and the parts of both that
//! decide whether bytes may be put together.

pub(crate) mod connection;
pub(crate) mod content_range;
pub(crate) mod cookies;
pub mod digest;
pub(crate) mod disposition;
pub(crate) mod head;
mod heads;
pub(crate) mod network;
pub(crate) mod origin;
pub(crate) mod proxy;
pub(crate) mod redirect;
pub(crate) mod request;
pub(crate) mod resolve;
pub(crate) mod retry_after;
pub(crate) mod tls;
