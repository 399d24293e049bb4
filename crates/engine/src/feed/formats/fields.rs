//! The fields that an entry has in JSON Lines and in CSV.

use std::path::PathBuf;

use http::{HeaderName, HeaderValue};
use url::Url;

use super::{HEADERS_MAX, URLS_MAX};
use crate::checksum::Checksum;
use crate::feed::list::url_in;
use crate::http::is_reserved;
use crate::job::JobSpec;
use crate::secret::shown_line;

/// The names of the fields.
pub(super) const NAMES: [&str; 6] = ["url", "output", "checksum", "size", "mirrors", "headers"];

/// The URL of an entry or of one of its mirrors.
pub(super) fn url(text: &str) -> Result<Url, String> {
    url_in(text.trim()).map_err(|what| format!("{what} (got \"{}\")", shown_line(text)))
}

/// Sets the name under which to save.
pub(super) fn set_output(spec: &mut JobSpec, output: &str) -> Result<(), String> {
    if output.contains('\0') {
        return Err("the output has a NUL in it".to_owned());
    }
    spec.output = Some(PathBuf::from(output));
    Ok(())
}

/// Sets the digest, given as `ALGORITHM=HEX`.
pub(super) fn set_checksum(spec: &mut JobSpec, text: &str) -> Result<(), String> {
    let checksum: Checksum = text.trim().parse().map_err(|error| format!("{error}"))?;
    match spec.checksum.replace(checksum) {
        Some(before) if spec.checksum.as_ref() != Some(&before) => Err("it has two different digests".to_owned()),
        _ => Ok(()),
    }
}

/// Sets the size, in bytes.
pub(super) fn set_size(spec: &mut JobSpec, text: &str) -> Result<(), String> {
    let size = text.trim().parse().map_err(|_| format!("the size is a number of bytes, not {}", shown_line(text)))?;
    spec.size_bytes = Some(size);
    Ok(())
}

/// Adds a URL of the same file.
pub(super) fn add_mirror(spec: &mut JobSpec, text: &str) -> Result<(), String> {
    if spec.mirrors.len() + 1 >= URLS_MAX {
        return Err(format!("more than {URLS_MAX} URLs of one file"));
    }
    spec.mirrors.push(url(text)?);
    Ok(())
}

/// Adds a header, given as `NAME: VALUE`.
pub(super) fn add_header(spec: &mut JobSpec, text: &str) -> Result<(), String> {
    match text.split_once(':') {
        Some((name, value)) => add_header_pair(spec, name.trim(), value.trim()),
        // It may be a secret.
        None => Err("a header is written NAME: VALUE".to_owned()),
    }
}

/// The same by its name and value.
pub(super) fn add_header_pair(spec: &mut JobSpec, name: &str, value: &str) -> Result<(), String> {
    if spec.options.headers.len() >= HEADERS_MAX {
        return Err(format!("more than {HEADERS_MAX} headers"));
    }
    let wrong = |what: &str| format!("the {what} of a header cannot be sent");
    let name = HeaderName::try_from(name).map_err(|_| wrong("name"))?;
    let mut value = HeaderValue::try_from(value).map_err(|_| wrong("value"))?;
    if is_reserved(&name) {
        return Err(format!("Towline sets the header {name} itself"));
    }
    value.set_sensitive(true);
    spec.options.headers.push((name, value));
    Ok(())
}
