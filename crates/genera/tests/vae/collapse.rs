//! Two-dimensional Gaussians: where latents are used, where they collapse, and what brings them back.

use genera::Rng;
use genera::traits::Batch;
use genera::vae::{
    Annealing, Decoder, GaussianEncoder, LikelihoodConfig, NetConfig, Objective, Spread, StandardNormal, VaeConfig,
};

use super::{device, host, mean, rows};

/// The two-dimensional Gaussians of the lecture, `N((2, 3), diag(9, 1))`, turned by 45 degrees or not.
fn cloud(n: usize, rotated: bool, seed: u64) -> Vec<f64> {
    let turn = if rotated { std::f64::consts::FRAC_1_SQRT_2 } else { 0.0 };
    let eps = Rng::new(seed).normal(n, 2);
    let point = |e: &[f32]| {
        let (a, b) = (3.0 * f64::from(e[0]), f64::from(e[1]));
        if rotated { [2.0 + turn * (a - b), 3.0 + turn * (a + b)] } else { [2.0 + a, 3.0 + b] }
    };
    eps.chunks_exact(2).flat_map(point).collect()
}

/// The test loss in nats and the number of active units after a short training.
fn two_dimensional(rotated: bool, free_bits: f64) -> (f64, f64, usize) {
    let mut rng = Rng::new(2);
    let net = NetConfig::Mlp { hidden: vec![64, 64] };
    let encoder = GaussianEncoder::new(net.encoder(&[2], 0, 4, &mut rng, &device()).unwrap());
    let likelihood = LikelihoodConfig::Gaussian { spread: Spread::Each };
    let decoder =
        Decoder::new(net.decoder(2, 0, &[2], 2, &mut rng, &device()).unwrap(), likelihood, &device()).unwrap();
    let objective = Objective::Elbo { beta: Annealing::default(), free_bits, capacity: None };
    let config = VaeConfig { objective, ..VaeConfig::new(2) };
    let vae = config.init(encoder, decoder, StandardNormal::new(2, &device())).unwrap();
    let descent =
        r#"{"optimizer": {"kind": "adam", "learning_rate": 0.004}, "rate": {"kind": "cosine"}, "clip_norm": 5.0}"#;
    let steps = 700;
    let mut descent = genera::train::Descent::new(vae, serde_json::from_str(descent).unwrap(), steps).unwrap();
    let train = cloud(9000, rotated, 1);
    for step in 0..steps {
        let picked = Rng::new(4).at(step).below(256, 9000);
        let x: Vec<f64> = picked.iter().flat_map(|i| [train[2 * i], train[2 * i + 1]]).collect();
        let batch = Batch { x: rows(&x, 2), labels: None };
        genera::traits::Learner::step(&mut descent, vec![batch], &mut Rng::new(5).at(step)).unwrap();
    }
    let held_out = rows(&cloud(4000, rotated, 9), 2);
    let terms = {
        let eps = rows(&Rng::new(6).normal(4000, 2).into_iter().map(f64::from).collect::<Vec<_>>(), 2);
        descent.model().terms(held_out.clone(), None, eps)
    };
    let loss = -mean(&host(terms.log_likelihood - terms.divergence));
    let diagnostics = descent.model().diagnostics(held_out.narrow(0, 0, 400), 1, &mut Rng::new(7)).unwrap();
    (loss, diagnostics.divergence.iter().sum(), diagnostics.active_units())
}

#[test]
fn latents_are_used_where_they_pay_and_where_free_bits_pay_for_them() {
    let entropy = 3.93649;
    let found = [(true, 0.0), (false, 0.0), (false, 0.5)].map(|(rotated, bits)| two_dimensional(rotated, bits));
    println!("loss, divergence, active units of rotated, aligned, aligned with free bits: {found:?}");
    // 4000 held-out points: the mean of −log p has a standard error of 1/√4000.
    for (loss, _, _) in &found[..2] {
        assert!(*loss > entropy - 0.05 && *loss < entropy + 0.06, "{found:?}");
    }
    assert_eq!([found[0].2, found[1].2], [1, 0], "{found:?}");
    assert!(found[1].1 < 0.05 && found[2].1 > 0.9 && found[2].2 >= 1, "{found:?}");
}
