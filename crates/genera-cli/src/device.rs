//! `--device`: what the user names becomes what the tensor library knows, or an error that says how to get it.

use std::fmt;
use std::str::FromStr;

use genera::burn::tensor::Device;

use crate::failure::{Failure, Outcome};

/// A kind of device and which one of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceName {
    kind: Kind,
    index: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Cpu,
    Cuda,
    Vulkan,
    Metal,
    WebGpu,
}

const KINDS: [(&str, Kind); 5] = [
    ("cpu", Kind::Cpu),
    ("cuda", Kind::Cuda),
    ("vulkan", Kind::Vulkan),
    ("metal", Kind::Metal),
    ("webgpu", Kind::WebGpu),
];

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, index) = text.split_once(':').map_or((text, None), |(name, index)| (name, Some(index)));
        let (_, kind) = KINDS
            .into_iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| format!("`{name}` is none of {}", KINDS.map(|(known, _)| known).join(", ")))?;
        let number = |index: &str| index.parse().map_err(|_| format!("`{index}` is not the number of a device"));
        let index = index.map(number).transpose()?;
        if kind == Kind::Cpu && index.is_some() {
            return Err("there is one cpu; say how many threads with --threads".to_owned());
        }
        Ok(Self { kind, index })
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.kind_name();
        match self.index {
            None => f.write_str(name),
            Some(index) => write!(f, "{name}:{index}"),
        }
    }
}

impl DeviceName {
    fn kind_name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(name, _)| name)
    }

    #[cfg(any(feature = "vulkan", feature = "metal", feature = "webgpu"))]
    fn gpu(self) -> genera::burn::tensor::DeviceKind {
        use genera::burn::tensor::DeviceKind;
        self.index.map_or(DeviceKind::DefaultDevice, DeviceKind::DiscreteGpu)
    }

    /// The device itself.
    pub fn open(self) -> Outcome<Device> {
        match self.kind {
            Kind::Cpu => Ok(Device::flex()),
            #[cfg(feature = "cuda")]
            Kind::Cuda => Ok(Device::cuda(self.index.unwrap_or(0))),
            #[cfg(feature = "vulkan")]
            Kind::Vulkan => Ok(Device::vulkan(self.gpu())),
            #[cfg(feature = "metal")]
            Kind::Metal => Ok(Device::metal(self.gpu())),
            #[cfg(feature = "webgpu")]
            Kind::WebGpu => Ok(Device::webgpu(self.gpu())),
            #[allow(unreachable_patterns, reason = "with every backend compiled in, nothing is left")]
            _ => {
                let kind = self.kind_name();
                Err(Failure::Usage(format!(
                    "--device {self}: this program was built without it; build with `cargo build --release --features {kind}`"
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!("cuda:1".parse::<DeviceName>().unwrap().to_string(), "cuda:1");
        assert_eq!("cpu".parse::<DeviceName>().unwrap().to_string(), "cpu");
        assert!(["gpu", "cuda:x", "cpu:1", ""].iter().all(|text| text.parse::<DeviceName>().is_err()));
    }
}
