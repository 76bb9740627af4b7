//! The gradient of a mean over micro-batches.

use burn::module::Module;
use genera_rng::Rng;

use super::gradients::Gradients;
use super::player::add_share;
use crate::traits::{Batch, Loss, Scalars, StepError};

/// The loss, its parts and its gradient with respect to `module`, averaged over the rows of all micro-batches; `loss` comes
/// first.
///
/// Each micro-batch draws the noise that its rows would have had in one large batch.
///
/// # Errors
/// A loss that is not finite, or no rows.
pub(crate) fn accumulate(
    batches: Vec<Batch>,
    rng: &Rng,
    module: &impl Module,
    mut loss: impl FnMut(Batch, &mut Rng) -> Loss,
) -> Result<(Scalars, Gradients), StepError> {
    let rows: usize = batches.iter().map(|batch| batch.x.dims()[0]).sum();
    if rows == 0 {
        return Err(StepError::Loss { loss: f64::NAN, parts: vec![("rows", 0.0)] }); // the mean of nothing
    }
    let mut scalars: Scalars = vec![("loss", 0.0)];
    let mut gradients = Gradients::default();
    let mut first = 0;
    for batch in batches {
        let here = batch.x.dims()[0];
        let share = here as f64 / rows as f64;
        let Loss { value, parts } = loss(batch, &mut rng.rows_from(first as u64));
        let number = f64::from(value.clone().into_scalar::<f32>());
        if !number.is_finite() {
            return Err(StepError::Loss { loss: number, parts });
        }
        add_share(&mut scalars, share, [("loss", number)].into_iter().chain(parts));
        gradients = gradients.plus(Gradients::of(&(value * share), module));
        first += here;
    }
    Ok((scalars, gradients))
}
