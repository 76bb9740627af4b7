//! How pictures are cut into tiles, and batches of tiles into blocks.
//!
//! Among the outputs of a tile only the last depends on the point at infinity, and on the last pixel: without both, the
//! transforms of F(4, 3) are those of F(3, 3) at the points 0, 1, -1, 2, -2. So tiles of four outputs (6 points) and of
//! three (5 points) mix on each axis as the size wants, with one transformed kernel and one matrix product for each
//! frequency, in which the tiles without it do not take part: 7 pixels are 4 + 3 outputs, 11 points instead of 12, and
//! 14 x 14 pixels take 22² products instead of 24².

use std::ops::Range;

use super::POINTS;
use crate::conv::Geometry;
use crate::simd::gemm;

/// Outputs of a tile, vertically and horizontally: four or three.
pub(super) type Kind = [usize; 2];

/// In this order the tiles that have a frequency lie side by side, whichever it is.
const KINDS: [Kind; 4] = [[4, 3], [4, 4], [3, 4], [3, 3]];

/// One axis of a picture: `long` tiles of four outputs, then `short` ones of three.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    long: usize,
    short: usize,
}

impl Axis {
    /// The fewest points for `n` outputs: no tile more than fours need, and threes as far as they still cover it.
    fn of(n: usize) -> Self {
        let tiles = n.div_ceil(4);
        let short = (4 * tiles - n).min(tiles);
        Self { long: tiles - short, short }
    }

    fn tiles(self) -> usize {
        self.long + self.short
    }

    fn points(self) -> usize {
        POINTS * self.long + (POINTS - 1) * self.short
    }

    /// The first output of a tile.
    fn begin(self, tile: usize) -> usize {
        4 * tile - tile.saturating_sub(self.long)
    }

    /// The tiles of so many outputs.
    fn having(self, outputs: usize) -> Range<usize> {
        if outputs == 4 { 0..self.long } else { self.long..self.tiles() }
    }
}

/// Frequencies of all tiles of a picture.
pub(in crate::conv) fn frequencies(size: [usize; 2]) -> usize {
    size.map(|n| Axis::of(n).points()).iter().product()
}

/// A tile of a result.
pub(super) struct Tile {
    pub sample: usize,
    /// Row and column of its first output.
    pub place: [usize; 2],
    pub kind: Kind,
}

impl Tile {
    /// Its outputs that exist, the others hang over the edge.
    pub fn corner(&self, size: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| self.kind[axis].min(size[axis] - self.place[axis]))
    }
}

/// The tiles of a block, by [kind](KINDS).
pub(super) struct Block {
    pub tiles: Vec<Tile>,
    /// Where each kind ends.
    ends: [usize; 4],
}

impl Block {
    /// The tiles that have a frequency, whose row and column are [last](last) or not: those of three outputs lack the
    /// point at infinity.
    pub fn having(&self, last: [usize; 2]) -> Range<usize> {
        let [tall_narrow, tall, wide, all] = self.ends;
        match last {
            [0, 0] => 0..all,
            [_, 0] => 0..tall,
            [0, _] => tall_narrow..wide,
            [_, _] => tall_narrow..tall,
        }
    }
}

/// Whether a frequency is in the last row and in the last column, that is at infinity.
pub(super) fn last(frequency: usize) -> [usize; 2] {
    [frequency / POINTS, frequency % POINTS].map(|point| point / (POINTS - 1))
}

/// How the rows of tiles of a batch divide into blocks.
pub(super) struct Blocks {
    axes: [Axis; 2],
    /// Rows of tiles in the whole batch.
    rows: usize,
    /// Rows of tiles in a block.
    block: usize,
    height: usize,
}

impl Blocks {
    /// Of about so many transformed `numbers`, but not less than about the `fewest` tiles.
    pub fn new(geometry: &Geometry, numbers: usize, fewest: usize) -> Self {
        let axes = geometry.size.map(Axis::of);
        let [tall, wide] = axes.map(Axis::tiles);
        let rows = geometry.batch * tall;
        let picture = frequencies(geometry.size) * (geometry.inputs + geometry.outputs);
        let wanted = (numbers * tall * wide / picture.max(1)).max(fewest);
        // Among blocks of about the wanted number of tiles, the one that fills the strips of the matrix product best.
        let most = (wanted / wide.max(1)).max(1);
        let filling = |block: &usize| {
            let tiles = block * wide;
            (tiles * 1000 / tiles.next_multiple_of(gemm::STRIP).max(1), tiles)
        };
        let block = (most.div_ceil(2)..=most).max_by_key(filling).unwrap_or(1);
        Self { axes, rows, block, height: geometry.size[0] }
    }

