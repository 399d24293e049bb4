//! Cookies that redirects set. Some servers redirect a request to the same URL or to a counter page, and expect
//! the cookie back. Cookies live as long as their download, and are neither stored nor shown.

use std::cmp::Reverse;
use std::fmt;

use cookie_store::{Cookie, CookieDomain, CookieStore};
use http::{HeaderMap, HeaderValue, header};
use url::Url;

use super::date;

/// The most cookies taken from one response, and the length limit for each.
const COOKIES_MAX: usize = 32;
const COOKIE_BYTES_MAX: usize = 4096;
/// The most cookies that one download keeps.
const KEPT_MAX: usize = 64;

/// The cookies that a response sets.
#[derive(Clone, Default)]
pub(crate) struct SetCookies {
    texts: Vec<String>,
    /// Whether one of them is new or changes an existing one.
    pub(crate) is_new: bool,
    /// The response is an error.
    pub(super) is_of_error: bool,
}

impl SetCookies {
    /// Those of a response with this status.
    pub(crate) fn read(headers: &HeaderMap, status: u16) -> Self {
        let texts = headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        let texts = texts.filter(|text| text.len() <= COOKIE_BYTES_MAX).take(COOKIES_MAX);
        let now = jiff::Timestamp::now().as_second();
        let texts = texts.map(|text| with_age(text, now)).collect();
        Self { texts, is_new: false, is_of_error: status >= 400 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }
}

impl FromIterator<String> for SetCookies {
    fn from_iter<I: IntoIterator<Item = String>>(texts: I) -> Self {
        Self { texts: texts.into_iter().collect(), ..Self::default() }
    }
}

/// Whether a cookie is for all sites below a public suffix, such as `co.uk` (RFC 6265, section 5.3, step 5).
pub(crate) fn is_for_all_of_a_suffix(cookie: &Cookie<'_>, url: &Url) -> bool {
    let CookieDomain::Suffix(domain) = &cookie.domain else { return false };
    let is_own = url.host_str().is_some_and(|host| host.eq_ignore_ascii_case(domain));
    !is_own && psl2::lookup(domain).is_none_or(|found| found.registrable_domain().is_none())
}

/// Whether a cookie is for TLS alone and comes over something else, or would take the place of such a one (RFC 6265bis,
/// section 5.7).
pub(crate) fn is_secured(store: &CookieStore, cookie: &Cookie<'_>, url: &Url) -> bool {
    let is_held = |held: &Cookie<'_>| {
        let is_of_site = url.host_str().is_some_and(|host| match &held.domain {
            CookieDomain::HostOnly(own) => host.eq_ignore_ascii_case(own),
            CookieDomain::Suffix(own) => host == own || host.ends_with(&format!(".{own}")),
            _ => false,
        });
        is_of_site && held.secure() == Some(true) && held.name() == cookie.name()
    };
    url.scheme() != "https" && (cookie.secure() == Some(true) || store.iter_unexpired().any(is_held))
}

/// A `Set-Cookie` whose date is given as an age: dates have many forms (RFC 6265, section 5.1.1). A date or an
/// age that is none counts as not given.
fn with_age(text: &str, now: i64) -> String {
    let mut parts = text.split(';');
    let mut set = parts.next().unwrap_or_default().to_owned();
    let (mut has_age, mut expires) = (false, None);
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if name.trim().eq_ignore_ascii_case("expires") {
            expires = date::cookie_seconds(value).or(expires);
            continue;
        }
        if name.trim().eq_ignore_ascii_case("max-age") {
            let digits = value.trim().strip_prefix('-').unwrap_or(value.trim());
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            has_age = true;
        }
        set.push(';');
        set.push_str(part);
    }
    if let Some(expires) = expires.filter(|_| !has_age) {
        set.push_str(&format!("; Max-Age={}", expires.saturating_sub(now).max(0)));
    }
    set
}

/// The cookies of a store to send to a URL.
pub(super) fn header_of(store: &CookieStore, url: &Url) -> Option<HeaderValue> {
    header_with(store.matches(url))
}

/// These cookies as a field of a request.
pub(super) fn header_with(mut cookies: Vec<&Cookie<'_>>) -> Option<HeaderValue> {
    // The longer path first (RFC 6265, section 5.4).
    cookies.sort_by_key(|cookie| (Reverse(cookie.path.len()), cookie.name().to_owned()));
    let pairs = cookies.iter().map(|cookie| format!("{}={}", cookie.name(), cookie.value()));
    let sayable: Vec<String> = pairs.filter(|pair| HeaderValue::from_str(pair).is_ok()).collect();
    let mut header = HeaderValue::try_from(sayable.join("; ")).ok().filter(|value| !value.is_empty())?;
    header.set_sensitive(true);
    Some(header)
}

