//! The binary form of CIFAR-10 and CIFAR-100 (Krizhevsky, 2009): records of one label byte (CIFAR-100: a coarse and a
//! fine one) and 3 072 pixel bytes, `[3, 32, 32]`, either loose in a folder or in the `tar.gz` they are published in.

use std::{fs::File, io::Read, path::Path};

use flate2::read::GzDecoder;

use crate::{Dataset, Error, Images, Labels, Result, Split, load::tar};

const PIXELS: usize = 3 * 32 * 32;

/// Which of the two sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cifar {
    /// Ten classes, five training batches.
    Ten,
    /// A hundred fine classes, one training file. The twenty coarse classes are left aside.
    Hundred,
}

impl Cifar {
    /// The name of the set.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ten => "cifar10",
            Self::Hundred => "cifar100",
        }
    }

    /// The archive the set is published in.
    pub fn archive(self) -> &'static str {
        match self {
            Self::Ten => "cifar-10-binary.tar.gz",
            Self::Hundred => "cifar-100-binary.tar.gz",
        }
    }

    /// The folder that the archive unpacks to.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Ten => "cifar-10-batches-bin",
            Self::Hundred => "cifar-100-binary",
        }
    }

    /// The files with the training images, in order, then the one with the test images, then the class names.
    fn files(self) -> [&'static [&'static str]; 3] {
        match self {
            Self::Ten => [
                &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
                &["test_batch.bin"],
                &["batches.meta.txt"],
            ],
            Self::Hundred => [&["train.bin"], &["test.bin"], &["fine_label_names.txt"]],
        }
    }

    fn label_bytes(self) -> usize {
        match self {
            Self::Ten => 1,
            Self::Hundred => 2,
        }
    }

    /// The labels and pixels of whole records.
    ///
    /// # Errors
    /// If the bytes are not whole records, or a label is not below the number of classes.
    pub fn parse(self, bytes: &[u8]) -> Result<(Vec<u16>, Vec<u8>)> {
        let record = self.label_bytes() + PIXELS;
        if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
            let what = format!("{} bytes are not whole records of {record}", bytes.len());
            return Err(Error::format("CIFAR file", what));
        }
        let classes = if self == Self::Ten { 10 } else { 100 };
        let (mut labels, mut pixels) = (Vec::new(), Vec::with_capacity(bytes.len()));
        for (row, record) in bytes.chunks_exact(record).enumerate() {
            let (label, image) = record.split_at(self.label_bytes());
            let label = u16::from(label[label.len() - 1]);
            if label >= classes {
                return Err(Error::format(
                    "CIFAR file",
                    format!("record {row} has label {label} of {classes} classes"),
                ));
            }
            labels.push(label);
            pixels.extend_from_slice(image);
        }
        Ok((labels, pixels))
    }

    /// The set from a folder that holds its files or its archive; `None` if neither is there.
    ///
    /// # Errors
    /// If a file cannot be read, is missing, or is not valid.
    pub fn read(self, folder: &Path) -> Result<Option<Split>> {
        for folder in [folder.to_owned(), folder.join(self.folder())] {
            if folder.join(self.files()[1][0]).is_file() {
                let read = |file: &str| {
                    let path = folder.join(file);
                    std::fs::read(&path).map_err(Error::io(&path))
                };
                return self.assemble(&folder, read).map(Some);
            }
        }
        let path = folder.join(self.archive());
        if !path.is_file() {
            return Ok(None);
        }
        let archive = File::open(&path).map_err(Error::io(&path))?;
        let entries = self.unpack(archive).map_err(|error| error.at(&path))?;
        self.assemble(&path, |wanted| {
            let entry = entries.iter().find(|(name, _)| name == wanted);
            entry.map(|(_, bytes)| bytes.clone()).ok_or_else(|| {
                Error::format("CIFAR archive", format!("there is no {wanted} in it; fetch it again")).at(&path)
            })
        })
        .map(Some)
    }

    /// The wanted files of a `tar.gz`, by name.
    fn unpack(self, archive: impl Read) -> Result<Vec<(String, Vec<u8>)>> {
        let wanted = self.files().concat();
        tar::entries(GzDecoder::new(archive), |path| {
            let name = path.rsplit('/').next().unwrap_or(path);
            wanted.contains(&name).then(|| name.to_owned())
        })
    }

    fn assemble(self, place: &Path, read: impl Fn(&str) -> Result<Vec<u8>>) -> Result<Split> {
        let [train, test, names] = self.files();
        let classes = read(names[0])?;
        let classes: Vec<String> = String::from_utf8_lossy(&classes)
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect();
        let part = |files: &[&str]| {
            let (mut labels, mut pixels) = (Vec::new(), Vec::new());
            for file in files {
                let (more_labels, more_pixels) =
                    self.parse(&read(file)?).map_err(|error| error.at(&place.join(file)))?;
                labels.extend(more_labels);
                pixels.extend(more_pixels);
            }
            let labels = Labels::new(labels, classes.clone())?;
            Images::new(self.name(), [3, 32, 32], 256, pixels, Some(labels)).map(Dataset::Images)
        };
        Ok(Split { train: part(train)?, test: part(test)? })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn record(cifar: Cifar, label: u8, pixel: u8) -> Vec<u8> {
        let mut record = vec![3; cifar.label_bytes() - 1];
        record.push(label);
        record.extend([pixel; PIXELS]);
        record
    }

    /// A `tar.gz` in the ustar layout.
    fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for (name, bytes) in files {
            let mut header = [0; 512];
            header[..name.len()].copy_from_slice(name.as_bytes());
            header[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
            header[156] = b'0';
            header[257..262].copy_from_slice(b"ustar");
            gzip.write_all(&header).unwrap();
            gzip.write_all(bytes).unwrap();
            gzip.write_all(&vec![0; bytes.len().next_multiple_of(512) - bytes.len()]).unwrap();
        }
        gzip.write_all(&[0; 1024]).unwrap();
        gzip.finish().unwrap()
    }

    fn files(cifar: Cifar) -> Vec<(String, Vec<u8>)> {
        let [train, test, names] = cifar.files();
        let mut files: Vec<_> = train
            .iter()
            .chain(test)
            .zip(0..)
            .map(|(name, i)| (format!("{}/{name}", cifar.folder()), record(cifar, i, 10 * i)))
            .collect();
        let classes = (0..100).map(|class| format!("class {class}\n")).collect::<String>();
        files.push((format!("{}/{}", cifar.folder(), names[0]), classes.into_bytes()));
        files
    }

    #[test]
    fn loose_files_and_the_archive_give_the_same() {
        for cifar in [Cifar::Ten, Cifar::Hundred] {
            let folder = tempfile::tempdir().unwrap();
            assert!(cifar.read(folder.path()).unwrap().is_none());
            std::fs::write(folder.path().join(cifar.archive()), archive(&files(cifar))).unwrap();
            let packed = cifar.read(folder.path()).unwrap().unwrap();
            std::fs::create_dir(folder.path().join(cifar.folder())).unwrap();
            for (name, bytes) in files(cifar) {
                std::fs::write(folder.path().join(name), bytes).unwrap();
            }
            std::fs::remove_file(folder.path().join(cifar.archive())).unwrap();
            assert_eq!(cifar.read(folder.path()).unwrap().unwrap(), packed);
            let train = cifar.files()[0].len();
            assert_eq!((packed.train.len(), packed.test.len()), (train, 1));
            assert_eq!(packed.train.event_shape(), [3, 32, 32]);
            assert_eq!(packed.test.labels().unwrap().rows(), [train as u16]);
            assert_eq!(packed.test.labels().unwrap().classes()[3], "class 3");
            std::fs::remove_file(folder.path().join(cifar.folder()).join(cifar.files()[0][0])).unwrap();
            assert!(cifar.read(folder.path()).unwrap_err().to_string().contains(cifar.files()[0][0]));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Cifar::Ten.parse(&[]).is_err());
        assert!(Cifar::Ten.parse(&record(Cifar::Ten, 10, 0)).is_err());
        assert!(Cifar::Ten.parse(&record(Cifar::Ten, 1, 0)[1..]).is_err());
        let whole = archive(&files(Cifar::Ten));
        for end in [0, 1, 20, whole.len() / 2] {
            assert!(Cifar::Ten.unpack(&whole[..end]).is_err(), "cut at {end}");
        }
    }
}
