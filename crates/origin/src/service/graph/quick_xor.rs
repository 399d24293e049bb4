//! The QuickXorHash of generated content.

use crate::content::fill;
use crate::service::talk::base64;

const QUICK_XOR_BITS: usize = 160;

/// The QuickXorHash of generated content, in Base64.
pub(super) fn quick_xor(seed: u64, size: u64) -> String {
    let mut columns = [0_u8; QUICK_XOR_BITS];
    let mut buffer = vec![0; QUICK_XOR_BITS * 400];
    let mut at = 0;
    while at < size {
        let count = (size - at).min(buffer.len() as u64) as usize;
        fill(seed, at, &mut buffer[..count]);
        for round in buffer[..count].chunks(QUICK_XOR_BITS) {
            columns.iter_mut().zip(round).for_each(|(column, byte)| *column ^= byte);
        }
        at += count as u64;
    }
    let mut bits = [false; QUICK_XOR_BITS];
    for (number, byte) in columns.into_iter().enumerate() {
        for bit in 0..8 {
            bits[(number * 11 + bit) % QUICK_XOR_BITS] ^= byte >> bit & 1 == 1;
        }
    }
    for bit in 0..64 {
        bits[QUICK_XOR_BITS - 64 + bit] ^= size >> bit & 1 == 1;
    }
    let digest: Vec<u8> = bits.chunks(8).map(|byte| (0..8).map(|bit| u8::from(byte[bit]) << bit).sum()).collect();
    base64(&digest)
}
