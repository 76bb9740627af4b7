//! The sets that have a name, where they are looked for, and the one door to all of them: [`open`].

use std::path::{Path, PathBuf};

use genera_rng::Rng;

use crate::{
    Checksum, Dataset, Error, Line, Progress, Remote, Result, Split, Toy, digits, fetch,
    load::{self, cifar::Cifar, npy::Npz},
};

/// A set that is published for download.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Public {
    /// Handwritten digits, 28x28 (LeCun, Cortes and Burges, 1998).
    Mnist,
    /// Clothes, 28x28 (Xiao, Rasul and Vollgraf, arXiv:1708.07747).
    FashionMnist,
    /// Small photographs of 10 kinds, 3x32x32 (Krizhevsky, 2009).
    Cifar10,
    /// Small photographs of 100 kinds, 3x32x32 (Krizhevsky, 2009).
    Cifar100,
}

/// The IDX files of a set: training images and labels, test images and labels.
const IDX_FILES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

const CLOTHES: [&str; 10] =
    ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

macro_rules! remote {
    ($base:literal, $file:literal, $bytes:literal, $kind:ident $checksum:literal) => {
        Remote { file: $file, url: concat!($base, $file), bytes: $bytes, checksum: Checksum::$kind($checksum) }
    };
}

const MNIST: &[Remote<'static>] = &[
    remote!("https://ossci-datasets.s3.amazonaws.com/mnist/", "train-images-idx3-ubyte.gz", 9_912_422,
        Sha256 "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    remote!("https://ossci-datasets.s3.amazonaws.com/mnist/", "train-labels-idx1-ubyte.gz", 28_881,
        Sha256 "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    remote!("https://ossci-datasets.s3.amazonaws.com/mnist/", "t10k-images-idx3-ubyte.gz", 1_648_877,
        Sha256 "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    remote!("https://ossci-datasets.s3.amazonaws.com/mnist/", "t10k-labels-idx1-ubyte.gz", 4_542,
        Sha256 "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
];

const FASHION: &[Remote<'static>] = &[
    remote!("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/", "train-images-idx3-ubyte.gz", 26_421_880,
        Md5 "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    remote!("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/", "train-labels-idx1-ubyte.gz", 29_515,
        Md5 "25c81989df183df01b3e8a0aad5dffbe"),
    remote!("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/", "t10k-images-idx3-ubyte.gz", 4_422_102,
        Md5 "bef4ecab320f06d8554ea6380940ec79"),
    remote!("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/", "t10k-labels-idx1-ubyte.gz", 5_148,
        Md5 "bb300cfdad3c16e7a12a480ee83cd310"),
];

const CIFAR10: &[Remote<'static>] =
    &[remote!("https://www.cs.toronto.edu/~kriz/", "cifar-10-binary.tar.gz", 170_052_171,
        Md5 "c32a1d4ab5d03f1284b67883e8d87530")];

const CIFAR100: &[Remote<'static>] =
    &[remote!("https://www.cs.toronto.edu/~kriz/", "cifar-100-binary.tar.gz", 168_513_733,
        Md5 "03b5dce01913d631647c71ecec9e9cb8")];

impl Public {
    /// Every published set.
    pub const ALL: [Self; 4] = [Self::Mnist, Self::FashionMnist, Self::Cifar10, Self::Cifar100];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Cifar10 => "cifar10",
            Self::Cifar100 => "cifar100",
        }
    }

    /// The files it is published in.
    pub fn remotes(self) -> &'static [Remote<'static>] {
        match self {
            Self::Mnist => MNIST,
            Self::FashionMnist => FASHION,
            Self::Cifar10 => CIFAR10,
            Self::Cifar100 => CIFAR100,
        }
    }

    /// Downloads what is missing of it into `folder/NAME`, and returns that folder. See [`fetch`]. From a `mirror` come
    /// `MIRROR/NAME/FILE`.
    ///
    /// # Errors
    /// As those of [`fetch`].
    pub fn fetch(self, folder: &Path, mirror: Option<&str>, mut progress: impl FnMut(Progress<'_>)) -> Result<PathBuf> {
        let folder = folder.join(self.name());
        // The sets share names of files.
        let mirror = mirror.map(|mirror| format!("{}/{}", mirror.trim_end_matches('/'), self.name()));
        for remote in self.remotes() {
            let url = remote.url_at(mirror.as_deref());
            fetch(&Remote { url: &url, ..*remote }, &folder, &mut progress)?;
        }
        Ok(folder)
    }

    /// Where it may be, given the data folders: in each, the sub-folder of its name, then the folder itself.
    fn places(self, folders: &[PathBuf]) -> Vec<PathBuf> {
        folders.iter().flat_map(|folder| [folder.join(self.name()), folder.clone()]).collect()
    }

    /// The set, if `folder` holds it.
    fn read(self, folder: &Path) -> Result<Option<Split>> {
        match self {
            Self::Mnist | Self::FashionMnist => self.read_idx(folder),
            Self::Cifar10 => Cifar::Ten.read(folder),
            Self::Cifar100 => Cifar::Hundred.read(folder),
        }
    }

    fn read_idx(self, folder: &Path) -> Result<Option<Split>> {
        // Both sets have the same file names: only the name of the folder tells them apart.
        let says_fashion =
            folder.file_name().is_some_and(|name| name.to_string_lossy().to_lowercase().contains("fashion"));
        if says_fashion != (self == Self::FashionMnist) {
            return Ok(None);
        }
        let find = |file: &str| {
            // Some copies have a dot where the original has a dash.
            let names = [file.to_owned(), file.replacen("-idx", ".idx", 1)];
            names
                .iter()
                .flat_map(|name| [format!("{name}.gz"), name.clone()])
                .map(|name| folder.join(name))
                .find(|path| path.is_file())
        };
        let [Some(train), Some(train_labels), Some(test), Some(test_labels)] = IDX_FILES.map(find) else {
            return Ok(None);
        };
        let part = |images: &Path, labels: &Path| {
            let [image_bytes, label_bytes] = [images, labels].map(|path| std::fs::read(path).map_err(Error::io(path)));
            let set =
                load::idx::images(self.name(), &image_bytes?, Some(&label_bytes?)).map_err(|error| error.at(images))?;
            let set = if self == Self::FashionMnist { set.with_classes(&CLOTHES)? } else { set };
            Ok(Dataset::Images(set))
        };
        Ok(Some(Split { train: part(&train, &train_labels)?, test: part(&test, &test_labels)? }))
    }
}

/// The folders where data are looked for, in order: `explicit`, `$GENERA_DATA`, the platform's data folder (`genera` in
/// it; on Linux `~/.local/share/genera`), and where Debian's packages put data sets.
pub fn data_folders(explicit: Option<&Path>) -> Vec<PathBuf> {
    let from_environment = std::env::var_os("GENERA_DATA").filter(|value| !value.is_empty()).map(PathBuf::from);
    let debian = cfg!(target_os = "linux").then(|| PathBuf::from("/usr/share/datasets"));
    let own = dirs::data_dir().map(|folder| folder.join("genera"));
    explicit.map(Path::to_owned).into_iter().chain(from_environment).chain(own).chain(debian).collect()
}

/// What is asked of [`open`].
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `digits`, a published set, a toy, or the path of a file or folder.
    pub name: &'a str,
    /// Where published sets are looked for.
    pub folders: &'a [PathBuf],
    /// For pictures in a folder or a Parquet file: the shape `[C, H, W]` to bring them to.
    pub shape: Option<[usize; 3]>,
    /// For a toy: how many points, of which the first 80 % are for training.
    pub points: usize,
    /// For a toy: the seed of the points.
    pub seed: u64,
}

