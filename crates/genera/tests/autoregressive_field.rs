//! What an output of a picture network looks at: input gradients against the set that the masks allow.

use std::collections::BTreeSet;

use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::autoregressive::{field_of_changes, receptive_field};
use genera::nn::{
    Alphabet, GatedPixelCnnConfig, ImageGptConfig, MadeConfig, MarkovNetConfig, Order, PixelCnnConfig,
    RecurrentNetConfig, WaveNetConfig,
};

const SIDE: isize = 7;
/// The element in the middle of the picture.
const CENTRE: (isize, isize) = (3, 3);

type Pixels = BTreeSet<(isize, isize)>;

fn device() -> Device {
    Device::flex()
}

fn noise(length: usize) -> Tensor<2> {
    Tensor::from_data(TensorData::new(Rng::new(1).normal(32, length), [32, length]), &device())
}

/// The pixels whose gradient is not zero.
fn seen(field: &[f64]) -> Pixels {
    let at = |i: usize| (i as isize / SIDE, i as isize % SIDE);
    field.iter().enumerate().filter(|(_, value)| **value > 0.0).map(|(i, _)| at(i)).collect()
}

/// The offsets of a kernel in the rows `rows` above (0 is its own), `side` to both sides, that come before the centre,
/// or are it if `own`.
fn taps(rows: std::ops::RangeInclusive<isize>, side: isize, own: bool) -> Vec<(isize, isize)> {
    let all = rows.flat_map(|up| (-side..=side).map(move |dx| (-up, dx)));
    all.filter(|&(dy, dx)| dy < 0 || dx < 0 || (own && dx == 0)).collect()
}

/// All pixels within the picture that lie at one of `taps` from one of `from`.
fn through(from: &Pixels, taps: &[(isize, isize)]) -> Pixels {
    let all = from.iter().flat_map(|(y, x)| taps.iter().map(move |(dy, dx)| (y + dy, x + dx)));
    all.filter(|(y, x)| (0..SIDE).contains(y) && (0..SIDE).contains(x)).collect()
}

fn before_centre() -> Pixels {
    let all = (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (y, x)));
    all.filter(|pixel| *pixel < CENTRE).collect()
}

#[test]
fn pixelcnn_sees_what_its_masks_allow_and_has_a_blind_spot() {
    for (kernel, layers) in [(3, 0), (3, 1), (3, 3), (3, 6), (5, 0), (5, 2)] {
        let config = PixelCnnConfig { filters: 12, layers, kernel, ..PixelCnnConfig::default() };
        let net = config.init([1, 7, 7], Alphabet::Real, 2, &mut Rng::new(2), &device()).unwrap();
        let found = seen(&receptive_field(&net, noise(49), 24));
        let half = kernel as isize / 2;
        let centre = Pixels::from([CENTRE]);
        let before = (0..layers).fold(centre, |pixels, _| through(&pixels, &taps(0..=half, half, true)));
        let expected = through(&before, &taps(0..=half, half, false));
        assert_eq!(found, expected, "kernel {kernel}, {layers} layers");
        if (kernel, layers) == (3, 6) {
            let blind: Vec<_> = before_centre().difference(&found).copied().collect();
            assert_eq!(blind, [(1, 6), (2, 5), (2, 6)], "what lies above and far to the right");
        }
    }
}

