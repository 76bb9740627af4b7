//! How results divide into tiles, and where the numbers of a frequency lie.

use std::ops::Range;

use super::super::{Geometry, apart};
use super::transform::OUTSIDE;
use crate::simd::gemm;

/// Frequencies along one axis.
pub(super) const POINTS: usize = 5;
/// Points of a transformed tile.
pub(super) const FREQUENCIES: usize = POINTS * POINTS;
/// The frequency along an axis that a phase with one tap does not have: infinity, where it is the second tap.
const INFINITY: usize = 3;
/// The frequency along an axis that tiles of three do not have.
const LAST: usize = 4;
/// Tiles that are transformed at once: enough for the weights to be read seldom.
const TILES: usize = 48;

/// For each phase and frequency a place, or [`OUTSIDE`].
pub(super) type Phases = [[usize; FREQUENCIES]; 4];

/// Classes of tiles by their [`sides`], in an order in which the tiles that have a frequency are neighbours.
pub(super) const CLASSES: usize = 4;

/// Whether the rows and the columns of a class of tiles are four, else three.
pub(super) fn sides(class: usize) -> [bool; 2] {
    [[true, false], [true, true], [false, true], [false, false]][class]
}

/// The tiles along one axis: those of four first.
#[derive(Clone, Copy)]
struct Axis {
    fours: usize,
    threes: usize,
}

impl Axis {
    /// As few tiles as cover `n` outputs, hanging over the end as little as can be.
    fn new(n: usize) -> Self {
        let tiles = n.div_ceil(4);
        let threes = (4 * tiles - n).min(tiles);
        Self { fours: tiles - threes, threes }
    }

    fn tiles(self, four: bool) -> usize {
        if four { self.fours } else { self.threes }
    }

    /// Outputs of all tiles.
    fn cover(self) -> usize {
        4 * self.fours + 3 * self.threes
    }

    /// Products for each pair of channels, phases together.
    fn products(self, kernel: usize) -> usize {
        let alone = 4 - kernel;
        self.fours * (10 - alone) + self.threes * (8 - alone)
    }
}

/// A tile of a block.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// Its number in the block.
    pub index: usize,
    /// Its number among those of its class in the block.
    pub in_class: usize,
    /// Its first output.
    pub begin: [usize; 2],
    /// Its outputs that exist.
    pub corner: [usize; 2],
}

/// The division of a geometry.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    axes: [Axis; 2],
    size: [usize; 2],
    kernel: usize,
    pub inputs: usize,
    pub outputs: usize,
}

impl Plan {
    pub fn new(geometry: &Geometry) -> Self {
        let &Geometry { size, kernel, inputs, outputs, .. } = geometry;
        Self { axes: size.map(Axis::new), size, kernel: kernel[0], inputs, outputs }
    }

    /// The distances between the rows of tiles that hold the inputs of all phases and the outputs.
    pub fn distances(&self) -> [usize; 2] {
        [4 * self.inputs, self.outputs].map(apart)
    }

    /// Numbers of the transformed tiles of one sample.
    pub fn numbers(&self) -> usize {
        self.tiles() * FREQUENCIES * self.distances().iter().sum::<usize>()
    }

    /// Multiplications for each pair of channels.
    pub fn products(&self) -> usize {
        self.axes[0].products(self.kernel) * self.axes[1].products(self.kernel)
    }

    /// Tiles of a class in a sample.
    fn of_class(&self, class: usize) -> usize {
        let [rows, columns] = sides(class);
        self.axes[0].tiles(rows) * self.axes[1].tiles(columns)
    }

    /// The number of the first tile of a class in a block of `samples`.
    fn first(&self, class: usize, samples: usize) -> usize {
        (0..class).map(|class| samples * self.of_class(class)).sum()
    }

    /// Tiles of a sample.
    pub fn tiles(&self) -> usize {
        self.first(CLASSES, 1)
    }

    /// The tiles of a class in one sample of a block.
    pub fn tiles_of(&self, class: usize, sample: usize, samples: usize) -> impl Iterator<Item = Tile> {
        let (plan, fours) = (*self, sides(class));
        let [rows, columns] = [0, 1].map(|axis| self.axes[axis].tiles(fours[axis]));
        let first = self.first(class, samples);
        (0..rows * columns).map(move |at| {
            let place = [at / columns, at % columns];
            let begin = [0, 1].map(|axis| match fours[axis] {
                true => 4 * place[axis],
                false => 4 * plan.axes[axis].fours + 3 * place[axis],
            });
            let corner = [0, 1].map(|axis| (plan.size[axis] - begin[axis]).min(if fours[axis] { 4 } else { 3 }));
            let in_class = sample * rows * columns + at;
            Tile { index: first + in_class, in_class, begin, corner }
        })
    }

