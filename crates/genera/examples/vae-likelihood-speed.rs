//! How long the 500-sample bound takes on pictures of MNIST's shape: all pictures together, one by one, and one by one with
//! the draws one by one too.
//!
//! ```text
//! cargo run --release --example vae-likelihood-speed [PICTURES]
//! ```

use std::time::Instant;

use genera::Rng;
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::traits::Rows;
use genera::vae::{Decoder, GaussianEncoder, LikelihoodConfig, NetConfig, StandardNormal, VaeConfig};

const DRAWS: usize = 500;

fn main() {
    let pictures: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(64);
    let (mut rng, device) = (Rng::new(2), Device::flex());
    // The networks of the recipe `vae-mnist`.
    let net = NetConfig::Mlp { hidden: vec![400, 400] };
    let encoder = net.encoder(&[784], 0, 80, &mut rng, &device).expect("an encoder");
    let decoder = net.decoder(40, 0, &[784], 1, &mut rng, &device).expect("a decoder");
    let decoder = Decoder::new(decoder, LikelihoodConfig::Bernoulli, &device).expect("a likelihood");
    let prior = StandardNormal::new(40, &device);
    let vae = VaeConfig::new(40).init(GaussianEncoder::new(encoder), decoder, prior).expect("a model");
    let bits = Rng::new(3).uniform(pictures, 784).into_iter().map(|u| f32::from(u8::from(u < 0.2)));
    let x: Rows = Tensor::from_data(TensorData::new(bits.collect::<Vec<_>>(), [pictures, 784]), &device);
    let of = |i: usize| x.clone().narrow(0, i, 1);

    let root = Rng::new(4);
    let together = || vae.k_sample_bound(x.clone(), None, DRAWS, &mut root.clone());
    let picture = |i: usize| vae.k_sample_bound(of(i), None, DRAWS, &mut root.rows_from(i as u64))[0];
    let draw = |i: usize, draw: u64| vae.k_sample_bound(of(i), None, 1, &mut root.rows_from(i as u64).at(draw))[0];
    let time = |what: &str, work: &dyn Fn() -> Vec<f64>| {
        work();
        let start = Instant::now();
        let bounds = work();
        let seconds = start.elapsed().as_secs_f64();
        println!("{what:<40} {seconds:8.3} s, {:.2} nats", bounds.iter().sum::<f64>() / bounds.len() as f64);
        seconds
    };
    println!("{pictures} pictures, {DRAWS} draws of each, {} threads", rayon_threads());
    let fast = time("together", &together);
    let by_picture = time("picture by picture", &|| (0..pictures).map(picture).collect());
    let by_draw = time("draw by draw", &|| {
        let bound = |i: usize| {
            let logs: Vec<f64> = (0..DRAWS as u64).map(|d| draw(i, d)).collect();
            let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            most + (logs.iter().map(|l| (l - most).exp()).sum::<f64>() / DRAWS as f64).ln()
        };
        (0..pictures).map(bound).collect()
    });
    println!(
        "together is {:.1} times as fast as picture by picture, {:.1} times as draw by draw",
        by_picture / fast,
        by_draw / fast
    );
}

fn rayon_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
