//! The version of a resource that a request sees: the validators and the content after all faults, and
//! which validators a response shows. Pure; the caller passes in the time.

use std::time::SystemTime;

use crate::date::moved;
use crate::effects::Effects;
use crate::fault::Validators;
use crate::resource::Resource;

/// The version of a resource that a request sees.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Conditions are evaluated against this tag and this date, even if the response hides them.
    pub(crate) etag: Option<String>,
    pub(crate) modified: Option<SystemTime>,
    /// Seed of the content.
    pub(crate) seed: u64,
    hides_tag_of_ranges: bool,
    hides_all_of_whole: bool,
}

impl Seen {
    /// Applies the faults to `resource`. `now` is the time on the server's clock.
    pub(crate) fn new(resource: &Resource, effects: &Effects, now: SystemTime) -> Self {
        let (etag, seed) = match &effects.replaced {
            Some((etag, seed)) => (Some(etag.clone()), *seed),
            None => (resource.etag_text(), resource.seed),
        };
        let modified = resource.last_modified;
        let mut seen = Self { etag, modified, seed, hides_tag_of_ranges: false, hides_all_of_whole: false };
        for validators in &effects.validators {
            seen.change(validators, now);
        }
        if let Some(backend) = effects.backend {
            seen.etag = seen.etag.map(|etag| of_backend(&etag, backend));
        }
        seen
    }

    /// The tag that a response shows; `is_range` is whether it is a range.
    pub(crate) fn shown_tag(&self, is_range: bool) -> Option<&str> {
        let is_hidden = if is_range { self.hides_tag_of_ranges } else { self.hides_all_of_whole };
        self.etag.as_deref().filter(|_| !is_hidden)
    }

    /// The date that a response shows; `is_range` is whether it is a range.
    pub(crate) fn shown_date(&self, is_range: bool) -> Option<SystemTime> {
        self.modified.filter(|_| is_range || !self.hides_all_of_whole)
    }

    fn change(&mut self, validators: &Validators, now: SystemTime) {
        match validators {
            Validators::NoTag => self.etag = None,
            Validators::NoDate => self.modified = None,
            Validators::Neither => (self.etag, self.modified) = (None, None),
            Validators::WeakTag => {
                self.etag =
                    self.etag.take().map(|etag| if etag.starts_with("W/") { etag } else { format!("W/{etag}") });
            }
            Validators::Tag(etag) => self.etag = Some(etag.clone()),
            Validators::Date(date) => self.modified = Some(moved(*date, 0)),
            Validators::DateBefore(seconds) => {
                self.modified = Some(moved(now, 0_i64.saturating_sub_unsigned(*seconds)));
            }
            Validators::TagOnWholeOnly => self.hides_tag_of_ranges = true,
            Validators::OnRangesOnly => self.hides_all_of_whole = true,
        }
    }
}

/// The tag of one backend: `"a"` → `"a-1"`.
fn of_backend(etag: &str, backend: u64) -> String {
    match etag.strip_suffix('"') {
        Some(open) => format!("{open}-{backend}\""),
        None => format!("{etag}-{backend}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::date::seconds;

    fn seen(validators: &[Validators]) -> Seen {
        let effects = Effects { validators: validators.to_vec(), ..Effects::default() };
        Seen::new(&Resource::new("/a", 255, 16), &effects, UNIX_EPOCH + Duration::from_secs(1000))
    }

    #[test]
    fn each_backend_has_a_tag_of_its_own() {
        assert_eq!(of_backend("\"a\"", 1), "\"a-1\"");
        assert_eq!(of_backend("W/\"a\"", 0), "W/\"a-0\"");
        assert_eq!(of_backend("odd", 2), "odd-2");
    }

    #[test]
    fn changes_of_validators_add_up() {
        let plain = seen(&[]);
        assert_eq!(plain.etag.as_deref(), Some("\"ff-10\""));
        let weak = seen(&[Validators::WeakTag, Validators::WeakTag, Validators::NoDate]);
        assert_eq!((weak.etag.as_deref(), weak.modified), (Some("W/\"ff-10\""), None));
        let other = seen(&[Validators::Neither, Validators::Tag("\"b\"".to_owned()), Validators::DateBefore(30)]);
        assert_eq!(other.etag.as_deref(), Some("\"b\""));
        assert_eq!(other.modified.map(seconds), Some(970));
    }

    #[test]
    fn what_is_hidden_depends_on_the_kind_of_answer() {
        let whole = seen(&[Validators::TagOnWholeOnly]);
        assert!(whole.shown_tag(false).is_some() && whole.shown_tag(true).is_none());
        assert!(whole.shown_date(false).is_some() && whole.shown_date(true).is_some());
        let ranges = seen(&[Validators::OnRangesOnly]);
        assert!(ranges.shown_tag(false).is_none() && ranges.shown_tag(true).is_some());
        assert!(ranges.shown_date(false).is_none() && ranges.shown_date(true).is_some());
    }
}
