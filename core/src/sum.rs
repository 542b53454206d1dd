//! Tells damage of what was written.

/// A sum over bytes, as fast as memory is read (a cryptographic hash would take longer than the writing): each word goes into one of eight lanes by steps that
/// can be undone, so that no change of one word leaves the sum as it was.
#[derive(Default)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Takes a part in. The same bytes in other parts are another sum.
    pub fn add(&mut self, bytes: &[u8]) {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut lanes = [1u64, 2, 3, 4, 5, 6, 7, 8];
        let blocks = bytes.chunks_exact(64);
        let mut rest = [0; 64];
        rest[..blocks.remainder().len()].copy_from_slice(blocks.remainder());
        for block in blocks.chain([&rest[..]]) {
            for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(8)) {
                let word = word.try_into().map_or(0, u64::from_le_bytes);
                *lane = (*lane ^ word).wrapping_mul(ODD).rotate_left(29);
            }
        }
        for part in lanes.into_iter().chain([bytes.len() as u64]) {
            self.0 = (self.0 ^ part).wrapping_mul(ODD).rotate_left(31);
        }
    }

    /// What it comes to.
    pub fn value(&self) -> u64 {
        self.0
    }
}
