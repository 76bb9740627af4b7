use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder, codecs::png::PngEncoder};

use super::*;

fn png(width: u32, height: u32, kind: ExtendedColorType, bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    PngEncoder::new(&mut file).write_image(bytes, width, height, kind).unwrap();
    file
}

#[test]
fn colours_and_alpha() {
    let grey = parse(&png(2, 1, ExtendedColorType::L8, &[7, 200]), None).unwrap();
    assert_eq!(grey, Picture { shape: [1, 1, 2], bytes: vec![7, 200] });
    let colour = parse(&png(2, 1, ExtendedColorType::Rgb8, &[1, 2, 3, 4, 5, 6]), None).unwrap();
    assert_eq!(colour, Picture { shape: [3, 1, 2], bytes: vec![1, 4, 2, 5, 3, 6] });
    let clear = png(2, 1, ExtendedColorType::Rgba8, &[0, 0, 0, 0, 100, 50, 0, 128]);
    assert_eq!(parse(&clear, None).unwrap().bytes, [255, 177, 255, 152, 255, 127]);
    let deep = png(2, 1, ExtendedColorType::L16, &[0xff, 0xff, 0x80, 0x80]);
    assert_eq!(parse(&deep, None).unwrap().bytes.len(), 2);
    // The luma of pure red, green and blue.
    let pure = png(3, 1, ExtendedColorType::Rgb8, &[255, 0, 0, 0, 255, 0, 0, 0, 255]);
    let luma = parse(&pure, Some([1, 1, 3])).unwrap().bytes;
    assert!(luma.iter().zip([54, 182, 18]).all(|(&a, b)| i32::from(a).abs_diff(b) <= 1), "{luma:?}");
}

#[test]
fn the_centre_is_kept_and_scaled() {
    // 6x2: the middle 2x2 is 10 20 / 30 40.
    let bytes = [0, 0, 10, 20, 0, 0, 0, 0, 30, 40, 0, 0];
    let wide = png(6, 2, ExtendedColorType::L8, &bytes);
    assert_eq!(parse(&wide, Some([1, 2, 2])).unwrap().bytes, [10, 20, 30, 40]);
    assert_eq!(parse(&wide, Some([1, 1, 1])).unwrap().bytes, [25]);
    assert_eq!(parse(&wide, Some([3, 2, 2])).unwrap().shape, [3, 2, 2]);
    // A constant stays constant, larger or smaller.
    let flat = png(5, 7, ExtendedColorType::L8, &[77; 35]);
    for side in [1, 3, 11] {
        assert_eq!(parse(&flat, Some([1, side, side])).unwrap().bytes, vec![77; side * side]);
    }
    assert!(parse(&flat, Some([2, 4, 4])).is_err() && parse(&flat, Some([1, 0, 4])).is_err());
}

#[test]
fn a_folder_with_classes() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, bytes: &[u8]| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    assert!(read("pets", folder.path(), None).unwrap_err().to_string().contains("no PNG"));
    write("cat/b.png", &png(2, 1, ExtendedColorType::L8, &[3, 4]));
    write("cat/a.png", &png(2, 1, ExtendedColorType::L8, &[1, 2]));
    write("cat/notes.txt", b"not a picture");
    write("dog/c.PNG", &png(2, 1, ExtendedColorType::L8, &[5, 6]));
    write("empty/x.txt", b"");
    let pets = read("pets", folder.path(), None).unwrap();
    assert_eq!((pets.bytes(), pets.shape()), (&[1, 2, 3, 4, 5, 6][..], [1, 1, 2]));
    assert_eq!(pets.labels().unwrap().rows(), [0, 0, 1]);
    assert_eq!(pets.labels().unwrap().classes(), ["cat", "dog"]);

    write("dog/d.png", &png(3, 1, ExtendedColorType::L8, &[5, 6, 7]));
    let error = read("pets", folder.path(), None).unwrap_err().to_string();
    assert!(error.contains("d.png") && error.contains("3x1"), "{error}");
    assert_eq!(read("pets", folder.path(), Some([3, 4, 4])).unwrap().shape(), [3, 4, 4]);
    write("dog/d.png", b"\x89PNG\r\n\x1a\n broken");
    assert!(read("pets", folder.path(), Some([1, 4, 4])).unwrap_err().to_string().contains("d.png"));
}

#[test]
fn jpeg_is_read_and_a_bomb_is_not() {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 95).write_image(&[128; 3 * 64], 8, 8, ExtendedColorType::Rgb8).unwrap();
    let picture = parse(&jpeg, None).unwrap();
    assert_eq!(picture.shape, [3, 8, 8]);
    assert!(picture.bytes.iter().all(|byte| byte.abs_diff(128) <= 2));
    // The same file claiming 65 000 x 65 000 pixels: SOF0 holds height and width after its length and precision.
    let at = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[at + 5..at + 9].copy_from_slice(&[0xfd, 0xe8, 0xfd, 0xe8]);
    assert!(parse(&jpeg, None).is_err());
}
