//! How one job's connections are made, where it has its own options for that. Jobs share a connection only if
//! their profiles are equal: one job's `insecure` must not affect another. Plain values.

use std::path::PathBuf;
use std::sync::Arc;

use super::spec::JobOptions;
use crate::options::{HttpOptions, ProxyChoice};

/// How connections are made: like the session's, or with own options. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Profile(Option<Arc<Own>>);

/// What differs from the session's connections.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Own {
    proxy: Option<ProxyChoice>,
    insecure: Option<bool>,
    ca_file: Option<PathBuf>,
}

impl Profile {
    /// The profile of a job with these options.
    pub(crate) fn of(options: &JobOptions) -> Self {
        // All of them, so that a new one has to be sorted: what makes connections belongs here.
        let JobOptions {
            proxy,
            insecure,
            ca_file,
            dir: _,
            headers: _,
            connections: _,
            limit_rate_bps: _,
            max_size_bytes: _,
            existing: _,
            retries: _,
            priority: _,
        } = options;
        let has_own = proxy.is_some() || insecure.is_some() || ca_file.is_some();
        let own = || Arc::new(Own { proxy: proxy.clone(), insecure: *insecure, ca_file: ca_file.clone() });
        Self(has_own.then(own))
    }

    /// Whether connections are made with the session's options.
    pub(crate) fn is_of_session(&self) -> bool {
        self.0.is_none()
    }

    /// The session's options with the differences applied.
    pub(crate) fn over(&self, session: &HttpOptions) -> HttpOptions {
        let mut options = session.clone();
        let Some(own) = &self.0 else { return options };
        if let Some(proxy) = &own.proxy {
            options.proxy = proxy.clone();
        }
        options.insecure = own.insecure.unwrap_or(options.insecure);
        options.ca_file = own.ca_file.clone().or(options.ca_file);
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_share_connections_only_if_all_that_makes_them_is_equal() {
        let own = |change: fn(&mut JobOptions)| {
            let mut options = JobOptions::default();
            change(&mut options);
            Profile::of(&options)
        };
        let ways: [fn(&mut JobOptions); 5] = [
            |_| {},
            |options| options.insecure = Some(true),
            |options| options.insecure = Some(false),
            |options| options.proxy = Some(ProxyChoice::Direct),
            |options| options.ca_file = Some("ca.pem".into()),
        ];
        for (one, first) in ways.iter().enumerate() {
            for (other, second) in ways.iter().enumerate() {
                assert_eq!(own(*first) == own(*second), one == other, "{one} and {other}");
            }
        }
        // Options that do not affect connections change nothing.
        assert_eq!(own(|options| options.priority = 3), Profile::default());
    }

    #[test]
    fn what_a_job_does_not_say_is_as_the_session_has_it() {
        let session = HttpOptions { insecure: true, ca_file: Some("a".into()), ..HttpOptions::default() };
        let options = JobOptions { insecure: Some(false), ..JobOptions::default() };
        let own = Profile::of(&options).over(&session);
        assert!(!own.insecure);
        assert_eq!(own.ca_file, session.ca_file);
    }
}
