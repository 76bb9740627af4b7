//! Points in the plane as a picture: dark dots on white, equal units on both axes.

use super::Picture;

const SIDE: usize = 480;
const MARGIN: f64 = 0.05;
/// How much of the light a dot lets through.
const INK: f64 = 0.55;

/// The rows `[n, 2]` as dots. Points that are not finite are left out.
pub fn plot(rows: &[f32]) -> Picture {
    let points: Vec<[f64; 2]> = rows
        .chunks_exact(2)
        .map(|point| [f64::from(point[0]), f64::from(point[1])])
        .filter(|point| point.iter().all(|value| value.is_finite()))
        .collect();
    let range = |axis: usize| {
        points.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], point| {
            [low.min(point[axis]), high.max(point[axis])]
        })
    };
    let [x, y] = [range(0), range(1)];
    let span = (x[1] - x[0]).max(y[1] - y[0]).max(1e-9) * (1.0 + 2.0 * MARGIN);
    let mut light = vec![1.0_f64; SIDE * SIDE];
    for [px, py] in points {
        let place = |value: f64, [low, high]: [f64; 2]| ((value - 0.5 * (low + high)) / span + 0.5) * (SIDE - 2) as f64;
        let (column, line) = (place(px, x) as usize, (SIDE - 2) - place(py, y) as usize);
        for at in
            [line * SIDE + column, line * SIDE + column + 1, (line + 1) * SIDE + column, (line + 1) * SIDE + column + 1]
        {
            light[at] *= INK;
        }
    }
    let pixels = light.iter().map(|light| (30.0 + 225.0 * light).round() as u8).collect();
    Picture { width: SIDE, height: SIDE, channels: 1, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_is_up_and_nothing_panics() {
        let picture = plot(&[0.0, 0.0, 1.0, 1.0, f32::NAN, 0.0]);
        let dark: Vec<usize> = (0..SIDE * SIDE).filter(|&at| picture.pixels[at] < 200).collect();
        let (first, last) = (dark[0], dark[dark.len() - 1]);
        assert!(first / SIDE < SIDE / 2 && first % SIDE > SIDE / 2, "the upper point is on the right");
        assert!(last / SIDE > SIDE / 2 && last % SIDE < SIDE / 2);
        plot(&[]);
        plot(&[3.0, 3.0]);
        plot(&[f32::MAX, f32::MIN, 0.0, 0.0]);
    }
}
