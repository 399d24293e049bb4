//! Servers and proxies that people have, from their distribution's packages. Each server is put
//! through the same cases, and each way: without TLS, with TLS, over HTTP/2.

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "the command's tests use the rest of it")]
mod common;

mod apache;
mod caddy;
mod cases;
mod dante;
mod lighttpd;
mod nginx;
mod proxy;
mod server;
mod tinyproxy;
