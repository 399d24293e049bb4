//! Inspects things without changing them: what a server says about a URL, and the state of the downloads in a
//! directory, even while another process writes them. Runs on the caller's thread.

mod directory;
mod noted;
mod server;

pub use self::directory::{DirectoryStatus, Partial, directory, partial};
pub use self::noted::{noted, noted_files};
pub use self::server::{ServerInfo, server, server_unless};
