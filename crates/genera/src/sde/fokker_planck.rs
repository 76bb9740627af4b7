//! How a density moves: the equation of Kolmogorov, Fokker and Planck on a grid of the line or the plane.
//!
//! ```text
//! ∂p/∂t = −div(f p) + ½ g² Δp
//! cell i gains  (J_{i−½} − J_{i+½}) / h,   J = D/h (B(−P) p_i − B(P) p_{i+1}),   P = f h / D,  D = ½ g²,  B(z) = z/(eᶻ − 1)
//! ```
//!
//! Finite volumes with the flux of Scharfetter and Gummel (1969), which is exact where drift and diffusion are constant
//! between two cells: mass is conserved to rounding, no density turns negative, and `e^{−U}` stays at rest for a drift
//! `−D ∇U` taken as differences of `U` between cells. No flux passes the walls. Time goes in explicit steps of Heun's rule
//! that are as long as stability allows.
//!
//! Double precision, no tensors. An ordinary equation (`g = 0`) has no diffusion to balance its drift and is refused.

/// A density on the cells of a box, in one or two dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid<const D: usize> {
    /// `[from, to]` of each axis.
    pub bounds: [[f64; 2]; D],
    /// How many cells each axis has.
    pub cells: [usize; D],
    /// The density of each cell, the last axis innermost.
    pub density: Vec<f64>,
}

/// A grid, drift or time that makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{name} is {value}; it must be {needed}")]
pub struct GridError {
    name: &'static str,
    value: f64,
    needed: &'static str,
}

fn require(ok: bool, name: &'static str, value: f64, needed: &'static str) -> Result<(), GridError> {
    if ok { Ok(()) } else { Err(GridError { name, value, needed }) }
}

impl<const D: usize> Grid<D> {
    /// The density `p` at the centre of every cell, scaled to a mass of one.
    ///
    /// # Errors
    /// A box without inside, fewer than three cells on an axis, more than sixteen million in all, a density that is
    /// negative, not finite or zero everywhere.
    pub fn of(bounds: [[f64; 2]; D], cells: [usize; D], p: impl Fn([f64; D]) -> f64) -> Result<Self, GridError> {
        for ([from, to], cells) in bounds.into_iter().zip(cells) {
            require(from.is_finite() && to > from && to.is_finite(), "the end of an axis", to, "above its start")?;
            require(cells >= 3, "the number of cells of an axis", cells as f64, "at least 3")?;
        }
        let all = cells.iter().map(|n| *n as f64).product::<f64>();
        require(all <= 16e6, "the number of cells", all, "at most 16 million")?;
        let mut grid = Self { bounds, cells, density: vec![0.0; cells.iter().product()] };
        for at in 0..grid.density.len() {
            let value = p(grid.centre(at));
            require(value >= 0.0 && value.is_finite(), "the density of a cell", value, "finite and not negative")?;
            grid.density[at] = value;
        }
        let mass = grid.mass();
        require(mass > 0.0, "the mass on the grid", mass, "positive")?;
        grid.density.iter_mut().for_each(|p| *p /= mass);
        Ok(grid)
    }

    /// The side of a cell along each axis.
    pub fn sides(&self) -> [f64; D] {
        std::array::from_fn(|axis| (self.bounds[axis][1] - self.bounds[axis][0]) / self.cells[axis] as f64)
    }

    /// The centre of cell `at`.
    pub fn centre(&self, mut at: usize) -> [f64; D] {
        let sides = self.sides();
        let mut centre = [0.0; D];
        for axis in (0..D).rev() {
            centre[axis] = self.bounds[axis][0] + (at % self.cells[axis]) as f64 * sides[axis] + 0.5 * sides[axis];
            at /= self.cells[axis];
        }
        centre
    }

    /// The integral over the box.
    pub fn mass(&self) -> f64 {
        self.density.iter().sum::<f64>() * self.sides().iter().product::<f64>()
    }

    /// `E[f(x)]`.
    pub fn mean(&self, f: impl Fn([f64; D]) -> f64) -> f64 {
        let volume = self.sides().iter().product::<f64>();
        self.density.iter().enumerate().map(|(at, p)| f(self.centre(at)) * p * volume).sum()
    }

    /// `∂p/∂t` of every cell: 0 at rest. `drift` is taken between neighbouring cells, in the middle of their common side.
    ///
    /// # Errors
    /// A diffusion that is not positive, a drift that is not finite.
    pub fn change(&self, drift: &impl Fn([f64; D]) -> [f64; D], g: f64) -> Result<Vec<f64>, GridError> {
        Ok(Flow::new(self, drift, g)?.change(&self.density))
    }

