//! Views: tensors whose elements are those of another one in other places.

use std::ops::Range;
use std::sync::Arc;

use arrow::buffer::{Buffer, MutableBuffer};

use super::whole::{Whole, fits};
use super::{Evaluation, PIECE_LEN, leaf};
use crate::error::{Error, Result};
use crate::value::Tensor;
use crate::value::tensor::elements::width;
use crate::value::tensor::{AxisBound, Elements, Node};

/// Runs that are read one by one, even if they are short.
const RUNS_MAX: u64 = 16;
/// Elements of a run that is worth reading by itself.
const RUN_LEN: u64 = 2048;
/// Elements of a piece whose elements come from all over a tensor that does not fit in memory, which is read as a whole for
/// each such piece.
const PANEL_LEN: u64 = 4 << 20;

/// Where the elements of a view are in the tensor that it is a view of.
#[derive(Clone, Debug)]
pub(in crate::exec) struct Mapping {
    /// Where the first element is.
    start: u64,
    /// The axes of the view.
    axes: Vec<Axis>,
}

/// An axis of a view.
#[derive(Clone, Debug)]
struct Axis {
    dim: u64,
    /// How far apart its elements are in the other tensor.
    stride: u64,
    /// Which of these elements are meant, if not the first `dim`.
    positions: Option<Arc<[u64]>>,
}

impl Axis {
    fn new(dim: u64, stride: u64) -> Self {
        Self { dim, stride, positions: None }
    }

    /// Where an element is, counted from the first.
    fn place(&self, at: u64) -> u64 {
        let at = self.positions.as_ref().map_or(at, |positions| positions[at as usize]);
        at * self.stride
    }
}

/// What `tensor` is a view of, and where its elements are there.
pub(super) fn mapping(tensor: &Tensor) -> Result<(&Arc<Tensor>, Mapping)> {
    let dims = tensor.shape().dims();
    Ok(match &tensor.node {
        Node::Slice { of, bounds } => (of, slice(of, bounds)),
        Node::Transpose { of, permutation } => {
            let strides = of.shape().strides();
            let axes = dims.iter().zip(permutation).map(|(dim, axis)| Axis::new(*dim, strides[*axis]));
            (of, Mapping { start: 0, axes: axes.collect() })
        }
        Node::Broadcast { of } => {
            let missing = dims.len() - of.shape().ndim();
            let own = of.shape().dims().iter().zip(of.shape().strides());
            let own = own.map(|(dim, stride)| if *dim == 1 { 0 } else { stride });
            let strides = std::iter::repeat_n(0, missing).chain(own);
            let axes = dims.iter().zip(strides).map(|(dim, stride)| Axis::new(*dim, stride));
            (of, Mapping { start: 0, axes: axes.collect() })
        }
        Node::Tile { of, multiples } => {
            let missing = multiples.len() - of.shape().ndim();
            let own = of.shape().dims().iter().copied().zip(of.shape().strides());
            let own = std::iter::repeat_n((1, 0), missing).chain(own);
            let axes = multiples
                .iter()
                .zip(own)
                .flat_map(|(times, (dim, stride))| [Axis::new(*times, 0), Axis::new(dim, stride)]);
            (of, Mapping { start: 0, axes: axes.collect() })
        }
        Node::Diagonal { of } => {
            let strides = of.shape().strides();
            let ndim = strides.len();
            let outer = dims[..ndim - 2].iter().zip(&strides).map(|(dim, stride)| Axis::new(*dim, *stride));
            let diagonal = Axis::new(dims[ndim - 2], strides[ndim - 2] + strides[ndim - 1]);
            (of, Mapping { start: 0, axes: outer.chain([diagonal]).collect() })
        }
        _ => return Err(Error::internal("a tensor is no view")),
    })
}

