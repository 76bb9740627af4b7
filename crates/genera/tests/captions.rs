//! What reads captions, against PyTorch and diffusers (the golden file of parity/captions.py) and by laws of its own.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData};
use genera::Rng;
use genera::diffusion::{DiffusionConfig, Guidance, Sampler, Schedule, Solver, Target};
use genera::features::{ClipConfig, contrastive_loss};
use genera::nn::unet::{DownBlockType, MidBlockType, UNet, UNetConfig, UpBlockType};
use genera::nn::{CaptionedUNet, CaptionedUNetConfig, Conditioned, TextEncoder, TextEncoderConfig, TextStates};
use genera::train::{Descent, DescentConfig};
use genera::traits::{Batch, Denoise, Learner, Model, Net, Rows, Sample};
use genera::weights::{self, Array, Weights};

fn device() -> Device {
    Device::flex()
}

fn golden() -> Weights {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../parity/golden/captions.safetensors");
    weights::read(file).unwrap()
}

/// The arrays whose names begin with `prefix`, without it.
fn part(case: &Weights, prefix: &str) -> Weights {
    let of = |(name, array): (&String, &Array)| Some((name.strip_prefix(prefix)?.to_owned(), array.clone()));
    case.iter().filter_map(of).collect()
}

fn rows(array: &Array) -> Rows {
    let batch = array.shape[0];
    Tensor::from_data(TensorData::new(array.values.clone(), [batch, array.values.len() / batch]), &device())
}

fn values(x: Rows) -> Vec<f32> {
    x.try_into_vec_as::<f32>().unwrap()
}

/// The largest difference, relative to the largest reference value.
fn apart(ours: &[f32], reference: &[f32]) -> f32 {
    assert_eq!(ours.len(), reference.len());
    let largest = reference.iter().fold(1e-12_f32, |largest, value| largest.max(value.abs()));
    ours.iter().zip(reference).fold(0.0_f32, |error, (a, b)| error.max((a - b).abs())) / largest
}

fn reader() -> TextEncoderConfig {
    TextEncoderConfig { length: 9, width: 12, layers: 2, heads: 3, expansion: 2 }
}

fn unet() -> UNetConfig {
    UNetConfig {
        block_out_channels: vec![8, 16],
        down_block_types: vec![DownBlockType::DownBlock2D, DownBlockType::CrossAttnDownBlock2D],
        mid_block_type: Some(MidBlockType::UNetMidBlock2DCrossAttn),
        up_block_types: vec![UpBlockType::CrossAttnUpBlock2D, UpBlockType::UpBlock2D],
        layers_per_block: 1,
        norm_num_groups: 4,
        attention_head_dim: Some(4),
        cross_attention_dim: Some(12),
        ..UNetConfig::default()
    }
    .on([1, 8, 8], None)
}

fn networks(case: &Weights) -> (TextEncoder, UNet) {
    let mut rng = Rng::new(0);
    let text = reader().init(7, &mut rng, &device()).unwrap();
    let unet = unet().init(&mut rng, &device()).unwrap();
    (weights::apply(text, &part(case, "text.")).unwrap(), weights::apply(unet, &part(case, "unet.")).unwrap())
}

fn tokens(case: &Weights) -> Vec<Vec<u8>> {
    let array = &case["tokens"];
    array.values.chunks(array.shape[1]).map(|row| row.iter().map(|token| *token as u8).collect()).collect()
}

fn slices(texts: &[Vec<u8>]) -> Vec<&[u8]> {
    texts.iter().map(Vec::as_slice).collect()
}

fn input(case: &Weights) -> Conditioned {
    Conditioned { x: rows(&case["sample"]), time: rows(&case["timestep"]).flatten(0, 1), labels: None }
}

/// The gradient of every parameter by its name; empty if there is none.
struct ByName<'a> {
    gradients: &'a Gradients,
    path: Vec<String>,
    found: BTreeMap<String, Vec<f32>>,
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
        self.found.insert(self.path.join("."), gradient.unwrap_or_default());
    }
}

fn by_name(module: &impl Module, gradients: &Gradients) -> BTreeMap<String, Vec<f32>> {
    let mut visitor = ByName { gradients, path: Vec::new(), found: BTreeMap::new() };
    module.visit(&mut visitor);
    visitor.found
}

