//! The U-Net against diffusers' UNet2DModel: the golden files of parity/unet2d.py.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use genera::Rng;
use genera::burn::module::{Module, ModuleVisitor, Param};
use genera::burn::tensor::{Device, Gradients, Int, Tensor, TensorData};
use genera::interop::read_unet;
use genera::nn::Conditioned;
use genera::nn::unet::{UNet, UNetConfig};
use genera::traits::Net;
use genera::weights::{self, Array, Weights};
use serde_json::{Value, json};

const NAMES: [&str; 5] = ["plain", "attention", "labels", "fourier", "learned"];

fn device() -> Device {
    Device::flex()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../parity/golden/unet2d").join(name)
}

fn golden(name: &str) -> (UNet, Weights) {
    let unet = read_unet(&folder(name), &device()).unwrap();
    (unet, weights::read(folder(name).join("case.safetensors")).unwrap())
}

fn rows(array: &Array) -> Tensor<2> {
    let batch = array.shape[0];
    Tensor::from_data(TensorData::new(array.values.clone(), [batch, array.values.len() / batch]), &device())
}

fn input(case: &Weights) -> Conditioned {
    let labels = case.get("labels").map(|labels| {
        let labels: Vec<i32> = labels.values.iter().map(|label| *label as i32).collect();
        let batch = labels.len();
        Tensor::<1, Int>::from_data(TensorData::new(labels, [batch]), &device())
    });
    Conditioned { x: rows(&case["sample"]), time: rows(&case["timestep"]).flatten(0, 1), labels }
}

/// The largest difference, relative to the largest reference value.
fn relative_error(ours: &[f32], reference: &[f32]) -> f32 {
    assert_eq!(ours.len(), reference.len());
    let largest = reference.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    ours.iter().zip(reference).fold(0.0_f32, |error, (a, b)| error.max((a - b).abs())) / largest
}

/// Name, whether it learns, and gradient (empty if there is none) of every parameter.
struct ByName<'a> {
    gradients: &'a Gradients,
    path: Vec<String>,
    found: Vec<(String, bool, Vec<f32>)>,
}

impl ModuleVisitor for ByName<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        if !container.starts_with("Enum:") {
            self.path.push(name.to_owned());
        }
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        if !container.starts_with("Enum:") {
            self.path.pop();
        }
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad(self.gradients).map(|g| g.try_into_vec_as::<f32>().unwrap());
        self.found.push((self.path.join("."), param.val().is_require_grad(), gradient.unwrap_or_default()));
    }
}

/// The shape of every parameter by name, and whether all of them are still to be drawn.
struct Shapes {
    path: Vec<String>,
    shapes: BTreeMap<String, Vec<usize>>,
    lazy: bool,
}

impl Default for Shapes {
    fn default() -> Self {
        Self { path: Vec::new(), shapes: BTreeMap::new(), lazy: true }
    }
}

impl ModuleVisitor for Shapes {
    fn enter_module(&mut self, name: &str, container: &str) {
        if !container.starts_with("Enum:") {
            self.path.push(name.to_owned());
        }
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        if !container.starts_with("Enum:") {
            self.path.pop();
        }
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.shapes.insert(self.path.join("."), param.lazy_shape().to_vec());
        self.lazy &= !param.is_initialized();
    }
}

fn gradients(unet: UNet, case: &Weights, probe: Tensor<2>) -> Vec<(String, bool, Vec<f32>)> {
    let unet = unet.train();
    let gradients = (unet.forward(input(case)) * probe).sum().backward();
    let mut visitor = ByName { gradients: &gradients, path: Vec::new(), found: Vec::new() };
    unet.visit(&mut visitor);
    visitor.found
}

#[test]
fn outputs_are_those_of_the_reference() {
    for name in NAMES {
        let (unet, case) = golden(name);
        let output = unet.forward(input(&case)).try_into_vec_as::<f32>().unwrap();
        let reference = &case["output"].values;
        let width = reference.len() / case["sample"].shape[0];
        // Row by row: those of a Fourier network differ by orders of magnitude.
        for (row, (ours, reference)) in output.chunks(width).zip(reference.chunks(width)).enumerate() {
            let error = relative_error(ours, reference);
            println!("{name} row {row}: relative error {error:.1e}");
            assert!(error < 1e-4, "{name} row {row}: relative error {error:e}");
        }
    }
}

#[test]
fn gradients_are_those_of_the_reference() {
    let (unet, case) = golden("attention");
    let found = gradients(unet, &case, rows(&case["probe"]));
    assert_eq!(found.len(), case.keys().filter(|name| name.starts_with("gradient.")).count());
    let mut worst = 0.0_f32;
    for (name, _, ours) in found {
        let reference = &case[&format!("gradient.{name}")].values;
        // A key's bias moves all scores of a query alike, which softmax does not see: its gradient is rounding.
        if name.ends_with("to_k.bias") {
            assert!(ours.iter().chain(reference).all(|g| g.abs() < 1e-4));
            continue;
        }
        let error = relative_error(&ours, reference);
        assert!(error < 1e-3, "{name}: relative error {error:e}");
        worst = worst.max(error);
    }
    println!("largest relative error of a gradient {worst:.1e}");
}

