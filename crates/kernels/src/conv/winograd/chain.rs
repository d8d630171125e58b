//! Convolutions one after the other, depth first: each computes a band of rows as soon as the one
//! before has the rows that it reads. What is between them is a few bands of rows, which stay in
//! cache, and never a whole picture, which would go to memory and come back.

mod halving;

pub use halving::Halving;

use super::near::{Entry, Piece, entry, most_tiles};
use super::rows::Rows;
use super::tiles::{LINE, Layout, Tiles, aligned};
use super::{ConvShape, Job, WinogradWeights, residual_rows};
use crate::gemm::{Epilogue, SendPointer, check_matrix};
use crate::isa::Isa;
use crate::pool::{Place, Pool, part};
use std::sync::Arc;

/// The most convolutions in a chain, the halving one included.
pub const MAX_LINKS: usize = 12;

/// Bytes of a picture, above which it does not wait in the last-level cache for the next layer.
const FAR_BYTES: usize = 8 << 20;

/// Steps from the one in which a band is computed to the one in which the next convolution computes
/// it, whose windows reach a row into the band below.
const LAG: usize = 2;

/// Rows of which every kind's tiles have a whole number.
const TILE_ROWS: usize = 4;

/// Tasks that a band of one convolution gives each thread.
const TASKS_PER_THREAD: usize = 1;

/// A convolution of a chain.
#[derive(Debug)]
pub struct Link {
    /// One picture.
    pub shape: ConvShape,
    /// Its filters, which are few.
    pub weights: Arc<WinogradWeights>,
    /// The link of the chain whose result is added before the last activation, if any.
    pub residual: Option<usize>,
}

impl Link {
    /// Whether the result is too large to wait in cache for the next layer.
    pub fn is_far(&self) -> bool {
        self.shape.out_rows() * self.shape.out_channels * size_of::<f32>() > FAR_BYTES
    }

    /// Whether it can be the first of a chain.
    pub fn begins(&self) -> bool {
        self.shape.batch == 1 && !self.weights.is_streamed()
    }

    /// Whether it can follow `before`, whose result it reads.
    pub fn continues(&self, before: &Self) -> bool {
        let (before, shape) = (&before.shape, &self.shape);
        let (height, width) = (before.out_height(), before.out_width());
        let channels = (before.out_channels, shape.out_channels);
        let same = ConvShape::same3x3(1, height, width, channels.0, channels.1);
        !self.weights.is_streamed() && *shape == same
    }
}

/// Convolutions of which each reads the result of the one before.
#[derive(Debug)]
pub struct Chain {
    links: Vec<Link>,
    cuts: Vec<Cut>,
    end: Option<(Halving, halving::Cut)>,
    /// Bands of rows of the result.
    bands: usize,
    threads: usize,
    /// Floats of all rings.
    rings_len: usize,
}

/// How one convolution is cut.
#[derive(Debug)]
struct Cut {
    tiles: Tiles,
    layout: Layout,
    /// Tiles in a band, and blocks of them.
    band_tiles: usize,
    blocks: usize,
    /// Rows of the result that are kept, and where.
    kept: usize,
    ring: usize,
}

impl Chain {
    /// A chain for pools of `threads`, which may end with a convolution that halves the picture.
    ///
    /// # Panics
    /// When there are fewer than 2 convolutions or more than [`MAX_LINKS`], or none but the last,
    /// one does not continue the one before, or a residual is not of an earlier link.
    pub fn new(isa: Isa, threads: usize, links: Vec<Link>, end: Option<Halving>) -> Self {
        let len = links.len() + usize::from(end.is_some());
        assert!((2..=MAX_LINKS).contains(&len), "a chain of {len} convolutions");
        let last = &links[links.len() - 1];
        let joined = links.windows(2).all(|pair| pair[1].continues(&pair[0]))
            && end.as_ref().is_none_or(|end| end.continues(last));
        assert!(joined && links[0].begins(), "each link reads the result of the one before");
        let in_order = |(at, link): (usize, &Link)| link.residual.is_none_or(|from| from < at);
        assert!(links.iter().enumerate().all(in_order), "a residual comes earlier");
        let height = links[0].shape.out_height();
        let band_rows = band_rows(isa, threads, &links);
        let mut cuts = Vec::new();
        let mut rings_len = 0;
        for (at, link) in links.iter().enumerate() {
            let kept = (steps_kept(&links, at) * band_rows).min(height.next_multiple_of(band_rows));
            let cut = Cut::new(isa, threads, link, band_rows, kept, rings_len);
            if at + 1 < len {
                rings_len += kept * row_stride(&link.shape);
            }
            cuts.push(cut);
        }
        let end = end.map(|end| {
            let cut = end.cut(band_rows / 2, threads);
            (end, cut)
        });
        Self { links, cuts, end, bands: height.div_ceil(band_rows), threads, rings_len }
    }

    /// The convolutions but for the one that halves the picture, the first first.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The shapes of all convolutions, the first first.
    pub fn shapes(&self) -> impl Iterator<Item = &ConvShape> {
        let end = self.end.iter().map(|(end, _)| &end.shape);
        self.links.iter().map(|link| &link.shape).chain(end)
    }

