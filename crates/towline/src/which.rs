//! Which files of a folder are meant: patterns of their paths, and their age.

use jiff::Timestamp;
use towline_engine::provider::Entry;
use towline_engine::secret::printable;

use crate::args::WhichArgs;
use crate::complaint::Complaint;
use crate::patterns::Patterns;

/// Which files are meant.
#[derive(Clone, Debug)]
pub(crate) struct Which {
    /// Empty for all.
    include: Patterns,
    exclude: Patterns,
    newer: Option<Timestamp>,
}

impl Which {
    /// # Errors
    /// Wrong usage: a text is no pattern.
    pub(crate) fn new(args: &WhichArgs) -> Result<Self, Complaint> {
        let include = patterns("--include", &args.include)?;
        Ok(Self { include, exclude: patterns("--exclude", &args.exclude)?, newer: args.newer })
    }

    /// Whether patterns choose among files.
    pub(crate) fn has_patterns(&self) -> bool {
        !(self.include.is_empty() && self.exclude.is_empty())
    }

    /// Whether this file is meant.
    pub(crate) fn has(&self, entry: &Entry) -> bool {
        let path = entry.safe_path();
        let is_included = self.include.is_empty() || self.include.is_match(&path);
        // Of a file without a time nobody knows.
        let modified = entry.modified.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
        let is_newer = self.newer.zip(modified).is_none_or(|(newer, modified)| modified > newer);
        is_included && !self.exclude.is_match(&path) && is_newer
    }
}

fn patterns(option: &str, texts: &[String]) -> Result<Patterns, Complaint> {
    let mut patterns = Patterns::default();
    for text in texts {
        // Without a directory, a pattern is one of names, wherever they are.
        let pattern = if text.contains('/') { text.trim_start_matches('/').to_owned() } else { format!("**/{text}") };
        let pattern = pattern.trim_end_matches('/');
        // A name without wildcards may be that of a folder, and means what is in it.
        let last = pattern.rsplit('/').next().unwrap_or_default();
        let within = (!last.contains(['*', '?', '[', '{'])).then(|| format!("{pattern}/**"));
        for pattern in [Some(pattern.to_owned()), within].into_iter().flatten() {
            let added = patterns.add(&pattern);
            added.map_err(|why| Complaint::usage(format!("{option} {}: {why}", printable(text))))?;
        }
    }
    Ok(patterns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn which(include: &[&str], exclude: &[&str], newer: Option<&str>) -> Which {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let newer = newer.map(|text| text.parse().unwrap());
        Which::new(&WhichArgs {
            include: owned(include),
            exclude: owned(exclude),
            newer,
            recursive_index: false,
            level: None,
        })
        .unwrap()
    }

    fn entry(path: &str, modified: Option<&str>) -> Entry {
        let mut entry = Entry::new("https://h/".parse().unwrap(), path);
        entry.modified = modified.map(ToOwned::to_owned);
        entry
    }

    #[test]
    fn patterns_are_of_names_or_of_paths() {
        let cases: [(&[&str], &[&str], &[&str]); 8] = [
            (&["d"], &[], &["b/d/e.txt"]),
            (&[], &["b/"], &["a.pdf"]),
            (&[], &[], &["a.pdf", "b/c.pdf", "b/d/e.txt"]),
            (&["*.pdf"], &[], &["a.pdf", "b/c.pdf"]),
            (&["b/*"], &[], &["b/c.pdf"]),
            (&["/b/**"], &[], &["b/c.pdf", "b/d/e.txt"]),
            (&[], &["b/**"], &["a.pdf"]),
            (&["*.pdf", "*.txt"], &["c.*"], &["a.pdf", "b/d/e.txt"]),
        ];
        for (include, exclude, kept) in cases {
            let which = which(include, exclude, None);
            let paths = ["a.pdf", "b/c.pdf", "b/d/e.txt"];
            let found: Vec<_> = paths.into_iter().filter(|path| which.has(&entry(path, None))).collect();
            assert_eq!(found, kept, "{include:?} {exclude:?}");
        }
        assert!(patterns("--include", &["[".to_owned()]).is_err());
    }

    #[test]
    fn a_file_without_a_time_may_be_new() {
        let which = which(&[], &[], Some("2026-01-02T00:00:00Z"));
        for (modified, is_meant) in
            [(Some("2026-01-01T23:59:59Z"), false), (Some("2026-01-02T01:00:00Z"), true), (None, true)]
        {
            assert_eq!(which.has(&entry("a", modified)), is_meant, "{modified:?}");
        }
    }
}
