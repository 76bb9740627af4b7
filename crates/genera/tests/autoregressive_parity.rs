//! Autoregressive networks against PyTorch and nflows: the golden files of parity/autoregressive.py.

use std::path::Path;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::nn::{
    Activation, Alphabet, Causal, CausalError, GatedPixelCnnConfig, ImageGptConfig, MadeBlock, MadeConfig,
    PixelCnnConfig, RecurrentNetConfig,
};
use genera::weights::{self, Weights};

fn agrees<N: Module + ModuleDisplay + Causal>(
    name: &str,
    net: impl FnOnce(&mut Rng, &Device) -> Result<N, CausalError>,
) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../parity/golden/autoregressive");
    let golden = weights::read(path.join(format!("{name}.safetensors"))).unwrap();
    let mut arrays = Weights::new();
    for (key, array) in &golden {
        if let Some(key) = key.strip_prefix("weights.") {
            arrays.insert(key.to_owned(), array.clone());
        }
    }
    let net = weights::apply(net(&mut Rng::new(0), &Device::flex()).unwrap(), &arrays).unwrap();
    let x = &golden["x"];
    let x = Tensor::from_data(TensorData::new(x.values.clone(), [x.shape[0], x.shape[1]]), &Device::flex());
    let outputs = net.forward(x, 0);
    assert_eq!(outputs.dims()[..], golden["outputs"].shape[..], "{name}");
    let outputs = outputs.try_into_vec_as::<f32>().unwrap();
    let error = outputs.iter().zip(&golden["outputs"].values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("{name}: {error:e}");
    assert!(error < 1e-5, "{name}: logits differ by {error}");
}

#[test]
fn pixelcnn() {
    let config = |filters, layers, kernel| PixelCnnConfig { filters, layers, kernel, norm: true, residual: true };
    agrees("pixelcnn", |rng, device| config(8, 3, 5).init([1, 9, 8], Alphabet::Levels(2), 2, rng, device));
    agrees("pixelcnn-rgb", |rng, device| config(12, 2, 3).init([3, 6, 5], Alphabet::Levels(4), 4, rng, device));
}

#[test]
fn gated_pixelcnn() {
    let config = |filters| GatedPixelCnnConfig { filters, layers: 3, kernel: 3 };
    agrees("gated-pixelcnn", |rng, device| config(8).init([1, 9, 8], Alphabet::Levels(2), 2, rng, device));
    agrees("gated-pixelcnn-rgb", |rng, device| config(6).init([3, 6, 5], Alphabet::Levels(4), 4, rng, device));
}

#[test]
fn image_gpt() {
    let config = ImageGptConfig { width: 16, layers: 2, heads: 2, expansion: 2, activation: Activation::Gelu };
    agrees("imagegpt", |rng, device| config.init(42, Alphabet::Levels(5), 5, rng, device));
}

#[test]
fn recurrent() {
    let config = RecurrentNetConfig { width: 10 };
    agrees("recurrent", |rng, device| config.init(20, Alphabet::Symbols(4), 4, rng, device));
}

#[test]
fn residual_made() {
    let config = MadeConfig { width: 20, blocks: 2, block: MadeBlock::Residual, ..MadeConfig::default() };
    agrees("made", |rng, device| config.init(7, Alphabet::Real, 2, rng, device));
}
