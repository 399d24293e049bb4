//! HTTP: connections with TLS and proxies, requests, redirects and responses. [`crate::http`] parses the
//! fields.

pub(crate) mod answer;
pub(crate) mod connection;
pub(crate) mod digest_auth;
pub(crate) mod heads;
pub(crate) mod network;
pub(crate) mod proxy;
pub(crate) mod request;
pub(crate) mod resolve;
pub(crate) mod single_request;
mod stream;
pub(crate) mod tls;