/// The set that is asked for, in its two parts. Where a file or folder has no parts of its own, every tenth row is held
/// out: those whose number ends in 9.
///
/// # Errors
/// If there is no such set (the error names every place looked at), or what is there is not valid.
pub fn open(request: &Request<'_>) -> Result<Split> {
    let name = request.name;
    if name == "digits" {
        return Ok(digits());
    }
    if let Ok(toy) = name.parse::<Toy>() {
        return Ok(toy.split(request.points, &mut Rng::new(request.seed).fork("toy")));
    }
    if let Ok(line) = name.parse::<Line>() {
        return Ok(line.split(request.points, &mut Rng::new(request.seed).fork("toy")));
    }
    if let Some(public) = Public::ALL.into_iter().find(|public| public.name() == name) {
        let looked = public.places(request.folders);
        for place in &looked {
            if let Some(split) = public.read(place)? {
                return Ok(split);
            }
        }
        let mend = format!("fetch it with `genera data fetch {name}`, or say where it is with --data DIR");
        return Err(Error::NotFound { name: name.to_owned(), looked, mend });
    }
    let path = Path::new(name);
    if path.exists() {
        return open_path(path, request.shape);
    }
    let toys = Toy::ALL.map(Toy::name).into_iter().chain(Line::ALL.map(Line::name));
    let known: Vec<&str> = std::iter::once("digits").chain(Public::ALL.map(Public::name)).chain(toys).collect();
    let mend = format!("it is no path, and the names are {}", known.join(", "));
    Err(Error::NotFound { name: name.to_owned(), looked: vec![path.to_owned()], mend })
}