#[test]
fn states_and_outputs_are_those_of_the_reference() {
    let case = golden();
    let (text, unet) = networks(&case);
    let read = text.forward(&slices(&tokens(&case)));
    // What stands for padding is nobody's business.
    let visible: Vec<bool> = case["tokens"].values.iter().flat_map(|token| [*token != 0.0; 12]).collect();
    let seen = |values: &[f32]| -> Vec<f32> {
        values.iter().zip(&visible).filter(|(_, seen)| **seen).map(|(value, _)| *value).collect()
    };
    let states = read.states.clone().try_into_vec_as::<f32>().unwrap();
    assert!(apart(&seen(&states), &seen(&case["states"].values)) < 1e-5);
    let output = values(unet.forward_told(input(&case), &read));
    assert!(apart(&output, &case["output"].values) < 1e-4);
    assert!(apart(&values(unet.forward(input(&case))), &case["output"].values) > 1e-2, "the text matters");
}

#[test]
fn gradients_are_those_of_the_reference() {
    let case = golden();
    let (text, unet) = networks(&case);
    let (text, unet) = (text.train(), unet.train());
    let read = text.forward(&slices(&tokens(&case)));
    let output = unet.forward_told(input(&case), &read);
    let gradients = (output * rows(&case["probe"])).sum().backward();
    for (prefix, found) in [("text", by_name(&text, &gradients)), ("unet", by_name(&unet, &gradients))] {
        assert_eq!(found.len(), part(&case, &format!("gradient.{prefix}.")).len());
        for (name, ours) in found {
            assert!(!ours.is_empty(), "{prefix}.{name} has no gradient");
            let reference = &case[&format!("gradient.{prefix}.{name}")].values;
            let error = apart(&ours, reference);
            assert!(error < 1e-3, "{prefix}.{name}: relative error {error:e}");
        }
    }
}

#[test]
fn padding_changes_nothing() {
    let case = golden();
    let (text, unet) = networks(&case);
    let long: Vec<Vec<u8>> = tokens(&case).into_iter().take(2).collect();
    let short: Vec<Vec<u8>> = long.iter().map(|row| row[..5].to_vec()).collect();
    let read = |texts: &[Vec<u8>]| text.forward(&slices(texts));
    let first = |read: &TextStates| values(read.states.clone().narrow(0, 0, 1).narrow(1, 0, 5).flatten(0, 1));
    assert!(apart(&first(&read(&short)), &first(&read(&long))) < 2e-6);
    let Conditioned { x, time, .. } = input(&case);
    let output = |read: &TextStates| {
        let input = Conditioned { x: x.clone().narrow(0, 0, 2), time: time.clone().narrow(0, 0, 2), labels: None };
        values(unet.forward_told(input, read))
    };
    assert!(apart(&output(&read(&short)), &output(&read(&long))) < 5e-6);
    let ends = values(text.ends(&slices(&long)));
    let states = values(read(&long).states.narrow(0, 0, 1).narrow(1, 4, 1).flatten(0, 1));
    assert_eq!(ends[..12], states[..], "the state at the end is that of the fifth symbol");
}

fn captioned(texts: Vec<Vec<u8>>) -> CaptionedUNet {
    let config = CaptionedUNetConfig { text: reader(), unet: unet() };
    config.init(7, &mut Rng::new(1), &device()).unwrap().reading(texts)
}

fn known() -> Vec<Vec<u8>> {
    vec![vec![3, 5, 2, 1, 0, 0, 0, 0, 0], vec![4, 1, 0, 0, 0, 0, 0, 0, 0], vec![2, 6, 2, 6, 1, 0, 0, 0, 0]]
}

fn told(labels: Option<&[i32]>, rows: usize) -> Conditioned {
    let x = Tensor::from_data(TensorData::new(Rng::new(3).normal(rows, 64), [rows, 64]), &device());
    let labels = labels.map(|labels| Tensor::<1, Int>::from_data(TensorData::from(labels), &device()));
    Conditioned { x, time: Tensor::from_data(TensorData::new(vec![40.0_f32; rows], [rows]), &device()), labels }
}