fn slice(of: &Tensor, bounds: &[AxisBound]) -> Mapping {
    let mut mapping = Mapping { start: 0, axes: vec![] };
    for (bound, stride) in bounds.iter().zip(of.shape().strides()) {
        match bound {
            AxisBound::At(at) => mapping.start += at * stride,
            AxisBound::Range(start, end) => {
                mapping.start += start * stride;
                mapping.axes.push(Axis::new(end - start, stride));
            }
            AxisBound::Positions(positions) => {
                mapping.axes.push(Axis { dim: positions.len() as u64, stride, positions: Some(Arc::clone(positions)) })
            }
        }
    }
    mapping
}

impl Mapping {
    /// Where a part of a tensor is that `bounds` say, in the row-major order of the part.
    pub fn of_bounds(of: &Tensor, bounds: &[AxisBound]) -> Self {
        slice(of, bounds)
    }

    /// How many elements follow each other in both tensors.
    fn run(&self) -> u64 {
        let mut run = 1;
        for axis in self.axes.iter().rev() {
            if axis.dim == 1 && axis.positions.is_none() {
                continue;
            }
            if axis.stride != run || axis.positions.is_some() {
                break;
            }
            run *= axis.dim;
        }
        run
    }

    /// Calls `each` with the places of runs of elements that the elements in `range` are, in order: where it begins, and how
    /// many there are.
    pub fn runs(&self, range: Range<u64>, mut each: impl FnMut(u64, u64)) {
        if range.is_empty() {
            return;
        }
        let run = self.run();
        // The axes that a run does not cover, counted in runs.
        let mut covered = 1;
        let mut outer = self.axes.len();
        while covered < run {
            outer -= 1;
            covered *= self.axes[outer].dim;
        }
        while outer > 0 && self.axes[outer - 1].dim == 1 && self.axes[outer - 1].positions.is_none() {
            outer -= 1;
        }
        let axes = &self.axes[..outer];
        let mut coord = vec![0; axes.len()];
        let mut left = range.start / run;
        for (at, axis) in coord.iter_mut().zip(axes).rev() {
            *at = left % axis.dim;
            left /= axis.dim;
        }
        let mut place = self.start + axes.iter().zip(&coord).map(|(axis, at)| axis.place(*at)).sum::<u64>();
        let mut at = range.start;
        loop {
            let within = at % run;
            let len = (run - within).min(range.end - at);
            each(place + within, len);
            at += len;
            if at >= range.end {
                return;
            }
            for (at, axis) in coord.iter_mut().zip(axes).rev() {
                place -= axis.place(*at);
                *at += 1;
                if *at < axis.dim {
                    place += axis.place(*at);
                    break;
                }
                *at = 0;
                place += axis.place(0);
            }
        }
    }
}

