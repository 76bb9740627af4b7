//! Trains the classifier of the embedded digits over seeds 0, 1 and 2, prints the accuracy on the held-out images, and
//! writes the weights of seed 0 to the file named on the command line.
//!
//! ```text
//! cargo run --example digits-classifier -- crates/genera/src/features/digits-classifier.safetensors
//! ```

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Instant;

use genera::Rng;
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::features::{Classifier, ClassifierConfig};
use genera::train::{Descent, DescentConfig, Ema, OptimizerConfig, RateSchedule, fit};
use genera::traits::{Batch, Learner, Scalars};
use genera::weights::Metadata;
use genera_data::{Batches, Dataset, Split, View, Viewed, digits};

const STEPS: u64 = 600;
const BATCH: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let Split { train, test } = digits();
    // Every tensor operation is quicker when its caller is a thread of the pool.
    let results = rayon::scope(|_| {
        [0, 1, 2].map(|seed| {
            let start = Instant::now();
            let classifier = trained(&train, seed).map_err(|error| error.to_string())?;
            let (accuracy, certainty) = judged(&classifier, &test);
            println!(
                "seed {seed}: {:.2} % of {} held-out digits, mean top probability {certainty:.4}, {:.0?}",
                100.0 * accuracy,
                test.len(),
                start.elapsed()
            );
            Ok::<_, String>((classifier, accuracy))
        })
    });
    let [Ok((classifier, accuracy)), ..] = results else { return Err("training failed".into()) };
    let notes = [
        ("recipe", "digits-classifier".to_owned()),
        ("seed", "0".to_owned()),
        ("training", format!("{STEPS} steps of {BATCH} of the {} training digits", train.len())),
        ("held-out accuracy", format!("{accuracy:.4}")),
    ];
    if let Some(path) = std::env::args().nth(1) {
        let notes: Metadata = notes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        std::fs::write(path, classifier.to_bytes(notes))?;
    }
    Ok(())
}

fn trained(data: &Dataset, seed: u64) -> Result<Classifier, Box<dyn Error>> {
    let rng = Rng::new(seed);
    let config = ClassifierConfig {
        name: "digits-classifier".to_owned(),
        shape: [1, 8, 8],
        classes: 10,
        channels: vec![16, 32],
        width: 64,
        label_smoothing: 0.0,
        shift: 1.0,
    };
    let descent = DescentConfig {
        optimizer: OptimizerConfig::Adamw {
            learning_rate: 3e-3,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.05,
        },
        rate: RateSchedule::Cosine { warmup: 50, floor: 0.0 },
        clip_norm: Some(1.0),
        ema: Some(Ema { decay: 0.98, warmup: true }),
    };
    let model = config.init(&mut rng.fork("weights"), &Device::flex())?;
    let mut learner = Descent::new(model, descent, STEPS)?;
    let rows = Viewed::new(data, View::Symmetric)?;
    let mut order = Batches::new(data.len(), BATCH, &rng);
    let mut log = |step: u64, scalars: &Scalars, _: &dyn Learner| {
        if (step + 1).is_multiple_of(100) {
            println!("  step {:4}: {scalars:.4?}", step + 1);
        }
        ControlFlow::Continue(())
    };
    fit(&mut learner, 0..STEPS, |step| vec![batch(&rows, &order.at(step))], &rng, &mut log)?;
    Ok(learner.model().clone())
}

fn batch(data: &Viewed<'_>, indices: &[usize]) -> Batch {
    let x = data.rows(indices, &mut Rng::new(0)); // the symmetric view draws nothing
    let x = Tensor::from_data(TensorData::new(x, [indices.len(), 64]), &Device::flex());
    let labels = data.dataset().labels().map(|labels| indices.iter().map(|&i| labels.rows()[i].into()).collect());
    Batch { x, labels }
}

/// The share of rows named rightly, and the mean probability of the class that is named.
fn judged(classifier: &Classifier, data: &Dataset) -> (f64, f64) {
    let rows = Viewed::new(data, View::Symmetric).expect("digits are images");
    let Batch { x, labels } = batch(&rows, &(0..data.len()).collect::<Vec<_>>());
    let labels = labels.expect("digits have labels");
    let (top, found) = classifier.probabilities(x).max_dim_with_indices(1);
    let found = found.try_into_vec_as::<i64>().expect("the device lost its data");
    let right = found.iter().zip(&labels).filter(|(found, label)| **found == **label as i64).count();
    (right as f64 / labels.len() as f64, top.mean().into_scalar::<f32>().into())
}
