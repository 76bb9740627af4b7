//! The random generator of Genera: counter-based, explicit, keyed by seed, stream and sample index.
//!
//! Every random number is a pure function `philox(key; block, draw, row)`:
//!
//! - `key` names the stream: a seed, then any number of [`Rng::fork`]s by label or [`Rng::at`]s by number;
//! - `row` is the index of the sample that the number belongs to;
//! - `draw` counts the calls made on this generator;
//! - `block` counts within one row of one call.
//!
//! So the number that sample 17 receives at step 3 depends on nothing but the seed, 17 and 3: not on the batch
//! size, the number of threads or the device. There is no global state and nothing to save but three integers.
//!
//! The block function is Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
//! 1, 2, 3" (SC 2011), checked against the authors' known answers.

mod philox;
mod stream;

pub use stream::Stream;

/// A generator of reproducible random numbers, addressed by seed, stream, draw and row.
///
/// Each method that takes `&mut self` makes one draw: row `i` of its result belongs to sample `first_row + i`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng {
    key: u64,
    draw: u32,
    first_row: u64,
}

impl Rng {
    /// The root stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self::keyed(mix(seed ^ 0x6765_6e65_7261_0001))
    }

    fn keyed(key: u64) -> Self {
        Self { key, draw: 0, first_row: 0 }
    }

    /// The independent stream called `label`. Does not depend on what was drawn from `self`.
    pub fn fork(&self, label: &str) -> Self {
        // FNV-1a: labels are short and chosen by us; `mix` spreads what it gives.
        let hash = label
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self::keyed(mix(self.key ^ mix(hash)))
    }

    /// The independent stream number `index` (a training step, an epoch, a chain). Does not depend on draws made.
    pub fn at(&self, index: u64) -> Self {
        Self::keyed(mix(self.key.wrapping_add(mix(index ^ 0x9e37_79b9_7f4a_7c15))))
    }

    /// This stream, at the same draw, for the samples from `first` on: what a later chunk of a batch receives.
    pub fn rows_from(&self, first: u64) -> Self {
        Self { first_row: self.first_row + first, ..self.clone() }
    }

    /// One draw: a sequential stream for each of `rows` samples.
    pub fn streams(&mut self, rows: usize) -> impl ExactSizeIterator<Item = Stream> + use<> {
        let (key, draw, first) = (self.key, self.draw, self.first_row);
        self.draw = self.draw.wrapping_add(1);
        (0..rows).map(move |row| Stream::new(key, draw, first + row as u64))
    }

    /// One draw: the stream of the first sample, for whatever is drawn once and not per sample.
    pub fn stream(&mut self) -> Stream {
        let stream = Stream::new(self.key, self.draw, self.first_row);
        self.draw = self.draw.wrapping_add(1);
        stream
    }

    /// Standard normal numbers, row-major `[rows, width]`.
    pub fn normal(&mut self, rows: usize, width: usize) -> Vec<f32> {
        let mut out = vec![0.0; rows * width];
        let streams = self.streams(rows);
        if width > 0 {
            out.chunks_exact_mut(width).zip(streams).for_each(|(row, mut stream)| stream.fill_normal(row));
        }
        out
    }

    /// Uniform numbers on `[0, 1)`, row-major `[rows, width]`.
    pub fn uniform(&mut self, rows: usize, width: usize) -> Vec<f32> {
        let mut out = Vec::with_capacity(rows * width);
        for mut stream in self.streams(rows) {
            // 24 bits: every value is a multiple of 2⁻²⁴ and below one.
            out.extend((0..width).map(|_| (stream.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)));
        }
        out
    }

    /// Whole numbers uniform on `0..bound`, one for each of `rows` samples. `bound` must not be zero.
    pub fn below(&mut self, rows: usize, bound: usize) -> Vec<usize> {
        self.streams(rows).map(|mut stream| stream.below(bound)).collect()
    }

    /// A uniformly random order of `0..n` (Fisher and Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        let mut stream = self.stream();
        for last in (1..n).rev() {
            order.swap(last, stream.below(last + 1));
        }
        order
    }
}

/// The finaliser of SplitMix64: a bijection of 64 bits in which every input bit moves every output bit.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_does_not_depend_on_its_batch() {
        let whole = Rng::new(7).normal(64, 5);
        let root = Rng::new(7);
        let parts: Vec<f32> = (0..8).flat_map(|chunk| root.rows_from(chunk * 8).normal(8, 5)).collect();
        assert_eq!(whole, parts);
    }

    #[test]
    fn streams_and_draws_differ() {
        let root = Rng::new(7);
        let mut again = Rng::new(7);
        let first = again.normal(1, 8);
        let all = [
            first,
            again.normal(1, 8),
            root.fork("noise").normal(1, 8),
            root.fork("data").normal(1, 8),
            root.at(0).normal(1, 8),
            root.at(1).normal(1, 8),
            root.fork("noise").at(1).normal(1, 8),
            Rng::new(8).normal(1, 8),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b));
        }
    }

    #[test]
    fn normal_moments() {
        let n = 400_000;
        let x = Rng::new(1).normal(n / 4, 4);
        let moment = |k: i32| x.iter().map(|v| f64::from(*v).powi(k)).sum::<f64>() / n as f64;
        // Five standard errors of each sample moment.
        let bound = |variance: f64| 5.0 * (variance / n as f64).sqrt();
        assert!(moment(1).abs() < bound(1.0));
        assert!((moment(2) - 1.0).abs() < bound(2.0));
        assert!(moment(3).abs() < bound(15.0));
        assert!((moment(4) - 3.0).abs() < bound(96.0));
    }

    #[test]
    fn uniform_is_in_range_and_flat() {
        let x = Rng::new(2).uniform(10_000, 10);
        assert!(x.iter().all(|v| (0.0..1.0).contains(v)));
        let mut counts = [0.0_f64; 20];
        x.iter().for_each(|v| counts[(v * 20.0) as usize] += 1.0);
        let chi2: f64 = counts.iter().map(|c| (c - 5_000.0).powi(2) / 5_000.0).sum();
        assert!(chi2 < 43.8, "chi-square {chi2} with 19 degrees of freedom"); // p = 0.001
    }

    #[test]
    fn permutations_are_permutations() {
        let order = Rng::new(3).permutation(100);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_ne!(order, sorted);
        assert!(Rng::new(3).permutation(0).is_empty());
    }
}