    /// How many steps [`Grid::evolved`] takes for such a time.
    ///
    /// # Errors
    /// Those of [`Grid::change`].
    pub fn steps(&self, drift: &impl Fn([f64; D]) -> [f64; D], g: f64, time: f64) -> Result<f64, GridError> {
        Ok((time / Flow::new(self, drift, g)?.longest_step()).ceil())
    }

    /// The density a time `time` later.
    ///
    /// # Errors
    /// Those of [`Grid::change`]; a time that is negative, or so long that more than a million steps would be needed.
    pub fn evolved(&self, drift: &impl Fn([f64; D]) -> [f64; D], g: f64, time: f64) -> Result<Self, GridError> {
        require(time >= 0.0 && time.is_finite(), "the time", time, "finite and not negative")?;
        let flow = Flow::new(self, drift, g)?;
        let steps = (time / flow.longest_step()).ceil();
        require(steps <= 1e6, "the number of steps", steps, "at most a million: take fewer cells or less time")?;
        let h = time / steps.max(1.0);
        let mut density = self.density.clone();
        for _ in 0..steps as usize {
            let first = flow.change(&density);
            let ahead: Vec<f64> = density.iter().zip(&first).map(|(p, k)| p + h * k).collect();
            let second = flow.change(&ahead);
            density.iter_mut().zip(first.iter().zip(&second)).for_each(|(p, (a, b))| *p += 0.5 * h * (a + b));
        }
        Ok(Self { density, ..self.clone() })
    }
}

/// What leaves and what enters through every side.
struct Flow<'a, const D: usize> {
    grid: &'a Grid<D>,
    /// Along each axis, for the side above each cell: the rates `(D/h²) B(P)` forth and `(D/h²) B(−P)` back; zero at the
    /// wall.
    rates: [Vec<[f64; 2]>; D],
    strides: [usize; D],
}

/// `z / (eᶻ − 1)`.
fn bernoulli(z: f64) -> f64 {
    if z.abs() < 1e-5 { 1.0 - 0.5 * z + z * z / 12.0 } else { z / z.exp_m1() }
}

impl<'a, const D: usize> Flow<'a, D> {
    fn new(grid: &'a Grid<D>, drift: &impl Fn([f64; D]) -> [f64; D], g: f64) -> Result<Self, GridError> {
        require(g > 0.0 && g.is_finite(), "the diffusion g", g, "positive")?;
        let (diffusion, sides) = (0.5 * g * g, grid.sides());
        let mut strides = [1; D];
        for axis in (0..D - 1).rev() {
            strides[axis] = strides[axis + 1] * grid.cells[axis + 1];
        }
        let mut rates: [Vec<[f64; 2]>; D] = std::array::from_fn(|_| Vec::with_capacity(grid.density.len()));
        for (axis, rates) in rates.iter_mut().enumerate() {
            let (side, stride, cells) = (sides[axis], strides[axis], grid.cells[axis]);
            for at in 0..grid.density.len() {
                if at / stride % cells + 1 == cells {
                    rates.push([0.0; 2]);
                    continue;
                }
                let mut between = grid.centre(at);
                between[axis] += 0.5 * side;
                let f = drift(between)[axis];
                require(f.is_finite(), "the drift", f, "finite everywhere on the grid")?;
                let peclet = f * side / diffusion;
                let scale = diffusion / (side * side);
                rates.push([scale * bernoulli(-peclet), scale * bernoulli(peclet)]);
            }
        }
        Ok(Self { grid, rates, strides })
    }

    fn change(&self, density: &[f64]) -> Vec<f64> {
        let mut change = vec![0.0; density.len()];
        for (axis, rates) in self.rates.iter().enumerate() {
            let stride = self.strides[axis];
            for (at, [forth, back]) in rates.iter().enumerate() {
                if *forth > 0.0 || *back > 0.0 {
                    let flux = forth * density[at] - back * density[at + stride];
                    change[at] -= flux;
                    change[at + stride] += flux;
                }
            }
        }
        change
    }

    /// The longest step in which no cell loses more than it has.
    fn longest_step(&self) -> f64 {
        let mut leaving = vec![0.0; self.grid.density.len()];
        for (axis, rates) in self.rates.iter().enumerate() {
            for (at, [forth, back]) in rates.iter().enumerate() {
                leaving[at] += forth;
                if *back > 0.0 {
                    leaving[at + self.strides[axis]] += back;
                }
            }
        }
        0.9 / leaving.into_iter().fold(f64::MIN_POSITIVE, f64::max)
    }
}
