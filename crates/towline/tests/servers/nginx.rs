//! nginx.

use std::process::Command;

use super::server::Server;
use crate::common::servers::nginx_config;
use crate::common::tool;

/// Starts one; `None` if something that it needs is not installed (and CI is not set).
pub(crate) fn start() -> Option<Server> {
    let nginx = tool("nginx")?;
    Server::start(
        "nginx",
        |site| {
            let config = site.write("nginx.conf", &nginx_config(site.root, site.port, site.tls_port));
            let mut command = Command::new(&nginx);
            command.arg("-p").arg(site.root).arg("-c").arg(config).arg("-e").arg(site.root.join("error.log"));
            command
        },
        |line| Some(line.to_owned()),
    )
}

crate::cases::every_case!(start);
