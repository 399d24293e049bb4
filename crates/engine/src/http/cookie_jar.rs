//! Cookies that a session keeps: those of a file, and those that servers set meanwhile. They are sent where they belong,
//! and can be written as a file in Netscape's form at the end. All workers share one.

use std::fmt::{self, Write as _};

use cookie_store::{Cookie, CookieDomain, CookieExpiration, CookieStore};
use http::HeaderValue;
use parking_lot::Mutex;
use url::Url;

use super::cookie_file::{CookieFile, HTTP_ONLY};
use super::cookies::{SetCookies, header_with, is_for_all_of_a_suffix, is_secured};

/// The most cookies to keep, and those of one URL.
const COOKIES_MAX: usize = 50_000;
const COOKIES_OF_URL_MAX: usize = 64;
/// Servers may set as many bytes for one URL. Common servers refuse a request with a field of more than 8 KiB, and what one
/// file's server sets is sent for all of them.
const SET_BYTES_MAX: usize = 4096;

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
pub struct CookieJar(Mutex<Stores>);

#[derive(Default)]
struct Stores {
    /// Those of the user's file that no server has replaced.
    given: CookieStore,
    /// Those that servers have set.
    set: CookieStore,
}

impl fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stores = self.0.lock();
        write!(f, "{} cookies", stores.given.iter_any().count() + stores.set.iter_any().count())
    }
}

impl CookieJar {
    /// A jar that begins with the cookies of a file.
    pub fn with(file: &CookieFile) -> Self {
        Self(Mutex::new(Stores { given: file.store().clone(), set: CookieStore::default() }))
    }

    /// Takes the cookies of a response from this URL, those that it may set (RFC 6265, section 5.3).
    pub(crate) fn add(&self, url: &Url, set: &SetCookies) {
        if set.is_empty() {
            return;
        }
        let mut stores = self.0.lock();
        for text in set.iter() {
            let Ok(cookie) = Cookie::parse(text.to_owned(), url) else { continue };
            if stores.takes(&cookie, url, set.is_of_error) {
                stores.put(cookie.into_owned(), url);
            }
        }
    }

    /// The cookies to send to a URL.
    pub(crate) fn header(&self, url: &Url) -> Option<HeaderValue> {
        let stores = self.0.lock();
        let mut cookies = stores.given.matches(url);
        let mut set = stores.set.matches(url);
        // A site's cookie, and one for a deeper directory, may be another file's: they give way.
        set.sort_by_key(|cookie| (matches!(cookie.domain, CookieDomain::Suffix(_)), cookie.path.len()));
        let mut room_bytes = SET_BYTES_MAX;
        cookies.extend(set.into_iter().take_while(|cookie| {
            let left = room_bytes.checked_sub(bytes_of(cookie));
            room_bytes = left.unwrap_or(0);
            left.is_some()
        }));
        header_with(cookies)
    }

