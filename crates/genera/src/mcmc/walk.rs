//! What models that draw by Markov chains have in common: their chains can be followed.

use genera_rng::Rng;

use crate::traits::Rows;

/// A model that draws by Markov chains.
pub trait Walk {
    /// How many steps a chain takes.
    fn steps(&self) -> usize;

    /// Runs `n` chains from fresh starts to their ends, `[n, F]`; `observe` sees them after every step. The second part is
    /// the share of its proposals that each chain took, none if nothing is proposed.
    fn walk(&self, n: usize, rng: &mut Rng, observe: &mut dyn FnMut(usize, &Rows)) -> (Rows, Option<Vec<f64>>);
}
