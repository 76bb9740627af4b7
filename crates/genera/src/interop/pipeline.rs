//! Folders: a pipeline, or a network alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use genera_rng::Rng;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::scheduler::SchedulerConfig;
use super::{InteropError, config};
use crate::nn::unet::{ConfigError, TimeEmbeddingType, UNet, UNetConfig};
use crate::weights::{self, Weights};

const INDEX: &str = "model_index.json";
const CONFIG: &str = "config.json";
const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";
const SHARDS: &str = "diffusion_pytorch_model.safetensors.index.json";
const SCHEDULER: &str = "scheduler_config.json";
const UNET_CLASS: &str = "UNet2DModel";

/// A network and the noise that it was trained against.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// The network.
    pub unet: UNet,
    /// The schedule; absent where the folder held a network alone.
    pub scheduler: Option<SchedulerConfig>,
}

/// Reads the folder of a pipeline made of a `UNet2DModel` and a DDPM or DDIM scheduler, or that of a `UNet2DModel`
/// alone.
///
/// # Errors
/// A file that is missing, truncated or of another kind, a key or value that is not supported, weights that do not
/// fit the configuration.
pub fn read_pipeline(folder: &Path, device: &Device) -> Result<Pipeline, InteropError> {
    let path = folder.join(INDEX);
    if !path.exists() {
        return match folder.join(CONFIG).exists() {
            true => Ok(Pipeline { unet: read_unet(folder, device)?, scheduler: None }),
            false => Err(InteropError::NotAPipeline(folder.into())),
        };
    }
    for (name, component) in config::read_object(&path)? {
        if !name.starts_with('_') && name != "unet" && name != "scheduler" {
            let problem = "only pipelines of a UNet2DModel and a scheduler are supported";
            return Err(InteropError::value(&path, name, component, problem));
        }
    }
    let scheduler_path = folder.join("scheduler").join(SCHEDULER);
    let scheduler = SchedulerConfig::read(&scheduler_path)?;
    let unet = read_unet(&folder.join("unet"), device)?;
    check_fit(unet.config(), &scheduler, &scheduler_path)?;
    Ok(Pipeline { unet, scheduler: Some(scheduler) })
}

/// Reads the folder of a `UNet2DModel`.
///
/// # Errors
/// As [`read_pipeline`].
pub fn read_unet(folder: &Path, device: &Device) -> Result<UNet, InteropError> {
    let blocks = |config: &UNetConfig| config.layers_per_block.saturating_mul(config.block_out_channels.len());
    // Fresh weights are never drawn: all of them are replaced before they are read.
    read_network(folder, UNET_CLASS, blocks, |config| config.init(&mut Rng::new(0), device))
}

/// Writes a folder that diffusers loads as a `DDPMPipeline` or `DDIMPipeline`; it is made if it does not exist.
///
/// # Errors
/// A file that cannot be written.
pub fn write_pipeline(folder: &Path, unet: &UNet, scheduler: &SchedulerConfig) -> Result<(), InteropError> {
    write_unet(&folder.join("unet"), unet)?;
    let scheduler_folder = folder.join("scheduler");
    create(&scheduler_folder)?;
    scheduler.write(&scheduler_folder.join(SCHEDULER))?;
    let class = scheduler.class.name();
    let components = json!({ "scheduler": ["diffusers", class], "unet": ["diffusers", UNET_CLASS] });
    config::write_object(&folder.join(INDEX), config::object(&class.replace("Scheduler", "Pipeline"), &components))
}

/// Writes a folder that diffusers loads as a `UNet2DModel`; it is made if it does not exist.
///
/// # Errors
/// A file that cannot be written.
pub fn write_unet(folder: &Path, unet: &UNet) -> Result<(), InteropError> {
    create(folder)?;
    config::write_object(&folder.join(CONFIG), config::object(UNET_CLASS, unet.config()))?;
    let path = folder.join(WEIGHTS);
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    weights::write(&path, &weights::collect(unet), &metadata).map_err(InteropError::weights(&path))
}

