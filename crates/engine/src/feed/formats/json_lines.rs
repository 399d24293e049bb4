//! JSON Lines: an object per line with the fields `url`, `output`, `checksum`, `size`, `mirrors` (an array) and
//! `headers` (an object, or an array of `NAME: VALUE`). A string alone is a URL.

use std::fmt;
use std::io::BufRead;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
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
            Ok(Value::Object(object)) => match twice(line) {
                Some(name) => Err(format!("it has the field {name} twice")),
                None => entry(number, &object, sink)?,
            },
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

/// A field of ours that an object has twice: of two digests, one would not be looked at.
fn twice(line: &str) -> Option<String> {
    let Names(mut names) = serde_json::from_str(line).ok()?;
    names.sort_unstable();
    let pair = names.windows(2).find(|pair| pair[0] == pair[1] && fields::NAMES.contains(&pair[0].as_str()))?;
    Some(pair[0].clone())
}

/// The names of an object's fields, as often as they are there.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap;
        impl<'de> Visitor<'de> for OfMap {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_map(OfMap)
    }
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
