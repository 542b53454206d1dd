//! f32 kernels of the convolution and of the gradient of its input: packing, and blocks of rows by task.

use super::geometry::{Class, Shape, Source, Tap, forward as forward_class, transposed};
use super::kernel::{self, Block, ROWS};
use crate::parallel::{Shared, each, unwritten};
use crate::path::{Path, per_path};
use std::cell::RefCell;

/// Most rows of a task: what they read stays in the second-level cache.
const BLOCK: usize = 8 * ROWS;
/// Fewer channels than this are read together with those of the kernel's whole row.
const FEW: usize = 16;

/// What happens to an output before it is stored, in this order.
#[derive(Clone, Copy, Default)]
pub(super) struct Finish<'a> {
    /// One value a column.
    pub(super) bias: Option<&'a [f32]>,
    /// Laid out as the output.
    pub(super) add: Option<&'a [f32]>,
    /// Negative values become zero.
    pub(super) relu: bool,
    /// Zero where this is not positive; laid out as the output.
    pub(super) keep: Option<&'a [f32]>,
    /// Sums are f64.
    pub(super) exact: bool,
}

/// Some columns of a packed operand.
#[derive(Clone, Copy)]
pub(super) struct Panel {
    /// The first column, of all.
    pub(super) column: usize,
    pub(super) width: usize,
    /// Floats in a packed row.
    pub(super) wide: usize,
    /// Where its channels begin in a pixel of the source.
    pub(super) channel: usize,
    /// Where it begins in the packed operand.
    pub(super) offset: usize,
}

/// The panels of `groups` groups of `columns` columns over `inner` rows; each group reads `channels` channels of its own.
pub(super) fn panels(
    path: Path,
    groups: usize,
    columns: usize,
    channels: usize,
    inner: usize,
) -> Vec<Panel> {
    let most = kernel::panel(path);
    let (mut all, mut offset) = (Vec::new(), 0);
    for g in 0..groups {
        for from in (0..columns).step_by(most) {
            let width = (columns - from).min(most);
            let wide = kernel::padded(path, width);
            all.push(Panel {
                column: g * columns + from,
                width,
                wide,
                channel: g * channels,
                offset,
            });
            offset += inner * wide;
        }
    }
    all
}

fn length(panels: &[Panel], inner: usize) -> usize {
    panels.last().map_or(0, |p| p.offset + inner * p.wide)
}

/// A convolution's input as rows are gathered from it: as it is or, where channels are few, padded, so that the taps of a
/// kernel's row are one run of memory.
pub(super) struct Gathered<'a> {
    padded: Option<Vec<f32>>,
    x: &'a [f32],
    shape: Shape,
    pub(super) class: Class,
    pub(super) depth: usize,
    /// The row of the packed operand for each number of a filter, `(channel, y, x)`.
    pub(super) place: Vec<usize>,
}

impl<'a> Gathered<'a> {
    pub(super) fn new(x: &'a [f32], s: &Shape) -> Self {
        let (depth, taps) = (s.depth(), s.taps());
        let class = forward_class(s);
        if s.conv.groups == 1 && s.c < FEW && s.kw > 1 && s.conv.dilation.1 == 1 {
            let place = (0..depth * taps)
                .map(|k| {
                    let (c, t) = (k / taps, k % taps);
                    (t / s.kw * s.kw + t % s.kw) * depth + c
                })
                .collect();
            let taps = (0..s.kh).map(|ky| Tap {
                index: ky,
                y: (ky * s.conv.dilation.0) as isize,
                x: 0,
            });
            return Gathered {
                padded: Some(pad(x, s)),
                x,
                shape: *s,
                class: Class {
                    taps: taps.collect(),
                    ..class
                },
                depth: s.kw * depth,
                place,
            };
        }
        let place = (0..depth * taps)
            .map(|k| k % taps * depth + k / taps)
            .collect();
        Gathered {
            padded: None,
            x,
            shape: *s,
            class,
            depth,
            place,
        }
    }