/// Reads the folder of a network of `class`, which `init` makes of its configuration. `blocks` says how many blocks are
/// made one by one before their shapes are compared: no more of them than there are weights.
pub(super) fn read_network<C: DeserializeOwned, M: Module>(
    folder: &Path,
    class: &str,
    blocks: impl FnOnce(&C) -> usize,
    init: impl FnOnce(&C) -> Result<M, ConfigError>,
) -> Result<M, InteropError> {
    let path = folder.join(CONFIG);
    let object = config::read_object(&path)?;
    if let Some(other) = config::class_name(&path, &object)?.filter(|found| *found != class) {
        return Err(InteropError::value(&path, "_class_name", other, format!("only {class} is supported")));
    }
    let config: C = config::parse(&path, object)?;
    let (weights, weights_path) = read_weights(folder)?;
    let blocks = blocks(&config);
    if blocks > weights.len() {
        let problem = format!("needs more than the {} arrays that the weights hold", weights.len());
        return Err(InteropError::value(&path, "layers_per_block", blocks, problem));
    }
    let network = init(&config).map_err(InteropError::config(&path))?;
    weights::apply(network, &weights).map_err(InteropError::weights(&weights_path))
}

fn create(folder: &Path) -> Result<(), InteropError> {
    fs::create_dir_all(folder).map_err(InteropError::file(folder))
}

/// Whether the network can be asked what the schedule will ask it.
fn check_fit(unet: &UNetConfig, scheduler: &SchedulerConfig, path: &Path) -> Result<(), InteropError> {
    let needed = if scheduler.learns_variance() { 2 * unet.in_channels } else { unet.in_channels };
    if unet.out_channels != needed {
        let problem = format!("needs a network with out_channels = {needed}, not {}", unet.out_channels);
        return Err(InteropError::value(path, "variance_type", format!("{:?}", scheduler.variance_type), problem));
    }
    let steps = scheduler.num_train_timesteps;
    let learned = unet.time_embedding_type == TimeEmbeddingType::Learned;
    if let Some(times) = unet.num_train_timesteps.filter(|times| learned && *times < steps) {
        let problem = format!("the network has learnt {times} times alone");
        return Err(InteropError::value(path, "num_train_timesteps", steps, problem));
    }
    Ok(())
}

/// The weights under their names of today, and the file that speaks for them.
fn read_weights(folder: &Path) -> Result<(Weights, PathBuf), InteropError> {
    let (single, index) = (folder.join(WEIGHTS), folder.join(SHARDS));
    let (weights, path) = match (single.exists(), index.exists()) {
        (true, _) => (weights::read(&single).map_err(InteropError::weights(&single))?, single),
        (false, true) => (read_shards(folder, &index)?, index),
        (false, false) => return Err(InteropError::NoWeights(folder.into())),
    };
    Ok((weights.into_iter().map(|(name, array)| (current_name(name), array)).collect(), path))
}

fn read_shards(folder: &Path, index: &Path) -> Result<Weights, InteropError> {
    let object = config::read_object(index)?;
    let Some(Value::Object(map)) = object.get("weight_map") else {
        let value = object.get("weight_map").unwrap_or(&Value::Null);
        return Err(InteropError::value(index, "weight_map", value, "use an object of file names"));
    };
    let mut weights = Weights::new();
    for file in shard_names(index, map)? {
        let path = folder.join(file);
        weights.extend(weights::read(&path).map_err(InteropError::weights(&path))?);
    }
    Ok(weights)
}

/// The files that an index names; each lies in the index's own folder.
fn shard_names<'a>(index: &Path, map: &'a Map<String, Value>) -> Result<BTreeSet<&'a str>, InteropError> {
    let plain = |file: &str| Path::new(file).file_name().is_some_and(|name| name == file);
    map.iter()
        .map(|(name, file)| {
            let problem = "use the name of a file beside the index";
            file.as_str().filter(|file| plain(file)).ok_or_else(|| InteropError::value(index, name, file, problem))
        })
        .collect()
}

/// Attention was once saved under other names.
fn current_name(name: String) -> String {
    if !name.contains(".attentions.") {
        return name;
    }
    let names = [(".query.", ".to_q."), (".key.", ".to_k."), (".value.", ".to_v."), (".proj_attn.", ".to_out.0.")];
    names.into_iter().fold(name, |name, (old, new)| name.replace(old, new))
}
