//! Masks as rows of bytes.

use super::Mask;

impl Mask {
    /// The pixels within `[x1, y1, x2, y2]` (pixel edges, inside the picture) as rows of bytes, 0 or `value`.
    ///
    /// Marks only the ends of the runs, and carries each row's bytes into the next: one pass over memory in its order, where
    /// filling the columns would touch a cache line per pixel.
    pub(crate) fn rows_within(&self, [x1, y1, x2, y2]: [usize; 4], value: u8) -> Vec<u8> {
        let width = x2 - x1;
        let mut rows = vec![0; width * (y2 - y1)];
        for (x, ys) in self.column_runs().skip_while(|(x, _)| *x < x1).take_while(|(x, _)| *x < x2) {
            for y in [ys.start.max(y1), ys.end.max(y1)].into_iter().filter(|&y| y < y2) {
                rows[(y - y1) * width + x - x1] ^= value;
            }
        }
        for start in (width..rows.len()).step_by(width.max(1)) {
            let (above, below) = rows.split_at_mut(start);
            for (byte, above) in below.iter_mut().zip(&above[start - width..]) {
                *byte ^= above;
            }
        }
        rows
    }
}
