//! The autoencoders against diffusers' AutoencoderKL and VQModel: the golden files of parity/autoencoder.py.

use std::fs;
use std::path::{Path, PathBuf};

use genera::Rng;
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::interop::{read_autoencoder_kl, read_vq_model};
use genera::nn::autoencoder::{AutoencoderKlConfig, VqModelConfig};
use genera::traits::{Codec, Rows};
use genera::weights::{self, Array, Weights};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../parity/golden/autoencoder").join(name)
}

fn case(name: &str) -> Weights {
    weights::read(folder(name).join("case.safetensors")).unwrap()
}

fn rows(array: &Array) -> Rows {
    let batch = array.shape[0];
    Tensor::from_data(TensorData::new(array.values.clone(), [batch, array.values.len() / batch]), &Device::flex())
}

/// The largest difference, relative to the largest reference value.
fn relative_error(ours: &Rows, reference: &Array) -> f32 {
    let ours: Vec<f32> = ours.to_data().iter::<f32>().collect();
    assert_eq!(ours.len(), reference.values.len());
    let largest = reference.values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    ours.iter().zip(&reference.values).fold(0.0_f32, |error, (a, b)| error.max((a - b).abs())) / largest
}

#[test]
fn gaussian_latents_and_images_are_those_of_diffusers() {
    for name in ["kl", "kl-plain"] {
        let (model, case) = (read_autoencoder_kl(&folder(name), &Device::flex()).unwrap(), case(name));
        let [mean, log_variance] = model.moments(rows(&case["sample"]));
        assert!(relative_error(&mean, &case["mean"]) < 1e-5, "{name}");
        assert!(relative_error(&log_variance, &case["log_variance"]) < 1e-5, "{name}");
        assert!(relative_error(&model.decode(rows(&case["mean"])), &case["decoded"]) < 1e-5, "{name}");
        assert_eq!(model.encode(rows(&case["sample"])).to_data(), mean.to_data());
    }
}

#[test]
fn codes_and_images_are_those_of_diffusers() {
    let (model, case) = (read_vq_model(&folder("vq"), &Device::flex()).unwrap(), case("vq"));
    let latents = model.latents(rows(&case["sample"]));
    assert!(relative_error(&latents, &case["latents"]) < 1e-5);
    let codes = model.encode(rows(&case["sample"]));
    assert_eq!(codes.dims(), [3, 16]);
    let ours: Vec<f32> = codes.to_data().iter::<i64>().map(|code| code as f32).collect();
    assert_eq!(ours, case["codes"].values);
    assert!(relative_error(&model.decode(codes), &case["decoded"]) < 1e-5);
}

#[test]
fn a_folder_of_another_kind_is_named() {
    let device = Device::flex();
    let wrong = read_vq_model(&folder("kl"), &device).unwrap_err().to_string();
    assert!(wrong.contains("AutoencoderKL") && wrong.contains("only VQModel"), "{wrong}");
    assert!(read_autoencoder_kl(Path::new("/nowhere/at/all"), &device).is_err());

    let scratch = tempfile::tempdir().unwrap();
    for file in ["config.json", "diffusion_pytorch_model.safetensors"] {
        fs::copy(folder("kl").join(file), scratch.path().join(file)).unwrap();
    }
    let path = scratch.path().join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    let edits = [
        (r#""layers_per_block": 1"#, r#""layers_per_block": 1000000"#, "layers_per_block"),
        (r#""norm_num_groups": 4"#, r#""norm_num_groups": 5"#, "norm_num_groups"),
        (r#""latent_channels": 2"#, r#""latent_channels": 3"#, "shape"),
        (r#""latent_channels": 2"#, r#""latent_chanels": 2"#, "latent_chanels"),
        (r#""sample_size": 8"#, r#""sample_size": 7"#, "sample_size"),
    ];
    for (from, to, names) in edits {
        assert!(text.contains(from), "{from}");
        fs::write(&path, text.replace(from, to)).unwrap();
        let error = read_autoencoder_kl(scratch.path(), &device).unwrap_err().to_string();
        assert!(error.contains(names) && !error.contains('\n'), "{to}: {error}");
    }
}

#[test]
fn fresh_networks_fit_their_images() {
    let (device, mut rng) = (Device::flex(), Rng::new(1));
    let small = AutoencoderKlConfig { norm_num_groups: 4, sample_size: Some([8, 4]), ..Default::default() };
    let model = small.init(&mut rng, &device).unwrap();
    let x = Tensor::<2>::zeros([2, 3 * 8 * 4], &device);
    assert_eq!(model.decode(model.encode(x.clone())).dims(), [2, 96]);
    let config = VqModelConfig { sample_size: Some([8, 4]), num_vq_embeddings: 1, ..Default::default() };
    let model = config.init(&mut rng, &device).unwrap();
    assert_eq!(model.decode(model.encode(x)).dims(), [2, 96], "a book of one code");
    let refused = VqModelConfig { lookup_from_codebook: true, ..Default::default() };
    assert_eq!(refused.init(&mut rng, &device).unwrap_err().key, "lookup_from_codebook");
}
