//! Output with one JSON value per line, such as events. It may be read while it is still being written.

use serde_json::Value;

/// Parses each complete line as JSON.
///
/// ```
/// assert_eq!(towline_testkit::json_lines("{\"a\":1}\n{\"b\"").len(), 1);
/// ```
///
/// # Panics
/// If one of them is not JSON.
#[must_use]
pub fn json_lines(text: &str) -> Vec<Value> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}
