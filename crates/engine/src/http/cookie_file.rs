//! Cookies from a file in Netscape's form, as browsers' exports, curl and wget write it. They are sent where they
//! belong, and neither changed nor shown.

use std::fmt;

use cookie_store::CookieStore;
use http::HeaderValue;
use url::Url;

use super::cookies::header_of;

/// The most cookies of one file.
const COOKIES_MAX: usize = 50_000;
/// What curl writes before the domain of a cookie that no script of a page may see.
pub(super) const HTTP_ONLY: &str = "#HttpOnly_";

/// The cookies of a file.
///
/// ```
/// use towline_engine::http::cookie_file::CookieFile;
///
/// let text = ".example.org\tTRUE\t/\tTRUE\t0\tid\t1\n";
/// let cookies = CookieFile::parse(text).unwrap();
/// assert_eq!(format!("{cookies:?}"), "1 cookies");
/// ```
#[derive(Clone, Default)]
pub struct CookieFile {
    store: CookieStore,
    passed_over: Vec<usize>,
}

impl fmt::Debug for CookieFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cookies", self.store.iter_any().count())
    }
}

impl CookieFile {
    /// Reads lines of seven fields, separated by tabs: domain, whether subdomains get it, path, whether only HTTPS gets
    /// it, when it expires (seconds since 1970; 0 is never), name and value. Lines that are none are passed over, if others
    /// are.
    ///
    /// # Errors
    /// The first line that is none, by its number, if all are.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut cookies = Self::default();
        let now = jiff::Timestamp::now().as_second();
        let mut count = 0;
        for (number, line) in (1..).zip(text.lines()) {
            let (is_hidden, line) = match line.strip_prefix(HTTP_ONLY) {
                Some(line) => (true, line),
                None => (false, line),
            };
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((set, url)) = cookie_of(line, is_hidden, now) else {
                cookies.passed_over.push(number);
                continue;
            };
            count += 1;
            if count > COOKIES_MAX {
                return Err(format!("it has more than {COOKIES_MAX} cookies"));
            }
            // An expired one is none.
            let _ = cookies.store.parse(&set, &url);
        }
        match cookies.passed_over.first() {
            Some(number) if count == 0 => Err(format!("line {number}: seven fields, separated by tabs, are expected")),
            _ => Ok(cookies),
        }
    }

    /// The numbers of the lines that are no cookies, from 1.
    pub fn passed_over(&self) -> &[usize] {
        &self.passed_over
    }

    pub(super) fn store(&self) -> &CookieStore {
        &self.store
    }

    /// The cookies to send to a URL.
    pub(crate) fn header(&self, url: &Url) -> Option<HeaderValue> {
        header_of(&self.store, url)
    }
}

/// A line as the `Set-Cookie` that it stands for, and the URL that would have set it.
fn cookie_of(line: &str, is_hidden: bool, now: i64) -> Option<(String, Url)> {
    let mut fields: Vec<&str> = line.split('\t').collect();
    if fields.len() == 6 {
        // Some programs leave the last tab out where the value is empty.
        fields.push("");
    }
    let [domain, is_for_all, path, is_secure, expires, name, value] = fields[..] else { return None };
    // Some programs write fractions.
    let expires = expires.trim().parse::<f64>().ok().filter(|expires| expires.is_finite())? as i64;
    let host = domain.trim_start_matches('.');
    let is_secure = is_secure.eq_ignore_ascii_case("TRUE");
    let scheme = if is_secure { "https" } else { "http" };
    let url = Url::parse(&format!("{scheme}://{host}{path}")).ok().filter(|_| path.starts_with('/'))?;
    let mut set = format!("{name}={value}; Path={path}");
    if is_for_all.eq_ignore_ascii_case("TRUE") {
        set.push_str(&format!("; Domain={host}"));
    }
    if is_secure {
        set.push_str("; Secure");
    }
    if is_hidden {
        set.push_str("; HttpOnly");
    }
    if expires > 0 {
        set.push_str(&format!("; Max-Age={}", expires.saturating_sub(now)));
    }
    Some((set, url))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(cookies: &CookieFile, url: &str) -> Option<String> {
        cookies.header(&url.parse().unwrap()).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn cookies_go_where_they_belong() {
        let text = "# Netscape HTTP Cookie File\n\n.example.org\tTRUE\t/\tFALSE\t0\tall\t1\n\
                    www.example.org\tFALSE\t/private\tTRUE\t4102444800\town\t2\n\
                    #HttpOnly_example.net\tFALSE\t/\tFALSE\t0\thidden\t3\nexample.net\tFALSE\t/\tFALSE\t1\told\t4\n";
        let cookies = CookieFile::parse(text).unwrap();
        assert_eq!(sent(&cookies, "http://sub.example.org/x").unwrap(), "all=1");
        let both = sent(&cookies, "https://www.example.org/private/a").unwrap();
        assert!(both.contains("own=2") && both.contains("all=1"), "{both}");
        assert_eq!(sent(&cookies, "http://www.example.org/private/a").unwrap(), "all=1");
        assert_eq!(sent(&cookies, "http://example.net/").unwrap(), "hidden=3", "the other one has expired");
        assert_eq!(sent(&cookies, "http://other.example.net/"), None);
        assert_eq!(sent(&cookies, "http://example.com/"), None);
    }

    #[test]
    fn a_line_that_is_no_cookie_is_passed_over_beside_others() {
        let text = "h.org\tFALSE\t/\tFALSE\t0\tb\tctl\u{1}\nh.org\tFALSE\t/\tFALSE\t0\t\tx\ty\n\
                    h.org\tFALSE\t/long\tFALSE\t0\tz\t1\nh.org\tFALSE\t/\tFALSE\t0\ta\t2\n";
        let cookies = CookieFile::parse(text).unwrap();
        assert_eq!(cookies.passed_over(), [2]);
        assert_eq!(sent(&cookies, "http://h.org/long/x").unwrap(), "z=1; a=2", "no header has control characters");
    }

    #[test]
    fn what_is_no_cookie_is_named_by_its_line() {
        for text in [
            "a\tb\n",
            "h\tTRUE\t.evil\tFALSE\t0\tn\tSECRET\n",
            "h\tTRUE\t/\tFALSE\tnever\tn\tSECRET\n",
            "{\"json\": true}\n",
        ] {
            let why = CookieFile::parse(text).unwrap_err();
            assert!(why.starts_with("line 1") && !why.contains("SECRET"), "{why}");
        }
    }
}
