//! The time as a network sees it: `cos kπt` for `k = 1..=K`, then `sin kπt`.

/// The features of each time, row-major `[n, 2 K]`, or one row if all times are equal.
pub(super) fn features(t: &[f64], frequencies: usize) -> Vec<f32> {
    let t = if t.iter().all(|other| *other == t[0]) { &t[..t.len().min(1)] } else { t };
    let mut out = Vec::with_capacity(t.len() * 2 * frequencies);
    for t in t {
        // One sine and one cosine; the rest by turning: in double precision, good to 1e-14 for hundreds of turns.
        let (sin, cos) = libm::sincos(std::f64::consts::PI * t);
        let first = out.len();
        out.resize(first + 2 * frequencies, 0.0);
        let (mut s, mut c) = (0.0, 1.0);
        for k in 0..frequencies {
            (s, c) = (s * cos + c * sin, c * cos - s * sin);
            out[first + k] = c as f32;
            out[first + frequencies + k] = s as f32;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    #[test]
    fn multiples_of_the_angle() {
        let times = [0.0, 0.37, 1.0];
        let all = features(&times, 64);
        for (t, row) in times.iter().zip(all.chunks_exact(128)) {
            for (k, (cos, sin)) in row[..64].iter().zip(&row[64..]).enumerate() {
                let angle = PI * (k + 1) as f64 * t;
                assert!((f64::from(*cos) - angle.cos()).abs() < 1e-6);
                assert!((f64::from(*sin) - angle.sin()).abs() < 1e-6);
            }
        }
        assert_eq!(features(&[0.37; 5], 64), all[128..256]);
        assert!(features(&[0.1, 0.2], 0).is_empty() && features(&[], 3).is_empty());
    }
}
