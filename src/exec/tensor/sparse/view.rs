//! Views of sparse tensors: the same entries at other coordinates.

use std::sync::Arc;

use super::super::Evaluation;
use super::{moved, picked};
use crate::error::{Error, Result};
use crate::value::Tensor;
use crate::value::tensor::{AxisBound, Entries, Node, Shape};

/// Entries of a result, at most.
pub(super) const ENTRIES_MAX: usize = 1 << 26;

impl Evaluation {
    /// The entries within bounds.
    pub(super) async fn slice_entries(
        &self,
        tensor: &Tensor,
        of: &Arc<Tensor>,
        bounds: &[AxisBound],
    ) -> Result<Entries> {
        let (first, last) = span(of.shape(), bounds);
        let entries = self.entries_within(of, first..last + 1).await?;
        let (mut offsets, mut places) = (Vec::new(), Vec::new());
        for (at, offset) in entries.offsets.iter().enumerate() {
            each_place(of.shape(), bounds, *offset, |coord| {
                offsets.push(tensor.shape().offset(coord));
                places.push(at);
            });
            if offsets.len() > ENTRIES_MAX {
                check_len(offsets.len() as u64, 1)?;
            }
        }
        moved(offsets, &picked(&entries.values, &places)?)
    }

    /// The entries of a view that is no slice.
    pub(super) async fn view_entries(&self, tensor: &Tensor) -> Result<Entries> {
        let shape = tensor.shape();
        match &tensor.node {
            Node::Transpose { of, permutation } => {
                let entries = self.entries(of).await?;
                let offsets = entries.offsets.iter().map(|offset| {
                    let coord = of.shape().coord(*offset);
                    shape.offset(&permutation.iter().map(|axis| coord[*axis]).collect::<Vec<u64>>())
                });
                moved(offsets.collect(), &entries.values)
            }
            Node::Diagonal { of } => {
                let entries = self.entries(of).await?;
                let (mut offsets, mut places) = (Vec::new(), Vec::new());
                for (at, offset) in entries.offsets.iter().enumerate() {
                    let coord = of.shape().coord(*offset);
                    if let [outer @ .., row, col] = coord.as_slice()
                        && row == col
                    {
                        offsets.push(shape.offset(&[outer, &[*row]].concat()));
                        places.push(at);
                    }
                }
                moved(offsets, &picked(&entries.values, &places)?)
            }
            Node::Broadcast { of } => {
                let missing = shape.ndim() - of.shape().ndim();
                let own = std::iter::repeat_n(1, missing).chain(of.shape().dims().iter().copied());
                let times = shape.dims().iter().zip(own).map(|(dim, own)| (dim / own, own)).collect::<Vec<_>>();
                self.repeated(shape, of, &times).await
            }
            Node::Tile { of, multiples } => {
                let missing = multiples.len() - of.shape().ndim();
                let own = std::iter::repeat_n(1, missing).chain(of.shape().dims().iter().copied());
                let times = multiples.iter().copied().zip(own).collect::<Vec<_>>();
                self.repeated(shape, of, &times).await
            }
            _ => Err(Error::internal("a sparse tensor is no view")),
        }
    }

    /// The entries repeated along axes: how often, and the dimension that is repeated.
    async fn repeated(&self, shape: &Shape, of: &Arc<Tensor>, axes: &[(u64, u64)]) -> Result<Entries> {
        let entries = self.entries(of).await?;
        let copies: u64 = axes.iter().map(|(times, _)| times).product();
        check_len(entries.len() as u64, copies)?;
        let missing = shape.ndim() - of.shape().ndim();
        let (mut offsets, mut places) = (Vec::new(), Vec::new());
        for (at, offset) in entries.offsets.iter().enumerate() {
            let own = of.shape().coord(*offset);
            let coord: Vec<u64> = std::iter::repeat_n(0, missing).chain(own).collect();
            for copy in 0..copies {
                let mut left = copy;
                let mut shifted = coord.clone();
                for (at, (times, dim)) in shifted.iter_mut().zip(axes).rev() {
                    *at += left % times * dim;
                    left /= times;
                }
                offsets.push(shape.offset(&shifted));
                places.push(at);
            }
        }
        moved(offsets, &picked(&entries.values, &places)?)
    }

    /// The entries of tensors that follow each other along an axis.
    pub(super) async fn concatenated_entries(
        &self,
        tensor: &Tensor,
        axis: usize,
        parts: &[Arc<Tensor>],
    ) -> Result<Entries> {
        let (mut offsets, mut values) = (Vec::new(), Vec::new());
        let mut start = 0;
        for part in parts {
            let entries = self.entries(part).await?;
            offsets.extend(entries.offsets.iter().map(|offset| {
                let mut coord = part.shape().coord(*offset);
                coord[axis] += start;
                tensor.shape().offset(&coord)
            }));
            values.push(entries.values);
            start += part.shape().dims()[axis];
        }
        moved(offsets, &super::super::leaf::joined(tensor.dtype(), &values)?)
    }
}

/// Refuses results that are too large.
pub(super) fn check_len(entries: u64, copies: u64) -> Result<()> {
    match entries.checked_mul(copies).and_then(|len| usize::try_from(len).ok()) {
        Some(len) if len <= ENTRIES_MAX => Ok(()),
        _ => Err(Error::too_large(format!("a sparse tensor with {entries} × {copies} entries does not fit in memory"))),
    }
}

/// The numbers of the first and the last element within bounds.
pub(crate) fn span(shape: &Shape, bounds: &[AxisBound]) -> (u64, u64) {
    let ends = bounds.iter().map(|bound| match bound {
        AxisBound::At(at) => (*at, *at),
        AxisBound::Range(start, end) => (*start, end - 1),
        AxisBound::Positions(positions) => {
            (positions.iter().copied().min().unwrap_or(0), positions.iter().copied().max().unwrap_or(0))
        }
    });
    let (first, last): (Vec<u64>, Vec<u64>) = ends.unzip();
    (shape.offset(&first), shape.offset(&last))
}

/// Calls `each` with the coordinates that an element has within bounds: none if it is outside, several if a position is named
/// several times.
pub(crate) fn each_place(shape: &Shape, bounds: &[AxisBound], offset: u64, mut each: impl FnMut(&[u64])) {
    let coord = shape.coord(offset);
    let mut place = Vec::with_capacity(coord.len());
    let mut listed = None;
    for (at, bound) in coord.iter().zip(bounds) {
        match bound {
            AxisBound::At(position) if position == at => {}
            AxisBound::Range(start, end) if start <= at && at < end => place.push(at - start),
            AxisBound::Positions(positions) => {
                listed = Some((place.len(), *at, positions));
                place.push(0);
            }
            _ => return,
        }
    }
    match listed {
        None => each(&place),
        Some((axis, wanted, positions)) => {
            for (at, position) in (0..).zip(positions.iter()) {
                if *position == wanted {
                    place[axis] = at;
                    each(&place);
                }
            }
        }
    }
}
