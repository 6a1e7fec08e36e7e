//! Sorting along the last axis.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};

use super::kernel::Chunk;
use super::piece::ranges;
use super::{Evaluation, PIECE_LEN};
use crate::error::{Error, Result};
use crate::value::Tensor;
use crate::value::tensor::Elements;
use crate::value::tensor::elements::width;

/// Bytes of a row that can be sorted, or of the positions that sort it.
const ROW_BYTES: u64 = 256 << 20;

impl Evaluation {
    /// The positions that sort each row of `of`, in order: some rows at a time.
    pub(super) fn sorted<'a>(&'a self, tensor: &'a Tensor, of: &'a Arc<Tensor>) -> BoxStream<'a, Result<Elements>> {
        let len = tensor.shape().dims().last().copied().unwrap_or(1);
        let batches = ranges(0..tensor.size() / len, (PIECE_LEN / len).max(1));
        let sort = move |rows: std::ops::Range<u64>| async move {
            if len.saturating_mul(8.max(width(of.dtype()) as u64)) > ROW_BYTES {
                let message = format!("cannot sort rows of {len} elements: they do not fit in memory");
                return Err(Error::too_large(message));
            }
            let elements = self.piece(of, rows.start * len..rows.end * len).await?;
            self.on_device([], elements.len(), move |cpu| {
                let chunk = Chunk::upload(&elements, cpu)?;
                chunk.argsort((rows.end - rows.start) as usize, len as usize)?.download()
            })
            .await
        };
        stream::iter(batches).then(sort).boxed()
    }
}
