use super::*;
use crate::features::formula::{array, picture as formula_picture};
use crate::weights::Array;

/// Written by parity/inception.py from torch-fidelity and clean-fid.
fn golden() -> Weights {
    weights::from_bytes(include_bytes!("../../../../../parity/golden/inception.safetensors")).unwrap()
}

/// The formula's weights under the names and with the shapes of the state dict, which the golden file lists.
fn formula_weights() -> Weights {
    let metadata = weights::metadata(include_bytes!("../../../../../parity/golden/inception.safetensors")).unwrap();
    let shapes: std::collections::BTreeMap<String, Vec<usize>> = serde_json::from_str(&metadata["shapes"]).unwrap();
    shapes
        .into_iter()
        .map(|(name, shape)| {
            let filled = array(&name, &shape);
            (name, filled)
        })
        .collect()
}

fn worst(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut found.iter().zip(expected).map(|(a, b)| f64::from(a - b)));
    difference / norm(&mut expected.iter().map(|b| f64::from(*b)))
}

#[test]
fn features_are_those_of_torch_fidelity() {
    let golden = golden();
    let weights = formula_weights();
    let inception = Inception::from_weights(&weights, Resize::LegacyTensorflow, &Device::flex()).unwrap();
    assert_eq!(inception.name(), "inception-v3-2015/legacy-tensorflow");
    let shapes = [[3, 32, 32], [3, 211, 340], [1, 9, 5]];
    let bytes: Vec<Vec<u8>> = shapes.iter().zip(0..).map(|(shape, seed)| formula_picture(*shape, seed)).collect();
    let pictures: Vec<_> = shapes.iter().zip(&bytes).map(|(shape, bytes)| Picture { shape: *shape, bytes }).collect();
    let found = inception.look(&pictures).unwrap();
    for index in 0..3 {
        let features =
            worst(&found.features[index * FEATURES..][..FEATURES], &golden[&format!("features.{index}")].values);
        let logits = worst(&found.logits[index * CLASSES..][..CLASSES], &golden[&format!("logits.{index}")].values);
        println!("picture {index}: features {features:.1e}, logits {logits:.1e}");
        assert!(features < 2e-5 && logits < 2e-5, "{features:e} {logits:e}");
    }
    // A row does not depend on its neighbours.
    let alone = inception.look(&pictures[1..2]).unwrap();
    assert_eq!(alone.features, found.features[FEATURES..2 * FEATURES]);

    // What is missing, of another shape or too much is named.
    let refused = |change: &dyn Fn(&mut Weights)| {
        let mut weights = weights.clone();
        change(&mut weights);
        Inception::from_weights(&weights, Resize::Clean, &Device::flex()).unwrap_err().to_string()
    };
    let name = "Mixed_6c.branch7x7_2.bn.running_var";
    assert!(refused(&|weights| drop(weights.remove(name))).contains(name));
    assert!(refused(&|weights| weights.get_mut(name).unwrap().shape = vec![2, 80]).contains(name));
    let extra = Array { shape: vec![1], values: vec![0.0] };
    assert!(
        refused(&|weights| drop(weights.insert("AuxLogits.fc.bias".to_owned(), extra.clone()))).contains("AuxLogits")
    );
    let mut counted = weights.clone();
    counted.insert("Conv2d_1a_3x3.bn.num_batches_tracked".to_owned(), extra.clone());
    assert!(Inception::from_weights(&counted, Resize::Clean, &Device::flex()).is_ok());
}

#[test]
fn every_way_of_resizing_is_that_of_its_reference() {
    let golden = golden();
    for mode in Resize::ALL {
        assert_eq!(mode.name().parse(), Ok(mode));
        let cases: Vec<_> = golden.iter().filter(|(name, _)| name.starts_with(&format!("resize.{mode}."))).collect();
        assert_eq!(cases.len(), 7);
        for (name, expected) in cases {
            let sizes: Vec<Vec<usize>> =
                name.split('.').skip(2).map(|size| size.split('x').map(|n| n.parse().unwrap()).collect()).collect();
            let (from, to) = ([3, sizes[0][0], sizes[0][1]], [sizes[1][0], sizes[1][1]]);
            let index = [[1, 1], [23, 17], [61, 90], [10, 64], [19, 19]].iter().position(|size| *size == from[1..]);
            let seed = match (index, to) {
                (_, [299, 299]) => 200 + u32::from(from[1] == 480),
                (index, _) => 100 + index.unwrap() as u32,
            };
            let bytes = formula_picture(from, seed);
            let found = mode.apply(&Picture { shape: from, bytes: &bytes }, to).unwrap();
            let found: Vec<f32> = if to == [299; 2] { found.into_iter().step_by(61).collect() } else { found };
            assert_eq!(found.len(), expected.values.len(), "{name}");
            let error = found.iter().zip(&expected.values).map(|(a, b)| (a - b).abs() / 255.0).fold(0.0, f32::max);
            println!("{name}: {error:.1e}");
            assert!(error < 5e-6, "{name}: {error:e}");
        }
    }
    assert!("bicubic".parse::<Resize>().unwrap_err().contains("legacy-pytorch"));
}

#[test]
fn pictures_that_contradict_themselves_are_refused() {
    for shape in [[2, 1, 2], [1, 0, 4], [3, 1, 1], [1, usize::MAX, 2]] {
        let error = Resize::Clean.apply(&Picture { shape, bytes: &[0; 4] }, [2, 2]).unwrap_err();
        assert_eq!(error, PictureError { shape, bytes: 4 });
    }
    let grey = Resize::LegacyPytorch.apply(&Picture { shape: [1, 1, 1], bytes: &[7] }, [2, 2]).unwrap();
    assert_eq!(grey, [7.0; 12]);
}

/// The state that `parity/inception.py full WORK` writes, by the same formula as nothing here: only that it can be
/// read. Run by name with INCEPTION=WORK/state.pth.
#[test]
#[ignore = "needs a weights file"]
fn a_checkpoint_of_pytorch_is_read() {
    let path = std::env::var("INCEPTION").unwrap();
    let inception = Inception::read(path, Resize::Clean, &Device::flex()).unwrap();
    let bytes = formula_picture([3, 40, 40], 1);
    let pictures = vec![Picture { shape: [3, 40, 40], bytes: &bytes }; 64];
    let start = std::time::Instant::now();
    assert!(inception.look(&pictures).unwrap().features.iter().all(|feature| feature.is_finite()));
    println!("64 pictures in {:?}", start.elapsed());
}
