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
