//! Times the autoregressive networks of the MNIST recipes: a training step, a score, and 64 samples in one pass against
//! a whole pass for each element (of which a few are timed, and multiplied). Arguments select networks by substring;
//! one that is a folder holds NAME.safetensors to take the weights from, as bench/autoregressive_speed.py writes them.

use std::time::Instant;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::autoregressive::{Autoregressive, AutoregressiveConfig, Conditional, Draw};
use genera::nn::{Alphabet, Causal, Cursor, FullPass, GatedPixelCnnConfig, ImageGptConfig, PixelCnnConfig};
use genera::train::{Descent, DescentConfig};
use genera::traits::{Batch, Density, Learner, Rows, Sample};
use genera::weights;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SHAPE: [usize; 3] = [1, 28, 28];
const ELEMENTS: usize = 784;
const ROWS: usize = 64;
/// Whole passes that are timed.
const PASSES: usize = 4;

fn seconds(mut f: impl FnMut()) -> f64 {
    let start = Instant::now();
    f();
    start.elapsed().as_secs_f64()
}

/// A typical picture: one pixel in eight is set.
fn pictures(rows: usize) -> Rows {
    let bits = Rng::new(1).below(rows * ELEMENTS, 8).into_iter().map(|bit| f32::from(u8::from(bit == 0))).collect();
    Tensor::from_data(TensorData::new(bits, [rows, ELEMENTS]), &Device::flex())
}

fn time<N: Module + ModuleDisplay + Causal>(name: &str, net: N) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folders, names): (Vec<_>, Vec<_>) = arguments.iter().partition(|name| std::path::Path::new(name).is_dir());
    if !names.is_empty() && !names.iter().any(|part| name.contains(part.as_str())) {
        return;
    }
    let net = match folders.first() {
        None => net,
        Some(folder) => {
            let path = std::path::Path::new(folder).join(format!("{name}.safetensors"));
            let read = weights::read(&path).expect("bench/autoregressive_speed.py writes the weights");
            weights::apply(net, &read).expect("the weights are those of this network")
        }
    };
    let config = AutoregressiveConfig { conditional: Conditional::Bernoulli, draw: Draw::default() };
    let model: Autoregressive<N> = config.init(net).expect("the network has one output");
    let parameters = model.num_params();

    let score = seconds(|| drop(Density::<Rows>::log_prob(&model, pictures(ROWS)).into_data()));
    let quick = seconds(|| drop(Sample::<Rows>::sample(&model, ROWS, &mut Rng::new(2)).into_data()));
    let mut whole = FullPass::new(&model.net, 0, ROWS, Device::flex());
    let zeros = vec![0.0; ROWS];
    let passes = seconds(|| (0..PASSES).for_each(|_| drop(whole.advance(&zeros))));
    let slow = passes / PASSES as f64 * ELEMENTS as f64;

    let descent = r#"{"optimizer": {"kind": "adam", "learning_rate": 0.001}}"#;
    let descent: DescentConfig = serde_json::from_str(descent).expect("settings that are right");
    let mut descent = Descent::new(model, descent, 10).expect("settings that are right");
    let mut step = || {
        let batch = Batch { x: pictures(ROWS), labels: None };
        descent.step(vec![batch], &mut Rng::new(3)).expect("a finite loss");
    };
    step();
    let train = seconds(|| (0..4).for_each(|_| step())) / 4.0;
    println!(
        "{name:16} {parameters:8} parameters; {ROWS} rows: step {train:6.3} s, score {score:6.3} s, \
         sample {quick:7.2} s, naively {slow:8.1} s, {:5.0} times as long",
        slow / quick
    );
}

fn main() {
    let (rng, device) = (&mut Rng::new(0), &Device::flex());
    let levels = Alphabet::Levels(2);
    rayon::scope(|_| {
        let config = PixelCnnConfig::default();
        time("pixelcnn", config.init(SHAPE, levels, 1, rng, device).expect("sizes that fit"));
        let config = GatedPixelCnnConfig::default();
        time("gated-pixelcnn", config.init(SHAPE, levels, 1, rng, device).expect("sizes that fit"));
        let config = ImageGptConfig::default();
        time("imagegpt", config.init(ELEMENTS, levels, 1, rng, device).expect("sizes that fit"));
    });
}