    /// The cookies as a file in Netscape's form, as [`CookieFile::parse`] reads it. Those that last as long as a session
    /// are in it too.
    pub fn to_text(&self) -> String {
        let mut text = "# Netscape HTTP Cookie File\n\n".to_owned();
        let stores = self.0.lock();
        let mut lines: Vec<String> =
            stores.given.iter_unexpired().chain(stores.set.iter_unexpired()).filter_map(line).collect();
        lines.sort_unstable();
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

impl Stores {
    /// Whether a server may set this cookie. All files share the cookies: one file's error takes no other's away, and
    /// what one file's server sets does not make requests longer than others accept.
    fn takes(&self, cookie: &Cookie<'_>, url: &Url, is_of_error: bool) -> bool {
        let (given, set) = (self.given.matches(url), self.set.matches(url));
        let is_known = given.iter().chain(&set).any(|held| held.name() == cookie.name());
        if is_of_error && is_known {
            return false;
        }
        let others = set.iter().filter(|held| held.name() != cookie.name());
        let is_too_long = others.map(|held| bytes_of(held)).sum::<usize>() + bytes_of(cookie) > SET_BYTES_MAX;
        let is_full = set.len() >= COOKIES_OF_URL_MAX || self.set.iter_any().count() >= COOKIES_MAX;
        let is_secured = is_secured(&self.given, cookie, url) || is_secured(&self.set, cookie, url);
        let is_refused = is_for_all_of_a_suffix(cookie, url) || is_secured;
        !(is_refused || is_too_long && !cookie.is_expired() || is_full && !is_known)
    }

    /// Puts it in the place of the user's own, if that has the same name, domain and path.
    fn put(&mut self, cookie: Cookie<'static>, url: &Url) {
        let (path, name) = (cookie.path.to_string(), cookie.name().to_owned());
        let domain = match &cookie.domain {
            CookieDomain::HostOnly(domain) | CookieDomain::Suffix(domain) if cookie.domain.matches(url) => {
                domain.clone()
            }
            _ => return,
        };
        let is_expired = cookie.is_expired();
        // Fails for what is not for this site, and for one that has expired and is not there.
        if self.set.insert(cookie, url).is_ok() || is_expired {
            self.given.remove(&domain, &path, &name);
        }
    }
}

/// How much of a field it takes.
fn bytes_of(cookie: &Cookie<'_>) -> usize {
    cookie.name().len() + cookie.value().len() + "=; ".len()
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
    fn the_error_of_one_file_takes_no_cookie_away() {
        let file = CookieFile::parse("h.example\tFALSE\t/\tFALSE\t0\tsess\t1\n").unwrap();
        let jar = CookieJar::with(&file);
        let at = url("http://h.example/a");
        let of_error = |texts: &[&str]| {
            let mut set = set(texts);
            set.is_of_error = true;
            set
        };
        jar.add(&at, &of_error(&["sess=; Max-Age=0; Path=/", "new=2; Path=/"]));
        jar.add(&at, &of_error(&["new=3; Path=/", "sess=4; Path=/"]));
        assert_eq!(sent(&jar, "http://h.example/b").unwrap(), "new=2; sess=1");
        jar.add(&at, &set(&["sess=5; Path=/"]));
        assert_eq!(sent(&jar, "http://h.example/b").unwrap(), "new=2; sess=5");
        jar.add(&at, &set(&["sess=; Max-Age=0; Path=/"]));
        assert_eq!(sent(&jar, "http://h.example/b").unwrap(), "new=2");
        assert!(!jar.to_text().contains("sess"));
        let jar = CookieJar::with(&file);
        jar.add(&at, &set(&["sess=; Max-Age=0; Path=/"]));
        assert_eq!(sent(&jar, "http://h.example/b"), None);
    }

    #[test]
    fn what_servers_set_makes_no_request_too_long() {
        let long = format!("given={}", "g".repeat(2000));
        let file = CookieFile::parse(&format!(".h.example\tTRUE\t/\tFALSE\t0\tgiven\t{}\n", "g".repeat(2000))).unwrap();
        let jar = CookieJar::with(&file);
        for number in 0..40 {
            let text = format!("n{number}={}; Path=/; Domain=h.example", "x".repeat(500));
            jar.add(&url("http://evil.h.example/"), &set(&[&text]));
        }
        let text = sent(&jar, "http://good.h.example/").unwrap();
        assert!(
            text.contains(&long) && text.contains("n7=") && text.len() < 2000 + SET_BYTES_MAX + 20,
            "{}",
            text.len()
        );
        // Nor do those that it sets for directories that are not its own.
        for depth in (1..8).rev() {
            let path = "/a".repeat(depth);
            let texts: Vec<String> =
                (0..7).map(|number| format!("d{depth}{number}={}; Path={path}", "x".repeat(500))).collect();
            jar.add(&url("http://good.h.example/"), &set(&texts.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        let deep = sent(&jar, &format!("http://good.h.example{}/x", "/a".repeat(8))).unwrap();
        assert!(deep.contains(&long) && deep.len() < 2000 + SET_BYTES_MAX + 20, "{}", deep.len());
        jar.add(&url("http://good.h.example/"), &set(&["n1=; Max-Age=0; Path=/; Domain=h.example"]));
        assert!(!sent(&jar, "http://good.h.example/").unwrap().contains("n1="));
    }

    #[test]
    fn no_cookie_is_for_everybody_below_a_public_suffix() {
        let jar = CookieJar::default();
        for (at, domain) in [
            ("https://a.co.uk/", "co.uk"),
            ("https://a.co.uk/", ".CO.UK"),
            ("https://a.co.uk./", "co.uk."),
            ("https://a.com/", "com"),
            ("https://a.github.io/", "github.io"),
        ] {
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
