//! The proxies named by environment variables, read the way curl does. Pure; the variables are passed in.

use std::ffi::OsString;

use super::no_proxy::NoProxy;
use super::server::Proxy;
use crate::error::{Advice, Error, ErrorKind, Result};

/// Lower case comes first, as in curl.
const FOR_HTTPS: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const FOR_HTTP: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
/// In a CGI program, anybody who sends a request with a `Proxy` field sets `HTTP_PROXY` ("httpoxy"). curl never
/// reads it; we do unless `REQUEST_METHOD` indicates CGI. The other variables belong to the user and count
/// there too.
const FOR_HTTP_IN_CGI: [&str; 3] = ["http_proxy", "all_proxy", "ALL_PROXY"];

/// The parsed variables.
pub(super) struct Environment {
    pub(super) http: Option<Proxy>,
    pub(super) https: Option<Proxy>,
}

impl Environment {
    /// Reads the variables; `None` if no host is to be reached through a proxy, because all are excepted.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for a proxy that is set, may be needed and is unusable.
    pub(super) fn read(variable: impl Fn(&str) -> Option<OsString>, except: &NoProxy) -> Result<Option<Self>> {
        if except.is_everything() {
            return Ok(None);
        }
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let for_http: &[&str] = if is_cgi { &FOR_HTTP_IN_CGI } else { &FOR_HTTP };
        let (http, https) = (from_variables(&variable, for_http)?, from_variables(&variable, &FOR_HTTPS)?);
        Ok(Some(Self { http, https }))
    }
}

/// The hosts that are reached without a proxy.
pub(super) fn except(variable: &impl Fn(&str) -> Option<OsString>) -> NoProxy {
    let list = first(variable, &["no_proxy", "NO_PROXY"]).map(|(_, list)| list).unwrap_or_default();
    NoProxy::parse(&list.to_string_lossy())
}

/// The proxy from the first of these variables that is set.
fn from_variables(variable: &impl Fn(&str) -> Option<OsString>, names: &[&'static str]) -> Result<Option<Proxy>> {
    let Some((name, value)) = first(variable, names) else { return Ok(None) };
    let text = value.to_str().ok_or_else(|| "it is not UTF-8".to_owned());
    let proxy = text.and_then(Proxy::url).and_then(|url| Proxy::new(&url));
    match proxy {
        Ok(proxy) => Ok(Some(proxy)),
        Err(why) => {
            let text = format!("the environment variable {name} does not name a proxy that can be used: {why}");
            Err(Error::new(ErrorKind::Usage, text).with_advice(Advice::SetOrUnsetProxyVariable))
        }
    }
}

/// The first of these variables that is set and not empty.
fn first(variable: &impl Fn(&str) -> Option<OsString>, names: &[&'static str]) -> Option<(&'static str, OsString)> {
    names.iter().find_map(|&name| Some((name, variable(name).filter(|value| !value.is_empty())?)))
}
