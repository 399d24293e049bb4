//! File names and `Content-Range` values that hostile or broken servers send. Plain values
//! that tests wrap in faults.

use crate::fault::RangeLie;

/// `Content-Disposition` values that no client should trust, each with its defect: names that leave
/// the directory, name a device, mislead the reader, are far too long or are not text. For
/// [`Fault::Header`](crate::Fault::Header), since some are not UTF-8.
///
/// ```
/// let hostile = towline_origin::hostile_dispositions();
/// let (what, value) = &hostile[0];
/// assert_eq!((*what, value.as_slice()), ("parents", b"attachment; filename=\"../../x\"".as_slice()));
/// ```
#[must_use]
pub fn hostile_dispositions() -> Vec<(&'static str, Vec<u8>)> {
    let long = "x".repeat(4096);
    let names: [(&'static str, &[u8]); 8] = [
        ("parents", b"../../x"),
        ("an absolute path", b"/etc/x"),
        // A quoted string needs an escaped backslash.
        ("a drive", b"C:\\\\x"),
        ("a device", b"con"),
        ("an override of the direction", "gpj.\u{202e}exe".as_bytes()),
        ("4 KiB", long.as_bytes()),
        ("invalid UTF-8", b"\xff\xfe.bin"),
        ("only dots", b".."),
    ];
    let quoted = |name: &[u8]| [b"attachment; filename=\"".as_slice(), name, b"\""].concat();
    let mut values: Vec<_> = names.into_iter().map(|(what, name)| (what, quoted(name))).collect();
    values.push(("parents, encoded", b"attachment; filename*=UTF-8''..%2F..%2Fx".to_vec()));
    values.push(("a NUL, encoded", b"attachment; filename*=UTF-8''a%00.bin".to_vec()));
    values
}

/// Unusual forms of `Content-Range` that servers send with the requested bytes, each with what is odd
/// about it. For [`Fault::ContentRange`](crate::Fault::ContentRange).
///
/// ```
/// use towline_origin::{RangeLie, range_forms};
///
/// let (what, lie) = &range_forms()[0];
/// assert_eq!((*what, lie), ("an equals sign", &RangeLie::Form("bytes={first}-{last}/{total}".to_owned())));
/// ```
#[must_use]
pub fn range_forms() -> Vec<(&'static str, RangeLie)> {
    let forms = [
        ("an equals sign", "bytes={first}-{last}/{total}"),
        ("an upper case unit", "BYTES {first}-{last}/{total}"),
        ("two blanks", "bytes  {first}-{last}/{total}"),
        ("a tab", "bytes\t{first}-{last}/{total}"),
        ("a colon", "bytes: {first}-{last}/{total}"),
        ("no unit", "{first}-{last}/{total}"),
        ("an open end", "bytes {first}-/{total}"),
        ("blanks within", "bytes {first} - {last} / {total}"),
        ("a star for the range", "bytes */{total}"),
    ];
    let mut lies: Vec<_> = forms.into_iter().map(|(what, form)| (what, RangeLie::Form(form.to_owned()))).collect();
    lies.push(("a star for the length", RangeLie::UnknownTotal));
    lies.push(("missing", RangeLie::Missing));
    lies
}
