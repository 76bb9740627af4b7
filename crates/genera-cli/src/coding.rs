//! Rows as latent numbers and back, whatever the model: by a codec, by a bijection, or, of a diffusion, along its
//! probability flow (Song et al., 2011.13456). And ways between two codes.

use genera::diffusion::{Levels, ProbabilityFlow, Solver};
use genera::traits::{Bijection, Codec, Denoise, Rows, View};
use genera_metrics::Path;

use crate::family::Family;
use crate::measure::{Draw, Way};

/// What turns rows into codes and back.
pub enum Coding<'b, 'a> {
    /// Latent numbers, which may lose something.
    Codec(&'b dyn Codec<Code = Rows>),
    /// Numbers of noise.
    Bijection(&'b dyn Bijection),
    /// The noise that rows become as it is added without chance.
    Flow {
        /// What removes noise from rows of these classes.
        denoise: &'b dyn Fn(Vec<usize>) -> Box<dyn Denoise + 'a>,
        levels: &'b Levels,
        flow: ProbabilityFlow,
    },
}

impl<'b, 'a: 'b> Coding<'b, 'a> {
    /// Of a model that encodes at once; none of others.
    pub fn of_view(view: &View<'b>) -> Option<Self> {
        view.codec.map(Self::Codec).or(view.bijection.map(Self::Bijection))
    }

    /// Of any model that encodes: a diffusion's flow is followed with this tolerance.
    pub fn of(view: &View<'b>, model: &Family, draw: &'b Draw<'a>, tolerance: f64) -> Option<Self> {
        let along_the_flow = || match &draw.way {
            Way::Chain { denoise, levels, .. } if Family::misfit(Some(model), Solver::ProbabilityFlow).is_none() => {
                let flow = ProbabilityFlow { tolerance, ..ProbabilityFlow::default() };
                Some(Self::Flow { denoise: &**denoise, levels, flow })
            }
            _ => None,
        };
        Self::of_view(view).or_else(along_the_flow)
    }

    /// The code of each row, which is of class `labels[i mod len]`: `[B, F] -> [B, Z]`.
    pub fn encode(&self, x: Rows, labels: &[usize]) -> Rows {
        match self {
            Self::Codec(codec) => codec.encode(x),
            Self::Bijection(flow) => flow.forward_and_log_det(x).0,
            Self::Flow { denoise, levels, flow } => flow.encode(&*denoise(labels.to_vec()), levels, x),
        }
    }

    /// The row of each code, likewise: `[B, Z] -> [B, F]`.
    pub fn decode(&self, z: Rows, labels: &[usize]) -> Rows {
        match self {
            Self::Codec(codec) => codec.decode(z),
            Self::Bijection(flow) => flow.inverse_and_log_det(z).0,
            Self::Flow { denoise, levels, flow } => flow.decode(&*denoise(labels.to_vec()), levels, z),
        }
    }
}

/// `count` stations from `a` to `b`, both included: of the straight line, or of the arc whose radius goes from one's to the
/// other's.
pub fn stations(path: Path, a: &[f64], b: &[f64], count: usize) -> Vec<f32> {
    let norm = |z: &[f64]| z.iter().map(|z| z * z).sum::<f64>().sqrt();
    let station = |i: usize| match (i, path) {
        // To the bit: they are the codes themselves.
        (0, _) => a.to_vec(),
        (i, _) if i + 1 == count => b.to_vec(),
        (i, Path::Lerp) => path.between(a, b, i as f64 / (count - 1) as f64),
        (i, Path::Slerp) => {
            let t = i as f64 / (count - 1) as f64;
            let radius = norm(a) + (norm(b) - norm(a)) * t;
            path.between(a, b, t).into_iter().map(|z| z * radius).collect()
        }
    };
    (0..count).flat_map(station).map(|z| z as f32).collect()
}

#[cfg(test)]
mod tests {
    use genera::burn::tensor::Device;
    use genera::diffusion::{MixtureDenoiser, Schedule};

    use super::*;
    use crate::data::{numbers, tensor};

    #[test]
    fn ways_begin_and_end_where_they_should() {
        let (a, b) = ([3.0, 0.0], [0.0, 1.0]);
        for path in [Path::Lerp, Path::Slerp] {
            let z = stations(path, &a, &b, 9);
            assert_eq!((z.len(), &z[..2], &z[16..]), (18, &[3.0, 0.0][..], &[0.0, 1.0][..]));
        }
        assert_eq!(stations(Path::Lerp, &a, &b, 9)[8..10], [1.5, 0.5]);
        // In the middle of the arc: the radius two, at 45 degrees.
        let middle = &stations(Path::Slerp, &a, &b, 9)[8..10];
        assert!(middle.iter().all(|z| (z - 2.0_f32.sqrt()).abs() < 1e-6), "{middle:?}");
    }

    /// The flow of normal data keeps `(x − α m) / √(α² v + σ²)`, so codes and the rows along an arc of them have a closed form.
    #[test]
    fn the_way_between_normal_rows_is_known() {
        let (m, v, device) = ([0.4, -0.2, 0.1], 0.5, Device::default());
        let data = MixtureDenoiser::new(&[(1.0, m.to_vec(), vec![v; 3])], &device).unwrap();
        let (x, count) = ([0.9_f32, 0.3, -0.5, -0.4, 0.2, 0.8], 7);
        for schedule in [Schedule::variance_preserving(1000), Schedule::karras(100)] {
            let levels = schedule.levels().unwrap();
            let denoise = |_: Vec<usize>| Box::new(data.clone()) as Box<dyn Denoise>;
            let flow = ProbabilityFlow { tolerance: 1e-6, ..ProbabilityFlow::default() };
            let coding = Coding::Flow { denoise: &denoise, levels: &levels, flow };
            let codes: Vec<f64> = numbers(coding.encode(tensor(x.to_vec(), 3, &device), &[]))
                .unwrap()
                .into_iter()
                .map(f64::from)
                .collect();
            let [low, top] = [levels.lowest(), levels.top()];
            let spread = |level: genera::diffusion::Level| (level.alpha.powi(2) * v + level.sigma.powi(2)).sqrt();
            let out = |x: f64, j: usize| (x - low.alpha * m[j]) / spread(low) * spread(top) + top.alpha * m[j];
            let home = |z: f64, j: usize| (z - top.alpha * m[j]) / spread(top) * spread(low) + low.alpha * m[j];
            let known: Vec<f64> = x.iter().enumerate().map(|(i, x)| out(f64::from(*x), i % 3)).collect();
            let near = |a: f64, b: f64, what: &str| assert!((a - b).abs() < 1e-3 * b.abs().max(1.0), "{what}: {a} {b}");
            codes.iter().zip(&known).for_each(|(a, b)| near(*a, *b, "a code"));
            let way = stations(Path::Slerp, &codes[..3], &codes[3..], count);
            let found = numbers(coding.decode(tensor(way, 3, &device), &[])).unwrap();
            let expected = stations(Path::Slerp, &known[..3], &known[3..], count);
            for (i, (found, z)) in found.iter().zip(&expected).enumerate() {
                near(f64::from(*found), home(f64::from(*z), i % 3), "a row of the way");
            }
            // The ends are the rows that were there.
            let ends = found[..3].iter().chain(&found[3 * (count - 1)..]);
            ends.zip(&x).for_each(|(a, b)| near(f64::from(*a), f64::from(*b), "an end"));
        }
    }
}
