//! Results that are needed as a whole.

use std::ops::Range;
use std::sync::Arc;

use futures::TryStreamExt as _;
use futures::future::BoxFuture;

use super::{Evaluation, WHOLE_BYTES, leaf};
use crate::error::Result;
use crate::storage::Transaction;
use crate::value::tensor::elements::width;
use crate::value::tensor::{Elements, Initial, Node, TensorSchema};
use crate::value::{NumberClass, State, Table, Tensor};

/// All elements of a tensor.
#[derive(Clone, Debug)]
pub(super) enum Whole {
    Memory(Elements),
    /// They are with the writes of the transaction.
    Stored(Arc<Tensor>),
}

impl Whole {
    /// The elements with these numbers.
    pub fn piece<'a>(self, evaluation: &'a Evaluation, range: Range<u64>) -> BoxFuture<'a, Result<Elements>> {
        Box::pin(async move {
            match self {
                Whole::Memory(elements) => Ok(leaf::part(&elements, range)),
                Whole::Stored(tensor) => evaluation.piece(&tensor, range).await,
            }
        })
    }
}

impl Evaluation {
    /// All elements of a dense tensor, which are computed only once.
    pub(super) async fn whole(&self, tensor: &Arc<Tensor>) -> Result<Whole> {
        if let Node::Initial(initial) = &tensor.node
            && let Initial::Elements(elements) = initial.as_ref()
        {
            return Ok(Whole::Memory(elements.clone()));
        }
        let cell = {
            let mut results = self.memo.results.lock();
            let new = || (Arc::clone(tensor), Arc::default());
            Arc::clone(&results.entry(Arc::as_ptr(tensor).addr()).or_insert_with(new).1)
        };
        let computed = async || match fits(tensor) {
            true => {
                let elements = self.collected(tensor).await?;
                self.memo.charge(elements.bytes().len() as u64);
                Ok(Whole::Memory(elements))
            }
            false => self.spilled(tensor).await.map(Whole::Stored),
        };
        cell.get_or_try_init(computed).await.cloned()
    }

    pub(super) fn has_whole(&self, tensor: &Arc<Tensor>) -> bool {
        self.memo.results.lock().contains_key(&Arc::as_ptr(tensor).addr())
    }

    /// All elements of a dense tensor, in memory.
    ///
    /// # Errors
    /// As [`Evaluation::piece`].
    pub async fn elements(&self, tensor: &Arc<Tensor>) -> Result<Elements> {
        match self.whole(tensor).await? {
            Whole::Memory(elements) => Ok(elements),
            Whole::Stored(stored) => self.piece(&stored, 0..stored.size()).await,
        }
    }

    async fn collected(&self, tensor: &Arc<Tensor>) -> Result<Elements> {
        let pieces: Vec<Elements> = self.produce(tensor).try_collect().await?;
        leaf::joined(tensor.dtype(), &pieces)
    }

    /// Writes all elements of a dense tensor to a tensor of the transaction, and returns that.
    pub(in crate::exec) async fn spilled(&self, tensor: &Arc<Tensor>) -> Result<Arc<Tensor>> {
        let mut spill = self.spill(&tensor.schema);
        let mut pieces = self.produce(tensor);
        while let Some(piece) = pieces.try_next().await? {
            spill.add(piece).await?;
        }
        spill.finish(tensor.schema.clone()).await
    }

    /// Begins to write a dense tensor of the transaction. How large it becomes need not be known yet.
    pub(in crate::exec) fn spill(&self, schema: &TensorSchema) -> Spill<'_> {
        Spill { txn: &self.txn, table: self.txn.create(schema.rows()), blocks: Blocks::new(schema.dtype) }
    }
}

/// Elements of a dense tensor that are written with the writes of the transaction, in order.
pub(in crate::exec) struct Spill<'a> {
    txn: &'a Transaction,
    table: Arc<Table>,
    blocks: Blocks,
}

impl Spill<'_> {
    /// Adds the next elements.
    ///
    /// # Errors
    /// As [`Transaction::put_rows`].
    pub async fn add(&mut self, elements: Elements) -> Result<()> {
        let rows = self.blocks.add(elements)?;
        self.txn.put_rows(&self.table, &rows).await
    }

    /// The tensor, which has as many elements as were added.
    ///
    /// # Errors
    /// As [`Transaction::put_rows`].
    pub async fn finish(self, schema: TensorSchema) -> Result<Arc<Tensor>> {
        let rest = self.blocks.finish()?;
        self.txn.put_rows(&self.table, &rest).await?;
        let initial = Arc::new(Initial::Fill(schema.zero()));
        let node = Node::Stored { content: self.txn.freeze(&self.table)?, initial };
        Ok(Arc::new(Tensor::new(schema, node)))
    }
}

/// Whether a tensor may be brought into memory as a whole.
pub(super) fn fits(tensor: &Tensor) -> bool {
    tensor.size().saturating_mul(width(tensor.dtype()) as u64) <= WHOLE_BYTES
}

/// Cuts elements that come in order into the blocks that are stored.
struct Blocks {
    next: u64,
    len: usize,
    waiting: Vec<Elements>,
}

impl Blocks {
    /// Those of a dense tensor of this dtype.
    pub fn new(dtype: NumberClass) -> Self {
        let len = usize::try_from(Elements::block_len(dtype)).unwrap_or(usize::MAX);
        Self { next: 0, len, waiting: vec![] }
    }

    /// Adds the next elements. Returns the rows of the blocks that are full.
    pub fn add(&mut self, elements: Elements) -> Result<Vec<Vec<State>>> {
        self.waiting.push(elements);
        let len: usize = self.waiting.iter().map(Elements::len).sum();
        let full = len - len % self.len;
        if full == 0 {
            return Ok(vec![]);
        }
        let all = leaf::joined(self.waiting[0].dtype(), &std::mem::take(&mut self.waiting))?;
        if full < len {
            self.waiting.push(all.slice(full, len - full));
        }
        Ok((0..full).step_by(self.len).map(|start| self.row(&all.slice(start, self.len))).collect())
    }

    /// The row of the last block, if it is not full.
    pub fn finish(mut self) -> Result<Vec<Vec<State>>> {
        let Some(first) = self.waiting.first() else { return Ok(vec![]) };
        let rest = leaf::joined(first.dtype(), &std::mem::take(&mut self.waiting))?;
        Ok(vec![self.row(&rest)])
    }

    fn row(&mut self, block: &Elements) -> Vec<State> {
        self.next += 1;
        block_row(self.next - 1, block)
    }
}

/// The row that stores a block.
fn block_row(block: u64, elements: &Elements) -> Vec<State> {
    vec![block.into(), State::Value(crate::value::Value::Bytes(elements.bytes().as_slice().into()))]
}
