use std::collections::BTreeMap;

use burn::tensor::TensorData;

use super::*;
use crate::features::formula::{array, picture};

/// Written by parity/networks.py from PyTorch and torchvision.
fn golden() -> Weights {
    weights::from_bytes(include_bytes!("../../../../../parity/golden/networks.safetensors")).unwrap()
}

fn description(json: &str) -> DescribedConfig {
    serde_json::from_str(json).unwrap()
}

fn lenet() -> DescribedConfig {
    description(include_str!("../../../../../docs/networks/lenet.json"))
}

/// The formula's weights under the names and with the shapes of the state dict, which the golden file lists.
fn state(of: &str, golden: &Weights) -> Weights {
    let names = golden.keys().filter_map(|name| name.strip_prefix(&format!("shape.{of}.")));
    let shape = |name: &str| -> Vec<usize> {
        golden[&format!("shape.{of}.{name}")].values.iter().map(|side| *side as usize).collect()
    };
    names.map(|name| (name.to_owned(), array(name, &shape(name)))).collect()
}

fn input(shape: [usize; 3]) -> Tensor<2> {
    let rows: Vec<f32> = (0..2).flat_map(|seed| picture(shape, seed)).map(|byte| f32::from(byte) / 255.0).collect();
    Tensor::from_data(TensorData::new(rows, [2, shape.iter().product()]), &Device::flex())
}

#[test]
fn networks_of_pytorch_are_followed() {
    let golden = golden();
    let resnet = description(include_str!("../../../../../docs/networks/resnet18.json"));
    for config in [lenet(), resnet] {
        let network = config.with_weights(&state(&config.name, &golden), &Device::flex()).unwrap();
        // The description is of 224x224 pixels for ResNet-18; the golden values are of its own.
        let (features, probabilities) = network.look(input(config.shape));
        for (found, name) in [(features, "features"), (probabilities.unwrap(), "probabilities")] {
            let expected = &golden[&format!("{name}.{}", config.name)];
            assert_eq!(found.dims().to_vec(), expected.shape);
            let found: Vec<f32> = found.try_into_vec_as().unwrap();
            let largest = expected.values.iter().fold(0.0_f32, |largest, v| largest.max(v.abs()));
            let error = found.iter().zip(&expected.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest;
            println!("{} {name}: {error:.1e}", config.name);
            assert!(error < 2e-5, "{} {name}: {error:e}", config.name);
        }
        let again = serde_json::from_str::<DescribedConfig>(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }
}

#[test]
fn descriptions_that_make_no_sense_are_refused_with_their_place() {
    let weights = state("lenet", &golden());
    let refused = |change: &dyn Fn(&mut DescribedConfig)| {
        let mut config = lenet();
        change(&mut config);
        config.with_weights(&weights, &Device::flex()).map(|_| ()).unwrap_err().to_string()
    };
    let cases: BTreeMap<&str, String> = BTreeMap::from([
        ("`mean` and `std` need one number", refused(&|config| config.std.clear())),
        ("each number must be", refused(&|config| config.shape[1] = 0)),
        ("`mean` must be finite and `std` positive", refused(&|config| config.std[0] = 0.0)),
        ("several `features`", refused(&|config| config.layers.push(Layer::Features))),
        (
            "layer 0: `conv1` takes 1 channels, and gets 3",
            refused(&|config| {
                (config.shape, config.mean, config.std) = ([3, 28, 28], vec![0.0; 3], vec![1.0; 3]);
            }),
        ),
        ("does not fit an image", refused(&|config| config.shape = [1, 4, 4])),
        ("`fc1` takes 400 numbers, and gets", refused(&|config| config.shape = [1, 32, 32])),
        ("layer 4: `fc1` needs rows", refused(&|config| drop(config.layers.remove(4)))),
        ("features must be rows", refused(&|config| config.layers.swap(0, 7))),
        (
            "the weights lack `conv9.weight`",
            refused(&|config| {
                let Layer::Conv { name, .. } = &mut config.layers[0] else { panic!() };
                *name = "conv9".to_owned();
            }),
        ),
        (
            "windows do not fit",
            refused(&|config| {
                config.layers[1] = Layer::MaxPool { size: 2, stride: 2, padding: 2 };
            }),
        ),
        ("the weights hold `fc3", refused(&|config| drop(config.layers.pop()))),
        (
            "shortcut",
            refused(&|config| {
                let layers = vec![config.layers[0].clone()];
                config.layers[0] = Layer::Residual { layers, shortcut: Vec::new(), activation: Activation::Relu };
            }),
        ),
    ]);
    cases.iter().for_each(|(part, message)| assert!(message.contains(part), "`{part}` is not in `{message}`"));
    assert!(serde_json::from_str::<Layer>(r#"{ "kind": "conv", "name": "a", "strides": 2 }"#).is_err());
    assert!(serde_json::from_str::<Layer>(r#"{ "kind": "transformer" }"#).is_err());
}
