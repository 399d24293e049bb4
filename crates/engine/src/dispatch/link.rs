//! Whether what an earlier run left may be added to from the place that is asked now: a link expires
//! and another one takes its place, or a server tells another version of the same content. Plain
//! values of the dispatcher's, and what follows from two versions; no I/O.

use crate::http::validator::Validator;
use crate::ranges::{ByteRange, RangeSet};

/// No sample has more bytes.
const SAMPLE_BYTES: u64 = 64 << 10;
/// So many places between the first and the last byte of what is there are compared.
const MIDDLE_SAMPLES: u64 = 3;

/// How far a place is trusted to have the file that was begun.
#[derive(Clone, Debug, Default)]
pub(crate) enum Link {
    /// Each answer is compared with the version that was begun, and that is enough.
    #[default]
    Trusted,
    /// It has to show first that it has the file.
    Doubted(Doubt),
    /// It has shown it. From now on another version is another file.
    Compared,
}

/// What has been found out about a place that is doubted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doubt {
    /// Which source of the job was asked.
    pub(crate) source: usize,
    /// What is left to be compared; `None` before the first request.
    pub(crate) samples: Option<Vec<ByteRange>>,
    /// The version that it told first; all samples must be of that.
    pub(crate) seen: Option<Validator>,
    /// What has been compared and agrees.
    pub(crate) compared: RangeSet,
    pub(crate) compared_samples: u32,
}

impl Link {
    /// One that has to be compared.
    pub(crate) fn doubted() -> Self {
        Self::Doubted(Doubt::default())
    }

    pub(crate) fn is_doubted(&self) -> bool {
        matches!(self, Self::Doubted(_))
    }
}

/// Parts of what is there, spread over it: its first bytes, its last ones, and some in between. They
/// do not overlap where there is enough.
pub(crate) fn samples(there: &RangeSet, random: &mut fastrand::Rng) -> Vec<ByteRange> {
    let covered = there.covered();
    let last = covered.saturating_sub(SAMPLE_BYTES);
    let mut at: Vec<u64> = vec![0, last];
    let share = last / (MIDDLE_SAMPLES + 1);
    if share > SAMPLE_BYTES {
        at.extend((1..=MIDDLE_SAMPLES).map(|number| number * share + random.u64(0..share - SAMPLE_BYTES)));
    }
    at.sort_unstable();
    at.dedup();
    at.into_iter().filter_map(|at| sample_at(there, at)).collect()
}

/// The sample that begins with the byte before which so many of what is there lie. It ends where its
/// range does, if that is earlier.
fn sample_at(there: &RangeSet, mut skip: u64) -> Option<ByteRange> {
    for range in there.iter() {
        if skip < range.len() {
            let start = range.start + skip;
            return Some(ByteRange::new(start, range.end.min(start + SAMPLE_BYTES)));
        }
        skip -= range.len();
    }
    None
}

/// Whether two versions are the same beyond doubt, wherever they come from: by a strong tag, or by a
/// digest that nobody can forge. Dates and weak tags of two servers say nothing of each other.
pub(crate) fn is_surely_same(ours: &Validator, theirs: &Validator) -> bool {
    if has_other_len(ours, theirs) {
        return false;
    }
    let digests = ours.digest.as_ref().zip(theirs.digest.as_ref());
    match digests.and_then(|(ours, theirs)| ours.agrees(theirs)) {
        Some(agrees) => agrees,
        None => ours.etag.as_ref().is_some_and(|tag| !tag.is_weak()) && ours.etag == theirs.etag,
    }
}

/// Whether both say how long the file is, and not the same.
pub(crate) fn has_other_len(ours: &Validator, theirs: &Validator) -> bool {
    ours.total_bytes.zip(theirs.total_bytes).is_some_and(|(ours, theirs)| ours != theirs)
}