    /// The number of convolutions.
    fn len(&self) -> usize {
        self.links.len() + usize::from(self.end.is_some())
    }

    /// Floats of scratch memory that [`Chain::run`] needs.
    pub fn scratch_len(&self) -> usize {
        self.rings_len + self.threads * self.thread_len() + LINE
    }

    fn thread_len(&self) -> usize {
        let of_end = self.end.iter().map(|(_, cut)| cut.words);
        let lens = self.cuts.iter().map(|cut| cut.layout.thread_len()).chain(of_end);
        lens.max().unwrap_or(0).next_multiple_of(LINE)
    }

    /// out = the last convolution of ... the first of x, each with its epilogue, whose residual is
    /// one from outside of the chain and the size of its result. The one that halves the picture
    /// adds nothing but a bias.
    ///
    /// x: `[height, width, in_channels]` of the first link; scratch: [`Chain::scratch_len`] floats
    /// of any content; out: `[out_height, out_width, out_channels]` of the last.
    ///
    /// # Panics
    /// When a slice is too short, there is not an epilogue for each convolution or it adds more, or
    /// the pool has more threads than the chain is for.
    pub fn run(
        &self,
        pool: &Pool,
        x: &[f32],
        epilogues: &[Epilogue<'_>],
        scratch: &mut [f32],
        out: &mut [f32],
    ) {
        assert_eq!(epilogues.len(), self.len(), "an epilogue for each convolution");
        assert!(pool.threads() <= self.threads, "a chain for {} threads", self.threads);
        self.check(x, epilogues, out);
        let scratch = aligned(scratch, self.scratch_len() - LINE);
        let out = SendPointer(out.as_mut_ptr());
        let jobs: [Option<(Job<'_>, Entry)>; MAX_LINKS] = std::array::from_fn(|at| {
            let weights = &*self.links.get(at)?.weights;
            Some((self.job(at, x, &epilogues[at], scratch, out), entry(weights)))
        });
        let end = self.end.as_ref().map(|(halving, cut)| {
            let x = self.result(self.links.len() - 1, scratch, out);
            End { halving, cut, x, epilogue: &epilogues[self.links.len()], out }
        });
        let steps = self.bands + LAG * (self.len() - 1);
        for step in 0..steps {
            self.step(pool, step, &jobs, end.as_ref(), scratch);
        }
    }

    fn check(&self, x: &[f32], epilogues: &[Epilogue<'_>], out: &[f32]) {
        let first = &self.links[0].shape;
        check_matrix("x", x.len(), first.pixels(), first.in_channels, first.in_channels);
        for (shape, epilogue) in self.shapes().zip(epilogues) {
            let (rows, columns) = (shape.out_rows(), shape.out_channels);
            epilogue.check(rows, columns, columns);
        }
        if let Some(last) = self.shapes().last() {
            check_matrix("out", out.len(), last.out_rows(), last.out_channels, last.out_channels);
        }
        for (link, epilogue) in self.links.iter().zip(epilogues) {
            let one = link.residual.is_none() || epilogue.residual.is_none();
            assert!(one, "a residual is from the chain or from outside");
        }
        for epilogue in &epilogues[self.links.len()..] {
            let adds = epilogue.residual.is_some() || epilogue.batch_bias.is_some();
            assert!(!adds, "what halves the picture adds a bias alone");
        }
    }

    fn job<'a>(
        &'a self,
        at: usize,
        x: &'a [f32],
        epilogue: &'a Epilogue<'a>,
        scratch: SendPointer,
        out: SendPointer,
    ) -> Job<'a> {
        let Link { shape, weights, residual } = &self.links[at];
        let result_of = |at: usize| self.result(at, scratch, out);
        let x = match at.checked_sub(1) {
            None => Rows::whole(x.as_ptr(), shape.width, shape.in_channels),
            Some(before) => result_of(before),
        };
        let outside = residual_rows(epilogue, shape.out_width());
        let residual = residual.map(result_of).or(outside);
        Job { shape, weights, epilogue, x, residual, out: result_of(at) }
    }

    /// Where the result of a link is.
    fn result(&self, at: usize, scratch: SendPointer, out: SendPointer) -> Rows {
        let (shape, cut) = (&self.links[at].shape, &self.cuts[at]);
        if at + 1 == self.len() {
            return Rows::whole(out.get(), shape.out_width(), shape.out_channels);
        }
        let start = scratch.get().wrapping_add(cut.ring);
        Rows::latest(start, cut.kept, row_stride(shape), shape.out_channels)
    }