    pub(super) fn source(&self) -> Source<'_> {
        let s = &self.shape;
        match &self.padded {
            Some(data) => Source {
                data,
                h: s.h + 2 * s.conv.padding.0,
                w: s.w + 2 * s.conv.padding.1,
                pixel: s.c,
                depth: self.depth,
            },
            None => Source {
                data: self.x,
                h: s.h,
                w: s.w,
                pixel: s.c,
                depth: self.depth,
            },
        }
    }
}

/// The input with its padding of zeros.
fn pad(x: &[f32], s: &Shape) -> Vec<f32> {
    let (ph, pw) = s.conv.padding;
    let (row, wide) = (s.w * s.c, (s.w + 2 * pw) * s.c);
    // SAFETY: every row is written whole below.
    let mut y = unsafe { unwritten::<f32>(s.n * (s.h + 2 * ph) * wide) };
    let to = Shared::new(&mut y);
    each(s.n * (s.h + 2 * ph), &|r| {
        // SAFETY: row r is this call's alone.
        let y = unsafe { std::slice::from_raw_parts_mut(to.at(r * wide), wide) };
        let (n, i) = (r / (s.h + 2 * ph), r % (s.h + 2 * ph));
        if i < ph || i >= s.h + ph {
            return y.fill(0.0);
        }
        let from = (n * s.h + i - ph) * row;
        let (left, rest) = y.split_at_mut(pw * s.c);
        let (middle, right) = rest.split_at_mut(row);
        left.fill(0.0);
        middle.copy_from_slice(&x[from..from + row]);
        right.fill(0.0);
    });
    y
}

/// The convolution, each output channel's weights times its `scale`.
pub(super) fn forward(
    path: Path,
    x: &[f32],
    weight: &[f32],
    scale: Option<&[f32]>,
    s: &Shape,
    finish: Finish<'_>,
) -> Vec<f32> {
    #[cfg(target_arch = "x86_64")]
    if !finish.exact
        && let Some(engine) = super::tiles::engine(path, s)
    {
        return super::tiles::forward(engine, x, weight, scale, s, finish);
    }
    let gathered = Gathered::new(x, s);
    let inner = gathered.place.len();
    let panels = panels(path, s.conv.groups, s.columns(), s.depth(), inner);
    // SAFETY: `pack_columns` writes every row of each panel, all its columns.
    let mut packed = unsafe { unwritten::<f32>(length(&panels, inner)) };
    let shared = Shared::new(&mut packed);
    let jobs: Vec<(Panel, usize)> = panels
        .iter()
        .flat_map(|&p| (0..p.wide).step_by(16).map(move |at| (p, at)))
        .collect();
    each(jobs.len(), &|i| {
        let (p, at) = jobs[i];
        let column = p.column + at.min(p.width);
        let valid = p.width.saturating_sub(at).min(16);
        let scale = scale.map_or(&[][..], |s| &s[column..column + valid]);
        // SAFETY: each job writes columns at .. at + 16 of its panel, and no other's.
        unsafe {
            pack_columns(
                path,
                &weight[column * inner..(column + valid) * inner],
                inner,
                valid,
                scale,
                &gathered.place,
                shared.at(p.offset + at),
                p.wide,
                (p.wide - at).min(16),
            );
        }
    });
    run(
        path,
        std::slice::from_ref(&gathered.class),
        gathered.source(),
        &panels,
        &packed,
        s.o,
        s.n * s.oh * s.ow,
        finish,
    )
}

