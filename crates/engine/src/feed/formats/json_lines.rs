//! JSON Lines: an object per line with the fields `url`, `output`, `checksum`, `size`, `mirrors` (an array) and
//! `headers` (an object, or an array of `NAME: VALUE`). A string alone is a URL.

use std::io::BufRead;

use serde_json::{Map, Value};

use super::fields::{self, add_header, add_header_pair, add_mirror, set_checksum, set_output, set_size};
use super::{Ended, Lines, Sink};
use crate::job::JobSpec;

pub(super) fn read(list: impl BufRead, sink: &mut Sink<'_>) -> Result<(), Ended> {
    let mut lines = Lines::new(list);
    while let Some((number, line)) = lines.next()? {
        let line = match line {
            Ok(line) if line.trim().is_empty() || line.trim_start().starts_with('#') => continue,
            Ok(line) => line,
            Err(what) => {
                sink.bad(number, what)?;
                continue;
            }
        };
        // The parser's error would repeat what it found, which may be a secret.
        let entry = match serde_json::from_str(line) {
            Ok(Value::Object(object)) => entry(number, &object, sink)?,
            Ok(Value::String(url)) => fields::url(&url).map(JobSpec::new),
            Ok(_) => Err("not an object".to_owned()),
            Err(error) => Err(format!("not JSON (column {})", error.column())),
        };
        match entry {
            Ok(spec) => sink.entry(spec)?,
            Err(what) => sink.bad(number, &what)?,
        }
    }
    Ok(())
}

fn entry(line: u64, object: &Map<String, Value>, sink: &mut Sink<'_>) -> Result<Result<JobSpec, String>, Ended> {
    for name in object.keys().filter(|name| !fields::NAMES.contains(&name.as_str())) {
        if let Err(what) = sink.unknown(line, "field", name)? {
            return Ok(Err(what));
        }
    }
    Ok(spec_of(object))
}

fn spec_of(object: &Map<String, Value>) -> Result<JobSpec, String> {
    let text = |name: &str| match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(format!("the field {name} is not a string")),
    };
    let Some(url) = text("url")? else { return Err("it has no field \"url\"".to_owned()) };
    let mut spec = JobSpec::new(fields::url(url)?);
    if let Some(output) = text("output")? {
        set_output(&mut spec, output)?;
    }
    if let Some(checksum) = text("checksum")? {
        set_checksum(&mut spec, checksum)?;
    }
    match object.get("size") {
        None | Some(Value::Null) => {}
        Some(Value::String(size)) => set_size(&mut spec, size)?,
        Some(size) => spec.size_bytes = Some(size.as_u64().ok_or("the size is a number of bytes")?),
    }
    match object.get("mirrors") {
        None | Some(Value::Null) => {}
        Some(Value::Array(mirrors)) => {
            for mirror in mirrors {
                add_mirror(&mut spec, mirror.as_str().ok_or("a mirror is not a string")?)?;
            }
        }
        Some(_) => return Err("the field mirrors is not an array".to_owned()),
    }
    match object.get("headers") {
        None | Some(Value::Null) => {}
        Some(Value::Object(headers)) => {
            for (name, value) in headers {
                add_header_pair(&mut spec, name, value.as_str().ok_or("a header is not a string")?)?;
            }
        }
        Some(Value::Array(headers)) => {
            for header in headers {
                add_header(&mut spec, header.as_str().ok_or("a header is not a string")?)?;
            }
        }
        Some(_) => return Err("the field headers is neither an object nor an array".to_owned()),
    }
    Ok(spec)
}
