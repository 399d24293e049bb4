//! Patterns of paths: `*` and `?` within a name, `**` for any directories, `[a-z]` and `[!a-z]`, `{a,b}` for either, and
//! `\\` before a character that is meant as it is.

use std::path::Path;

use glob::{MatchOptions, Pattern};

/// Letters are as they are, and only `**` means directories.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };
/// More alternatives are a mistake.
const ALTERNATIVES_MAX: usize = 1000;
/// Braces in braces in braces.
const DEPTH_MAX: usize = 8;

/// Patterns, one of which is to match.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patterns(Vec<Pattern>);

impl Patterns {
    /// # Errors
    /// What is wrong with the pattern.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), String> {
        for plain in alternatives(text, DEPTH_MAX)? {
            self.0.push(Pattern::new(&plain).map_err(|error| error.msg.to_owned())?);
            if self.0.len() > ALTERNATIVES_MAX {
                return Err(format!("more than {ALTERNATIVES_MAX} alternatives"));
            }
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn is_match(&self, path: &Path) -> bool {
        self.0.iter().any(|pattern| pattern.matches_path_with(path, OPTIONS))
    }
}

/// The patterns that braces stand for, in the form that the library knows.
fn alternatives(text: &str, depth: usize) -> Result<Vec<String>, String> {
    let mut all = vec![String::new()];
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        let parts = match char {
            '\\' => vec![literal(chars.next().ok_or("a backslash at its end stands before nothing")?)],
            '[' => vec![class(&mut chars)?],
            '{' => {
                let mut parts = Vec::new();
                let depth = depth.checked_sub(1).ok_or("braces are nested too deeply")?;
                for part in group(&mut chars)? {
                    parts.extend(alternatives(&part, depth)?);
                }
                parts
            }
            char => vec![char.to_string()],
        };
        if all.len() * parts.len() > ALTERNATIVES_MAX {
            return Err(format!("more than {ALTERNATIVES_MAX} alternatives"));
        }
        all = all.iter().flat_map(|before| parts.iter().map(move |part| format!("{before}{part}"))).collect();
    }
    Ok(all)
}

fn literal(char: char) -> String {
    if matches!(char, '*' | '?' | '[' | ']') { format!("[{char}]") } else { char.to_string() }
}

/// The rest of `[…]`, as it is; `^` negates like `!`.
fn class(chars: &mut std::str::Chars<'_>) -> Result<String, String> {
    let mut class = "[".to_owned();
    for char in chars.by_ref() {
        let is_first = class == "[";
        class.push(if is_first && char == '^' { '!' } else { char });
        if char == ']' && class != "[]" && class != "[!]" {
            return Ok(class);
        }
    }
    Err("a bracket is not closed".to_owned())
}

/// The alternatives up to the closing brace; braces within them stay.
fn group(chars: &mut std::str::Chars<'_>) -> Result<Vec<String>, String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    while let Some(char) = chars.next() {
        let last = parts.len() - 1;
        match char {
            '}' if depth == 0 => return Ok(parts),
            ',' if depth == 0 => parts.push(String::new()),
            '\\' => {
                parts[last].push(char);
                parts[last].extend(chars.next());
            }
            _ => {
                depth += usize::from(char == '{');
                depth -= usize::from(char == '}');
                parts[last].push(char);
            }
        }
    }
    Err("a brace is not closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let mut patterns = Patterns::default();
        patterns.add(pattern).unwrap();
        patterns.is_match(Path::new(path))
    }

    #[test]
    fn each_form_matches_what_it_means() {
        for (pattern, right, wrong) in [
            ("*.pdf", "a.pdf", "b/a.pdf"),
            ("**/*.pdf", "b/c/a.pdf", "b/c/a.txt"),
            ("**/a", "a", "ab"),
            ("b/**", "b/c/d", "c/d"),
            ("a?c", "abc", "a/c"),
            ("[a-c]x", "bx", "dx"),
            ("[!a-c]x", "dx", "bx"),
            ("[^a-c]x", "dx", "bx"),
            ("*.{jpg,p{n,d}g}", "a.pdg", "a.pg"),
            ("a{,b}c", "ac", "adc"),
            ("\\*[*]\\{", "**{", "ab{"),
            (".*", ".hidden", "shown"),
            ("Ä*", "Äb", "äb"),
        ] {
            assert!(matches(pattern, right) && !matches(pattern, wrong), "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_an_error() {
        let many = "{a,b}".repeat(12);
        let deep = "{".repeat(5000) + &"}".repeat(5000);
        for wrong in ["[", "[a", "a{b", "a\\", "***", &many, &deep] {
            assert!(Patterns::default().add(wrong).is_err(), "{wrong}");
        }
    }
}
