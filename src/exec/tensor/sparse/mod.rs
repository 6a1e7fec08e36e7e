//! Sparse tensors: their entries, in memory, in the order of their numbers.
//!
//! What is stored may be larger: [`read`] takes a range of it. Results are in memory as a whole, and so are the operands
//! that they are computed from, but for a dense one, of which only the elements are read that count.

mod elementwise;
mod matmul;
mod read;
mod reduce;
mod values;
mod view;

pub(in crate::exec) use view::{each_place, span};

use std::ops::Range;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::TryStreamExt as _;
use futures::future::BoxFuture;

use super::Evaluation;
use super::leaf;
use crate::error::{Error, Result};
use crate::value::number::compare::is_truthy;
use crate::value::tensor::elements::width;
use crate::value::tensor::{Elements, Entries, Layout, Node};
use crate::value::{NumberClass, Tensor};

impl Evaluation {
    /// All entries of a tensor, which may be dense.
    ///
    /// # Errors
    /// `Internal` if what is stored cannot be read; `BadRequest` if something cannot be computed.
    pub fn entries<'a>(&'a self, tensor: &'a Arc<Tensor>) -> BoxFuture<'a, Result<Entries>> {
        self.entries_within(tensor, 0..tensor.size())
    }

    /// The entries of a tensor whose numbers are in `range`.
    pub(in crate::exec) fn entries_within<'a>(
        &'a self,
        tensor: &'a Arc<Tensor>,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Entries>> {
        async move {
            if tensor.schema.layout == Layout::Dense {
                return self.dense_entries(tensor, range).await;
            }
            let entries = match &tensor.node {
                Node::Base(_) => Err(Error::internal("a base was not frozen")),
                Node::Stored { content, initial } => return self.read(tensor, content, initial, range).await,
                Node::Initial(initial) => return self.initial_entries(tensor, initial, range).await,
                Node::Reshape { of } | Node::Relayout { of } => return self.entries_within(of, range).await,
                Node::Cast { of } => {
                    let entries = self.entries_within(of, range).await?;
                    return self.cast_entries(entries, tensor.dtype()).await;
                }
                Node::Unary { op, of } => {
                    let entries = self.entries_within(of, range).await?;
                    return self.unary_entries(entries, *op).await;
                }
                Node::Slice { of, bounds } => self.slice_entries(tensor, of, bounds).await,
                Node::Transpose { .. } | Node::Broadcast { .. } | Node::Tile { .. } | Node::Diagonal { .. } => {
                    self.view_entries(tensor).await
                }
                Node::Concatenate { axis, parts } => self.concatenated_entries(tensor, *axis, parts).await,
                Node::Binary { op, l, r } => self.binary_entries(tensor, *op, l, r).await,
                Node::Select { condition, then, or_else } => {
                    self.selected_entries(tensor, condition, then, or_else).await
                }
                Node::Reduce { op, of, axes } => self.reduced_entries(tensor, *op, of, axes).await,
                Node::MatMul { l, r } => self.product_entries(tensor, l, r).await,
                Node::ArgSort { .. } => Err(Error::internal("positions are not sparse")),
            };
            entries.map(|entries| within(entries, range))
        }
        .boxed()
    }

    /// The elements of a dense tensor that are not zero.
    async fn dense_entries(&self, tensor: &Arc<Tensor>, range: Range<u64>) -> Result<Entries> {
        let mut gathered = Gathered::new(tensor.dtype());
        let mut at = range.start;
        let pieces = super::piece::ranges(range, super::PIECE_LEN);
        let mut pieces = futures::stream::iter(pieces.map(|range| Ok(self.piece(tensor, range)))).try_buffered(2);
        while let Some(piece) = pieces.try_next().await? {
            gathered.add(at, &piece);
            at += piece.len() as u64;
            view::check_len(gathered.offsets.len() as u64, 1)?;
            tokio::task::yield_now().await;
        }
        gathered.finish()
    }

    /// Elements of a sparse tensor in a range, with the zeros among them.
    pub(super) async fn scattered(&self, of: &Arc<Tensor>, range: Range<u64>) -> Result<Elements> {
        let entries = self.entries_within(of, range.clone()).await?;
        leaf::scatter(of.dtype(), &entries, range)
    }
}

/// Entries that are found in elements.
struct Gathered {
    dtype: NumberClass,
    offsets: Vec<u64>,
    bytes: Vec<u8>,
}

impl Gathered {
    fn new(dtype: NumberClass) -> Self {
        Self { dtype, offsets: vec![], bytes: vec![] }
    }

    /// Adds those elements that are not zero, of which the first has the number `start`.
    fn add(&mut self, start: u64, elements: &Elements) {
        let bytes = elements.bytes().as_slice();
        let width = width(self.dtype);
        for (at, (offset, element)) in (start..).zip(elements.iter()).enumerate() {
            if is_truthy(element) {
                self.offsets.push(offset);
                self.bytes.extend_from_slice(&bytes[at * width..(at + 1) * width]);
            }
        }
    }

    fn finish(self) -> Result<Entries> {
        let values = Elements::try_new(self.dtype, arrow::buffer::Buffer::from_slice_ref(&self.bytes))?;
        Ok(Entries { offsets: self.offsets.into(), values })
    }
}

/// No entries.
fn none(dtype: NumberClass) -> Entries {
    Entries { offsets: Arc::default(), values: Elements::zeros(dtype, 0) }
}

/// Those entries whose numbers are in `range`.
fn within(entries: Entries, range: Range<u64>) -> Entries {
    let first = entries.offsets.partition_point(|offset| *offset < range.start);
    let last = entries.offsets.partition_point(|offset| *offset < range.end);
    if (first, last) == (0, entries.len()) {
        return entries;
    }
    Entries { offsets: entries.offsets[first..last].into(), values: entries.values.slice(first, last - first) }
}

/// The values at these places, in this order.
fn picked(values: &Elements, places: &[usize]) -> Result<Elements> {
    let width = width(values.dtype());
    let bytes = values.bytes().as_slice();
    let mut picked = Vec::with_capacity(places.len() * width);
    places.iter().for_each(|at| picked.extend_from_slice(&bytes[at * width..(at + 1) * width]));
    Elements::try_new(values.dtype(), arrow::buffer::Buffer::from_slice_ref(&picked))
}

/// Entries at other numbers, in the order of these.
fn moved(offsets: Vec<u64>, values: &Elements) -> Result<Entries> {
    if offsets.is_sorted() {
        return Ok(Entries { offsets: offsets.into(), values: values.clone() });
    }
    let mut order: Vec<usize> = (0..offsets.len()).collect();
    order.sort_by_key(|at| offsets[*at]);
    let values = picked(values, &order)?;
    Ok(Entries { offsets: order.into_iter().map(|at| offsets[at]).collect(), values })
}

/// Entries without those that are zero.
fn without_zeros(offsets: Arc<[u64]>, values: Elements) -> Result<Entries> {
    let places: Vec<usize> =
        values.iter().enumerate().filter(|(_, value)| is_truthy(*value)).map(|(at, _)| at).collect();
    if places.len() == offsets.len() {
        return Ok(Entries { offsets, values });
    }
    let values = picked(&values, &places)?;
    Ok(Entries { offsets: places.into_iter().map(|at| offsets[at]).collect(), values })
}
