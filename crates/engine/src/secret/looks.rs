//! Recognises what looks like a secret, whatever its name. Decides only what is shown, never which file a link
//! names. Compares counts only, so that the same text is judged the same in each run.

/// A shorter value may be a word or a number.
const VALUE_CHARS_MIN: usize = 20;
/// Long directory names are more common than long parameter values.
const SEGMENT_CHARS_MIN: usize = 32;
/// Random text has at least this many different characters.
const DISTINCT_MIN: u32 = 12;
/// The same for hex digits, of which there are 16.
const HEX_DISTINCT_MIN: u32 = 8;
/// Hex digits of MD5, SHA-1, SHA-256 and SHA-512.
const DIGEST_CHARS: [usize; 4] = [32, 40, 64, 128];

/// Prefixes by which issuers mark their tokens, so that leaked ones can be found.
#[rustfmt::skip]
const ISSUED: [&str; 20] = [
    "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "xoxb-", "xoxp-", "xoxa-", "xapp-",
    "sk_live_", "rk_live_", "npm_", "pypi-", "hf_", "dop_v1_", "shpat_", "ya29",
];

/// Whether a parameter's value looks like a secret: a JWT, or a long random-looking part.
pub(super) fn is_like_secret(value: &str) -> bool {
    holds_marked_token(value) || parts(value).any(|part| is_random(part, VALUE_CHARS_MIN))
}

/// Whether a directory in a path looks like a secret: a JWT, or a very long random part of mixed case with
/// digits. Hex digits are more often a file's checksum than a secret.
pub(super) fn is_like_token(segment: &str) -> bool {
    let is_mixed = |part: &str| {
        let has = |is: fn(&u8) -> bool| part.as_bytes().iter().any(is);
        has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit)
    };
    holds_marked_token(segment)
        || holds_credentials(segment)
        || parts(segment).any(|part| is_mixed(part) && !is_hex_digest(part) && is_random(part, SEGMENT_CHARS_MIN))
}

/// Whether it contains a recognisable token: a JSON Web Token (base64url of `{"…`, then one to four more
/// parts), or one with its issuer's prefix.
pub(super) fn holds_marked_token(text: &str) -> bool {
    let is_part_of_jwt = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
    text.split(|char: char| !is_part_of_jwt(char)).any(|part| is_jwt(part) || is_issued(part))
}

fn is_issued(text: &str) -> bool {
    text.len() >= VALUE_CHARS_MIN && ISSUED.iter().any(|mark| text.starts_with(mark))
}

/// `user:password@host` in a URL within a URL, or a bot's token, `bot123:…`.
fn holds_credentials(segment: &str) -> bool {
    let Some((before, after)) = segment.split_once(':') else { return false };
    let is_bot =
        before.strip_prefix("bot").is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()));
    after.contains('@') || is_bot && after.len() >= VALUE_CHARS_MIN
}

/// Whether it is a digest in the form that servers and lists use.
pub(super) fn is_hex_digest(text: &str) -> bool {
    DIGEST_CHARS.contains(&text.len()) && is_hex(text)
}

/// Whether it is not empty and all hex digits.
pub(super) fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_jwt(text: &str) -> bool {
    let header = text.split('.').next().unwrap_or_default();
    text.len() >= VALUE_CHARS_MIN
        && header.starts_with("eyJ")
        && header.len() >= 10
        && (2..=5).contains(&text.split('.').count())
}

/// Runs of token characters: both kinds of base64, hex, and CloudFront's substitutes. Dots are excluded,
/// because file names and host names have them.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !(char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '+' | '/' | '=' | '~')))
}

