//! A scripted HTTP origin: seeded content that can be checked at any offset, and faults as values,
//! for Towline's tests, benchmarks and demo. Serves HTTP/1.1, and HTTP/2 over TLS; what no HTTP
//! library would send is written to the socket by hand.
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

mod body;
mod conn;
mod content;
mod fault;
mod hostile;
mod pace;
mod range;
mod raw;
mod reply;
mod resource;
mod respond;
mod rule;
mod server;
mod state;
mod stats;
mod tls;
mod worker;

pub use content::{byte_at, check_file, fill, first_difference};
pub use fault::{Above, BadChunk, Fault, RangeLie};
pub use hostile::hostile_dispositions;
pub use resource::{ETag, Length, Ranges, Resource};
pub use rule::{Rule, Scope};
pub use server::{Origin, OriginBuilder};
pub use stats::{PathStats, RequestLog, Stats};
pub use tls::Certificate;
