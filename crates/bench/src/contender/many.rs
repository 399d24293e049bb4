//! A list of files.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Program;
use super::one::option;
use crate::floor;
use crate::source::Source;

/// Adds the arguments with which `program` fetches all files of `source`; `false` if it cannot.
pub(super) fn add(
    command: &mut Command,
    program: Program,
    source: &Source,
    at_once: u32,
    out: &Path,
    scratch: &Path,
) -> bool {
    let at_once = at_once.to_string();
    let ca_file = source.ca_file.as_deref();
    match program {
        Program::Towline | Program::Beside => {
            command
                .args(["--quiet", "--dir"])
                .arg(out)
                .args(["-j", &at_once, "--input-file"])
                .arg(urls(source, scratch));
            option(command, "--ca-file", ca_file);
        }
        Program::Floor => {
            if ca_file.is_some() {
                return false;
            }
            command.args([floor::FLOOR, floor::SMALL, &source.url(0), &at_once, &source.count.to_string()]).arg(out);
        }
        Program::Curl => {
            let list = scratch.join("curl.config");
            written(source, &list, |url, name| format!("url = \"{url}\"\noutput = \"{name}\"\n"));
            command.args(["--silent", "--show-error", "--fail", "--parallel", "--parallel-max", &at_once]);
            command.arg("--output-dir").arg(out).arg("--config").arg(list);
            option(command, "--cacert", ca_file);
        }
        Program::Wget2 => {
            command.args(["--quiet", "--max-threads", &at_once, "--directory-prefix"]).arg(out);
            command.arg("--input-file").arg(urls(source, scratch));
            option(command, "--ca-certificate", ca_file);
        }
        Program::Aria2 | Program::Aria2Next => {
            command.args(["--quiet", "--file-allocation=none", "--max-concurrent-downloads", &at_once]);
            command.arg("--dir").arg(out).arg("--input-file").arg(urls(source, scratch));
            option(command, "--ca-certificate", ca_file);
        }
        Program::Rclone => {
            command.args(["--quiet", "copy", "--transfers", &at_once, "--http-url"]);
            command.arg(format!("{}{}", source.base, source.folder)).arg(":http:").arg(out);
            option(command, "--ca-cert", ca_file);
        }
        Program::Requests => {
            command.arg("--list").arg(urls(source, scratch)).arg(out).arg(at_once);
            option(command, "--ca", ca_file);
        }
        // For one file at a time.
        Program::Axel | Program::HfTransfer | Program::Pypdl => return false,
    }
    true
}

/// A list with a URL a line.
fn urls(source: &Source, scratch: &Path) -> PathBuf {
    let list = scratch.join("urls.txt");
    written(source, &list, |url, _| format!("{url}\n"));
    list
}

fn written(source: &Source, list: &Path, line: impl Fn(&str, &str) -> String) {
    if !list.exists() {
        source.write_list(list, line).unwrap();
    }
}
