//! Inspects things without changing them: what a server says about a URL, and the state of the downloads in a
//! directory, even while another process writes them. Runs on the caller's thread.

mod directory;
mod server;

pub use self::directory::{DirectoryStatus, Partial, directory, partial};
pub use self::server::{ServerInfo, server};