    /// Tiles in a full block.
    pub fn len(&self) -> usize {
        self.block * self.axes[1].tiles()
    }

    pub fn count(&self) -> usize {
        self.rows.div_ceil(self.block)
    }

    pub fn get(&self, index: usize) -> Block {
        let [vertical, horizontal] = self.axes;
        let tall = vertical.tiles();
        let rows = index * self.block..self.rows.min((index + 1) * self.block);
        let mut tiles = Vec::with_capacity(rows.len() * horizontal.tiles());
        let ends = KINDS.map(|kind| {
            for row in rows.clone().filter(|row| vertical.having(kind[0]).contains(&(row % tall))) {
                tiles.extend(horizontal.having(kind[1]).map(|column| Tile {
                    sample: row / tall,
                    place: [vertical.begin(row % tall), horizontal.begin(column)],
                    kind,
                }));
            }
            tiles.len()
        });
        Block { tiles, ends }
    }

    /// Pixel rows of the result, counted over the whole batch, at which block `index` begins.
    pub fn begin(&self, index: usize) -> usize {
        let (row, tall) = (self.rows.min(index * self.block), self.axes[0].tiles());
        row / tall * self.height + self.axes[0].begin(row % tall)
    }
}

#[cfg(test)]
mod tests {
    use super::super::FREQUENCIES;
    use super::*;
    use crate::conv::ConvOptions;

    /// Against all ways to mix tiles of four and of three.
    #[test]
    fn no_partition_has_fewer_points() {
        for n in 1..60 {
            let axis = Axis::of(n);
            assert!(axis.begin(axis.tiles()) >= n && axis.begin(axis.tiles() - 1) < n, "{n}: {axis:?}");
            let all = (0..20).flat_map(|long| (0..25).map(move |short| Axis { long, short }));
            let fewest = all.filter(|axis| 4 * axis.long + 3 * axis.short >= n).map(Axis::points).min();
            assert_eq!(Some(axis.points()), fewest, "{n}: {axis:?}");
        }
        assert_eq!([7, 14, 28].map(|n| frequencies([n; 2])), [11 * 11, 22 * 22, 42 * 42]);
    }

    /// Blocks hold every output once, and tiles with a frequency side by side.
    #[test]
    fn blocks_cover_the_batch() {
        for (height, width) in (1..16).flat_map(|height| (1..16).map(move |width| (height, width))) {
            let geometry = Geometry {
                batch: 3,
                image: [height, width],
                inputs: 8,
                outputs: 8,
                kernel: [3; 2],
                seen: 9,
                size: [height, width],
                options: ConvOptions::same(3),
            };
            let blocks = Blocks::new(&geometry, 5000, 6);
            let (mut seen, mut count) = (vec![0; 3 * height * width], 0);
            for index in 0..blocks.count() {
                let block = blocks.get(index);
                assert!(block.tiles.len() <= blocks.len());
                for tile in &block.tiles {
                    let [rows, columns] = tile.corner([height, width]);
                    for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
                        let row = tile.sample * height + tile.place[0] + i;
                        assert!((blocks.begin(index)..blocks.begin(index + 1)).contains(&row));
                        seen[row * width + tile.place[1] + j] += 1;
                    }
                }
                for frequency in 0..FREQUENCIES {
                    let range = block.having(last(frequency));
                    count += range.len();
                    let points = [frequency / POINTS, frequency % POINTS];
                    for (at, tile) in block.tiles.iter().enumerate() {
                        let has = [0, 1].iter().all(|axis| points[*axis] < tile.kind[*axis] + 2);
                        assert_eq!(range.contains(&at), has);
                    }
                }
            }
            assert!(seen.iter().all(|times| *times == 1), "{height} x {width}");
            assert_eq!(count, 3 * frequencies([height, width]));
        }
    }
}
