//! Which rows step `s` of a training sees: a function of the seed and `s` alone, so that resuming needs no state.

use genera_rng::Rng;

/// The batches of an endless training: every epoch is a fresh random order of all rows; where the batch size does not
/// divide their number, a batch runs on into the next epoch, so that no row is ever left out.
#[derive(Clone, Debug)]
pub struct Batches {
    rng: Rng,
    rows: usize,
    size: usize,
    /// The order of the epoch used last: kept only to save work.
    epoch: Option<(u64, Vec<usize>)>,
}

impl Batches {
    /// Batches of `size` out of `rows` rows, in the orders that `rng` gives.
    pub fn new(rows: usize, size: usize, rng: &Rng) -> Self {
        Self { rng: rng.fork("batches"), rows, size, epoch: None }
    }

    /// The indices of the rows of batch number `step`; none if there are no rows.
    pub fn at(&mut self, step: u64) -> Vec<usize> {
        if self.rows == 0 {
            return Vec::new();
        }
        let (first, rows) = (u128::from(step) * self.size as u128, self.rows as u128);
        (first..first + self.size as u128)
            .map(|position| self.order((position / rows) as u64)[(position % rows) as usize])
            .collect()
    }

    fn order(&mut self, epoch: u64) -> &[usize] {
        let order = match self.epoch.take() {
            Some((known, order)) if known == epoch => order,
            _ => self.rng.at(epoch).permutation(self.rows),
        };
        &self.epoch.insert((epoch, order)).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_a_pure_function_of_seed_and_number() {
        let rng = Rng::new(4);
        let mut forwards = Batches::new(103, 16, &rng);
        let in_order: Vec<_> = (0..20).map(|step| forwards.at(step)).collect();
        for step in (0..20).rev() {
            assert_eq!(Batches::new(103, 16, &rng).at(step), in_order[step as usize]);
        }
        let mut again = Batches::new(103, 16, &rng);
        assert!((0..20).rev().all(|step| again.at(step) == in_order[step as usize]));
        assert_ne!(Batches::new(103, 16, &Rng::new(5)).at(0), in_order[0]);
    }

    #[test]
    fn every_epoch_sees_every_row_once_in_a_new_order() {
        let mut batches = Batches::new(10, 4, &Rng::new(1));
        let seen: Vec<usize> = (0..5).flat_map(|step| batches.at(step)).collect();
        let (first, second) = seen.split_at(10);
        for epoch in [first, second] {
            let mut rows = epoch.to_vec();
            rows.sort_unstable();
            assert_eq!(rows, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(first, second);
    }

    #[test]
    fn odd_sizes() {
        assert_eq!(Batches::new(3, 7, &Rng::new(1)).at(0).len(), 7);
        assert!(Batches::new(0, 7, &Rng::new(1)).at(0).is_empty());
        assert_eq!(Batches::new(3, 2, &Rng::new(1)).at(u64::MAX).len(), 2);
    }
}