    /// A band of every convolution, none of which reads what another writes meanwhile. A thread has
    /// the same columns of each, so that what it reads is in its own caches.
    fn step(
        &self,
        pool: &Pool,
        step: usize,
        jobs: &[Option<(Job<'_>, Entry)>],
        end: Option<&End<'_>>,
        scratch: SendPointer,
    ) {
        let threads_start = SendPointer(scratch.get().wrapping_add(self.rings_len));
        let thread_len = self.thread_len();
        let parts = pool.threads();
        let tasks: [usize; MAX_LINKS] = std::array::from_fn(|at| self.tasks(at, step));
        let of_part = |at: usize, p: usize| part(tasks[at], parts, p);
        let len = |p: usize| (0..self.len()).map(|at| of_part(at, p).len()).sum();
        pool.run_parts(&len, &|Place { thread, part, mut index }| {
            let mut at = 0;
            while index >= of_part(at, part).len() {
                index -= of_part(at, part).len();
                at += 1;
            }
            let task = of_part(at, part).start + index;
            let band = self.band_of(at, step).expect("tasks are of convolutions with a band");
            let scratch = threads_start.get().wrapping_add(thread * thread_len);
            let Some((job, block)) = &jobs[at] else {
                let end = end.expect("what is no link is the end");
                return end.run([band, task], scratch);
            };
            let cut = &self.cuts[at];
            block(&Piece {
                job,
                tiles: cut.tiles,
                layout: cut.layout,
                scratch,
                block: cut.block(band, task),
                panels: 0..job.weights.packed().panels().layout.panels(),
            });
        });
    }

    /// Tasks of a convolution in a step, from left to right.
    fn tasks(&self, at: usize, step: usize) -> usize {
        let Some(band) = self.band_of(at, step).filter(|_| at < self.len()) else { return 0 };
        self.cuts.get(at).map_or_else(|| self.end_tasks(band), |cut| cut.blocks)
    }

    fn end_tasks(&self, band: usize) -> usize {
        self.end.as_ref().map_or(0, |(end, cut)| cut.tasks(band, end.shape.out_height()))
    }

    /// The band that a link computes in a step.
    fn band_of(&self, at: usize, step: usize) -> Option<usize> {
        step.checked_sub(LAG * at).filter(|&band| band < self.bands)
    }
}

/// The halving convolution with its operands.
struct End<'a> {
    halving: &'a Halving,
    cut: &'a halving::Cut,
    x: Rows,
    epilogue: &'a Epilogue<'a>,
    out: SendPointer,
}

impl End<'_> {
    fn run(&self, place: [usize; 2], scratch: *mut f32) {
        self.halving.run(self.cut, place, self.x, self.epilogue, scratch, self.out);
    }
}

impl Cut {
    fn new(
        isa: Isa,
        threads: usize,
        Link { shape, weights, .. }: &Link,
        band_rows: usize,
        kept: usize,
        ring: usize,
    ) -> Self {
        let tiles = Tiles::new(weights.kind(), shape);
        let band_tiles = band_rows / weights.kind().outputs() * tiles.columns;
        let most = most_tiles(isa, &layout_for(isa, weights, shape, 1));
        // As many for each thread.
        let blocks = band_tiles.div_ceil(most).next_multiple_of(threads).min(band_tiles);
        let layout = layout_for(isa, weights, shape, band_tiles.div_ceil(blocks));
        Self { tiles, layout, band_tiles, blocks, kept, ring }
    }

    /// The tiles of a block of a band.
    fn block(&self, band: usize, block: usize) -> std::ops::Range<usize> {
        let first = band * self.band_tiles;
        let len = self.band_tiles.min(self.tiles.count - first);
        first + len * block / self.blocks..first + len * (block + 1) / self.blocks
    }
}

/// Of blocks of so many tiles.
fn layout_for(isa: Isa, weights: &WinogradWeights, shape: &ConvShape, tiles: usize) -> Layout {
    let chunk = shape.in_channels.next_multiple_of(isa.lanes());
    Layout::new(isa, weights.kind(), weights.precision(), chunk, tiles, tiles)
}

/// Rows of a band: as few as keep all threads busy with those of one convolution.
fn band_rows(isa: Isa, threads: usize, links: &[Link]) -> usize {
    let height = links[0].shape.out_height();
    let blocks = |rows: usize| {
        let of = |link: &Link| Cut::new(isa, 1, link, rows, 0, 0).blocks;
        links.iter().map(of).min().unwrap_or(0)
    };
    let candidates = (TILE_ROWS..height.next_multiple_of(TILE_ROWS)).step_by(TILE_ROWS);
    let enough = |&rows: &usize| threads == 1 || blocks(rows) >= TASKS_PER_THREAD * threads;
    candidates.into_iter().find(enough).unwrap_or(height.next_multiple_of(TILE_ROWS))
}

/// Bands of a link's result from the oldest that is still read to the one that is being written.
fn steps_kept(links: &[Link], at: usize) -> usize {
    let of_residual =
        |(later, link): (usize, &Link)| (link.residual == Some(at)).then(|| LAG * (later - at) + 1);
    // The next convolution's windows begin a row above its band.
    let of_next = LAG + 2;
    links.iter().enumerate().filter_map(of_residual).max().unwrap_or(0).max(of_next)
}

/// Floats from row to row of what is kept: a line more than the pixels, so that the rows of a tile
/// do not fall into few sets of the cache.
fn row_stride(shape: &ConvShape) -> usize {
    (shape.out_width() * shape.out_channels).next_multiple_of(LINE) + LINE
}

#[cfg(test)]
mod tests;
