//! A note on a finished file about where it came from, as an extended attribute. File systems
//! without attributes, or with too little room for this one, simply keep none. No state; runs on
//! whichever thread calls.

#[cfg(target_os = "linux")]
pub(super) use self::linux::{read, write};
#[cfg(not(target_os = "linux"))]
pub(super) use self::none::{read, write};

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::CStr;
    use std::fs::File;
    use std::io;
    use std::path::Path;

    use rustix::fs::{XattrFlags, fgetxattr, fremovexattr, fsetxattr, lgetxattr};
    use rustix::io::retry_on_intr;

    const NAME: &CStr = c"user.towline.origin";

    /// The longest note that is written or read.
    const NOTE_BYTES_MAX: usize = 4096;

    /// Replaces the note. What is empty, too long or refused, in whichever way, leaves none, rather than an
    /// old one that would be taken for this content's.
    pub(in super::super) fn write(file: &File, note: &[u8]) -> io::Result<()> {
        let is_kept = !note.is_empty()
            && note.len() <= NOTE_BYTES_MAX
            && retry_on_intr(|| fsetxattr(file, NAME, note, XattrFlags::empty())).is_ok();
        if is_kept { Ok(()) } else { remove(file) }
    }

    fn remove(file: &File) -> io::Result<()> {
        let removed = retry_on_intr(|| fremovexattr(file, NAME));
        // It counts whether there is one now, not what the call says.
        match fgetxattr(file, NAME, &mut [0; 0]) {
            Ok(1..) => removed.map_err(io::Error::from),
            _ => Ok(()),
        }
    }

    /// The note on the file at `path`, not following a symlink.
    pub(in super::super) fn read(path: &Path) -> Option<Vec<u8>> {
        let mut note = vec![0_u8; NOTE_BYTES_MAX];
        let len = lgetxattr(path, NAME, note.as_mut_slice()).ok()?;
        note.truncate(len);
        if note.is_empty() { None } else { Some(note) }
    }
}

#[cfg(not(target_os = "linux"))]
mod none {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    pub(in super::super) fn write(_file: &File, _note: &[u8]) -> io::Result<()> {
        Ok(())
    }

    pub(in super::super) fn read(_path: &Path) -> Option<Vec<u8>> {
        None
    }
}
