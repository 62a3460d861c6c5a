//! Where the groups get their values from: seeded, and skewed to the values where code breaks.

/// A generator of test values (xorshift64*, Vigna 2016): the same sequence on every machine.
pub struct Inputs(u64);

impl Inputs {
    /// A generator for the group `name`, so that adding a group changes no other.
    pub(crate) fn for_group(name: &str) -> Self {
        let seed = name.bytes().fold(0x9E37_79B9_7F4A_7C15_u64, |seed, byte| {
            (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        // Zero is the one state that xorshift never leaves.
        Self(seed | 1)
    }

    /// 64 bits, evenly distributed.
    pub fn any(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A value of a kind that compilers special-case: small, negative, a power of two or one less, the extremes.
    pub fn edge(&mut self) -> u64 {
        const EXTREMES: [u64; 8] = [
            0,
            1,
            u64::MAX,
            i64::MIN as u64,
            i64::MAX as u64,
            0x8000_0000,
            0x7FFF_FFFF,
            0xFFFF_FFFF,
        ];
        match self.below(8) {
            0 => self.any() & 0xFF,
            1 => (self.any() as i8) as u64,
            2 => 1 << self.below(64),
            3 => (1_u64 << self.below(64)) - 1,
            4 => u64::from(self.any() as u32),
            5 => !u64::from(self.any() as u16),
            6 => EXTREMES[self.index(EXTREMES.len())],
            _ => self.any(),
        }
    }

    /// As [`Self::edge`], 128 bits; the upper half is often all zeros or all ones.
    pub fn edge_wide(&mut self) -> u128 {
        let low = u128::from(self.edge());
        match self.below(4) {
            0 => low,
            1 => low as i64 as u128,
            2 => u128::from(self.edge()) << 64 | low,
            _ => 1_u128.rotate_left(self.below(128) as u32).wrapping_sub(low & 1),
        }
    }

    /// A value below `limit`, which is not zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.any() % limit
    }

    /// An index into something of `len` elements, which is not empty.
    ///
    /// Computed in 64 bits, since `usize` has another width on each machine.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// Heads or tails.
    pub fn coin(&mut self) -> bool {
        self.any() >> 63 == 1
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.any() as u8);
    }
}