/// The gradient of the input for the gradient of the output.
pub(super) fn backward_x(
    path: Path,
    weight: &[f32],
    scale: Option<&[f32]>,
    grad: &[f32],
    s: &Shape,
    finish: Finish<'_>,
) -> Vec<f32> {
    #[cfg(target_arch = "x86_64")]
    if !finish.exact
        && let Some(engine) = super::tiles::engine(path, s)
    {
        return super::tiles::backward_x(engine, weight, scale, grad, s, finish);
    }
    let (groups, depth, columns, taps) = (s.conv.groups, s.depth(), s.columns(), s.taps());
    let inner = taps * columns;
    let panels = panels(path, groups, depth, columns, inner);
    // SAFETY: `pack_row` writes every row of each panel, all its columns.
    let mut packed = unsafe { unwritten::<f32>(length(&panels, inner)) };
    let shared = Shared::new(&mut packed);
    let jobs: Vec<(Panel, usize)> = panels
        .iter()
        .flat_map(|&p| (0..columns).step_by(16).map(move |o| (p, o)))
        .collect();
    each(jobs.len(), &|i| {
        let (p, from) = jobs[i];
        let group = p.column / depth;
        for o in from..(from + 16).min(columns) {
            let filter = group * columns + o;
            let first = (p.column - group * depth) * taps;
            let at = filter * depth * taps + first;
            let scale = scale.map_or(1.0, |s| s[filter]);
            // SAFETY: each job writes the rows of its own o in its panel.
            unsafe {
                pack_row(
                    path,
                    &weight[at..at + p.width * taps],
                    taps,
                    scale,
                    shared.at(p.offset + o * p.wide),
                    columns * p.wide,
                    p.wide,
                );
            }
        }
    });
    let source = Source {
        data: grad,
        h: s.oh,
        w: s.ow,
        pixel: s.o,
        depth: columns,
    };
    run(
        path,
        &transposed(s),
        source,
        &panels,
        &packed,
        s.c,
        s.n * s.h * s.w,
        finish,
    )
}

thread_local! {
    static TABLE: RefCell<(Vec<*const f32>, Vec<usize>, Vec<usize>)> = const { RefCell::new((Vec::new(), Vec::new(), Vec::new())) };
}

/// Products of gathered rows with packed panels, for every pixel of the destination.
fn run(
    path: Path,
    classes: &[Class],
    source: Source<'_>,
    panels: &[Panel],
    packed: &[f32],
    columns: usize,
    pixels: usize,
    finish: Finish<'_>,
) -> Vec<f32> {
    if let Some(bias) = finish.bias {
        assert_eq!(bias.len(), columns, "bias");
    }
    for like in [finish.add, finish.keep].into_iter().flatten() {
        assert_eq!(like.len(), pixels * columns, "laid out as the output");
    }
    assert_eq!(
        classes.iter().map(Class::rows).sum::<usize>(),
        pixels,
        "every pixel is in one class"
    );
    // SAFETY: the classes hold every pixel once, the panels every column, and each block writes its rows and columns.
    let mut out = unsafe { unwritten::<f32>(pixels * columns) };
    let shared = Shared::new(&mut out);
    let zeros = vec![0f32; source.depth + 16];
    let zeros = zeros.as_slice();
    let mut tasks = Vec::new();
    for panel in panels {
        for (c, class) in classes.iter().enumerate() {
            let rows = class.rows();
            let step = (rows * panels.len())
                .div_ceil(16)
                .next_multiple_of(ROWS)
                .clamp(ROWS, BLOCK);
            tasks.extend((0..rows).step_by(step).map(|from| (c, panel, from, step)));
        }
    }
    each(tasks.len(), &|i| {
        let (c, panel, from, step) = tasks[i];
        let class = &classes[c];
        let rows = step.min(class.rows() - from);
        let stride = rows.next_multiple_of(ROWS);
        TABLE.with_borrow_mut(|(table, at, taps)| {
            class.table(
                source,
                panel.channel,
                zeros.as_ptr(),
                from,
                rows,
                stride,
                table,
                at,
            );
            for at in at.iter_mut() {
                *at *= columns;
            }
            taps.clear();
            taps.extend(
                class
                    .taps
                    .iter()
                    .map(|t| t.index * source.depth * panel.wide),
            );
            let like = |t: Option<&[f32]>| {
                t.map_or(std::ptr::null(), |t| t.as_ptr().wrapping_add(panel.column))
            };
            // SAFETY: the table's pointers are to pixels of the source or to zeros, of `depth` floats each; the panel was
            // packed for this path with a row for every tap and channel; out, add and keep have `columns` floats a
            // pixel, bias one a column; a pixel is in one block of its class, and its columns in one panel.
            unsafe {
                kernel::rows(
                    path,
                    &Block {
                        table,
                        stride,
                        rows,
                        at,
                        taps,
                        depth: source.depth,
                        panel: packed.as_ptr().add(panel.offset),
                        width: panel.width,
                        out: shared.at(panel.column),
                        bias: like(finish.bias),
                        add: like(finish.add),
                        keep: like(finish.keep),
                        relu: finish.relu,
                        exact: finish.exact,
                        wide: panel.wide,
                    },
                );
            }
        });
    });
    out
}

