//! Computes tensors.
//!
//! A tensor is an expression ([`crate::value::tensor::Node`]). Its elements are asked for in ranges of their row-major
//! order, *pieces*, which are small enough for the processor's cache, so that what is computed need not fit in memory:
//!
//! - [`leaf`] reads what is stored, and makes what constructors say;
//! - [`region`] computes everything that works element by element, a whole expression at once, on one device;
//! - [`view`] finds the elements of slices, transposes and other parts;
//! - [`reduce`], [`matmul`] and [`sort`] compute what needs many elements for one; their results are kept for as long as an
//!   [`Evaluation`] lasts, in memory or, if they are large, with the writes of the transaction;
//! - [`sparse`] works with the entries of sparse tensors;
//! - [`kernel`] has the functions over pieces, computed by burn, and [`device`] chooses where they run.

pub(crate) mod device;
pub(crate) mod kernel;
mod leaf;
mod matmul;
mod piece;
mod reduce;
mod region;
mod sort;
mod sparse;
#[cfg(test)]
mod tests;
mod view;
mod whole;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use self::device::{Devices, Tally};
pub(super) use self::sparse::{each_place, span};
pub(super) use self::view::Mapping;
pub(super) use self::whole::Spill;
use self::whole::Whole;
use crate::error::Result;
use crate::storage::Transaction;
use crate::value::Tensor;
use crate::value::tensor::{Elements, Entries, Node};

/// Elements of a piece: few enough for the processor's cache, many enough that what is done once a piece does not count.
const PIECE_LEN: u64 = 128 << 10;
/// Bytes of a tensor that is brought into memory as a whole.
const WHOLE_BYTES: u64 = 128 << 20;
/// Pieces that are computed at the same time.
const PARALLEL: usize = 4;

/// The place for a panel, which one at a time reads.
type Panel = Arc<tokio::sync::Mutex<Option<(u64, Elements)>>>;

/// What is known of expressions, by their addresses. An expression is kept with it, so that no address is used again.
type Known<T> = Mutex<HashMap<usize, (Arc<Tensor>, T)>>;

/// What was computed of expressions.
#[derive(Default)]
pub(crate) struct Memo {
    /// Expressions over bases, as the bases are now.
    frozen: Known<Arc<Tensor>>,
    /// Results that are needed as a whole.
    results: Known<Arc<OnceCell<Whole>>>,
    /// Results of regions that are small enough to be one piece.
    regions: Known<Arc<OnceCell<Elements>>>,
    /// The entries of sparse operands.
    kept: Known<Arc<OnceCell<Entries>>>,
    /// The last panel of each view that is read in panels: where it begins, and its elements.
    panels: Known<Panel>,
    /// Pieces that were computed since others were last let run.
    turns: AtomicU64,
    /// Bytes of results in memory.
    bytes: AtomicU64,
}

impl Memo {
    /// Bytes of results in memory from which on a memo is not used any more.
    const BYTES_MAX: u64 = 256 << 20;

    fn charge(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether there is so much in it that a new one should take its place.
    pub fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= Self::BYTES_MAX
    }
}

/// One use of an expression: what it is computed with, and the parts that were computed already.
pub(crate) struct Evaluation {
    devices: Arc<Devices>,
    /// Where the pieces of it were computed.
    tally: Arc<Tally>,
    /// Where large results go meanwhile.
    txn: Arc<Transaction>,
    memo: Arc<Memo>,
}

impl Evaluation {
    /// An evaluation that knows what is in `memo`.
    pub fn new(devices: &Arc<Devices>, txn: &Arc<Transaction>, memo: Arc<Memo>) -> Self {
        Self { devices: Arc::clone(devices), tally: Arc::default(), txn: Arc::clone(txn), memo }
    }

    /// A tensor with the bases that it is computed from as they are now.
    ///
    /// # Errors
    /// As [`Transaction::freeze`].
    pub fn frozen(&self, tensor: &Arc<Tensor>) -> Result<Arc<Tensor>> {
        if !tensor.is_live() {
            return Ok(Arc::clone(tensor));
        }
        let address = Arc::as_ptr(tensor).addr();
        if let Some((_, frozen)) = self.memo.frozen.lock().get(&address) {
            return Ok(Arc::clone(frozen));
        }
        let node = match &tensor.node {
            Node::Base(base) => {
                let (content, initial) = (self.txn.freeze(&base.table)?, Arc::clone(&base.initial));
                if content.is_empty() { Node::Initial(initial) } else { Node::Stored { content, initial } }
            }
            node => node.with_operands(|operand| self.frozen(operand))?,
        };
        let frozen = Arc::new(Tensor::new(tensor.schema.clone(), node));
        self.memo.frozen.lock().insert(address, (Arc::clone(tensor), Arc::clone(&frozen)));
        Ok(frozen)
    }

    /// Where pieces were computed so far and why there, in words; nothing if nothing was computed.
    pub fn places(&self) -> String {
        self.devices.describe(&self.tally)
    }
}