/// Whether an ASCII text is long, has many different characters, and switches between lower case, upper case
/// and digits more often than words and numbers do: for at least one in four neighbours. A capital at the start
/// of a word is not a switch. UUIDs are ids.
fn is_random(part: &str, chars_min: usize) -> bool {
    let bytes = part.as_bytes();
    let has_both = bytes.iter().any(u8::is_ascii_digit) && bytes.iter().any(u8::is_ascii_alphabetic);
    if bytes.len() < chars_min || !has_both || is_uuid(part) {
        return false;
    }
    let seen = bytes.iter().fold(0_u128, |seen, byte| seen | (1_u128 << (*byte & 127)));
    if is_hex(part) {
        return seen.count_ones() >= HEX_DISTINCT_MIN;
    }
    let mut neighbours = 0_usize;
    let mut changes = 0_usize;
    for pair in bytes.windows(2) {
        let (one, other) = (pair[0], pair[1]);
        if one.is_ascii_alphanumeric() && other.is_ascii_alphanumeric() {
            neighbours += 1;
            let begins_word = one.is_ascii_uppercase() && other.is_ascii_lowercase();
            changes += usize::from(kind(one) != kind(other) && !begins_word);
        }
    }
    seen.count_ones() >= DISTINCT_MIN && changes * 4 >= neighbours
}

fn kind(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        _ => 2,
    }
}

fn is_uuid(text: &str) -> bool {
    let is_at_its_place = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(is_at_its_place)
}

/// Codings of content and of transfers that have a name (the registry of HTTP codings, and those that clouds use).
const CODINGS: [&str; 16] = [
    "aes128gcm",
    "aws-chunked",
    "br",
    "bzip2",
    "chunked",
    "compress",
    "dcb",
    "dcz",
    "deflate",
    "exi",
    "gzip",
    "identity",
    "pack200-gzip",
    "x-compress",
    "x-gzip",
    "zstd",
];

/// A coding by its name, or `unknown`: some servers echo what they were sent, which may be a secret.
pub(crate) fn shown_coding(coding: &str) -> &'static str {
    CODINGS.into_iter().find(|known| coding.eq_ignore_ascii_case(known)).unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_shown_only_by_their_names() {
        assert_eq!(shown_coding("GZip"), "gzip");
        for echoed in ["Hx7vB4kP9qGf2WcD", "correct-horse", "", "gzip2"] {
            assert_eq!(shown_coding(echoed), "unknown");
        }
    }

    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.Zm9vYmFyYmF6";

    #[test]
    fn tokens_look_like_secrets() {
        for value in [
            JWT,
            "9JQB8vP1z0yc5DEBnH6JGWM3mBmvIeMrnnxFi3WtJLE",
            "m0EMEkV3pNAKFB33gZuv_Q",
            "9e107d9d372bb6826bd81d3542a419d6",
            "1441307151_4492f25946a2e8e1414a8bb53dab8a6ba1cf4615",
            "for:Bearer 1A2b3C4d5E6f7G8h9I0jKlMnOpQrStUvW",
        ] {
            assert!(is_like_secret(value), "{value}");
        }
    }

    #[test]
    fn names_numbers_and_ids_do_not_look_like_secrets() {
        for value in [
            "",
            "ubuntu-24.04.1-desktop-amd64.iso",
            "Win11_23H2_EnglishInternational_x64v2.iso",
            "en_windows_10_enterprise_ltsc_2019_x64_dvd_5795bb03.iso",
            "getUserByIdAndNameOrThrow",
            "x86_64-unknown-linux-gnu",
            "attachment; filename=report-2024-Final_v2.pdf",
            "image/resize,w_200/quality,q_80",
            "projects/2024/annual-report-v12/final",
            "0123456789012345678901234",
            "1a1a1a1a1a1a1a1a1a1a1a1a",
            "550e8400-e29b-41d4-a716-446655440000",
        ] {
            assert!(!is_like_secret(value), "{value}");
        }
    }

    #[test]
    fn a_directory_is_a_token_only_if_it_is_long_and_mixed() {
        assert!(is_like_token(JWT));
        assert!(is_like_token("9JQB8vP1z0yc5DEBnH6JGWM3mBmvIeMrnnxFi3WtJLE"));
        for segment in [
            "m0EMEkV3pNAKFB33gZuv_Q",
            "9e107d9d372bb6826bd81d3542a419d6",
            "9E107D9d372bb6826bd81d3542a419d6",
            "Win11_23H2_EnglishInternational_x64v2_Build22631",
            "eyJ.a",
        ] {
            assert!(!is_like_token(segment), "{segment}");
        }
    }
}
