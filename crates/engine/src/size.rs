//! Human-readable sizes.

/// Bytes with a 1024-based unit and about three digits: `512 B`, `1.25 MiB`, `12.5 GiB`.
///
/// ```
/// assert_eq!(towline_engine::size::bytes(1_342_177_280), "1.25 GiB");
/// ```
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// Bytes in words: `500`, `64k`, `1.5M`, `2GiB` are 1024-based, `2GB` is 1000-based. In any case; `None` for anything
/// else.
///
/// ```
/// use towline_engine::size::parse;
///
/// assert_eq!(parse("1.5M"), Some(1_572_864));
/// assert_eq!(parse("2MB"), Some(2_000_000));
/// assert_eq!(parse("much"), None);
/// ```
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let at = text.find(|character: char| !(character.is_ascii_digit() || character == '.')).unwrap_or(text.len());
    let (number, unit) = (&text[..at], text[at..].trim_start());
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let bytes = (number.parse::<f64>().ok()? * factor as f64).round();
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_about_three_digits() {
        let cases = [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (10 * 1024, "10.0 KiB"), (1 << 30, "1.00 GiB")];
        for (size, shown) in cases {
            assert_eq!(bytes(size), shown);
        }
    }
}