#[test]
fn every_parameter_gets_its_gradient() {
    for name in NAMES {
        let (unet, case) = golden(name);
        let mut found = gradients(unet, &case, rows(&case["probe"]));
        found.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        // Fourier frequencies stay as they were drawn.
        let frozen: Vec<_> = found.extract_if(.., |(_, learns, _)| !*learns).collect();
        let expected = if name == "fourier" { vec!["time_proj.weight"] } else { vec![] };
        assert_eq!(frozen.iter().map(|(parameter, ..)| parameter.as_str()).collect::<Vec<_>>(), expected);
        assert!(frozen.iter().all(|(.., gradient)| gradient.is_empty()));

        let norms = &case["gradient_norms"].values;
        assert_eq!(found.len(), norms.len());
        let largest = norms.iter().fold(0.0_f32, |largest, norm| largest.max(*norm));
        for ((parameter, _, gradient), norm) in found.into_iter().zip(norms) {
            let ours = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt() as f32;
            assert!(!gradient.is_empty(), "{name}: {parameter} has no gradient");
            // What is a millionth of the rest is rounding: see the biases of keys above.
            let error = (ours - norm).abs();
            assert!(error < 1e-3 * norm || *norm < 1e-6 * largest, "{name}: {parameter}: {ours} is not {norm}");
        }
    }
}

#[test]
fn full_size_networks_have_the_weights_of_the_reference() {
    for name in ["default", "cifar"] {
        let read = |file: &str| serde_json::from_slice(&fs::read(folder(name).join(file)).unwrap()).unwrap();
        let Value::Object(mut config) = read("config.json") else { panic!("no object") };
        config.retain(|key, _| !key.starts_with('_'));
        let config: UNetConfig = serde_json::from_value(Value::Object(config)).unwrap();
        if name == "default" {
            assert_eq!(config, UNetConfig { sample_size: Some([64; 2]), ..UNetConfig::default() });
        }
        let mut visitor = Shapes::default();
        config.init(&mut Rng::new(0), &device()).unwrap().visit(&mut visitor);
        assert_eq!(json!(visitor.shapes), read("shapes.json"));
        assert!(visitor.lazy, "weights were drawn before they were read");
    }
}

#[test]
fn a_recipe_holds_the_keys_of_the_reference() {
    #[derive(serde::Deserialize, Debug, PartialEq)]
    #[serde(tag = "kind", rename_all = "kebab-case")]
    enum Recipe {
        Unet(UNetConfig),
    }
    let keys = json!({ "kind": "unet", "block_out_channels": [8, 16], "norm_num_groups": 4, "sample_size": [4, 8] });
    let Recipe::Unet(config) = serde_json::from_value(keys.clone()).unwrap();
    assert_eq!((config.block_out_channels.as_slice(), config.sample_size), (&[8, 16][..], Some([4, 8])));
    assert_eq!(
        UNetConfig { block_out_channels: vec![], ..config.clone() },
        UNetConfig {
            block_out_channels: vec![],
            norm_num_groups: 4,
            sample_size: Some([4, 8]),
            ..UNetConfig::default()
        }
    );
    let on = config.on([1, 8, 6], Some(10));
    assert_eq!((on.in_channels, on.out_channels, on.sample_size, on.num_class_embeds), (1, 1, Some([8, 6]), Some(10)));
    let mut unknown = keys;
    unknown["block_out_chanels"] = json!([8]);
    let error = serde_json::from_value::<Recipe>(unknown).unwrap_err().to_string();
    assert!(error.contains("block_out_chanels"), "{error}");
}

#[test]
fn fresh_weights_are_reproducible_and_named_like_the_reference() {
    for name in NAMES {
        let (reference, _) = golden(name);
        let fresh = |seed| weights::collect(&reference.config().init(&mut Rng::new(seed), &device()).unwrap());
        assert_eq!(fresh(1), fresh(1));
        assert_ne!(fresh(1), fresh(2));
        let shapes = |weights: Weights| weights.into_iter().map(|(k, v)| (k, v.shape)).collect::<Vec<_>>();
        assert_eq!(shapes(fresh(1)), shapes(weights::collect(&reference)));
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let good = || {
        let (unet, _) = golden("attention");
        unet.config().clone()
    };
    let refused: [(&str, UNetConfig); 12] = [
        ("dropout", UNetConfig { dropout: 0.1, ..good() }),
        ("norm_num_groups", UNetConfig { norm_num_groups: 5, ..good() }),
        ("norm_num_groups", UNetConfig { norm_num_groups: 0, ..good() }),
        ("down_block_types", UNetConfig { block_out_channels: vec![8], ..good() }),
        ("block_out_channels", UNetConfig { block_out_channels: vec![8, usize::MAX], ..good() }),
        (
            "block_out_channels",
            UNetConfig { block_out_channels: vec![], down_block_types: vec![], up_block_types: vec![], ..good() },
        ),
        ("sample_size", UNetConfig { sample_size: None, ..good() }),
        ("sample_size", UNetConfig { sample_size: Some([8, 3]), ..good() }),
        ("attention_head_dim", UNetConfig { attention_head_dim: Some(13), ..good() }),
        ("freq_shift", UNetConfig { freq_shift: 4, ..good() }),
        ("downsample_padding", UNetConfig { downsample_padding: 2, ..good() }),
        ("norm_eps", UNetConfig { norm_eps: f64::NAN, ..good() }),
    ];
    for (key, config) in refused {
        let error = config.init(&mut Rng::new(0), &device()).unwrap_err();
        assert_eq!(error.key, key, "{error}");
    }
    assert!(good().init(&mut Rng::new(0), &device()).is_ok());
}
