//! Cookies that a session keeps: those of a file, and those that servers set meanwhile. They are sent where they belong,
//! and can be written as a file in Netscape's form at the end. All workers share one.

use std::fmt::{self, Write as _};

use cookie_store::{Cookie, CookieDomain, CookieExpiration, CookieStore};
use http::HeaderValue;
use parking_lot::Mutex;
use url::Url;

use super::cookie_file::{CookieFile, HTTP_ONLY};
use super::cookies::{SetCookies, header_of, is_for_all_of_a_suffix, is_secured};

/// The most cookies to keep, and those of one URL.
const COOKIES_MAX: usize = 50_000;
const COOKIES_OF_URL_MAX: usize = 64;

/// The cookies of a session.
///
/// ```
/// use towline_engine::http::cookie_file::CookieFile;
/// use towline_engine::http::cookie_jar::CookieJar;
///
/// let file = CookieFile::parse(".example.org\tTRUE\t/\tTRUE\t0\tid\t1\n").unwrap();
/// let jar = CookieJar::with(&file);
/// assert!(jar.to_text().ends_with(".example.org\tTRUE\t/\tTRUE\t0\tid\t1\n"));
/// ```
#[derive(Default)]
pub struct CookieJar(Mutex<CookieStore>);

impl fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cookies", self.0.lock().iter_any().count())
    }
}

impl CookieJar {
    /// A jar that begins with the cookies of a file.
    pub fn with(file: &CookieFile) -> Self {
        Self(Mutex::new(file.store().clone()))
    }

    /// Takes the cookies of a response from this URL, those that it may set (RFC 6265, section 5.3).
    pub(crate) fn add(&self, url: &Url, set: &SetCookies) {
        if set.is_empty() {
            return;
        }
        let mut store = self.0.lock();
        for text in set.iter() {
            let Ok(cookie) = Cookie::parse(text.to_owned(), url) else { continue };
            let is_known = store.matches(url).iter().any(|held| held.name() == cookie.name());
            let is_full = store.matches(url).len() >= COOKIES_OF_URL_MAX || store.iter_any().count() >= COOKIES_MAX;
            let is_refused = is_for_all_of_a_suffix(&cookie, url) || is_secured(&store, &cookie, url);
            if is_refused || is_full && !is_known {
                continue;
            }
            // Skips cookies that are for another site.
            let _ = store.insert(cookie.into_owned(), url);
        }
    }

    /// The cookies to send to a URL.
    pub(crate) fn header(&self, url: &Url) -> Option<HeaderValue> {
        header_of(&self.0.lock(), url)
    }

    /// The cookies as a file in Netscape's form, as [`CookieFile::parse`] reads it. Those that last as long as a session
    /// are in it too.
    pub fn to_text(&self) -> String {
        let mut text = "# Netscape HTTP Cookie File\n\n".to_owned();
        let store = self.0.lock();
        let mut lines: Vec<String> = store.iter_unexpired().filter_map(line).collect();
        lines.sort_unstable();
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

/// The line of a cookie; `None` if it has characters that a line cannot hold.
fn line(cookie: &Cookie<'_>) -> Option<String> {
    let (domain, is_for_all) = match &cookie.domain {
        CookieDomain::HostOnly(host) => (host.clone(), "FALSE"),
        CookieDomain::Suffix(host) => (format!(".{host}"), "TRUE"),
        CookieDomain::NotPresent | CookieDomain::Empty => return None,
    };
    let path: &str = cookie.path.as_ref();
    let is_secure = if cookie.secure() == Some(true) { "TRUE" } else { "FALSE" };
    let expires = match cookie.expires {
        CookieExpiration::AtUtc(at) => at.unix_timestamp().max(1),
        CookieExpiration::SessionEnd => 0,
    };
    let fields = [&*domain, is_for_all, path, is_secure, &expires.to_string(), cookie.name(), cookie.value()];
    let prefix = if cookie.http_only() == Some(true) { HTTP_ONLY } else { "" };
    let is_sayable = fields.iter().all(|field| !field.contains(char::is_control));
    is_sayable.then(|| format!("{prefix}{}", fields.join("\t")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> SetCookies {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn sent(jar: &CookieJar, at: &str) -> Option<String> {
        jar.header(&url(at)).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn what_servers_set_is_sent_and_written() {
        let jar = CookieJar::default();
        let at = url("https://www.example.org/in/login");
        jar.add(&at, &set(&["id=1; Secure; HttpOnly", "all=2; Domain=example.org; Path=/; Max-Age=1000000000"]));
        jar.add(&at, &set(&["id=3; Secure; HttpOnly", "evil=4; Domain=example.com"]));
        let text = jar.to_text();
        assert!(text.contains("#HttpOnly_www.example.org\tFALSE\t/in\tTRUE\t0\tid\t3\n"), "{text}");
        assert!(text.contains(".example.org\tTRUE\t/\tFALSE\t"), "{text}");
        assert!(!text.contains("evil") && !format!("{jar:?}").contains("id"));
        let again = CookieJar::with(&CookieFile::parse(&text).unwrap());
        for jar in [&jar, &again] {
            assert_eq!(sent(jar, "http://sub.example.org/").unwrap(), "all=2");
            assert!(sent(jar, "https://www.example.org/in/x").unwrap().contains("id=3"));
            assert_eq!(sent(jar, "http://www.example.org/in/x").unwrap(), "all=2", "the other one is for https");
        }
        assert_eq!(again.to_text(), text);
        jar.add(&at, &set(&["id=; Max-Age=0"]));
        assert_eq!(sent(&jar, "https://www.example.org/in/x").unwrap(), "all=2");
    }

    #[test]
    fn no_cookie_is_for_everybody_below_a_public_suffix() {
        let jar = CookieJar::default();
        for (at, domain) in
            [("https://a.co.uk/", "co.uk"), ("https://a.com/", "com"), ("https://a.github.io/", "github.io")]
        {
            jar.add(&url(at), &set(&[&format!("id=1; Domain={domain}; Path=/")]));
        }
        assert_eq!(format!("{jar:?}"), "0 cookies");
    }

    #[test]
    fn a_server_cannot_fill_it() {
        let jar = CookieJar::default();
        for number in 0..200 {
            jar.add(&url("http://h.example/"), &set(&[&format!("n{number}=1; Path=/")]));
        }
        jar.add(&url("http://h.example/"), &set(&["n1=changed; Path=/"]));
        let text = sent(&jar, "http://h.example/").unwrap();
        assert_eq!(text.split("; ").count(), COOKIES_OF_URL_MAX);
        assert!(text.contains("n1=changed"));
    }
}
