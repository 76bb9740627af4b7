//! How a command ends when it does not succeed: one line on stderr and an exit code.

use std::fmt::Display;
use std::path::Path;

/// Why a command did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// Something could not be done: exit code 1. One line: what, where; how to mend it.
    Failed(String),
    /// The command line itself makes no sense: exit code 2.
    Usage(String),
    /// The work was done, but it does not meet what was expected of it: exit code 1. What was printed says why.
    Unmet,
    /// A signal ended the work after everything was saved: exit code 130. What was printed says how to go on.
    Interrupted,
    /// Whoever read our output has gone; nothing is wrong.
    BrokenPipe,
}

/// What every command returns.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure that `message` describes.
    pub fn new(message: impl Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// A file that could not be read, written or created.
    pub fn file(path: &Path) -> impl Fn(std::io::Error) -> Self + '_ {
        move |source| {
            use std::io::ErrorKind::{
                FileTooLarge, NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
            };
            let mend = match source.kind() {
                StorageFull | QuotaExceeded | FileTooLarge => "; make room",
                PermissionDenied | ReadOnlyFilesystem => "; choose a folder that you may write to",
                NotFound => "; check the path",
                _ => "",
            };
            Self::Failed(format!("{}: {source}{mend}", path.display()))
        }
    }

    /// The same failure, said to have happened while doing `what`.
    pub fn during(self, what: impl Display) -> Self {
        match self {
            Self::Failed(message) => Self::Failed(format!("{what}: {message}")),
            other => other,
        }
    }

    /// The exit code of the process.
    pub fn code(&self) -> u8 {
        match self {
            Self::BrokenPipe => 0,
            Self::Failed(_) | Self::Unmet => 1,
            Self::Usage(_) => 2,
            Self::Interrupted => 130,
        }
    }

    /// What to print, if anything is left to say.
    pub fn line(&self) -> Option<String> {
        match self {
            Self::Failed(message) | Self::Usage(message) => Some(format!("error: {}", one_line(message))),
            Self::Unmet | Self::Interrupted | Self::BrokenPipe => None,
        }
    }
}

/// `message` without line breaks: other libraries' messages may have several lines.
pub fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Libraries' errors already say what, where and how to mend it.
macro_rules! failures {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(error)
            }
        })*
    };
}

failures!(
    genera_data::Error,
    genera_metrics::MetricError,
    genera::autoregressive::AutoregressiveError,
    genera::continuous::ContinuousError,
    genera::diffusion::DiffusionError,
    genera::diffusion::DistillationError,
    genera::flow::FlowError,
    genera::gan::GanError,
    genera::features::ClassifierError,
    genera::features::DescribedError,
    genera::interop::InteropError,
    genera::latent::LatentError,
    genera::mcmc::McmcError,
    genera::nn::unet::ConfigError,
    genera::score::ScoreError,
    genera::train::ConfigError,
    genera::vae::VaeError,
    genera::weights::WeightsError,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_with_its_path_and_remedy() {
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let failure = Failure::file(Path::new("runs/a/x.bin"))(source).during("saving step 3");
        let line = failure.line().unwrap();
        assert!(line.starts_with("error: saving step 3: runs/a/x.bin: ") && line.ends_with("; make room"), "{line}");
        assert_eq!(Failure::new("a\n  b\nc").line().unwrap(), "error: a b c");
        assert_eq!(failure.code(), 1);
    }
}
