//! A scripted HTTP origin for Towline's tests, benchmarks and demo: seeded content that can be checked
//! at any offset, and faults as values. It serves HTTP/1.1, and HTTP/2 over TLS. Responses that no HTTP
//! library would send are written to the socket directly.
//!
//! ```
//! use towline_origin::{Fault, Origin, Resource};
//!
//! # fn main() -> std::io::Result<()> {
//! let origin = Origin::builder()
//!     .resource(Resource::new("/big.iso", 1, 700_000_000).fault(Fault::CutAt(1_000_000).first(1)))
//!     .files("/many/{}.bin", 10_000, 4096, 100)
//!     .fault(Fault::RatePerConnection(2_000_000))
//!     .start()?;
//! assert!(origin.url("/big.iso").starts_with("http://127.0.0.1:"));
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod archive;
mod body;
mod conditions;
mod conn;
mod content;
mod date;
mod effects;
mod entry;
mod fault;
mod gate;
mod header;
mod hostile;
mod pace;
mod page;
mod range;
mod raw;
mod reply;
mod resource;
mod respond;
mod rule;
mod rule_set;
mod scope;
mod secure;
mod server;
mod service;
mod socket;
mod span;
mod state;
mod stats;
mod switch;
mod tls;
mod version;
mod worker;

pub use archive::fill_archive;
pub use content::{byte_at, check_file, fill, first_difference};
pub use fault::{Above, BadChunk, Fault, RangeLie, StreamEnd, Validators};
pub use hostile::{hostile_dispositions, range_forms};
pub use page::{Page, PageBy};
pub use resource::{ETag, Length, Ranges, Resource};
pub use rule::Rule;
pub use scope::Scope;
pub use server::{Origin, OriginBuilder};
pub use service::{
    Access, Cloud, CloudBuilder, CloudStats, Graph, GraphBuilder, GraphStats, Nextcloud, NextcloudBuilder,
    NextcloudStats, Sites, SitesBuilder, SitesStats,
};
pub use stats::{PathStats, RequestLog, Stats};
pub use switch::Switch;
pub use tls::Certificate;
