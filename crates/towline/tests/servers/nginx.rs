//! nginx.

use towline_testkit::servers::nginx_command;
use towline_testkit::tool;

use super::server::Server;

/// Starts one; `None` if something that it needs is not installed (and CI is not set).
pub(crate) fn start() -> Option<Server> {
    let nginx = tool("nginx")?;
    Server::start(
        "nginx",
        |site| nginx_command(&nginx, site.root, site.port, site.tls_port),
        |line| Some(line.to_owned()),
    )
}

crate::cases::every_case!(start);
