//! `towline info`: prints what a server says about URLs, without fetching them.

use towline_engine::inspect::{self, ServerInfo};
use towline_engine::size;

use crate::args::InfoArgs;
use crate::complaint::Complaint;
use crate::say::{answer, say};
use crate::{exit_codes, settings};

/// Asks about each URL in turn. A failure does not stop the others.
pub(crate) fn run(args: InfoArgs) -> Result<u8, Complaint> {
    let InfoArgs { urls, json, http } = args;
    let urls = urls.iter().map(|text| settings::fetchable(text)).collect::<Result<Vec<_>, _>>()?;
    let http = settings::http(http)?;
    if http.insecure {
        say("towline: --insecure: certificates are not verified");
    }
    let mut code = exit_codes::DONE;
    for (index, url) in urls.iter().enumerate() {
        let text = match inspect::server(url, &http) {
            Ok(info) if json => serde_json::to_string(&info).unwrap_or_default(),
            Ok(info) if index == 0 => human(&info),
            Ok(info) => format!("\n{}", human(&info)),
            Err(error) => {
                let complaint = Complaint::from(error);
                complaint.say();
                code = code.max(complaint.code());
                continue;
            }
        };
        if !answer(&text)? {
            break;
        }
    }
    Ok(code)
}

fn human(info: &ServerInfo) -> String {
    let unknown = || "unknown".to_owned();
    let length = info.total_bytes.map_or_else(unknown, |bytes| format!("{bytes} ({})", size::bytes(bytes)));
    let ranges = match info.ranges {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    let mut lines = vec![("url", info.url.clone())];
    if info.final_url != info.url {
        let times = if info.redirects == 1 { "redirect" } else { "redirects" };
        lines.push(("final url", format!("{} ({} {times})", info.final_url, info.redirects)));
    }
    lines.extend([
        ("status", info.status.to_string()),
        ("name", info.file_name.clone()),
        ("type", info.content_type.clone().unwrap_or_else(unknown)),
        ("length", length),
        ("ranges", ranges.to_owned()),
        ("etag", or_none(&info.etag)),
        ("last modified", or_none(&info.last_modified)),
        ("encoding", or_none(&info.content_encoding)),
        ("protocol", info.protocol.to_owned()),
    ]);
    if let Some(digest) = &info.digest {
        lines.push(("digest", digest.clone()));
    }
    let width = lines.iter().map(|(field, _)| field.len()).max().unwrap_or(0) + 1;
    let aligned = lines.into_iter().map(|(field, value)| {
        let field = format!("{field}:");
        format!("{field:width$} {value}")
    });
    aligned.collect::<Vec<_>>().join("\n")
}
