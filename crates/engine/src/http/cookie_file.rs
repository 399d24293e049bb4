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
pub struct CookieFile(CookieStore);

impl fmt::Debug for CookieFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cookies", self.0.iter_any().count())
    }
}

impl CookieFile {
    /// Reads lines of seven fields, separated by tabs: domain, whether subdomains get it, path, whether only HTTPS gets
    /// it, when it expires (seconds since 1970; 0 is never), name and value.
    ///
    /// # Errors
    /// The first line that is none, by its number.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut store = CookieStore::default();
        let mut count = 0;
        for (number, line) in text.lines().enumerate() {
            let (is_hidden, line) = match line.strip_prefix(HTTP_ONLY) {
                Some(line) => (true, line),
                None => (false, line),
            };
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || format!("line {}: seven fields, separated by tabs, are expected", number + 1);
            let mut fields: Vec<&str> = line.split('\t').collect();
            if fields.len() == 6 {
                // Some programs leave the last tab out where the value is empty.
                fields.push("");
            }
            let [domain, is_for_all, path, is_secure, expires, name, value] = fields[..] else { return Err(wrong()) };
            let expires: i64 = expires.trim().parse().map_err(|_| wrong())?;
            if !path.starts_with('/') {
                return Err(wrong());
            }
            count += 1;
            if count > COOKIES_MAX {
                return Err(format!("it has more than {COOKIES_MAX} cookies"));
            }
            let host = domain.trim_start_matches('.');
            let is_secure = is_secure.eq_ignore_ascii_case("TRUE");
            let Ok(url) = Url::parse(&format!("{}://{host}{path}", if is_secure { "https" } else { "http" })) else {
                return Err(wrong());
            };
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
                let left = expires.saturating_sub(jiff::Timestamp::now().as_second());
                set.push_str(&format!("; Max-Age={left}"));
            }
            // An expired one is none.
            let _ = store.parse(&set, &url);
        }
        Ok(Self(store))
    }

    pub(super) fn store(&self) -> &CookieStore {
        &self.0
    }

    /// The cookies to send to a URL.
    pub(crate) fn header(&self, url: &Url) -> Option<HeaderValue> {
        header_of(&self.0, url)
    }
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