    /// The frequencies that any tile has.
    pub fn frequencies(&self) -> impl Iterator<Item = usize> {
        let plan = *self;
        (0..FREQUENCIES).filter(move |frequency| !plan.range(*frequency, 1).is_empty())
    }

    /// The tiles of a block of `samples` that have a frequency.
    pub fn range(&self, frequency: usize, samples: usize) -> Range<usize> {
        let first = |class| self.first(class, samples);
        match [frequency / POINTS, frequency % POINTS] {
            [LAST, LAST] => first(1)..first(2),
            [LAST, _] => 0..first(2),
            [_, LAST] => first(1)..first(3),
            _ => 0..first(4),
        }
    }

    /// Samples of a block: among those with about the wanted number of tiles, the one that fills the strips of the
    /// matrix product best.
    pub fn samples(&self) -> usize {
        let most = (TILES / self.tiles().max(1)).max(1);
        let filling = |samples: &usize| {
            let rows = (0..FREQUENCIES).map(|frequency| self.range(frequency, *samples).len());
            let (rows, padded) =
                rows.fold((0, 0), |(sum, padded), rows| (sum + rows, padded + rows.next_multiple_of(gemm::STRIP)));
            (rows * 1000 / padded.max(1), *samples)
        };
        (most.div_ceil(2)..=most).max_by_key(filling).unwrap_or(1)
    }

    /// The same where no sum depends on it: a few blocks are made an even number of equal ones, for the threads.
    pub fn even_samples(&self, batch: usize) -> usize {
        let samples = self.samples();
        match batch.div_ceil(samples) {
            blocks @ 2..8 => batch.div_ceil(blocks.next_multiple_of(2)),
            _ => samples,
        }
    }

    /// Height and width of a sample in a frame of zeros, as all its tiles see it.
    pub fn frame(&self) -> [usize; 2] {
        self.axes.map(|axis| 2 * (axis.cover() + 1))
    }

    /// Phases that a frequency has along each axis.
    fn phases(&self, frequency: usize) -> [usize; 2] {
        [frequency / POINTS, frequency % POINTS].map(|point| if self.kernel == 3 && point == INFINITY { 1 } else { 2 })
    }

    /// Channels of all phases that a frequency has.
    pub fn depth(&self, frequency: usize) -> usize {
        let [down, right] = self.phases(frequency);
        down * right * self.inputs
    }

    /// The number of a phase among those that a frequency has.
    pub fn position(&self, phase: usize, frequency: usize) -> Option<usize> {
        let [down, right] = self.phases(frequency);
        let (i, j) = (phase / 2, phase % 2);
        (i < down && j < right).then_some(i * right + j)
    }

    /// A place for each phase and frequency from the number of the phase and the frequency.
    pub fn places(&self, place: impl Fn(usize, usize) -> usize) -> Phases {
        std::array::from_fn(|phase| {
            std::array::from_fn(|frequency| match self.position(phase, frequency) {
                Some(position) => place(position, frequency),
                None => OUTSIDE,
            })
        })
    }

    /// The tap of the weight that is the tap `[v, w]` of a phase.
    pub fn tap(&self, phase: usize, [v, w]: [usize; 2]) -> Option<usize> {
        let (i, j) = (phase / 2 + 2 * v, phase % 2 + 2 * w);
        (i < self.kernel && j < self.kernel).then_some(i * self.kernel + j)
    }

    /// Taps of the weight.
    pub fn taps(&self) -> usize {
        self.kernel * self.kernel
    }
}

/// The first number of each frequency for the first tile of a class, and the distance of panels there.
pub(super) type Table = [(usize, usize); FREQUENCIES];

impl Plan {
    /// Rows of all channels, tiles in their order.
    pub fn by_rows(&self, class: usize, samples: usize, apart: usize) -> Table {
        let first = self.first(class, samples) * self.distances()[1];
        std::array::from_fn(|frequency| (frequency * apart + first, gemm::PANEL))
    }

    /// Packed panels of the tiles that have the frequency.
    pub fn by_panels(&self, class: usize, samples: usize, apart: usize) -> Table {
        std::array::from_fn(|frequency| {
            let range = self.range(frequency, samples);
            let before = self.first(class, samples).saturating_sub(range.start);
            (frequency * apart + before * gemm::PANEL, range.len() * gemm::PANEL)
        })
    }
}
