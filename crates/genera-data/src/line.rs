//! Mixtures of Gaussians on the line, where distances between distributions have closed forms.

use std::str::FromStr;

use genera_rng::Rng;

use crate::{Dataset, Error, Labels, Mixture, Result, Split, Table};

/// A density on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Line {
    /// N(2, 1).
    Gaussian,
    /// 0.7 N(−3, 1) + 0.3 N(3, 1).
    TwoGaussians,
}

impl Line {
    /// Every density.
    pub const ALL: [Self; 2] = [Self::Gaussian, Self::TwoGaussians];

    /// The name that recipes and the command line use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gaussian => "line-gaussian",
            Self::TwoGaussians => "line-two-gaussians",
        }
    }

    /// The density, with its logarithm and its draws.
    pub fn density(self) -> Mixture {
        let mixture = match self {
            Self::Gaussian => Mixture::new(vec![1.0], vec![2.0], &[1.0]),
            Self::TwoGaussians => Mixture::new(vec![0.7, 0.3], vec![-3.0, 3.0], &[1.0, 1.0]),
        };
        mixture.expect("a density on the line is a mixture")
    }

    /// `n` points, labelled by component where there are two. Point `i` depends on `rng` and `i` alone.
    pub fn sample(self, n: usize, rng: &mut Rng) -> Table {
        let density = self.density();
        let drawn = rng.streams(n).map(|mut stream| density.draw(&mut stream));
        let (values, labels): (Vec<f32>, Vec<u16>) = drawn.map(|(x, component)| (x[0] as f32, component)).unzip();
        let classes = density.weights().len();
        let labels = (classes > 1).then(|| Labels::new(labels, (0..classes).map(|class| class.to_string()).collect()));
        labels
            .transpose()
            .and_then(|labels| Table::new(self.name(), vec!["x".to_owned()], values, labels))
            .expect("a mixture draws finite points of its own components")
    }

    /// `n` points, the first 80 % to train on.
    pub fn split(self, n: usize, rng: &mut Rng) -> Split {
        let train = n - n / 5;
        Dataset::Table(self.sample(n, rng)).split(|row| row >= train)
    }
}

impl FromStr for Line {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|line| line.name() == name).ok_or_else(|| Error::NotFound {
            name: name.to_owned(),
            looked: Vec::new(),
            mend: format!("the densities on the line are {}", Self::ALL.map(Self::name).join(", ")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_the_moments_of_the_density() {
        for (line, mean, variance) in [(Line::Gaussian, 2.0, 1.0), (Line::TwoGaussians, -1.2, 1.0 + 9.0 - 1.44)] {
            let n = 20_000;
            let table = line.sample(n, &mut Rng::new(1));
            let values: Vec<f64> = table.values().iter().map(|x| f64::from(*x)).collect();
            let found = values.iter().sum::<f64>() / n as f64;
            let spread = values.iter().map(|x| (x - found).powi(2)).sum::<f64>() / n as f64;
            assert!((found - mean).abs() < 0.1 && (spread - variance).abs() < 0.2, "{line:?}: {found} {spread}");
            assert_eq!(line.name().parse::<Line>().unwrap(), line);
        }
        assert!("line".parse::<Line>().is_err());
    }

    #[test]
    fn densities_integrate_to_one_and_points_depend_on_their_number_alone() {
        for line in Line::ALL {
            let density = line.density();
            let mass: f64 = (0..4000).map(|i| density.log_density(&[-20.0 + f64::from(i) * 0.01]).exp() * 0.01).sum();
            assert!((mass - 1.0).abs() < 1e-9, "{line:?}: {mass}");
            let whole = line.sample(24, &mut Rng::new(3));
            let rng = Rng::new(3);
            let parts: Vec<f32> =
                (0..3).flat_map(|i| line.sample(8, &mut rng.rows_from(8 * i)).values().to_vec()).collect();
            assert_eq!(whole.values(), parts);
        }
        assert_eq!(Line::Gaussian.split(10, &mut Rng::new(0)).test.len(), 2);
    }
}
