//! Operands in the order in which tiles read them.

use super::View;
use crate::path::Path;

/// Packs `width` columns of `b`, the first at `from`: for each row of b `wide` floats, zeros past the width.
///
/// # Safety
/// The columns lie within b's slice; `to` has room for `b.rows` times `wide` floats.
pub(super) unsafe fn panel(
    path: Path,
    from: *const f32,
    b: View<'_, f32>,
    width: usize,
    wide: usize,
    to: *mut f32,
) {
    // SAFETY: by the contract.
    unsafe {
        if b.column_stride == 1 {
            for p in 0..b.rows {
                let to = to.add(p * wide);
                std::ptr::copy_nonoverlapping(from.add(p * b.row_stride), to, width);
                std::ptr::write_bytes(to.add(width), 0, wide - width);
            }
            return;
        }
        let mut done = 0;
        #[cfg(target_arch = "x86_64")]
        if b.row_stride == 1 && path.level() >= crate::path::Level::Avx2 {
            while done + 8 <= width {
                super::x86::turn(from.add(done * b.column_stride), b, wide, to.add(done));
                done += 8;
            }
        }
        let _ = path;
        for p in 0..b.rows {
            let to = to.add(p * wide);
            for j in done..wide {
                *to.add(j) = match j < width {
                    true => *from.add(j * b.column_stride + p * b.row_stride),
                    false => 0.0,
                };
            }
        }
    }
}

/// Packs `rows` rows of A, `row` apart, in groups of `group`: for each of `inner` columns, `column` apart, one float of each row. What is past the last
/// row repeats it.
///
/// # Safety
/// The rows lie within a slice; `to` has room for the groups.
#[inline(always)]
pub(super) unsafe fn rows(
    from: *const f32,
    (row, column): (usize, usize),
    (rows, inner): (usize, usize),
    group: usize,
    to: *mut f32,
) {
    for g in 0..rows.div_ceil(group) {
        let last = (rows - g * group).min(group) - 1;
        // SAFETY: by the contract.
        unsafe {
            let (from, to) = (from.add(g * group * row), to.add(g * group * inner));
            for p in 0..inner {
                for i in 0..group {
                    *to.add(p * group + i) = *from.add(p * column + i.min(last) * row);
                }
            }
        }
    }
}