impl Evaluation {
    /// The elements of `tensor`, which is a view of `of`.
    pub(super) async fn view(
        &self,
        tensor: &Arc<Tensor>,
        of: &Arc<Tensor>,
        mapping: &Mapping,
        range: Range<u64>,
    ) -> Result<Elements> {
        let len = range.end - range.start;
        let run = mapping.run();
        if run >= RUN_LEN || len.div_ceil(run) <= RUNS_MAX {
            return self.read_runs(of, mapping, range).await;
        }
        let (mut first, mut last) = (u64::MAX, 0);
        mapping.runs(range.clone(), |start, len| {
            first = first.min(start);
            last = last.max(start + len);
        });
        if last - first <= (4 * len).max(PIECE_LEN) {
            let source = self.piece(of, first..last).await?;
            return gather(&source, mapping, range, first);
        }
        if fits(of)
            && let Whole::Memory(source) = self.whole(of).await?
        {
            return gather(&source, mapping, range, 0);
        }
        let mut pieces = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let start = at - at % PANEL_LEN;
            let panel = start..(start + PANEL_LEN).min(tensor.size());
            let end = range.end.min(panel.end);
            let elements = self.panel(tensor, of, mapping, panel).await?;
            pieces.push(leaf::part(&elements, at - start..end - start));
            at = end;
        }
        leaf::joined(of.dtype(), &pieces)
    }

    /// Reads each run by itself; those that follow each other in the source, together.
    async fn read_runs(&self, of: &Arc<Tensor>, mapping: &Mapping, range: Range<u64>) -> Result<Elements> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        mapping.runs(range, |start, len| match runs.last_mut() {
            Some(last) if last.end == start => last.end += len,
            _ => runs.push(start..start + len),
        });
        let mut pieces: Vec<Elements> = Vec::with_capacity(runs.len());
        for (at, run) in runs.iter().enumerate() {
            // A broadcast reads the same run again and again.
            let piece = match at.checked_sub(1).filter(|last| runs[*last] == *run) {
                Some(last) => pieces[last].clone(),
                None => self.piece(of, run.clone()).await?,
            };
            pieces.push(piece);
        }
        leaf::joined(of.dtype(), &pieces)
    }

    /// A large part of a view whose elements come from all over a tensor that does not fit in memory. The last one of each
    /// view is kept.
    async fn panel(
        &self,
        tensor: &Arc<Tensor>,
        of: &Arc<Tensor>,
        mapping: &Mapping,
        range: Range<u64>,
    ) -> Result<Elements> {
        let panel = {
            let mut panels = self.memo.panels.lock();
            let new = || (Arc::clone(tensor), Arc::default());
            Arc::clone(&panels.entry(Arc::as_ptr(tensor).addr()).or_insert_with(new).1)
        };
        let mut panel = panel.lock().await;
        match &*panel {
            Some((start, elements)) if *start == range.start => Ok(elements.clone()),
            _ => {
                let start = range.start;
                let elements = self.read_in_order(of, mapping, range).await?;
                let replaced = panel.replace((start, elements.clone()));
                if replaced.is_none() {
                    self.memo.charge(elements.bytes().len() as u64);
                }
                Ok(elements)
            }
        }
    }

    /// Reads elements in the order in which they are in the source, piece by piece.
    async fn read_in_order(&self, of: &Arc<Tensor>, mapping: &Mapping, range: Range<u64>) -> Result<Elements> {
        let mut places = Vec::new();
        mapping.runs(range, |start, len| places.extend(start..start + len));
        let mut order: Vec<u32> = (0..).take(places.len()).collect();
        order.sort_unstable_by_key(|at| places[*at as usize]);
        let width = width(of.dtype());
        let mut bytes = MutableBuffer::from_len_zeroed(places.len() * width);
        let mut next = 0;
        while next < order.len() {
            let start = places[order[next] as usize];
            let end = (start + PIECE_LEN).min(of.size());
            let source = self.piece(of, start..end).await?;
            let source = source.bytes().as_slice();
            while let Some(at) = order.get(next).map(|at| *at as usize)
                && places[at] < end
            {
                let from = (places[at] - start) as usize * width;
                bytes.as_slice_mut()[at * width..(at + 1) * width].copy_from_slice(&source[from..from + width]);
                next += 1;
            }
        }
        Elements::try_new(of.dtype(), bytes.into())
    }
}