/// Both cookies of a request; of two with one name, the later counts.
pub(crate) fn merged(earlier: &HeaderValue, later: &HeaderValue) -> HeaderValue {
    let name = |pair: &[u8]| pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii().to_vec();
    let pairs = |value: &HeaderValue| -> Vec<Vec<u8>> {
        value.as_bytes().split(|byte| *byte == b';').map(|pair| pair.trim_ascii().to_vec()).collect()
    };
    let added = pairs(later);
    let is_replaced = |pair: &Vec<u8>| added.iter().any(|later| name(later) == name(pair));
    let mut all: Vec<_> = pairs(earlier).into_iter().filter(|pair| !pair.is_empty() && !is_replaced(pair)).collect();
    all.extend(added.iter().cloned());
    let mut value = HeaderValue::from_bytes(&all.join(&b"; "[..])).unwrap_or_else(|_| later.clone());
    value.set_sensitive(true);
    value
}

impl fmt::Debug for SetCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cookies", self.texts.len())
    }
}

/// The cookies of one download.
#[derive(Default)]
pub(crate) struct Cookies(Option<Box<CookieStore>>);

impl Cookies {
    /// Takes the cookies of a response from this URL, those that it may set (RFC 6265, section 5.3).
    pub(crate) fn add(&mut self, url: &Url, set: &SetCookies) -> SetCookies {
        if set.texts.is_empty() {
            return SetCookies::default();
        }
        let before = self.header(url);
        let store = self.0.get_or_insert_default();
        for text in &set.texts {
            if store.iter_any().count() >= KEPT_MAX {
                break;
            }
            let Ok(cookie) = Cookie::parse(text.clone(), url) else { continue };
            if is_for_all_of_a_suffix(&cookie, url) || is_secured(store, &cookie, url) {
                continue;
            }
            // Skips cookies that are for another site.
            let _ = store.insert(cookie.into_owned(), url);
        }
        SetCookies { is_new: self.header(url) != before, ..SetCookies::default() }
    }

    /// The cookies to send to a URL.
    pub(crate) fn header(&self, url: &Url) -> Option<HeaderValue> {
        header_of(self.0.as_ref()?, url)
    }
}

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cookies", self.0.as_ref().map_or(0, |store| store.iter_any().count()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_ages_unless_a_right_age_is_there() {
        for (text, expected) in [
            ("a=1; Expires=Thu, 01 Jan 1970 00:02:00 GMT; Path=/", "a=1; Path=/; Max-Age=20"),
            ("a=1; expires=Thu Jan 1 00:00:01 1970", "a=1; Max-Age=0"),
            ("a=1; Max-Age=5; Expires=Thu, 01 Jan 1970 00:02:00 GMT", "a=1; Max-Age=5"),
            ("a=1; max-age=x; Expires=Thu, 01 Jan 1970 00:02:00 GMT", "a=1; Max-Age=20"),
            ("a=1; Max-Age=-1", "a=1; Max-Age=-1"),
            ("a=1; Expires=soon", "a=1"),
        ] {
            assert_eq!(with_age(text, 100), expected);
        }
    }

    fn set(texts: &[&str]) -> SetCookies {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn a_cookie_goes_back_to_its_site_and_to_no_other() {
        let mut cookies = Cookies::default();
        let at = url("https://dl.example.com/a/b");
        assert!(cookies.add(&at, &set(&["id=1; Path=/; Secure", "way=2; Domain=example.com; Path=/a"])).is_new);
        assert!(!cookies.add(&at, &set(&["id=1; Path=/; Secure"])).is_new, "it is known");
        assert!(cookies.add(&at, &set(&["id=3; Path=/"])).is_new);
        assert_eq!(cookies.header(&url("https://dl.example.com/x")).unwrap(), "id=3");
        assert_eq!(cookies.header(&url("https://www.example.com/a/c")).unwrap(), "way=2");
        for other in ["https://example.org/a", "https://example.com.evil.net/a/"] {
            assert_eq!(cookies.header(&url(other)), None, "{other}");
        }
    }

    #[test]
    fn what_is_secure_or_for_others_is_not_sent() {
        let mut cookies = Cookies::default();
        cookies.add(&url("https://h.example/"), &set(&["a=1; Secure; Path=/", "b=2; Domain=other.example", "=", ";"]));
        assert_eq!(cookies.header(&url("http://h.example/")), None);
        assert!(!format!("{cookies:?}").contains("a=1"));
    }
}
