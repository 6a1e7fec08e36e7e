//! Results as tensors: in memory, or, if they are large, with the writes of the transaction.

use std::sync::Arc;

use super::Learning;
use crate::error::{Error, Result};
use crate::storage::Transaction;
use crate::value::tensor::{Elements, Initial, Layout, Node, Shape, TensorSchema};
use crate::value::{NumberClass, State, Table, Tensor, Value};

/// Bytes of a result that is kept in memory.
const MEMORY_BYTES: u64 = 16 << 20;

/// A dense tensor of Float32s whose elements come in their order.
pub(super) struct Output {
    txn: Arc<Transaction>,
    schema: TensorSchema,
    /// Where blocks go, unless all elements are kept in memory.
    table: Option<Arc<Table>>,
    /// Blocks that went there.
    blocks: u64,
    /// Elements that did not.
    waiting: Vec<f32>,
}

impl Output {
    pub fn new(txn: &Arc<Transaction>, shape: &Shape) -> Self {
        let schema = TensorSchema { layout: Layout::Dense, dtype: NumberClass::F32, shape: shape.clone() };
        let is_large = shape.size().saturating_mul(size_of::<f32>() as u64) > MEMORY_BYTES;
        let table = is_large.then(|| txn.create(schema.rows()));
        Self { txn: Arc::clone(txn), schema, table, blocks: 0, waiting: vec![] }
    }

    /// Adds the next elements.
    pub async fn add(&mut self, elements: &Elements) -> Result<()> {
        self.waiting.extend_from_slice(elements.typed::<f32>());
        let block_len = usize::try_from(Elements::block_len(NumberClass::F32)).unwrap_or(usize::MAX);
        let full = self.waiting.len() / block_len * block_len;
        self.write(full).await
    }

    /// Writes the blocks that `len` elements are, if there is a table for them.
    async fn write(&mut self, len: usize) -> Result<()> {
        let Some(table) = &self.table else { return Ok(()) };
        let block_len = usize::try_from(Elements::block_len(NumberClass::F32)).unwrap_or(usize::MAX);
        let mut rows = Vec::new();
        for block in self.waiting[..len].chunks(block_len) {
            let block = Elements::from_vec(NumberClass::F32, block.to_vec());
            let bytes = Value::Bytes(block.bytes().as_slice().into());
            rows.push(vec![State::from(self.blocks), State::Value(bytes)]);
            self.blocks += 1;
        }
        self.waiting.drain(..len);
        self.txn.put_rows(table, &rows).await
    }

    /// The tensor.
    ///
    /// # Errors
    /// `Internal` if elements are missing.
    pub async fn finish(mut self) -> Result<Arc<Tensor>> {
        self.write(self.waiting.len()).await?;
        let node = match &self.table {
            Some(table) => {
                let initial = Arc::new(Initial::Fill(self.schema.zero()));
                Node::Stored { content: self.txn.freeze(table)?, initial }
            }
            None if self.waiting.len() as u64 == self.schema.shape.size() => {
                Node::Initial(Arc::new(Initial::Elements(Elements::from_vec(NumberClass::F32, self.waiting))))
            }
            None => return Err(Error::internal("a network made too few elements")),
        };
        Ok(Arc::new(Tensor::new(self.schema, node)))
    }
}

impl Learning {
    /// A tensor of Float32s.
    pub(super) async fn tensor(&self, shape: &Shape, elements: Elements) -> Result<Arc<Tensor>> {
        let mut output = Output::new(&self.txn, shape);
        output.add(&elements).await?;
        output.finish().await
    }
}
