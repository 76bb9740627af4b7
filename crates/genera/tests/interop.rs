//! Pipeline folders: the golden one of parity/pipeline.py, our own, and every way in which one can be broken.

use std::fs;
use std::path::{Path, PathBuf};

use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::diffusion::Sampler;
use genera::interop::{
    BetaSchedule, InteropError, PredictionType, SchedulerClass, SchedulerConfig, TimestepSpacing, VarianceType,
    read_pipeline, read_unet, write_pipeline, write_unet,
};
use genera::nn::{Conditioned, UNet};
use genera::traits::Net;
use genera::weights;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../parity/golden").join(name)
}

fn device() -> Device {
    Device::flex()
}

fn npy(name: &str) -> Vec<f32> {
    let bytes = fs::read(golden("pipeline").join(name)).unwrap();
    npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap()
}

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A copy of the golden pipeline to spoil.
fn copy() -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in ["unet", "scheduler"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    for name in ["model_index.json", "scheduler/scheduler_config.json", "unet/config.json", &format!("unet/{WEIGHTS}")]
    {
        fs::copy(golden("pipeline").join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn edit(path: &Path, change: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    let mut object = json_file(path).as_object().unwrap().clone();
    change(&mut object);
    fs::write(path, Value::Object(object).to_string()).unwrap();
}

fn read(folder: &Path) -> Result<String, String> {
    read_pipeline(folder, &device()).map(|pipeline| format!("{pipeline:?}")).map_err(|error| error.to_string())
}

/// The error of reading the golden pipeline with one file edited.
fn refused(file: &str, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
    let folder = copy();
    edit(&folder.path().join(file), change);
    let error = read(folder.path()).unwrap_err();
    assert!(error.contains(file), "{error}");
    assert!(!error.contains('\n'), "{error}");
    error
}

/// The noise that the network sees in images of 64 pixels.
fn predict(unet: &UNet, x: &[f32], t: usize) -> Vec<f32> {
    let batch = x.len() / 64;
    let x = Tensor::from_data(TensorData::new(x.to_vec(), [batch, 64]), &device());
    let time = Tensor::full([batch], t as f32, &device());
    unet.forward(Conditioned { x, time, labels: None }).try_into_vec_as().unwrap()
}

#[test]
fn the_golden_pipeline_draws_what_the_reference_draws() {
    let pipeline = read_pipeline(&golden("pipeline"), &device()).unwrap();
    let scheduler = pipeline.scheduler.unwrap();
    assert_eq!(scheduler, SchedulerConfig::default());
    let alpha_bar = |t: usize| -> f64 {
        let beta = |s: usize| 1e-4 + (0.02 - 1e-4) * s as f64 / 999.0;
        (0..=t).map(|s| 1.0 - beta(s)).product()
    };
    let mut x = npy("noise.npy");
    for step in (0..10).rev() {
        let t = 100 * step;
        let (now, next) = (alpha_bar(t), if step == 0 { 1.0 } else { alpha_bar(t - 100) });
        let eps = predict(&pipeline.unet, &x, t);
        for (x, eps) in x.iter_mut().zip(eps) {
            let clean = (f64::from(*x) - (1.0 - now).sqrt() * f64::from(eps)) / now.sqrt();
            *x = (next.sqrt() * clean.clamp(-1.0, 1.0) + (1.0 - next).sqrt() * f64::from(eps)) as f32;
        }
    }
    let error = x.iter().zip(npy("ddim10.npy")).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("largest difference after ten steps of DDIM {error:.1e}");
    // The first steps divide the rounding of the network by the root of an `alpha_bar` of 1/4000.
    assert!(error < 3e-4, "{error}");
}

#[test]
fn what_is_written_is_what_the_reference_would_have_written() {
    for name in ["plain", "attention", "labels", "fourier", "learned"] {
        let source = golden("unet2d").join(name);
        let unet = read_unet(&source, &device()).unwrap();
        let folder = TempDir::new().unwrap();
        write_unet(folder.path(), &unet).unwrap();
        // Numbers compare as numbers: Python writes 1.0 as 1 where the default was written so.
        let plain = |path: &Path| -> Vec<(String, String)> {
            let Value::Object(object) = json_file(path) else { panic!("no object") };
            let text = |value: Value| value.as_f64().map_or_else(|| value.to_string(), |number| number.to_string());
            object.into_iter().map(|(key, value)| (key, text(value))).collect()
        };
        assert_eq!(plain(&folder.path().join("config.json")), plain(&source.join("config.json")));
        let read = |path: &Path| weights::read(path.join(WEIGHTS)).unwrap();
        assert_eq!(read(folder.path()), read(&source));
    }
}

#[test]
fn what_is_written_reads_back() {
    let pipeline = read_pipeline(&golden("pipeline"), &device()).unwrap();
    let folder = TempDir::new().unwrap();
    let ddim = SchedulerConfig {
        class: SchedulerClass::Ddim,
        beta_schedule: BetaSchedule::SquaredcosCapV2,
        prediction_type: PredictionType::VPrediction,
        set_alpha_to_one: false,
        steps_offset: 1,
        ..SchedulerConfig::default()
    };
    for scheduler in [SchedulerConfig::default(), ddim] {
        let path = folder.path().join("new/folder");
        write_pipeline(&path, &pipeline.unet, &scheduler).unwrap();
        let again = read_pipeline(&path, &device()).unwrap();
        assert_eq!(again.scheduler.as_ref(), Some(&scheduler));
        assert_eq!(again.unet.config(), pipeline.unet.config());
        assert_eq!(weights::collect(&again.unet), weights::collect(&pipeline.unet));
        let index = json_file(&path.join("model_index.json"));
        assert_eq!(index["_class_name"], scheduler.class.name().replace("Scheduler", "Pipeline"));
    }
    let lone = read_pipeline(&golden("pipeline/unet"), &device()).unwrap();
    assert_eq!(lone.scheduler, None);
    assert_eq!(weights::collect(&lone.unet), weights::collect(&pipeline.unet));
}

/// diffusers keeps `steps_offset` whatever the spacing, and reads it for one.
#[test]
fn an_offset_that_is_not_read_is_left_out() {
    for (timestep_spacing, offset) in [(TimestepSpacing::Leading, 1), (TimestepSpacing::Trailing, 0)] {
        let scheduler = SchedulerConfig { timestep_spacing, steps_offset: 1, ..SchedulerConfig::default() };
        let config = scheduler.diffusion(4).unwrap();
        assert_eq!(config.sampler.offset, offset);
        let fewer = Sampler { steps: 10, ..config.sampler };
        assert!(fewer.chain(&config.schedule.levels().unwrap()).is_ok());
    }
}

#[test]
fn missing_files_are_named() {
    assert!(matches!(read_pipeline(Path::new("/nowhere"), &device()), Err(InteropError::NotAPipeline(_))));
    for name in ["scheduler/scheduler_config.json", "unet/config.json", &format!("unet/{WEIGHTS}")] {
        let folder = copy();
        fs::remove_file(folder.path().join(name)).unwrap();
        let error = read(folder.path()).unwrap_err();
        assert!(error.contains(name.split('/').next_back().unwrap()), "{error}");
    }
}

#[test]
fn keys_and_values_are_named() {
    let unet = |key: &str, value: Value| {
        let error = refused("unet/config.json", |object| drop(object.insert(key.into(), value.clone())));
        assert!(error.contains(key), "{error}");
        error
    };
    assert!(unet("time_embeding_dim", json!(3)).contains("unknown key"));
    for (key, value) in [
        ("_class_name", json!("UNet2DConditionModel")),
        ("down_block_types", json!(["DownBlock2D", "KDownBlock2D"])),
        ("mid_block_type", json!("UNetMidBlock2DCrossAttn")),
        ("class_embed_type", json!("identity")),
        ("act_fn", json!("mish")),
        ("act_fn", json!("tanh")),
        ("dropout", json!(0.1)),
        ("in_channels", json!(-1)),
        ("in_channels", json!("three")),
        ("resnet_time_scale_shift", json!("spatial")),
        ("layers_per_block", json!(1_000_000)),
        ("block_out_channels", json!([8, 1_048_576])),
        ("sample_size", json!([1, 2, 3])),
        ("time_embedding_type", Value::Null),
    ] {
        // A width that the weights do not have is found when they are compared: no memory is taken for it before.
        if key == "block_out_channels" {
            let folder = copy();
            edit(&folder.path().join("unet/config.json"), |object| drop(object.insert(key.into(), value)));
            let error = read(folder.path()).unwrap_err();
            assert!(error.contains("has shape"), "{error}");
        } else {
            unet(key, value);
        }
    }

    let scheduler = |key: &str, value: Value| {
        let file = "scheduler/scheduler_config.json";
        let error = refused(file, |object| drop(object.insert(key.into(), value)));
        assert!(error.contains(key), "{error}");
    };
    scheduler("_class_name", json!("PNDMScheduler"));
    scheduler("beta_schedule", json!("laplace"));
    scheduler("beta_start", json!(-0.1));
    scheduler("num_train_timesteps", json!(0));
    scheduler("trained_betas", json!([0.1, 0.2]));
    scheduler("variance_type", json!("learned_range"));
    scheduler("skip_prk_steps", json!(true));
    let error =
        refused("model_index.json", |object| drop(object.insert("vae".into(), json!(["diffusers", "VQModel"]))));
    assert!(error.contains("vae") && error.contains("VQModel"), "{error}");
}

#[test]
fn notes_are_ignored_and_defaults_are_the_references() {
    let folder = copy();
    edit(&folder.path().join("unet/config.json"), |object| drop(object.insert("_name_or_path".into(), json!("x/y"))));
    edit(&folder.path().join("scheduler/scheduler_config.json"), |object| {
        object.retain(|key, _| key == "_class_name");
        object.insert("variance_type".into(), json!("fixed_large"));
    });
    let pipeline = read_pipeline(folder.path(), &device()).unwrap();
    let expected = SchedulerConfig { variance_type: VarianceType::FixedLarge, ..SchedulerConfig::default() };
    assert_eq!(pipeline.scheduler, Some(expected));
}

#[test]
fn shards_and_old_names_are_read() {
    let folder = copy();
    let unet = folder.path().join("unet");
    let all = weights::read(unet.join(WEIGHTS)).unwrap();
    let old_name = |name: &str| {
        let pairs = [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")];
        pairs.iter().fold(name.to_owned(), |name, (new, old)| name.replace(new, old))
    };
    let old: weights::Weights = all.iter().map(|(name, array)| (old_name(name), array.clone())).collect();
    assert_ne!(old.keys().collect::<Vec<_>>(), all.keys().collect::<Vec<_>>());
    let (mut first, mut second) = (old.clone(), old.clone());
    first.retain(|name, _| name < &"h".to_owned());
    second.retain(|name, _| name >= &"h".to_owned());
    fs::remove_file(unet.join(WEIGHTS)).unwrap();
    let index = unet.join("diffusion_pytorch_model.safetensors.index.json");
    let files = ["one.safetensors", "two.safetensors"];
    for (file, part) in files.iter().zip([&first, &second]) {
        assert!(!part.is_empty());
        weights::write(unet.join(file), part, &Default::default()).unwrap();
    }
    let map = |outside: &str| {
        let file = |name: &String| if first.contains_key(name) { files[0] } else { outside };
        json!({ "weight_map": old.keys().map(|name| (name.clone(), json!(file(name)))).collect::<serde_json::Map<_, _>>() })
    };
    fs::write(&index, map(files[1]).to_string()).unwrap();
    let pipeline = read_pipeline(folder.path(), &device()).unwrap();
    assert_eq!(weights::collect(&pipeline.unet), all);

    fs::write(&index, map("../unet/two.safetensors").to_string()).unwrap();
    assert!(read(folder.path()).unwrap_err().contains("beside the index"));
    fs::write(&index, map("three.safetensors").to_string()).unwrap();
    assert!(read(folder.path()).unwrap_err().contains("three.safetensors"));
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let folder = copy();
    let path = folder.path().join("unet").join(WEIGHTS);
    let good = weights::read(&path).unwrap();
    let mut less = good.clone();
    less.remove("conv_out.bias");
    let mut more = good.clone();
    more.insert("stranger".into(), good["conv_out.bias"].clone());
    let mut other = good.clone();
    other.insert("conv_out.bias".into(), good["conv_in.bias"].clone());
    for (weights, name) in [(less, "conv_out.bias"), (more, "stranger"), (other, "conv_out.bias")] {
        weights::write(&path, &weights, &Default::default()).unwrap();
        let error = read(folder.path()).unwrap_err();
        assert!(error.contains(name) && error.contains(WEIGHTS), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Truncated anywhere, or with one byte changed, a file is refused or read, and never brings the program down.
    #[test]
    fn broken_files_are_errors(which in 0..4_usize, place in 0.0..1.0_f64, truncate: bool, byte: u8) {
        let folder = copy();
        let files = ["model_index.json", "scheduler/scheduler_config.json", "unet/config.json", &format!("unet/{WEIGHTS}")];
        let path = folder.path().join(files[which]);
        let mut bytes = fs::read(&path).unwrap();
        // Without its last newline a JSON file is still whole.
        bytes.truncate(bytes.trim_ascii_end().len().max(bytes.len() - 1));
        let place = (place * bytes.len() as f64) as usize;
        match truncate {
            true => bytes.truncate(place),
            false => bytes[place] = byte,
        }
        fs::write(&path, bytes).unwrap();
        let result = read(folder.path());
        if truncate {
            let error = result.unwrap_err();
            prop_assert!(error.contains(files[which]), "{}", error);
        }
    }
}