/// In what two versions differ, for people: `length 9000 instead of 8000 bytes, ETag "b" instead of "a"`.
pub(crate) fn differences(ours: &Validator, theirs: &Validator) -> String {
    let mut differences = Vec::new();
    if let (Some(ours), Some(theirs), true) = (ours.total_bytes, theirs.total_bytes, has_other_len(ours, theirs)) {
        differences.push(format!("length {theirs} instead of {ours} bytes"));
    }
    let mut compare = |name: &str, ours: Option<String>, theirs: Option<String>| {
        if ours != theirs {
            let or_none = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
            differences.push(format!("{name} {} instead of {}", or_none(theirs), or_none(ours)));
        }
    };
    compare("ETag", ours.etag.as_ref().map(ToString::to_string), theirs.etag.as_ref().map(ToString::to_string));
    compare("Last-Modified", ours.last_modified.clone(), theirs.last_modified.clone());
    if let Some((ours, theirs)) = ours.digest.as_ref().zip(theirs.digest.as_ref())
        && ours.agrees(theirs) == Some(false)
    {
        compare("digest", Some(ours.checksum().to_string()), Some(theirs.checksum().to_string()));
    }
    match differences.is_empty() {
        true => "nothing differs, but no strong ETag says that it is the same".to_owned(),
        false => differences.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(etag: &str, date: &str, total_bytes: u64) -> Validator {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Validator {
            etag: text(etag).map(|tag| tag.parse().unwrap()),
            last_modified: text(date),
            total_bytes: Some(total_bytes),
            digest: None,
        }
    }

    #[test]
    fn only_strong_tags_and_strong_digests_prove_that_a_file_is_the_same() {
        let ours = version("\"a\"", "then", 8);
        assert!(is_surely_same(&ours, &version("\"a\"", "now", 8)));
        assert!(is_surely_same(&ours, &Validator { total_bytes: None, ..ours.clone() }));
        for other in [version("\"a\"", "then", 9), version("\"b\"", "then", 8), version("", "then", 8)] {
            assert!(!is_surely_same(&ours, &other), "{other:?}");
        }
        let weak = version("W/\"a\"", "then", 8);
        assert!(!is_surely_same(&weak, &weak));
        assert!(!is_surely_same(&version("", "then", 8), &version("", "then", 8)));
        let with = |digit: &str, version: Validator| {
            let digest = format!("Repr-Digest: sha-256={}", digit.repeat(64)).parse().unwrap();
            Validator { digest: Some(digest), ..version }
        };
        assert!(is_surely_same(&with("0", weak.clone()), &with("0", version("\"b\"", "", 8))));
        assert!(!is_surely_same(&with("0", ours.clone()), &with("1", ours)));
    }

    #[test]
    fn what_differs_is_said_with_both_values() {
        let ours = version("\"a\"", "then", 8);
        assert_eq!(
            differences(&ours, &version("\"b\"", "now", 9)),
            "length 9 instead of 8 bytes, ETag \"b\" instead of \"a\", Last-Modified now instead of then"
        );
        assert_eq!(differences(&ours, &version("", "then", 8)), "ETag none instead of \"a\"");
        let weak = version("W/\"a\"", "then", 8);
        assert!(differences(&weak, &weak).starts_with("nothing differs"));
    }

    #[test]
    fn samples_are_the_first_bytes_the_last_and_some_in_between() {
        let there: RangeSet = [ByteRange::new(0, 1 << 20), ByteRange::new(8 << 20, 9 << 20)].into_iter().collect();
        let chosen = samples(&there, &mut fastrand::Rng::with_seed(7));
        assert_eq!(chosen.len(), 5);
        assert_eq!(chosen[0], ByteRange::new(0, SAMPLE_BYTES));
        assert_eq!(chosen[4], ByteRange::new((9 << 20) - SAMPLE_BYTES, 9 << 20));
        assert!(chosen.windows(2).all(|pair| pair[0].end <= pair[1].start), "{chosen:?}");
        let little: RangeSet = [ByteRange::new(5, 10)].into_iter().collect();
        assert_eq!(samples(&little, &mut fastrand::Rng::with_seed(7)), [ByteRange::new(5, 10)]);
        assert!(samples(&RangeSet::new(), &mut fastrand::Rng::with_seed(7)).is_empty());
    }

    proptest! {
        #[test]
        fn samples_lie_in_what_is_there(
            steps in prop::collection::vec((1..5_000_000_u64, 1..5_000_000_u64), 1..9), seed in any::<u64>()
        ) {
            let mut end = 0;
            let there: RangeSet = steps
                .into_iter()
                .map(|(gap, len)| {
                    let start = end + gap;
                    end = start + len;
                    ByteRange::new(start, end)
                })
                .collect();
            let chosen = samples(&there, &mut fastrand::Rng::with_seed(seed));
            prop_assert!(!chosen.is_empty());
            for sample in chosen {
                let has_right_len = !sample.is_empty() && sample.len() <= SAMPLE_BYTES;
                prop_assert!(has_right_len && there.contains(sample), "{:?}", sample);
            }
        }
    }
}
