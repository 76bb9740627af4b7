//! The sequential numbers of one sample in one draw.

use crate::philox::philox;

/// Random numbers in order, for one sample of one draw.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    counter: [u32; 4],
    words: [u32; 4],
    used: usize,
}

impl Stream {
    pub(crate) fn new(key: u64, draw: u32, row: u64) -> Self {
        let halves = |x: u64| [x as u32, (x >> 32) as u32];
        let [low, high] = halves(row);
        Self { key: halves(key), counter: [0, draw, low, high], words: [0; 4], used: 4 }
    }

    /// 32 random bits.
    #[inline]
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.words = philox(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) | u64::from(self.next_u32()) << 32
    }

    /// Uniform on `[0, 1)`, a multiple of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Standard normal, in double precision (Box and Muller; one of the pair is dropped).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }

    /// A whole number uniform on `0..bound`. The bias is below `bound / 2⁶⁴`.
    ///
    /// # Panics
    /// If `bound` is zero.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "a number below zero was asked for");
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Fills `out` with standard normal numbers in single precision (Box and Muller, both of each pair).
    pub fn fill_normal(&mut self, out: &mut [f32]) {
        for pair in out.chunks_mut(2) {
            // (w + ½) / 2³² lies in (0, 1]: the logarithm is finite, the largest number is 6.7.
            let u = (self.next_u32() as f32 + 0.5) * (1.0 / 4_294_967_296.0);
            let angle = self.next_u32() as f32 * (std::f32::consts::TAU / 4_294_967_296.0);
            let radius = libm::sqrtf(-2.0 * libm::logf(u));
            let (sin, cos) = libm::sincosf(angle);
            pair[0] = radius * cos;
            if let Some(second) = pair.get_mut(1) {
                *second = radius * sin;
            }
        }
    }
}
