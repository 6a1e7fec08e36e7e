//! Pieces: elements in a range of the row-major order of a tensor.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};

use super::{Evaluation, PARALLEL, PIECE_LEN, leaf, view};
use crate::error::{Error, Result};
use crate::value::Tensor;
use crate::value::tensor::{Elements, Layout, Node};

/// Pieces that are computed before others get a turn.
const TURN_PIECES: u64 = 64;

impl Evaluation {
    /// The elements of a dense tensor with these numbers.
    ///
    /// # Errors
    /// `Internal` if what is stored cannot be read; `BadRequest` if something cannot be computed.
    pub fn piece<'a>(&'a self, tensor: &'a Arc<Tensor>, range: Range<u64>) -> BoxFuture<'a, Result<Elements>> {
        debug_assert_eq!(tensor.schema.layout, Layout::Dense, "a piece of a sparse tensor");
        async move {
            self.take_turns().await;
            match &tensor.node {
                Node::Base(_) => Err(Error::internal("a base was not frozen")),
                Node::Stored { content, initial } => self.stored(tensor, content, initial, range).await,
                Node::Initial(initial) => self.initial(tensor, initial, range).await,
                Node::Reshape { of } => self.piece(of, range).await,
                Node::Cast { .. } | Node::Unary { .. } | Node::Binary { .. } | Node::Select { .. } => {
                    self.region(tensor, range).await
                }
                Node::Slice { .. }
                | Node::Transpose { .. }
                | Node::Broadcast { .. }
                | Node::Tile { .. }
                | Node::Diagonal { .. } => {
                    let (of, mapping) = view::mapping(tensor)?;
                    self.view(tensor, of, &mapping, range).await
                }
                Node::Concatenate { axis, parts } => self.concatenation(tensor, *axis, parts, range).await,
                Node::Relayout { of } => self.scattered(of, range).await,
                Node::Reduce { .. } | Node::MatMul { .. } | Node::ArgSort { .. } => {
                    self.whole(tensor).await?.piece(self, range).await
                }
            }
        }
        .boxed()
    }

    /// Lets others run now and then, so that whatever is computed can be stopped.
    async fn take_turns(&self) {
        if self.memo.turns.fetch_add(1, Ordering::Relaxed) % TURN_PIECES == TURN_PIECES - 1 {
            tokio::task::yield_now().await;
        }
    }

    /// All elements of a dense tensor, piece by piece, in order. Several are computed at a time.
    pub fn pieces<'a>(&'a self, tensor: &'a Arc<Tensor>) -> BoxStream<'a, Result<Elements>> {
        match &tensor.node {
            // Each part of these results is computed once, so that they need not be kept.
            Node::Reduce { .. } | Node::MatMul { .. } | Node::ArgSort { .. } if !self.has_whole(tensor) => {
                self.produce(tensor)
            }
            _ => {
                let pieces = ranges(0..tensor.size(), PIECE_LEN).map(|range| self.piece(tensor, range));
                stream::iter(pieces).buffered(PARALLEL).boxed()
            }
        }
    }

    /// What [`Evaluation::whole`] keeps, piece by piece, in order.
    pub(super) fn produce<'a>(&'a self, tensor: &'a Arc<Tensor>) -> BoxStream<'a, Result<Elements>> {
        match &tensor.node {
            Node::Reduce { op, of, axes } => self.reduction(tensor, *op, of, axes),
            Node::MatMul { l, r } => self.product(tensor, l, r),
            Node::ArgSort { of } => self.sorted(tensor, of),
            _ => self.pieces(tensor),
        }
    }

    /// Elements of tensors that follow each other along an axis.
    async fn concatenation(
        &self,
        tensor: &Tensor,
        axis: usize,
        parts: &[Arc<Tensor>],
        range: Range<u64>,
    ) -> Result<Elements> {
        let inner: u64 = tensor.shape().dims()[axis + 1..].iter().product();
        let row = tensor.shape().dims()[axis] * inner;
        let mut pieces = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let (outer, mut within) = (at / row, at % row);
            for part in parts {
                let part_row = part.shape().dims()[axis] * inner;
                if within < part_row {
                    let len = (part_row - within).min(range.end - at);
                    let start = outer * part_row + within;
                    pieces.push(self.piece(part, start..start + len).await?);
                    at += len;
                    break;
                }
                within -= part_row;
            }
        }
        leaf::joined(tensor.dtype(), &pieces)
    }
}

/// Cuts a range into ranges of at most `len`.
pub(super) fn ranges(range: Range<u64>, len: u64) -> impl Iterator<Item = Range<u64>> {
    let (end, len) = (range.end, len.max(1));
    let starts = (0..range.end.saturating_sub(range.start).div_ceil(len)).map(move |at| range.start + at * len);
    starts.map(move |start| start..(start + len).min(end))
}
