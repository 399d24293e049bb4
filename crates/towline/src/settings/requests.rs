//! Resolves the options for requests.

use std::env;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HOST, REFERER};
use http::{HeaderValue, Method};
use towline_engine::http::cookie_file::CookieFile;
use towline_engine::http::form::Form;
use towline_engine::http::is_reserved;
use towline_engine::http::netrc::Netrc;
use towline_engine::options::{ClientIdentity, Family, HttpOptions, HttpVersion, ProxyChoice};

use crate::args::{GetArgs, HttpArgs};
use crate::complaint::Complaint;
use crate::host_sections;
use crate::say::say;
use crate::values;

/// The most to read of a file of headers.
const HEADERS_BYTES_MAX: u64 = 1 << 20;
/// The most to read of a file of cookies or credentials.
const TEXT_BYTES_MAX: u64 = 16 << 20;

/// Resolves the options for requests.
///
/// # Errors
/// If options conflict, or a header or the proxy is invalid.
pub(crate) fn http(args: HttpArgs) -> Result<HttpOptions, Complaint> {
    let mut http = HttpOptions::default();
    for header in &headers(&args.header)? {
        // Parsed here, because clap would print the value, which may be a secret.
        let (name, value) =
            values::header(header).map_err(|why| Complaint::usage(format!("invalid value for --header: {why}")))?;
        if is_reserved(&name) {
            let text = format!("--header: Towline sets the field {name} itself");
            return Err(Complaint::usage(text).hint("leave it out"));
        }
        if name == HOST && http.headers.contains_key(HOST) {
            return Err(Complaint::usage("--header: Host is given twice"));
        }
        http.headers.append(name, value);
    }
    if let Some(referer) = args.referer {
        http.headers.insert(REFERER, referer);
    }
    if let Some(user) = &args.user {
        if http.headers.contains_key(AUTHORIZATION) {
            return Err(Complaint::usage("--user and a header Authorization cannot be used together"));
        }
        http.headers.insert(AUTHORIZATION, authorization(user)?);
    }
    http.of_hosts = host_sections::of_hosts()?;
    http.netrc = args.netrc.and_then(netrc_file).map(netrc).transpose()?.map(Arc::new);
    http.cookies = args.cookies.map(cookies).transpose()?.map(Arc::new);
    http.identity = identity(args.cert, args.key)?;
    http.pinned_keys = args.pinned_key;
    http.family = match (args.ipv4, args.ipv6) {
        (true, true) => return Err(Complaint::usage("-4 and -6 cannot be used together")),
        (true, false) => Family::V4,
        (false, true) => Family::V6,
        (false, false) => Family::Any,
    };
    http.interface = args.interface;
    http.hosts = args.resolve;
    http.min_speed_bps = args.min_speed;
    http.retry_on = args.retry_on;
    http.user_agent = args.user_agent.unwrap_or(http.user_agent);
    http.proxy = proxy(args.proxy, args.no_proxy)?;
    http.insecure = args.insecure;
    http.ca_file = args.ca_file;
    http.allow_downgrade = args.allow_downgrade;
    http.connect_timeout = args.connect_timeout.unwrap_or(http.connect_timeout);
    http.stall_timeout = args.stall_timeout.unwrap_or(http.stall_timeout);
    http.response_timeout = args.response_timeout.unwrap_or(http.response_timeout);
    http.retries = args.retries.unwrap_or(http.retries);
    http.version = match (args.http1, args.http2) {
        (true, true) => return Err(Complaint::usage("--http1.1 and --http2 cannot be used together")),
        (true, false) => HttpVersion::Http1,
        (false, true) => HttpVersion::Http2,
        (false, false) => HttpVersion::Auto,
    };
    Ok(http)
}

/// The headers that were given, and those in files (`@FILE`), one per line.
pub(crate) fn headers(given: &[String]) -> Result<Vec<String>, Complaint> {
    let mut all = Vec::new();
    for text in given {
        let Some(path) = text.strip_prefix('@') else {
            all.push(text.clone());
            continue;
        };
        let cannot = |why: String| Complaint::usage(format!("--header @{}: {why}", values::shown_name(path)));
        let file = fs::File::open(path).map_err(|error| cannot(error.to_string()))?;
        let mut content = String::new();
        file.take(HEADERS_BYTES_MAX + 1).read_to_string(&mut content).map_err(|error| cannot(error.to_string()))?;
        if content.len() as u64 > HEADERS_BYTES_MAX {
            return Err(cannot("it is longer than 1 MiB".to_owned()));
        }
        let is_said = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
        all.extend(content.lines().filter(is_said).map(str::to_owned));
    }
    Ok(all)
}