#[test]
fn a_label_is_a_text_and_one_without_a_text_says_nothing() {
    let net = captioned(known());
    let of = |labels: Option<&[i32]>| values(net.forward(told(labels, 3)));
    assert_eq!(of(Some(&[3, 7, 99])), of(None));
    assert_ne!(of(Some(&[0, 1, 2])), of(None));
    assert_ne!(of(Some(&[0, 1, 2])), of(Some(&[0, 2, 2])));
    let turned: Vec<Vec<u8>> = known().into_iter().rev().collect();
    assert_eq!(values(net.clone().reading(turned).forward(told(Some(&[2, 1, 0]), 3))), of(Some(&[0, 1, 2])));
    // Without a block that attends to the text there is nothing to read for.
    let blind = UNetConfig { mid_block_type: None, ..unet() };
    let blind = UNetConfig { down_block_types: vec![DownBlockType::DownBlock2D; 2], ..blind };
    let blind = UNetConfig { up_block_types: vec![UpBlockType::UpBlock2D; 2], ..blind };
    let refused = CaptionedUNetConfig { text: reader(), unet: blind }.init(7, &mut Rng::new(1), &device());
    assert!(refused.unwrap_err().to_string().contains("CrossAttnDownBlock2D"));
    let heads = TextEncoderConfig { heads: 5, ..reader() };
    assert!(heads.init(7, &mut Rng::new(1), &device()).unwrap_err().to_string().contains("heads"));
}

#[test]
fn every_parameter_learns() {
    let net = captioned(known()).train();
    let output = net.forward(told(Some(&[0, 1, 2]), 3));
    let gradients = (output.clone() * output).sum().backward();
    for (name, gradient) in by_name(&net, &gradients) {
        assert!(gradient.iter().any(|g| *g != 0.0), "{name} learns nothing");
    }
}

fn diffusion() -> genera::diffusion::Diffusion<CaptionedUNet> {
    let sampler = Sampler { solver: Solver::Ddim, steps: 3, guidance: Some(Guidance::of(2.0)), ..Sampler::default() };
    let config = DiffusionConfig {
        target: Target::V,
        classes: Some(3),
        label_dropout: 0.2,
        sampler,
        ..DiffusionConfig::new(64, Schedule::cosine(10))
    };
    config.init(captioned(known())).unwrap()
}

#[test]
fn a_row_does_not_depend_on_its_company() {
    let model = diffusion();
    let (labels, levels) = (vec![0, 1, 2, 1, 0], model.levels().chain());
    let x = told(None, 5).x;
    let all = values(model.given(labels.clone()).denoise(x.clone(), &[levels[2]; 5]));
    let one = values(model.given(vec![labels[3]]).denoise(x.narrow(0, 3, 1), &levels[2..3]));
    assert_eq!(all[3 * 64..4 * 64], one[..]);
    let many = values(model.given(labels.clone()).sample(5, &mut Rng::new(9)));
    let few = values(model.given(labels).sample(2, &mut Rng::new(9)));
    assert_eq!(many[..2 * 64], few[..]);
}

#[test]
fn a_training_goes_on_to_the_last_bit() {
    let config: DescentConfig = serde_json::from_str(
        r#"{"optimizer": {"kind": "adam", "learning_rate": 0.001}, "clip_norm": 1.0, "ema": {"decay": 0.9}}"#,
    )
    .unwrap();
    let fresh = || Descent::new(diffusion(), config, 6).unwrap();
    let go = |learner: &mut dyn Learner, steps: std::ops::Range<u64>| {
        for step in steps {
            let mut rng = Rng::new(5).at(step);
            let x = Tensor::from_data(TensorData::new(rng.normal(4, 64), [4, 64]), &device());
            learner.step(vec![Batch { x, labels: Some(vec![0, 2, 1, 0]) }], &mut rng).unwrap();
        }
    };
    let saved = |learner: &dyn Learner| -> Vec<(String, Weights)> {
        learner.save().into_iter().map(|(name, weights)| (name.to_owned(), weights)).collect()
    };
    let mut whole = fresh();
    go(&mut whole, 0..6);
    let (mut first, mut second) = (fresh(), fresh());
    go(&mut first, 0..3);
    second.load(&saved(&first)).unwrap();
    go(&mut second, 3..6);
    assert_eq!(saved(&whole), saved(&second));
}

