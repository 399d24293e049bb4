//! One file.

use std::path::Path;
use std::process::Command;

use super::Program;
use crate::floor;
use crate::source::Source;

/// Adds the arguments with which `program` fetches the only file of `source`; `false` if it cannot.
pub(super) fn add(
    command: &mut Command,
    program: Program,
    source: &Source,
    connections: Option<u32>,
    out: &Path,
) -> bool {
    let (url, name) = (source.url(0), Source::name(0));
    let path = out.join(&name);
    let ca_file = source.ca_file.as_deref();
    let count = connections.map(|count| count.to_string());
    match program {
        Program::Towline | Program::Beside => {
            command.args(["--quiet", "--output"]).arg(&path).arg(url);
            if let Some(count) = count {
                command.args(["-x", &count]);
            }
            option(command, "--ca-file", ca_file);
        }
        Program::Floor => {
            let Some(connections) = connections.filter(|_| ca_file.is_none()) else { return false };
            command.args([floor::FLOOR, floor::LARGE, &url, &connections.to_string()]).arg(&path);
        }
        // It fetches one file over one connection.
        Program::Curl => {
            command.args(["--silent", "--show-error", "--fail", "--output"]).arg(&path).arg(url);
            option(command, "--cacert", ca_file);
        }
        // Its pieces are those of a Metalink.
        Program::Wget2 => {
            command.args(["--quiet", "--output-document"]).arg(&path).arg(url);
            option(command, "--ca-certificate", ca_file);
        }
        Program::Aria2 | Program::Aria2Next => {
            command.args(["--quiet", "--file-allocation=none", "--dir"]).arg(out).args(["--out", &name]).arg(url);
            if let Some(count) = count {
                command.args(["--max-connection-per-server", &count, "--split", &count, "--min-split-size=1M"]);
            }
            option(command, "--ca-certificate", ca_file);
        }
        Program::Axel => {
            if ca_file.is_some() {
                // It takes authorities from OpenSSL alone.
                command.env("SSL_CERT_FILE", ca_file.unwrap_or(Path::new("")));
            }
            command.args(["--quiet", "--output"]).arg(&path).arg(url);
            if let Some(count) = count {
                command.args(["--num-connections", &count]);
            }
        }
        Program::Rclone => {
            command.args(["--quiet", "copyurl", &url]).arg(&path);
            if let Some(count) = count {
                command.args(["--multi-thread-streams", &count]);
            }
            option(command, "--ca-cert", ca_file);
        }
        Program::HfTransfer | Program::Pypdl | Program::Requests => {
            let Some(count) = count else { return false };
            // hf_transfer trusts the authorities that it was built with.
            if program == Program::HfTransfer && ca_file.is_some() {
                return false;
            }
            command.arg(url).arg(&path).arg(count);
            option(command, "--ca", ca_file);
        }
    }
    true
}

/// Adds an option with a path, if there is one.
pub(super) fn option(command: &mut Command, name: &str, path: Option<&Path>) {
    if let Some(path) = path {
        command.arg(name).arg(path);
    }
}
