//! Games that are cut off go on with the same bits, both players and all they keep.

mod common;

use std::fs;

use common::{checkpoints, genera, tempdir, text, weights};

#[test]
fn a_resumed_game_is_bit_identical() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    // Several turns with spectral norms; a gradient penalty; one stage of growth to the next; an implicit posterior.
    let games: [(&str, &[&str], &str); 4] = [
        ("sngan-8gaussians", &[], "spectral.safetensors"),
        ("wgan-gp-8gaussians", &[], "critic-optimizer.safetensors"),
        ("stylegan-digits", &["model.net.growth={steps=[3],fade=2}", "train.batch_size=8"], "critic.safetensors"),
        ("avb-toy", &[], "model.safetensors"),
    ];
    for (recipe, more, kept) in games {
        let train = |out: &str| {
            let mut arguments = vec!["train", recipe, "--out", out, "--threads", "1"];
            let short = ["train.steps=8", "train.log_every=1", "train.checkpoint_every=2", "train.keep=100"];
            let quick = ["train.preview_every=0", "measure={samples=20,permutations=20}"];
            short.iter().chain(&quick).chain(more).for_each(|set| arguments.extend(["--set", set]));
            let output = genera(here).args(arguments).output().unwrap();
            assert!(output.status.success(), "{recipe}: {}", text(&output.stderr));
        };
        let (whole, cut) = (format!("{recipe}-whole"), format!("{recipe}-cut"));
        train(&whole);
        train(&cut);
        for folder in checkpoints(&here.join(&cut)).split_off(1) {
            fs::remove_dir_all(folder).unwrap();
        }
        let output = genera(here).args(["train", &cut, "--resume", "--threads", "2"]).output().unwrap();
        assert!(output.status.success() && text(&output.stderr).contains("step-00000002"), "{}", text(&output.stderr));
        let (whole, cut) = (weights(&here.join(&whole)), weights(&here.join(&cut)));
        let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert!(names(&whole).iter().any(|name| name == kept), "{recipe}: {:?}", names(&whole));
        assert_eq!(names(&whole), names(&cut), "{recipe}");
        let differ = whole.iter().zip(&cut).filter(|(one, other)| one != other).map(|((name, _), _)| name);
        assert_eq!(differ.count(), 0, "{recipe}");
    }
}
