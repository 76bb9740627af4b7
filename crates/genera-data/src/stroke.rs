//! How a pen moved: the slant and the thickness of what is drawn bright on dark.
//!
//! ```text
//! slant      −μ₁₁ / μ₀₂            central moments of the ink, x to the right and y downwards
//! thickness  2 Σ g / Σ |∇g|        twice the ink over the length of its outline
//! ```
//!
//! The slant is the shear that would make the axis of the ink upright: a line through `(s t, −t)` has slant `s`, positive
//! where it leans to the right. The length of an outline is the total variation of the grey levels (the coarea formula), with
//! the gradient at the corners between pixels as the difference of the means of both pairs. A bar of `w × h` pixels has an
//! outline of `2 (w + h) − 4 + 2√2`, and a long one the thickness `w`. Both are moments of grey levels, so that they tell
//! strokes apart that are narrower than a pixel.

/// What is measured of one picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stroke {
    /// How far to the right the ink moves for each pixel upwards.
    pub slant: f64,
    /// The width of its lines, in pixels.
    pub thickness: f64,
}

impl Stroke {
    /// Of one picture, `width` levels a line from the top. Both are zero where there is no ink.
    pub fn of(picture: &[u8], width: usize, levels: u16) -> Self {
        if width == 0 || picture.is_empty() {
            return Self::default();
        }
        let height = picture.len() / width;
        let top = f64::from(levels.max(2) - 1);
        let at = |y: usize, x: usize| f64::from(picture[y * width + x]) / top;
        let places = || (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        let sum =
            |of: &dyn Fn(f64, f64) -> f64| -> f64 { places().map(|(y, x)| at(y, x) * of(y as f64, x as f64)).sum() };
        let ink = sum(&|_, _| 1.0);
        if ink <= 0.0 {
            return Self::default();
        }
        let (y0, x0) = (sum(&|y, _| y) / ink, sum(&|_, x| x) / ink);
        let (tall, sheared) = (sum(&|y, _| (y - y0).powi(2)), sum(&|y, x| (x - x0) * (y - y0)));
        let slant = if tall > 1e-9 * ink { -sheared / tall } else { 0.0 };
        // Around the picture it is dark.
        let around = |y: usize, x: usize| {
            if (1..=height).contains(&y) && (1..=width).contains(&x) { at(y - 1, x - 1) } else { 0.0 }
        };
        let edge = |(y, x): (usize, usize)| {
            let [a, b, c, d] = [around(y, x), around(y, x + 1), around(y + 1, x), around(y + 1, x + 1)];
            ((b + d - a - c) / 2.0).hypot((c + d - a - b) / 2.0)
        };
        let outline: f64 = (0..=height).flat_map(|y| (0..=width).map(move |x| (y, x))).map(edge).sum();
        Self { slant, thickness: if outline > 0.0 { 2.0 * ink / outline } else { 0.0 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bar of `w × h` pixels in a picture of 24 × 24, moved by `shear` pixels to the right for each upwards.
    fn bar(w: usize, h: usize, shear: i32) -> Stroke {
        let mut picture = vec![0; 24 * 24];
        for y in 0..h {
            let x = 10 + shear * (h as i32 / 2 - y as i32);
            (0..w).for_each(|i| picture[(4 + y) * 24 + x as usize + i] = 16);
        }
        Stroke::of(&picture, 24, 17)
    }

    #[test]
    fn bars_are_as_thick_as_they_are() {
        for (w, h) in [(1, 9), (2, 9), (3, 15), (5, 5)] {
            let outline = 2.0 * (w + h) as f64 - 4.0 + 8.0_f64.sqrt();
            let found = bar(w, h, 0);
            assert!((found.thickness - 2.0 * (w * h) as f64 / outline).abs() < 1e-12, "{w}x{h}: {found:?}");
            assert!(found.slant.abs() < 1e-12);
        }
        assert!(bar(3, 15, 0).thickness > bar(2, 15, 0).thickness);
    }

    #[test]
    fn a_sheared_bar_has_the_slant_that_it_was_sheared_by() {
        for shear in [-1, 0, 1] {
            assert!((bar(2, 9, shear).slant - f64::from(shear)).abs() < 1e-12, "{shear}");
        }
        let mirrored: Vec<u8> = vec![0, 0, 9, 0, 9, 0, 9, 0, 0];
        assert_eq!(Stroke::of(&mirrored, 3, 10).slant, 1.0, "up and to the right");
    }

    #[test]
    fn nothing_and_a_line_across_have_no_slant() {
        assert_eq!(Stroke::of(&[0; 9], 3, 17), Stroke::default());
        assert_eq!(Stroke::of(&[], 0, 17), Stroke::default());
        assert_eq!(Stroke::of(&[0, 0, 0, 5, 5, 5, 0, 0, 0], 3, 17).slant, 0.0);
    }
}
