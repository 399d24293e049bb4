//! Stores a note about where a finished file came from in an extended attribute. File systems without
//! attributes, or with too little space for this one, store none. No state; runs on the caller's thread.

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

    /// The size limit of a note.
    const NOTE_BYTES_MAX: usize = 4096;

    /// Replaces the note. If the new note is empty, too long or refused, none is left, because an old one would
    /// be taken for this content's.
    pub(in super::super) fn write(file: &File, note: &[u8]) -> io::Result<()> {
        let is_kept = !note.is_empty()
            && note.len() <= NOTE_BYTES_MAX
            && retry_on_intr(|| fsetxattr(file, NAME, note, XattrFlags::empty())).is_ok();
        if is_kept { Ok(()) } else { remove(file) }
    }

    fn remove(file: &File) -> io::Result<()> {
        let removed = retry_on_intr(|| fremovexattr(file, NAME));
        // What counts is whether there is a note now, not what the call returned.
        match fgetxattr(file, NAME, &mut [0; 0]) {
            Ok(1..) => removed.map_err(io::Error::from),
            _ => Ok(()),
        }
    }

    /// The note of the file at `path`; does not follow a symlink.
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
