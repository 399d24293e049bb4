//! File names as a hostile or broken server sends them. Plain values.

/// Values of `Content-Disposition` that no client should take at their word, each with what is wrong
/// with it: names that lead out of a directory, are devices, deceive the eye, are far too long, or
/// are no text. For [`Fault::Header`](crate::Fault::Header), as some are not UTF-8.
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
        // Between quotes a backslash has to be escaped.
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
