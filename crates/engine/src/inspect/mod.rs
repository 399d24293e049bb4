//! Looks at things without changing them: what a server says of a URL, and how the downloads in a directory
//! stand, also while another process writes them. Runs on the caller's thread.

mod directory;
mod server;

pub use self::directory::{DirectoryStatus, Partial, directory, partial};
pub use self::server::{ServerInfo, server};
