//! Settings of single hosts, which take the place of the session's. Pure.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

/// How to treat one host. What is `None` is as the session has it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct HostOptions {
    /// Maximum number of connections.
    pub max_connections: Option<usize>,
    /// Rate limit in bytes per second, within the total.
    pub limit_rate_bps: Option<u64>,
    /// The least time between two requests.
    pub delay: Option<Duration>,
    /// Headers of requests; those of the session and of a job replace them.
    pub headers: HeaderMap,
    /// Credentials, for URLs that have none and where no header has.
    pub authorization: Option<HeaderValue>,
}

/// The settings of several hosts.
///
/// ```
/// use towline_engine::options::{HostOptions, OfHosts};
///
/// let mut slow = HostOptions::default();
/// slow.max_connections = Some(2);
/// let mut hosts = OfHosts::default();
/// hosts.add("*.example.org", slow);
/// assert_eq!(hosts.of("dl.example.org").max_connections, Some(2));
/// assert_eq!(hosts.of("example.org").max_connections, None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct OfHosts(Vec<(String, HostOptions)>);

impl OfHosts {
    /// Adds the settings of a host, or with `*.` before it those of all hosts below it.
    pub fn add(&mut self, host: &str, options: HostOptions) {
        self.0.push((host.to_ascii_lowercase(), options));
        // The longest name is the most exact, and one without a wildcard is before one with it.
        self.0.sort_by_key(|(name, _)| (!name.starts_with("*."), name.len()));
    }

    /// What holds for a host: the most exact of the settings that name it, one by one. Headers are put together.
    pub fn of(&self, host: &str) -> HostOptions {
        let mut found = HostOptions::default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        for (_, options) in self.0.iter().filter(|(name, _)| is_of(name, bare)) {
            found.max_connections = options.max_connections.or(found.max_connections);
            found.limit_rate_bps = options.limit_rate_bps.or(found.limit_rate_bps);
            found.delay = options.delay.or(found.delay);
            found.authorization = options.authorization.clone().or(found.authorization);
            for name in options.headers.keys() {
                found.headers.remove(name);
            }
            found.headers.extend(options.headers.clone());
        }
        found
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_of(name: &str, host: &str) -> bool {
    match name.strip_prefix('*') {
        Some(end) => host.len() > end.len() && host.to_ascii_lowercase().ends_with(end),
        None => host.eq_ignore_ascii_case(name),
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT_LANGUAGE, REFERER};

    use super::*;

    #[test]
    fn the_most_exact_settings_count() {
        let mut hosts = OfHosts::default();
        let with = |max, delay: Option<u64>| HostOptions {
            max_connections: max,
            delay: delay.map(Duration::from_secs),
            ..HostOptions::default()
        };
        let mut exact = with(Some(1), None);
        exact.headers.append(REFERER, HeaderValue::from_static("exact"));
        hosts.add("a.b.example", exact);
        let mut wide = with(Some(8), Some(1));
        wide.headers.append(REFERER, HeaderValue::from_static("wide"));
        wide.headers.append(ACCEPT_LANGUAGE, HeaderValue::from_static("en"));
        hosts.add("*.example", wide);
        hosts.add("*.B.example", with(Some(4), None));
        let max = |host| hosts.of(host).max_connections;
        assert_eq!(
            ["A.b.example", "c.b.example", "c.example", "example", "xb.example"].map(max),
            [Some(1), Some(4), Some(8), None, Some(8)]
        );
        let found = hosts.of("a.b.example");
        assert_eq!(found.delay, Some(Duration::from_secs(1)));
        assert_eq!((found.headers.get(REFERER).unwrap(), found.headers.len()), (&HeaderValue::from_static("exact"), 2));
    }
}
