//! Pictures in memory, and grids of them.

/// Pixels, `[height, width, channels]`, with 1 (grey) or 3 (RGB) channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows of pixels.
    pub height: usize,
    /// 1 or 3.
    pub channels: usize,
    /// The bytes, row-major.
    pub pixels: Vec<u8>,
}

/// Small images are shown at least this many pixels wide.
const TILE: usize = 32;
/// Pixels between tiles and around them.
const GAP: usize = 2;
/// The grey of the gaps.
const GREY: u8 = 128;

impl Picture {
    /// A picture of one shade.
    pub fn blank(width: usize, height: usize, channels: usize, shade: u8) -> Self {
        Self { width, height, channels, pixels: vec![shade; width * height * channels] }
    }

    /// Equal pictures in a grid that is about square, row by row; small ones are enlarged by a whole factor.
    pub fn grid(tiles: &[Self]) -> Option<Self> {
        let columns = (tiles.len() as f64).sqrt().ceil() as usize;
        Self::grid_of(tiles, columns)
    }

    /// Equal pictures in a grid of `columns`.
    pub fn grid_of(tiles: &[Self], columns: usize) -> Option<Self> {
        let first = tiles.first()?;
        let scale = TILE.div_ceil(first.width.max(1)).max(1);
        let (width, height) = (first.width * scale + GAP, first.height * scale + GAP);
        let lines = tiles.len().div_ceil(columns);
        let mut grid = Self::blank(columns * width + GAP, lines * height + GAP, first.channels, GREY);
        for (index, tile) in tiles.iter().enumerate() {
            grid.paste(tile, GAP + index % columns * width, GAP + index / columns * height, scale);
        }
        Some(grid)
    }

    fn paste(&mut self, tile: &Self, left: usize, top: usize, scale: usize) {
        let channels = self.channels;
        for y in 0..tile.height * scale {
            for x in 0..tile.width * scale {
                let from = (y / scale * tile.width + x / scale) * channels;
                let to = ((top + y) * self.width + left + x) * channels;
                self.pixels[to..to + channels].copy_from_slice(&tile.pixels[from..from + channels]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_stand_where_they_should() {
        let tiles: Vec<Picture> = (0..5).map(|shade| Picture::blank(16, 8, 1, shade)).collect();
        let grid = Picture::grid(&tiles).unwrap();
        assert_eq!((grid.width, grid.height), (3 * 34 + 2, 2 * 18 + 2));
        let at = |x: usize, y: usize| grid.pixels[y * grid.width + x];
        assert_eq!(
            [at(0, 0), at(2, 2), at(33, 17), at(34, 2), at(36, 2), at(2, 20), at(36, 20)],
            [GREY, 0, 0, GREY, 1, 3, 4]
        );
        assert_eq!(at(70, 20), GREY, "the last line is not full");
        assert_eq!(Picture::grid(&[]), None);
    }
}