#[test]
fn the_contrastive_loss_is_that_of_the_reference() {
    let case = golden();
    let [pictures, captions] =
        ["pictures", "captions"].map(|name| Tensor::from_inner(rows(&case[name])).require_grad());
    let scale = Tensor::from_inner(rows(&case["logit_scale"]).flatten::<1>(0, 1)).require_grad();
    let loss = contrastive_loss(pictures.clone(), captions.clone(), scale.clone());
    let gradients = loss.backward();
    assert!((loss.into_scalar::<f32>() - case["loss"].values[0]).abs() < 1e-5);
    for (name, x) in [("pictures", pictures), ("captions", captions)] {
        let ours = values(x.grad(&gradients).unwrap());
        assert!(apart(&ours, &case[&format!("gradient.{name}")].values) < 1e-5, "{name}");
    }
    let ours = scale.grad(&gradients).unwrap().try_into_vec_as::<f32>().unwrap();
    assert!(apart(&ours, &case["gradient.logit_scale"].values) < 1e-5);
}

#[test]
fn the_contrastive_loss_of_orthogonal_pairs_has_a_closed_form() {
    for (n, t) in [(2, 0.0_f32), (5, 1.5), (9, 3.0), (4, 9.0)] {
        let unit = Tensor::<2>::eye(n, &device());
        let t = Tensor::from_data([t], &device());
        let s = f64::from(t.clone().into_scalar::<f32>()).exp().min(100.0);
        let loss = f64::from(contrastive_loss(unit.clone(), unit, t).into_scalar::<f32>());
        let exact = (1.0 + (n as f64 - 1.0) * (-s).exp()).ln();
        assert!((loss - exact).abs() < 1e-6, "{n} pairs at {s}: {loss} is not {exact}");
    }
}

#[test]
fn pictures_learn_to_find_their_texts() {
    let config = ClipConfig { channels: vec![8], width: 16, text: reader(), dimensions: 8 };
    let clip = config.init([1, 4, 4], 7, &mut Rng::new(2), &device()).unwrap().reading(known());
    // A picture is bright in its own third.
    let batch = |rng: &mut Rng| {
        let labels = rng.permutation(3);
        let noise = rng.normal(3, 16);
        let pixel = |row: usize, at: usize| f32::from(u8::from(at / 6 == labels[row])) + 0.1 * noise[row * 16 + at];
        let x: Vec<f32> =
            (0..3).flat_map(|row| (0..16).map(move |at| (row, at))).map(|(row, at)| pixel(row, at)).collect();
        Batch { x: Tensor::from_data(TensorData::new(x, [3, 16]), &device()), labels: Some(labels) }
    };
    let trained = clip.clone().train();
    let lit = |batch: Batch| Batch { x: Tensor::from_inner(batch.x), ..batch };
    let gradients = trained.loss(lit(batch(&mut Rng::new(1))), &mut Rng::new(0)).value.backward();
    for (name, gradient) in by_name(&trained, &gradients) {
        assert!(gradient.iter().any(|g| *g != 0.0), "{name} learns nothing");
    }
    let config: DescentConfig =
        serde_json::from_str(r#"{"optimizer": {"kind": "adam", "learning_rate": 0.01}, "clip_norm": 1.0}"#).unwrap();
    let mut learner = Descent::new(clip, config, 60).unwrap();
    let mut last = 0.0;
    for step in 0..60 {
        let mut rng = Rng::new(4).at(step);
        let scalars = learner.step(vec![batch(&mut rng.fork("data"))], &mut rng).unwrap();
        last = scalars.iter().find(|(name, _)| *name == "accuracy").unwrap().1;
    }
    assert_eq!(last, 1.0);
    let clip = learner.model();
    let x = batch(&mut Rng::new(8)).x;
    let all = values(clip.pictures(x.clone()));
    assert_eq!(all[8..16], values(clip.pictures(x.narrow(0, 1, 1)))[..], "a picture does not depend on its company");
    let texts = known();
    let all = values(clip.texts(&slices(&texts)));
    assert_eq!(all[8..16], values(clip.texts(&slices(&texts[1..2])))[..]);
    assert!(all.chunks(8).all(|row| (row.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5));
}
