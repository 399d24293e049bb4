//! Patterns in URLs of the command line: `[001-300]`, `[00-99:3]`, `[a-z]` and `{one,two}`. Pure.
//!
//! Anything else in brackets or braces is part of the URL, such as the address in `http://[::1]/` or `?filter[name]=a`.

/// More URLs than this belong into a list.
const URLS_MAX: usize = 100_000;
/// The most patterns in one URL, as `#1` to `#9` name them.
const PATTERNS_MAX: usize = 9;

/// One URL that a pattern stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) url: String,
    /// What the first pattern stands for in it, the second one, and so on.
    pub(crate) parts: Vec<String>,
}

impl Expanded {
    /// Fills `#1` to `#9` in a name.
    pub(crate) fn fill(&self, template: &str) -> String {
        let mut name = String::with_capacity(template.len());
        let mut rest = template.chars().peekable();
        while let Some(character) = rest.next() {
            let number = rest.peek().and_then(|next| next.to_digit(10)).filter(|_| character == '#');
            match number.and_then(|number| self.parts.get((number as usize).checked_sub(1)?)) {
                Some(part) => {
                    name.push_str(part);
                    rest.next();
                }
                None => name.push(character),
            }
        }
        name
    }
}

/// Whether a name has `#1` to `#9` in it.
pub(crate) fn is_template(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.windows(2).any(|pair| pair[0] == b'#' && (b'1'..=b'9').contains(&pair[1]))
}

/// All URLs that a text stands for, itself if there is no pattern in it.
///
/// # Errors
/// If a range goes down, or there are too many.
pub(crate) fn expand(text: &str) -> Result<Vec<Expanded>, String> {
    let mut all = vec![Expanded::default()];
    let mut rest = text;
    let mut patterns = 0;
    while let Some(character) = rest.chars().next() {
        if let Some(escaped) = rest.strip_prefix('\\').and_then(|rest| rest.chars().next())
            && "[]{}".contains(escaped)
        {
            all.iter_mut().for_each(|one| one.url.push(escaped));
            rest = &rest[1 + escaped.len_utf8()..];
            continue;
        }
        let Some((values, after)) = pattern(rest)? else {
            all.iter_mut().for_each(|one| one.url.push(character));
            rest = &rest[character.len_utf8()..];
            continue;
        };
        patterns += 1;
        if patterns > PATTERNS_MAX {
            return Err(format!("more than {PATTERNS_MAX} patterns in one URL"));
        }
        if all.len().saturating_mul(values.len()) > URLS_MAX {
            return Err(format!("its patterns stand for more than {URLS_MAX} URLs; write them to a list (-i)"));
        }
        let extended = |one: &Expanded, value: &String| {
            let mut parts = one.parts.clone();
            parts.push(value.clone());
            Expanded { url: one.url.clone() + value, parts }
        };
        all = all.iter().flat_map(|one| values.iter().map(move |value| extended(one, value))).collect();
        rest = after;
    }
    Ok(all)
}

/// The values of the pattern that a text begins with, and what comes after it; `None` if it begins with none.
fn pattern(text: &str) -> Result<Option<(Vec<String>, &str)>, String> {
    if let Some((inside, after)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) {
        let is_set = inside.contains(',') && !inside.contains('{');
        return Ok(is_set.then(|| (inside.split(',').map(str::to_owned).collect(), after)));
    }
    let Some((inside, after)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) else { return Ok(None) };
    Ok(range(inside)?.map(|values| (values, after)))
}

/// `001-300`, `0-99:3` or `a-z`.
fn range(text: &str) -> Result<Option<Vec<String>>, String> {
    let (ends, step) = match text.split_once(':') {
        Some((ends, step)) => (ends, step.parse().ok().filter(|step: &usize| *step > 0)),
        None => (text, Some(1)),
    };
    let (Some((first, last)), Some(step)) = (ends.split_once('-'), step) else { return Ok(None) };
    let down = || format!("the range [{text}] goes down");
    let letter = |end: &str| end.chars().next().filter(|letter| end.len() == 1 && letter.is_ascii_alphabetic());
    if let (Some(first), Some(last)) = (letter(first), letter(last)) {
        if first.is_ascii_lowercase() != last.is_ascii_lowercase() {
            return Ok(None);
        }
        return match first <= last {
            true => Ok(Some((first..=last).step_by(step).map(String::from).collect())),
            false => Err(down()),
        };
    }
    let is_number = |end: &str| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(first) || !is_number(last) {
        return Ok(None);
    }
    let (Ok(from), Ok(to)) = (first.parse::<u64>(), last.parse::<u64>()) else { return Ok(None) };
    if from > to {
        return Err(down());
    }
    if (to - from) / step as u64 >= URLS_MAX as u64 {
        return Err(format!("the range [{text}] has more than {URLS_MAX} numbers; write the URLs to a list (-i)"));
    }
    let width = if first.starts_with('0') { first.len() } else { 0 };
    Ok(Some((from..=to).step_by(step).map(|number| format!("{number:0width$}")).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(text: &str) -> Vec<String> {
        expand(text).unwrap().into_iter().map(|one| one.url).collect()
    }

    #[test]
    fn ranges_and_sets_stand_for_several_urls() {
        assert_eq!(urls("http://h/[098-101].bin"), ["098", "099", "100", "101"].map(|n| format!("http://h/{n}.bin")));
        assert_eq!(urls("h/[1-10:4]"), ["h/1", "h/5", "h/9"]);
        assert_eq!(urls("h/[a-e:2]"), ["h/a", "h/c", "h/e"]);
        assert_eq!(urls("h/{one,two}/[1-2]"), ["h/one/1", "h/one/2", "h/two/1", "h/two/2"]);
        assert_eq!(urls("h/{a,}"), ["h/a", "h/"]);
    }

    #[test]
    fn what_is_no_pattern_is_part_of_the_url() {
        for text in [
            "http://[::1]:80/a",
            "h/?filter[name]=a",
            "h/{a}",
            "h/[]",
            "h/[1-]",
            "h/[a-Z]",
            "h/[1-5",
            "h/{a,b",
            "h/[1-5:0]",
            "h/\u{e4}\\x",
        ] {
            assert_eq!(urls(text), [text]);
        }
        assert_eq!(urls("h/\\[1-5\\]"), ["h/[1-5]"]);
        assert_eq!(urls("h/\\{a,b\\}"), ["h/{a,b}"]);
    }

    #[test]
    fn what_goes_down_or_is_too_much_is_an_error() {
        for text in ["h/[5-1]", "h/[z-a]", "h/[0-100000]", "h/[1-1000][1-1000]", "h/[0-18446744073709551615]"] {
            assert!(expand(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_filled() {
        let all = expand("h/{a,b}/[01-02]").unwrap();
        assert_eq!(all[3].fill("#1-#2#3 ##1"), "b-02#3 #b");
        assert!(is_template("a#1") && !is_template("a#") && !is_template("a#0"));
    }
}