/// The elements of a view in `range`, out of those of the source from number `first` on.
fn gather(source: &Elements, mapping: &Mapping, range: Range<u64>, first: u64) -> Result<Elements> {
    /// Copies elements of `N` bytes.
    fn copy<const N: usize>(source: &[u8], mapping: &Mapping, range: Range<u64>, first: u64) -> Vec<[u8; N]> {
        let (source, _) = source.as_chunks::<N>();
        let mut elements = Vec::with_capacity((range.end - range.start) as usize);
        mapping.runs(range, |start, len| {
            let start = (start - first) as usize;
            match len {
                1 => elements.push(source[start]),
                len => elements.extend_from_slice(&source[start..start + len as usize]),
            }
        });
        elements
    }
    let bytes = source.bytes().as_slice();
    let buffer = match width(source.dtype()) {
        1 => Buffer::from_slice_ref(copy::<1>(bytes, mapping, range, first).as_flattened()),
        2 => Buffer::from_slice_ref(copy::<2>(bytes, mapping, range, first).as_flattened()),
        4 => Buffer::from_slice_ref(copy::<4>(bytes, mapping, range, first).as_flattened()),
        8 => Buffer::from_slice_ref(copy::<8>(bytes, mapping, range, first).as_flattened()),
        _ => Buffer::from_slice_ref(copy::<16>(bytes, mapping, range, first).as_flattened()),
    };
    Elements::try_new(source.dtype(), buffer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::tensor::{Initial, Layout, Shape, TensorSchema};
    use crate::value::{Number, NumberClass};

    fn tensor(dims: &[u64], node: Node) -> Arc<Tensor> {
        let shape = Shape::try_new(dims).unwrap();
        Arc::new(Tensor::new(TensorSchema { layout: Layout::Dense, dtype: NumberClass::I64, shape }, node))
    }

    fn counted(dims: &[u64]) -> Arc<Tensor> {
        tensor(dims, Node::Initial(Arc::new(Initial::Fill(Number::I64(0)))))
    }

    /// Where the elements of a view are in its source.
    fn places(view: &Tensor) -> Vec<u64> {
        let (_, mapping) = mapping(view).unwrap();
        let mut places = vec![];
        mapping.runs(0..view.size(), |start, len| places.extend(start..start + len));
        places
    }

    #[test]
    fn each_view_knows_where_its_elements_are() {
        let of = counted(&[2, 3]);
        let transpose = Node::Transpose { of: Arc::clone(&of), permutation: [1, 0].into() };
        assert_eq!(places(&tensor(&[3, 2], transpose)), [0, 3, 1, 4, 2, 5]);
        let column = Node::Slice { of: Arc::clone(&of), bounds: [AxisBound::Range(0, 2), AxisBound::At(1)].into() };
        assert_eq!(places(&tensor(&[2], column)), [1, 4]);
        let positions = AxisBound::Positions([2, 0, 0].into());
        let picked = Node::Slice { of: Arc::clone(&of), bounds: [AxisBound::Range(0, 2), positions].into() };
        assert_eq!(places(&tensor(&[2, 3], picked)), [2, 0, 0, 5, 3, 3]);
        assert_eq!(
            places(&tensor(&[2, 2, 3], Node::Broadcast { of: Arc::clone(&of) })),
            [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]
        );
        let tile = Node::Tile { of: Arc::clone(&of), multiples: [1, 2].into() };
        assert_eq!(places(&tensor(&[2, 6], tile)), [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]);
        let diagonal = Node::Diagonal { of: counted(&[2, 2, 2]) };
        assert_eq!(places(&tensor(&[2, 2], diagonal)), [0, 3, 4, 7]);
    }

    proptest! {
        #[test]
        fn runs_are_the_same_from_wherever_they_begin(
            dims in prop::collection::vec(1u64..5, 1..4),
            picks in prop::collection::vec(any::<(u8, u8, u8)>(), 4),
            from in any::<u64>(),
        ) {
            let of = counted(&dims);
            let bounds: Vec<AxisBound> = dims.iter().zip(&picks).map(|(dim, (kind, a, b))| {
                let (a, b) = (u64::from(*a) % dim, u64::from(*b) % dim);
                match kind % 3 {
                    0 => AxisBound::Range(a.min(b), a.max(b) + 1),
                    1 => AxisBound::Positions([a, b, a].into()),
                    _ => AxisBound::Range(0, *dim),
                }
            }).collect();
            let mapping = Mapping::of_bounds(&of, &bounds);
            let shape: Vec<u64> = mapping.axes.iter().map(|axis| axis.dim).collect();
            let shape = Shape::try_new(shape).unwrap();
            let expected: Vec<u64> = (0..shape.size()).map(|at| {
                let coord = shape.coord(at);
                let source: Vec<u64> = coord.iter().zip(&bounds).map(|(at, bound)| match bound {
                    AxisBound::Range(start, _) => start + at,
                    AxisBound::Positions(positions) => positions[*at as usize],
                    AxisBound::At(at) => *at,
                }).collect();
                of.shape().offset(&source)
            }).collect();
            let from = from % shape.size();
            let mut places = vec![];
            mapping.runs(from..shape.size(), |start, len| places.extend(start..start + len));
            prop_assert_eq!(&places[..], &expected[from as usize..]);
        }
    }
}
