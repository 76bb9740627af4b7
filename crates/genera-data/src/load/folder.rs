//! Pictures: PNG and JPEG files, alone or in a folder with a sub-folder for each class.
//!
//! The rules. Files are taken in the order of their names, classes in that of the sub-folders'; other files and hidden ones
//! are passed over. Depth is brought to 8 bits; alpha is laid over white. Without a wanted shape the first picture gives it
//! (grey if it is grey, otherwise colour) and every other must have its size. With one, a picture is cut to the wanted
//! aspect around its centre, scaled by a triangle filter (which averages over areas when it makes smaller), and turned to
//! grey (0.2126 R + 0.7152 G + 0.0722 B) or colour.

use std::{
    io::Cursor,
    path::{Path, PathBuf},
};

use image::{DynamicImage, ImageDecoder, ImageReader, Limits, imageops::FilterType};

use crate::{Error, Images, Labels, Result, load::npy::channels_first};

/// A picture needs at most this many bytes in memory for each of its file's bytes, plus [`SMALL`]: DEFLATE's limit for PNG,
/// widened to 16 bits; a JPEG that says more is an attack.
const EXPANSION: u64 = 2 * 1032;
const SMALL: u64 = 1 << 16;

/// One picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// `[C, H, W]`, with 1 or 3 channels.
    pub shape: [usize; 3],
    /// The pixels, `[C, H, W]`.
    pub bytes: Vec<u8>,
}

/// Decodes a PNG or JPEG file, and brings it to `shape` if there is one, by the rules above.
///
/// # Errors
/// If it is neither, is damaged, says it is larger than its bytes can hold, or `shape` is not 1 or 3 channels of pixels.
pub fn parse(bytes: &[u8], shape: Option<[usize; 3]>) -> Result<Picture> {
    let wrong = |what: String| Error::format("picture", what);
    let mut reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| wrong(error.to_string()))?;
    let most = EXPANSION * bytes.len() as u64 + SMALL;
    let mut limits = Limits::default();
    limits.max_alloc = Some(most);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| wrong(error.to_string()))?;
    if decoder.total_bytes() > most {
        let (width, height) = decoder.dimensions();
        return Err(wrong(format!("{} bytes cannot hold {width}x{height} pixels", bytes.len())));
    }
    let picture = DynamicImage::from_decoder(decoder).map_err(|error| wrong(error.to_string()))?;
    let picture = over_white(&picture);
    let (picture, channels) = match shape {
        None => {
            let channels = if picture.color().has_color() { 3 } else { 1 };
            (picture, channels)
        }
        Some([channels @ (1 | 3), height, width]) if height > 0 && width > 0 => {
            let sides = [width, height].map(|side| u32::try_from(side).ok().filter(|&side| side <= 1 << 14));
            let [Some(width), Some(height)] = sides else {
                return Err(wrong(format!("{width}x{height} pixels are too many to scale to")));
            };
            (cut_and_scale(&picture, width, height), channels)
        }
        Some(shape) => return Err(wrong(format!("the shape {shape:?} is not 1 or 3 channels, height and width"))),
    };
    let [height, width] = [picture.height() as usize, picture.width() as usize];
    let bytes = match channels {
        1 => picture.into_luma8().into_raw(),
        _ => channels_first(picture.into_rgb8().as_raw(), 3, height * width),
    };
    Ok(Picture { shape: [channels, height, width], bytes })
}

fn over_white(picture: &DynamicImage) -> DynamicImage {
    // 0…255 under alpha 0…255, rounded.
    let blend = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    match (picture.color().has_alpha(), picture.color().has_color()) {
        (false, false) => DynamicImage::ImageLuma8(picture.to_luma8()),
        (false, true) => DynamicImage::ImageRgb8(picture.to_rgb8()),
        (true, false) => {
            let source = picture.to_luma_alpha8();
            let blended = |x, y| {
                let [grey, alpha] = source.get_pixel(x, y).0;
                image::Luma([blend(grey, alpha)])
            };
            DynamicImage::ImageLuma8(image::GrayImage::from_fn(source.width(), source.height(), blended))
        }
        (true, true) => {
            let source = picture.to_rgba8();
            let blended = |x, y| {
                let [red, green, blue, alpha] = source.get_pixel(x, y).0;
                image::Rgb([red, green, blue].map(|value| blend(value, alpha)))
            };
            DynamicImage::ImageRgb8(image::RgbImage::from_fn(source.width(), source.height(), blended))
        }
    }
}

