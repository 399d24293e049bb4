//! Lists that are compressed with gzip or zstd.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

use super::PEEKED_BYTES;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// A list that unpacks to more is taken for a bomb.
const UNPACKED_BYTES_MAX: u64 = 8 << 30;

/// Whether a list that begins like this is compressed.
pub(crate) fn is_packed(beginning: &[u8]) -> bool {
    beginning.starts_with(GZIP) || beginning.starts_with(ZSTD)
}

/// A list without its compression, if it has one.
pub(crate) struct Unpacked {
    list: Box<dyn Read + Send>,
    /// How much more may come of a list that is compressed.
    left_bytes: Option<u64>,
}

impl Unpacked {
    /// Reads the beginning of `source`.
    ///
    /// # Errors
    /// If it cannot be read, or is no such file although it begins like one.
    pub(crate) fn new(source: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut source = BufReader::with_capacity(PEEKED_BYTES, source);
        let mut beginning = Vec::with_capacity(PEEKED_BYTES);
        // A pipe may bring it byte by byte.
        source.by_ref().take(ZSTD.len() as u64).read_to_end(&mut beginning)?;
        // What came with it stays with it: the format is told by that.
        beginning.extend_from_slice(source.buffer());
        source.consume(source.buffer().len());
        let (is_gzip, is_zstd) = (beginning.starts_with(GZIP), beginning.starts_with(ZSTD));
        let whole = io::Cursor::new(beginning).chain(source);
        Ok(match () {
            () if is_gzip => Self::packed(MultiGzDecoder::new(whole)),
            () if is_zstd => Self::packed(Frames { decoder: None, source: Some(whole) }),
            () => Self { list: Box::new(whole), left_bytes: None },
        })
    }

    fn packed(list: impl Read + Send + 'static) -> Self {
        Self { list: Box::new(list), left_bytes: Some(UNPACKED_BYTES_MAX) }
    }
}

impl Read for Unpacked {
    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        let count = self.list.read(part)?;
        if let Some(left_bytes) = &mut self.left_bytes {
            let Some(left) = left_bytes.checked_sub(count as u64) else {
                return Err(io::Error::other("it unpacks to more than 8 GiB"));
            };
            *left_bytes = left;
        }
        Ok(count)
    }
}

/// A zstd file may have several frames, one behind the other.
struct Frames<R: BufRead> {
    decoder: Option<Box<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>>,
    source: Option<R>,
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(source) = &mut self.source {
                if source.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                let Some(source) = self.source.take() else { return Ok(0) };
                self.decoder = Some(Box::new(StreamingDecoder::new(source).map_err(io::Error::other)?));
            }
            let Some(decoder) = &mut self.decoder else { return Ok(0) };
            let count = decoder.read(part)?;
            if count > 0 || part.is_empty() {
                return Ok(count);
            }
            let (told, found) = (decoder.decoder.get_checksum_from_data(), decoder.decoder.get_calculated_checksum());
            if told.is_some_and(|told| found != Some(told)) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "corrupt zstd stream: its checksum does not match",
                ));
            }
            self.source = self.decoder.take().map(|decoder| decoder.into_inner());
        }
    }
}
