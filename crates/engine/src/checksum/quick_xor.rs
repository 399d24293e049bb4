//! QuickXorHash, the digest of OneDrive and SharePoint: each byte is XORed into a ring of 160 bits, 11 bits further
//! than the byte before, and the length into its end (Microsoft Graph, "QuickXorHash algorithm").

const RING_BYTES: usize = 20;
const RING_BITS: usize = RING_BYTES * 8;
const SHIFT_BITS: usize = 11;
/// The ring is read as words of this size, and the last bits of a byte may run over into the next one.
const WORDS: usize = RING_BYTES + 1;

/// A QuickXorHash in the making.
#[derive(Clone)]
pub(crate) struct QuickXor {
    /// The XOR of all bytes that begin at the same bit of the ring; the bits come round after 160 bytes.
    columns: [u8; RING_BITS],
    /// Which column the next byte belongs to.
    at: usize,
    len_bytes: u64,
}

impl QuickXor {
    pub(crate) fn new() -> Self {
        Self { columns: [0; RING_BITS], at: 0, len_bytes: 0 }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.len_bytes = self.len_bytes.wrapping_add(bytes.len() as u64);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(RING_BITS - self.at));
            // Bytes at equal places of two rounds have the same column, so a whole round is one XOR of arrays.
            for (column, byte) in self.columns[self.at..].iter_mut().zip(now) {
                *column ^= byte;
            }
            self.at = (self.at + now.len()) % RING_BITS;
            rest = later;
        }
    }

    pub(crate) fn finish(self) -> [u8; RING_BYTES] {
        let mut ring = [0_u8; WORDS];
        for (number, byte) in self.columns.into_iter().enumerate() {
            let bit = number * SHIFT_BITS % RING_BITS;
            let shifted = u16::from(byte) << (bit % 8);
            let [low, high] = shifted.to_le_bytes();
            ring[bit / 8] ^= low;
            ring[bit / 8 + 1] ^= high;
        }
        // What ran over the end belongs to the beginning.
        ring[0] ^= ring[RING_BYTES];
        let mut digest = [0; RING_BYTES];
        digest.copy_from_slice(&ring[..RING_BYTES]);
        for (byte, of_len) in digest[RING_BYTES - 8..].iter_mut().zip(self.len_bytes.to_le_bytes()) {
            *byte ^= of_len;
        }
        digest
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn hash(parts: &[&[u8]]) -> String {
        let mut hasher = QuickXor::new();
        parts.iter().for_each(|part| hasher.update(part));
        STANDARD.encode(hasher.finish())
    }

    #[test]
    fn known_answers() {
        for (content, digest) in [
            ("", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
            ("Sg==", "SgAAAAAAAAAAAAAAAQAAAAAAAAA="),
            ("tbQ=", "taAFAAAAAAAAAAAAAgAAAAAAAAA="),
            ("0pZP", "0rDEEwAAAAAAAAAAAwAAAAAAAAA="),
            ("jRRDVA==", "jaDAEKgAAAAAAAAABAAAAAAAAAA="),
        ] {
            assert_eq!(hash(&[&STANDARD.decode(content).unwrap()]), digest, "{content}");
        }
    }

    /// The definition, bit by bit.
    fn by_definition(bytes: &[u8]) -> String {
        let mut bits = [false; RING_BITS];
        for (number, byte) in bytes.iter().enumerate() {
            for bit in 0..8 {
                bits[(number * SHIFT_BITS + bit) % RING_BITS] ^= byte >> bit & 1 == 1;
            }
        }
        for (number, bit) in bits[RING_BITS - 64..].iter_mut().enumerate() {
            *bit ^= (bytes.len() as u64) >> number & 1 == 1;
        }
        let digest: Vec<u8> = bits.chunks(8).map(|byte| (0..8).map(|bit| u8::from(byte[bit]) << bit).sum()).collect();
        STANDARD.encode(digest)
    }

    proptest! {
        #[test]
        fn in_whatever_parts_bytes_come_the_digest_is_that_of_the_definition(
            bytes in proptest::collection::vec(any::<u8>(), 0..700),
            cut in 0_usize..700,
        ) {
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(hash(&[first, second]), by_definition(&bytes));
        }
    }
}