fn cut_and_scale(picture: &DynamicImage, width: u32, height: u32) -> DynamicImage {
    let (across, down) = (u64::from(picture.width()), u64::from(picture.height()));
    let (width_wide, height_wide) = (u64::from(width), u64::from(height));
    let (cut_across, cut_down) = if across * height_wide > down * width_wide {
        ((down * width_wide / height_wide).max(1), down)
    } else {
        (across, (across * height_wide / width_wide).max(1))
    };
    let (left, top) = ((across - cut_across) / 2, (down - cut_down) / 2);
    let cut = picture.crop_imm(left as u32, top as u32, cut_across as u32, cut_down as u32);
    if (cut.width(), cut.height()) == (width, height) {
        cut
    } else {
        cut.resize_exact(width, height, FilterType::Triangle)
    }
}

/// The pictures of `folder`, with the names of its sub-folders as classes if it has any with pictures.
///
/// # Errors
/// If a file cannot be read or decoded, sizes differ and no shape is wanted, pictures lie both beside and in the
/// sub-folders, or there is none.
pub fn read(name: &str, folder: &Path, shape: Option<[usize; 3]>) -> Result<Images> {
    let (mut files, folders) = listing(folder)?;
    let (mut labels, mut classes) = (Vec::new(), Vec::new());
    if files.is_empty() {
        for class in folders {
            let (pictures, _) = listing(&class)?;
            if !pictures.is_empty() {
                labels.extend(std::iter::repeat_n(classes.len() as u16, pictures.len()));
                classes.push(class.file_name().unwrap_or_default().to_string_lossy().into_owned());
                files.extend(pictures);
            }
        }
    }
    if files.is_empty() {
        let what = "there is no PNG or JPEG file in it or in its sub-folders";
        return Err(Error::format("folder of pictures", what).at(folder));
    }
    if classes.len() > usize::from(u16::MAX) {
        return Err(Error::format("folder of pictures", "there are more than 65535 classes").at(folder));
    }
    let (mut common, mut bytes) = (shape, Vec::new());
    for path in &files {
        let file = std::fs::read(path).map_err(Error::io(path))?;
        bytes.extend(parse_like(&file, shape, &mut common).map_err(|error| error.at(path))?.bytes);
    }
    let labels = (!classes.is_empty()).then(|| Labels::new(labels, classes)).transpose()?;
    Images::new(name, common.unwrap_or([1, 1, 1]), 256, bytes, labels)
}

/// One of several pictures: brought to the `wanted` shape, otherwise to the number of channels that the first had, whose
/// shape is kept in `common` and whose size it must have.
pub(super) fn parse_like(file: &[u8], wanted: Option<[usize; 3]>, common: &mut Option<[usize; 3]>) -> Result<Picture> {
    let picture = parse(file, wanted)?;
    let [channels, height, width] = *common.get_or_insert(picture.shape);
    let [own_channels, own_height, own_width] = picture.shape;
    if (own_height, own_width) != (height, width) {
        let sizes = format!("{own_width}x{own_height} pixels, where the first has {width}x{height}");
        return Err(Error::format("set of pictures", format!("{sizes}: say what shape to bring all to")));
    }
    if own_channels == channels { Ok(picture) } else { parse(file, *common) }
}

/// The pictures and the sub-folders of a folder, in order of name.
fn listing(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let kind = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        if path.is_dir() {
            folders.push(path);
        } else if ["png", "jpg", "jpeg"].contains(&kind.as_str()) {
            files.push(path);
        }
    }
    files.sort();
    folders.sort();
    Ok((files, folders))
}

#[cfg(test)]
mod tests;
