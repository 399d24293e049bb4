//! What a server or a proxy asks for in `WWW-Authenticate` or `Proxy-Authenticate` (RFC 9110, section 11.6.1). Pure.

const SCHEME_BYTES_MAX: usize = 20;

/// One challenge of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Challenge<'a> {
    pub(crate) scheme: &'a str,
    /// What comes behind the scheme.
    pub(crate) parameters: &'a str,
}

/// The challenges in one field. Both they and the parameters of one are separated by commas.
pub(crate) fn challenges(field: &str) -> Vec<Challenge<'_>> {
    let mut found: Vec<(&str, usize, usize)> = Vec::new();
    for (start, end) in parts(field) {
        match (scheme_of(&field[start..end]), found.last_mut()) {
            (Some(scheme), _) => found.push((scheme, start, end)),
            // A parameter of the challenge before it.
            (None, Some(before)) => before.2 = end,
            (None, None) => {}
        }
    }
    let challenge = |(scheme, start, end)| {
        let text = field[start..end].trim();
        Challenge { scheme, parameters: text[scheme.len()..].trim_matches(is_between) }
    };
    found.into_iter().map(challenge).collect()
}

/// The parameters of a challenge: each name with its value, in quotes if it is.
pub(crate) fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = parts(text).into_iter().map(|(start, end)| &text[start..end]);
    parts.filter_map(|part| part.split_once('=').map(|(name, value)| (name.trim(), value.trim())))
}

/// Where the parts begin and end that commas outside of quotes separate.
fn parts(field: &str) -> Vec<(usize, usize)> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let (mut parts, mut start) = (Vec::new(), 0);
    for (at, char) in field.char_indices() {
        match char {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => {
                parts.push((start, at));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push((start, field.len()));
    parts
}

/// The scheme with which a part begins, unless it is a parameter.
fn scheme_of(part: &str) -> Option<&str> {
    let part = part.trim();
    let end = part.find(|char: char| char.is_whitespace() || char == '=').unwrap_or(part.len());
    let (word, rest) = part.split_at(end);
    let is_word = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_scheme = is_word && !word.is_empty() && word.len() <= SCHEME_BYTES_MAX;
    (is_scheme && !rest.trim_start().starts_with('=')).then_some(word)
}

fn is_between(char: char) -> bool {
    char == ',' || char.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_told_from_parameters() {
        #[rustfmt::skip]
        let table: &[(&str, &[(&str, &str)])] = &[
            ("Basic realm=\"a\"", &[("Basic", "realm=\"a\"")]),
            ("Negotiate, NTLM", &[("Negotiate", ""), ("NTLM", "")]),
            ("Basic realm=\"a, NTLM \\\", x\", charset=\"UTF-8\"", &[("Basic", "realm=\"a, NTLM \\\", x\", charset=\"UTF-8\"")]),
            ("Basic realm=\"b\",  dIgest nonce = \"x\" , qop=\"auth,auth-int\"", &[("Basic", "realm=\"b\""), ("dIgest", "nonce = \"x\" , qop=\"auth,auth-int\"")]),
            (", ,Basic", &[("Basic", "")]),
            ("Basic realm=\"open, Digest a=b", &[("Basic", "realm=\"open, Digest a=b")]),
            ("B\u{e4}sic, ,\u{a0}Digest\u{a0}x", &[("Digest", "x")]),
            ("", &[]),
            ("realm=\"a\"", &[]),
        ];
        for (field, expected) in table {
            let found: Vec<_> = challenges(field).iter().map(|found| (found.scheme, found.parameters)).collect();
            assert_eq!(found, *expected, "{field}");
        }
    }
}