/// What `--data` and `--method` ask for, unless that is a plain GET.
///
/// # Errors
/// If a file cannot be read.
pub(super) fn form(args: &GetArgs) -> Result<Option<Form>, Complaint> {
    let mut body = Vec::new();
    for data in &args.data {
        if !body.is_empty() {
            body.push(b'&');
        }
        match data.strip_prefix('@') {
            None => body.extend_from_slice(data.as_bytes()),
            Some(path) => {
                let cannot = |why: String| Complaint::usage(format!("--data @{}: {why}", values::shown_name(path)));
                let file = fs::File::open(path).map_err(|error| cannot(error.to_string()))?;
                file.take(TEXT_BYTES_MAX).read_to_end(&mut body).map_err(|error| cannot(error.to_string()))?;
                // An editor's, and none of the field.
                while body.pop_if(|byte| matches!(byte, b'\n' | b'\r')).is_some() {}
            }
        }
        if body.len() as u64 >= TEXT_BYTES_MAX {
            return Err(Complaint::usage("--data: it is longer than 16 MiB"));
        }
    }
    let given = args.method.clone();
    let method = given.unwrap_or(if args.data.is_empty() { Method::GET } else { Method::POST });
    let is_plain = method == Method::GET && body.is_empty();
    Ok((!is_plain).then(|| Form::new(method, body)))
}

/// Basic credentials (RFC 7617).
pub(crate) fn authorization(user: &str) -> Result<HeaderValue, Complaint> {
    if !user.contains(':') {
        // It may be a password.
        return Err(Complaint::usage("--user: allowed: NAME:PASSWORD"));
    }
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(user)))
        .map_err(|_| Complaint::usage("--user cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The file; `true` and `false` turn it on and off, as with options that are only that.
fn netrc_file(path: PathBuf) -> Option<PathBuf> {
    match path.to_str() {
        Some("true" | "1") => Some(PathBuf::from("~/.netrc")),
        Some("false" | "0" | "") => None,
        _ => Some(path),
    }
}

fn netrc(path: PathBuf) -> Result<Netrc, Complaint> {
    let path = match path.strip_prefix("~") {
        Err(_) => path,
        Ok(below) => env::var_os("HOME").map(|home| Path::new(&home).join(below)).ok_or_else(|| {
            Complaint::usage("--netrc: there is no home directory").hint("name the file: --netrc=FILE")
        })?,
    };
    let wrong = |why: String| Complaint::usage(format!("--netrc {}: {why}", path.display()));
    Netrc::parse(&read_text(&path).map_err(wrong)?).map_err(wrong)
}

fn cookies(path: PathBuf) -> Result<CookieFile, Complaint> {
    let wrong = |why: String| Complaint::usage(format!("--cookies {}: {why}", path.display()));
    // A cookie with other bytes than those of UTF-8 is not sent, and the others are.
    let bytes = read_bytes(&path).map_err(wrong)?;
    let cookies = CookieFile::parse(&String::from_utf8_lossy(&bytes)).map_err(wrong)?;
    if let Some(number) = cookies.passed_over().first() {
        let more = cookies.passed_over().len() - 1;
        let others = if more == 0 { String::new() } else { format!(" (and {more} more)") };
        say(&format!("--cookies {}: line {number} is no cookie, and is passed over{others}", path.display()));
    }
    Ok(cookies)
}

/// A text file that is not too long.
pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    String::from_utf8(read_bytes(path)?).map_err(|_| "it is no text in UTF-8".to_owned())
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(TEXT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > TEXT_BYTES_MAX { Err("it is longer than 16 MiB".to_owned()) } else { Ok(bytes) }
}

fn identity(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<ClientIdentity>, Complaint> {
    match (cert, key) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Complaint::usage("--key needs --cert, the certificate of the key")),
        (Some(certificate), key) => {
            let key = key.unwrap_or_else(|| certificate.clone());
            Ok(Some(ClientIdentity { certificate, key }))
        }
    }
}

fn proxy(proxy: Option<String>, no_proxy: Option<String>) -> Result<ProxyChoice, Complaint> {
    // An empty variable counts as unset. An empty `--no-proxy` excepts nothing; an empty `--proxy` is a mistake, probably a
    // script's.
    let is_unset = |text: &str, name| text.is_empty() && env::var_os(name).is_some_and(|text| text.is_empty());
    let except = no_proxy.filter(|text| !is_unset(text, "TOWLINE_NO_PROXY"));
    if except.as_ref().is_some_and(|except| except.trim() == "*") {
        return Ok(ProxyChoice::Direct);
    }
    let Some(text) = proxy.filter(|text| !is_unset(text, "TOWLINE_PROXY")) else {
        return Ok(except.map_or(ProxyChoice::Environment, |except| ProxyChoice::EnvironmentExcept { except }));
    };
    let except = except.unwrap_or_default();
    // It may contain a password, so it is not shown.
    ProxyChoice::parse(&text, &except).map_err(|error| {
        Complaint::usage(format!("--proxy (or TOWLINE_PROXY): {}", error.message()))
            .hint("allowed: http://, https://, socks5:// or socks5h://, then HOST:PORT")
    })
}