fn open_path(path: &Path, shape: Option<[usize; 3]>) -> Result<Split> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    if path.is_dir() {
        for public in Public::ALL {
            if let Some(split) = public.read(path)? {
                return Ok(split);
            }
        }
        let [train, test] = ["train", "test"].map(|part| path.join(part));
        if !train.is_dir() || !test.is_dir() {
            return Ok(every_tenth(Dataset::Images(load::folder::read(&name, path, shape)?)));
        }
        let train = load::folder::read(&name, &train, shape)?;
        let test = load::folder::read(&name, &test, Some(shape.unwrap_or(train.shape())))?;
        let classes = |set: &crate::Images| set.labels().map(|labels| labels.classes().to_vec());
        if classes(&train) != classes(&test) {
            return Err(Error::shape(&name, "the classes in train/ and test/ differ").at(path));
        }
        return Ok(Split { train: Dataset::Images(train), test: Dataset::Images(test) });
    }
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    parse_file(&name, bytes, shape).map_err(|error| error.at(path))
}

/// Reads a file by what it starts with.
fn parse_file(name: &str, bytes: Vec<u8>, shape: Option<[usize; 3]>) -> Result<Split> {
    let set = match bytes[..] {
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => load::npy::parse(&bytes)?.dataset(name, None)?,
        [b'P', b'K', 3 | 5, ..] => match load::npy::parse_npz(name, &bytes)? {
            Npz::Whole(set) => set,
            Npz::Split(split) => return Ok(split),
        },
        #[cfg(feature = "parquet")]
        [b'P', b'A', b'R', b'1', ..] => load::parquet::parse(name, bytes, shape)?,
        [0x1f, 0x8b, ..] | [0, 0, 8, ..] => Dataset::Images(load::idx::images(name, &bytes, None)?),
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, ..] => {
            return Err(Error::format("data set", "one picture is no set; give the folder it is in"));
        }
        _ => load::csv::parse(name, &bytes[..])?,
    };
    let _ = shape;
    Ok(every_tenth(set))
}

fn every_tenth(set: Dataset) -> Split {
    set.split(|row| row % 10 == 9)
}

/// A named set in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: &'static str,
    /// How many rows it has: for training, for testing. `None` for toys, which have as many as asked for.
    pub rows: Option<[usize; 2]>,
    /// The shape of a row.
    pub shape: Vec<usize>,
    /// Who made it, and under what licence it may be used.
    pub source: &'static str,
    /// Where it is looked for; empty for what needs no file.
    pub places: Vec<PathBuf>,
}

/// Every named set, with where it is looked for given the data folders.
pub fn describe(folders: &[PathBuf]) -> Vec<Description> {
    let embedded = Description {
        name: "digits",
        kind: "images, 17 grey levels, 10 classes; embedded",
        rows: Some([1500, 297]),
        shape: vec![1, 8, 8],
        source: "Alpaydin and Kaynak, UCI optical digits, 1998, as in scikit-learn; CC BY 4.0",
        places: Vec::new(),
    };
    let public = Public::ALL.map(|public| {
        let (kind, rows, shape, source) = match public {
            Public::Mnist => (
                "images, 256 grey levels, 10 classes",
                [60_000, 10_000],
                vec![1, 28, 28],
                "LeCun, Cortes and Burges, 1998; CC BY-SA 3.0",
            ),
            Public::FashionMnist => (
                "images, 256 grey levels, 10 classes",
                [60_000, 10_000],
                vec![1, 28, 28],
                "Xiao, Rasul and Vollgraf, arXiv:1708.07747; MIT",
            ),
            Public::Cifar10 => (
                "colour images, 10 classes",
                [50_000, 10_000],
                vec![3, 32, 32],
                "Krizhevsky, 2009; no licence stated, for research",
            ),
            Public::Cifar100 => (
                "colour images, 100 classes",
                [50_000, 10_000],
                vec![3, 32, 32],
                "Krizhevsky, 2009; no licence stated, for research",
            ),
        };
        Description { name: public.name(), kind, rows: Some(rows), shape, source, places: public.places(folders) }
    });
    let toy = |name, dimensions| Description {
        name,
        kind: "points of a density that is known exactly",
        rows: None,
        shape: vec![dimensions],
        source: "computed",
        places: Vec::new(),
    };
    let toys = Toy::ALL.map(|of| toy(of.name(), 2)).into_iter().chain(Line::ALL.map(|of| toy(of.name(), 1)));
    std::iter::once(embedded).chain(public).chain(toys).collect()
}

#[cfg(test)]
mod tests;