per_path! {
    /// Packs `valid` filters of `k` numbers as columns: number i of a filter goes to row `place[i]`. Columns up to `chunk` are
    /// zeros. `to` is the first column, rows are `wide` apart.
    fn pack_columns_body(
        filters: &[f32],
        k: usize,
        valid: usize,
        scale: &[f32],
        place: &[usize],
        to: Shared<f32>,
        wide: usize,
        chunk: usize,
    ) {
        let mut block = [[0f32; 16]; 16];
        let place = &place[..k];
        for from in (0..k).step_by(16) {
            let n = (k - from).min(16);
            for i in 0..valid {
                let filter = &filters[i * k + from..][..n];
                let s = if scale.is_empty() { 1.0 } else { scale[i] };
                for j in 0..n {
                    block[j][i] = filter[j] * s;
                }
            }
            for j in 0..n {
                // SAFETY: by the contract of `pack_columns`.
                unsafe {
                    let to = to.at(place[from + j] * wide);
                    if chunk == 16 {
                        to.cast::<[f32; 16]>().write_unaligned(block[j]);
                    } else {
                        std::ptr::copy_nonoverlapping(block[j].as_ptr(), to, chunk);
                    }
                }
            }
        }
    }
}

/// # Safety
/// `to` is the first of `chunk` <= 16 columns of a panel with a row of `wide` floats for each number of a filter; they are
/// written by nobody else.
unsafe fn pack_columns(
    path: Path,
    filters: &[f32],
    k: usize,
    valid: usize,
    scale: &[f32],
    place: &[usize],
    to: *mut f32,
    wide: usize,
    chunk: usize,
) {
    // SAFETY: a pointer for the kernel, whose writes are within the panel by the contract above.
    let to = unsafe { Shared::from_raw(to) };
    pack_columns_body(path, filters, k, valid, scale, place, to, wide, chunk);
}

per_path! {
    /// Packs one filter's channels `(channel, tap)` as a row of each tap. Rows of taps are `apart`; a row has `wide` floats.
    fn pack_row_body(filter: &[f32], taps: usize, scale: f32, to: Shared<f32>, apart: usize, wide: usize) {
        let width = filter.len() / taps;
        for t in 0..taps {
            // SAFETY: by the contract of `pack_row`.
            let row = unsafe { std::slice::from_raw_parts_mut(to.at(t * apart), wide) };
            for (c, y) in row[..width].iter_mut().enumerate() {
                *y = filter[c * taps + t] * scale;
            }
            row[width..].fill(0.0);
        }
    }
}

/// # Safety
/// `to` is a row of `wide` floats of a panel, its other taps' rows `apart` from one to the next; they are written by nobody
/// else.
unsafe fn pack_row(
    path: Path,
    filter: &[f32],
    taps: usize,
    scale: f32,
    to: *mut f32,
    apart: usize,
    wide: usize,
) {
    // SAFETY: as in `pack_columns`.
    let to = unsafe { Shared::from_raw(to) };
    pack_row_body(path, filter, taps, scale, to, apart, wide);
}