#[test]
fn gated_pixelcnn_sees_what_its_stacks_allow_and_has_no_blind_spot() {
    for (kernel, layers) in [(3, 1), (3, 2), (3, 3), (3, 6), (5, 2)] {
        let config = GatedPixelCnnConfig { filters: 12, layers, kernel };
        let net = config.init([1, 7, 7], Alphabet::Real, 2, &mut Rng::new(2), &device()).unwrap();
        let found = seen(&receptive_field(&net, noise(49), 24));
        let half = kernel as isize / 2;
        let above: Vec<_> = taps(1..=half, half, false);
        let wide: Vec<_> = (0..=half).flat_map(|up| (-half..=half).map(move |dx| (-up, dx))).collect();
        let left: Vec<_> = (-half..0).map(|dx| (0, dx)).collect();
        let left_and_own: Vec<_> = (-half..=0).map(|dx| (0, dx)).collect();
        // What the features of layer `l` at `pixels` look at, in the vertical stack and in both.
        let vertical = |pixels: &Pixels, layer: usize| {
            through(&(1..layer).fold(pixels.clone(), |pixels, _| through(&pixels, &wide)), &above)
        };
        let mut expected = Pixels::new();
        let mut pixels = Pixels::from([CENTRE]);
        for layer in (1..=layers).rev() {
            expected.extend(vertical(&pixels, layer));
            pixels = through(&pixels, if layer == 1 { &left } else { &left_and_own });
        }
        expected.extend(pixels);
        assert_eq!(found, expected, "kernel {kernel}, {layers} layers");
        if layers == 6 {
            assert_eq!(found, before_centre());
        }
    }
}

#[test]
fn wavenet_sees_two_to_the_number_of_layers() {
    for layers in 1..5 {
        let config = WaveNetConfig { layers, ..WaveNetConfig::default() };
        let net = config.init(30, Alphabet::Real, 2, &mut Rng::new(2), &device()).unwrap();
        let field = receptive_field(&net, noise(30), 25);
        let found: Vec<usize> = (0..30).filter(|i| field[*i] > 0.0).collect();
        assert_eq!(found, (25 - (1 << layers)..25).collect::<Vec<_>>());
    }
}

/// Networks of the whole past see all of it, in their own order, and a network of the last three elements sees three.
#[test]
fn perceptrons_recurrence_and_attention_see_the_past_of_their_order() {
    let (mut rng, levels) = (Rng::new(4), Alphabet::Levels(3));
    let x: Vec<f32> = Rng::new(5).normal(1, 4 * 9).into_iter().map(|v| (v.abs() * 1.4).min(2.0).floor()).collect();
    let x = Tensor::<2>::from_data(TensorData::new(x, [4, 9]), &device());
    let order = vec![4, 0, 8, 2, 6, 1, 7, 3, 5];
    let gpt = ImageGptConfig { width: 8, layers: 2, heads: 2, ..ImageGptConfig::default() };
    let gpt = gpt.init(9, levels, 3, &mut rng, &device()).unwrap();
    let made = MadeConfig { width: 64, order: Order::Given(order.clone()), ..MadeConfig::default() };
    let made = made.init(9, levels, 3, &mut rng, &device()).unwrap();
    let gru = RecurrentNetConfig { width: 8 }.init(9, levels, 3, &mut rng, &device()).unwrap();
    let markov = MarkovNetConfig { depth: 3, hidden: vec![16], ..MarkovNetConfig::default() };
    let markov = markov.init(9, levels, 3, &mut rng, &device()).unwrap();
    let place = |element| order.iter().position(|e| *e == element).unwrap();
    for element in [0, 4, 8] {
        let before: Vec<usize> = (0..element).collect();
        let seen = |field: Vec<f64>| -> Vec<usize> { (0..9).filter(|j| field[*j] > 0.0).collect() };
        let changes = field_of_changes(&gpt, x.clone(), element, 3);
        assert_eq!(seen(changes), before, "image GPT, element {element}");
        assert_eq!(seen(field_of_changes(&gru, x.clone(), element, 3)), before, "recurrent, element {element}");
        let last: Vec<usize> = (element.saturating_sub(3)..element).collect();
        assert_eq!(seen(field_of_changes(&markov, x.clone(), element, 3)), last, "Markov, element {element}");
        let mut earlier = order[..place(element)].to_vec();
        earlier.sort_unstable();
        assert_eq!(seen(field_of_changes(&made, x.clone(), element, 3)), earlier, "MADE, element {element}");
        // By changes and by gradients the same elements are seen.
        assert_eq!(seen(receptive_field(&gru, x.clone(), element)), before, "recurrent, element {element}");
    }
}
