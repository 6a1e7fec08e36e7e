//! Tensors: makes them, reads them, and writes to them, in the transaction of the request.
//!
//! A call makes an expression ([`crate::compiler::tensor`]). One over bases waits until its elements are needed, since it
//! shows what is written to them until then; what was computed of it is used again until something is written
//! ([`Memo`](crate::exec::tensor::Memo)). Of others, small results are computed at once, and so is what would be computed
//! again whenever one of its elements is asked for. What works element by element on a large tensor waits, so that a chain of
//! such calls is computed in one go, and need not fit in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::TryStreamExt as _;

use super::Worker;
use crate::compiler::methods::Shape as CallShape;
use crate::compiler::tensor::{self, Action};
use crate::error::{Error, Result};
use crate::exec::tensor::{Evaluation, Mapping, each_place, span};
use crate::value::hash_tensor::TensorHasher;
use crate::value::number::cast::cast;
use crate::value::number::compare::is_truthy;
use crate::value::tensor::elements::width;
use crate::value::tensor::{AxisBound, Base, Elements, Initial, Layout, Node, Operand, Shape, TensorSchema};
use crate::value::{Id, Number, State, Tensor, Value};

/// Bytes of a result that is computed when it is made, whatever it is.
const EAGER_BYTES: u64 = 1 << 20;
/// Bytes of a result that is kept in memory.
pub(super) const MEMORY_BYTES: u64 = 16 << 20;
/// Bytes of a dense tensor.
const DENSE_BYTES_MAX: u64 = 1 << 44;
/// Blocks that are written together.
const GROUP: usize = 64;

impl Worker<'_> {
    /// A call of a tensor, or of a method of it.
    pub(super) async fn tensor(
        &self,
        tensor: &Arc<Tensor>,
        path: &[Id],
        shape: &CallShape,
        args: &[State],
    ) -> Result<State> {
        let name = match path {
            [] => None,
            [name] => Some(name.as_str()),
            path => {
                let path: Vec<&str> = path.iter().map(Id::as_str).collect();
                return Err(Error::not_found(format!("/{}", path.join("/"))));
            }
        };
        match tensor::plan(tensor, name, shape, args)? {
            // What changes nothing is a view all the same, but for the base itself.
            Action::Done(State::Tensor(same)) if name.is_some() && same.base().is_some() => Ok(view(&same).into()),
            action => self.act_on_tensor(action).await,
        }
    }

    /// A call of a constructor.
    pub(super) async fn construct_tensor(&self, path: &str, shape: &CallShape, args: &[State]) -> Result<State> {
        self.act_on_tensor(tensor::construct(path, shape, args)?).await
    }

    async fn act_on_tensor(&self, action: Action) -> Result<State> {
        let evaluation = self.evaluation();
        match action {
            Action::Done(state) => Ok(state),
            Action::Tensor(tensor) => self.settled(&evaluation, Arc::new(tensor)).await.map(State::Tensor),
            Action::Element { of, offset } => {
                let element = element(&evaluation, &evaluation.frozen(&of)?, offset).await?;
                self.note_places(&evaluation, || "reads an element".into());
                Ok(element.into())
            }
            Action::Fold { op, of } => {
                let folded = evaluation.fold(op, &evaluation.frozen(&of)?).await?;
                self.note_places(&evaluation, || format!("reduces {} elements", of.size()));
                Ok(folded.into())
            }
            Action::Norm { of, dtype } => {
                let norm = evaluation.norm(&evaluation.frozen(&of)?, dtype).await?;
                self.note_places(&evaluation, || format!("reduces {} elements", of.size()));
                Ok(norm.into())
            }
            Action::Hash(tensor) => {
                let hash = self.hash_of_tensor(&evaluation, &evaluation.frozen(&tensor)?).await?;
                self.note_places(&evaluation, || format!("hashes {} elements", tensor.size()));
                Ok(hash)
            }
            Action::Make { schema, initial } => {
                let initial = match initial {
                    // Later writes to the source do not change the copy.
                    Initial::Copy(of) => Initial::Copy(self.shallow(&evaluation, evaluation.frozen(&of)?).await?),
                    initial => initial,
                };
                check_size(&schema)?;
                Ok(self.make_tensor(&schema, initial).into())
            }
            Action::Write { tensor, bounds, value } => {
                let base = tensor.base().ok_or_else(|| Error::internal("only a base can be written to"))?;
                self.check_write(&base.table).await?;
                let value = match value {
                    Operand::Tensor(value) => Operand::Tensor(evaluation.frozen(&value)?),
                    number => number,
                };
                match tensor.schema.layout {
                    Layout::Dense => self.write_dense(&evaluation, &tensor, base, &bounds, &value).await?,
                    Layout::Sparse => self.write_sparse(&evaluation, &tensor, base, &bounds, &value).await?,
                }
                self.session.forget_computed();
                self.note_places(&evaluation, || format!("writes within {} elements", size_of(&bounds)));
                Ok(State::NONE)
            }
        }
    }

    /// Notes what was done, and where it was computed.
    fn note_places(&self, evaluation: &Evaluation, text: impl FnOnce() -> String) {
        self.note(|| {
            let (text, places) = (text(), evaluation.places());
            if places.is_empty() { text } else { format!("{text}: {places}") }
        });
    }

    pub(super) fn evaluation(&self) -> Evaluation {
        Evaluation::new(&self.session.devices, self.txn(), self.session.memo())
    }

    /// A base of this transaction.
    fn make_tensor(&self, schema: &TensorSchema, initial: Initial) -> Tensor {
        let initial = match initial {
            Initial::Random { distribution, .. } => Initial::Random { seed: seed(), distribution },
            initial => initial,
        };
        Tensor::of(&self.txn().create(schema.rows()), schema, Arc::new(initial))
    }

    /// A state in which every base is as it is now.
    pub(super) fn frozen(&self, state: &State) -> Result<State> {
        let mut frozen = Vec::new();
        for found in state.find(is_live) {
            if let State::Tensor(tensor) = found {
                frozen.push(State::from(self.frozen_tensor(tensor)?));
            }
        }
        state.replace(is_live, &mut frozen.into_iter())
    }

    /// A tensor with the bases that it is computed from as they are now.
    pub(super) fn frozen_tensor(&self, tensor: &Arc<Tensor>) -> Result<Arc<Tensor>> {
        self.evaluation().frozen(tensor)
    }

    /// An expression that others can be made of: what it results in, if it is too deep for that.
    async fn shallow(&self, evaluation: &Evaluation, tensor: Arc<Tensor>) -> Result<Arc<Tensor>> {
        match tensor.depth() < Tensor::DEPTH_MAX {
            true => Ok(tensor),
            false => self.settled(evaluation, tensor).await,
        }
    }

    /// An expression, or what it results in, if that is better known now.
    async fn settled(&self, evaluation: &Evaluation, tensor: Arc<Tensor>) -> Result<Arc<Tensor>> {
        if tensor.is_live() && tensor.depth() < Tensor::DEPTH_MAX {
            self.note(|| format!("waits until its {} elements are needed", tensor.size()));
            return Ok(tensor);
        }
        let tensor = evaluation.frozen(&tensor)?;
        if tensor.schema.layout == Layout::Sparse {
            let entries = evaluation.entries(&tensor).await?;
            self.note_places(evaluation, || format!("computes {} elements that are not zero", entries.len()));
            return Ok(initial(&tensor.schema, Initial::Entries(entries)));
        }
        let bytes = tensor.size().saturating_mul(width(tensor.dtype()) as u64);
        let is_costly = matches!(tensor.node, Node::Reduce { .. } | Node::MatMul { .. } | Node::ArgSort { .. });
        if bytes > EAGER_BYTES && !is_costly && tensor.depth() < Tensor::DEPTH_MAX {
            self.note(|| format!("waits until its {} elements are needed", tensor.size()));
            return Ok(tensor);
        }
        check_size(&tensor.schema)?;
        if bytes > MEMORY_BYTES {
            let spilled = evaluation.spilled(&tensor).await?;
            self.note_places(evaluation, || format!("computes {} elements to files", tensor.size()));
            return Ok(spilled);
        }
        let elements = evaluation.elements(&tensor).await?;
        self.note_places(evaluation, || format!("computes {} elements", tensor.size()));
        Ok(initial(&tensor.schema, Initial::Elements(elements)))
    }

    /// A tensor with its elements in memory, for a reply.
    ///
    /// # Errors
    /// `TooLarge` if they take more than `bytes_max`.
    pub(super) async fn filled_tensor(&self, tensor: &Arc<Tensor>, bytes_max: u64) -> Result<Arc<Tensor>> {
        let (tensor, evaluation) = (self.frozen_tensor(tensor)?, self.evaluation());
        let too_large = || Error::too_large(format!("a tensor of shape {} is too large for a reply", tensor.shape()));
        let filled = match tensor.schema.layout {
            Layout::Sparse => {
                let entries = evaluation.entries(&tensor).await?;
                if entries.weight() > bytes_max {
                    return Err(too_large());
                }
                Initial::Entries(entries)
            }
            Layout::Dense if tensor.size().saturating_mul(width(tensor.dtype()) as u64) > bytes_max => {
                return Err(too_large());
            }
            Layout::Dense => Initial::Elements(evaluation.elements(&tensor).await?),
        };
        self.note_places(&evaluation, || format!("reads {} elements for the reply", tensor.size()));
        Ok(initial(&tensor.schema, filled))
    }

    async fn hash_of_tensor(&self, evaluation: &Evaluation, tensor: &Arc<Tensor>) -> Result<State> {
        let mut hasher = TensorHasher::new(tensor);
        match tensor.schema.layout {
            Layout::Sparse => {
                let entries = evaluation.entries(tensor).await?;
                let all = entries.offsets.iter().zip(entries.values.iter());
                all.for_each(|(offset, element)| hasher.element(*offset, element));
            }
            Layout::Dense => {
                let mut pieces = evaluation.pieces(tensor);
                let mut at = 0;
                while let Some(piece) = pieces.try_next().await? {
                    (at..).zip(piece.iter()).for_each(|(offset, element)| hasher.element(offset, element));
                    at += piece.len() as u64;
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(hasher.finish_id().into())
    }

    /// Writes to a part of a dense tensor. What is written was fixed when the call was made, so it may be computed from the
    /// tensor itself.
    async fn write_dense(
        &self,
        evaluation: &Evaluation,
        tensor: &Tensor,
        base: &Base,
        bounds: &[AxisBound],
        value: &Operand,
    ) -> Result<()> {
        let before =
            self.frozen_tensor(&Arc::new(Tensor::of(&base.table, &tensor.schema, Arc::clone(&base.initial))))?;
        let value = spread(&tensor.schema, bounds, value)?;
        let mapping = Mapping::of_bounds(tensor, bounds);
        // What is read of the tensor must not wait for what is computed of the value meanwhile: each has its own memo.
        let own = Evaluation::new(&self.session.devices, self.txn(), Arc::default());
        let mut patch = Patch { worker: self, evaluation: &own, base, before, block: None, rows: vec![] };
        let mut pieces = evaluation.pieces(&value);
        let mut at = 0;
        while let Some(piece) = pieces.try_next().await? {
            let (mut runs, end) = (Vec::new(), at + piece.len() as u64);
            mapping.runs(at..end, |start, len| runs.push((start, len as usize)));
            let mut used = 0;
            for (start, len) in runs {
                patch.write(start, &piece.slice(used, len)).await?;
                used += len;
            }
            at = end;
        }
        patch.finish().await
    }

    /// Writes to a part of a sparse tensor.
    async fn write_sparse(
        &self,
        evaluation: &Evaluation,
        tensor: &Arc<Tensor>,
        base: &Base,
        bounds: &[AxisBound],
        value: &Operand,
    ) -> Result<()> {
        let (shape, table) = (tensor.shape(), &base.table);
        let mut rows = Vec::new();
        let is_number = match value {
            Operand::Number(number) => {
                let number = cast(*number, tensor.dtype());
                if is_truthy(number) {
                    // Only single elements are written so.
                    let (offset, _) = span(shape, bounds);
                    rows.push((offset, number));
                }
                true
            }
            Operand::Tensor(_) => false,
        };
        if !is_number {
            let value = spread(&tensor.schema, bounds, value)?;
            let entries = evaluation.entries(&value).await?;
            let mapping = Mapping::of_bounds(tensor, bounds);
            for (offset, element) in entries.offsets.iter().zip(entries.values.iter()) {
                mapping.runs(*offset..offset + 1, |place, _| rows.push((place, element)));
            }
        }
        let before = self.frozen_tensor(tensor)?;
        let (first, last) = span(shape, bounds);
        let old = evaluation.entries_within(&before, first..last + 1).await?;
        let kept: BTreeSet<u64> = rows.iter().map(|(offset, _)| *offset).collect();
        for offset in old.offsets.iter() {
            let mut is_within = false;
            each_place(shape, bounds, *offset, |_| is_within = true);
            if is_within && !kept.contains(offset) {
                self.remove_entry(base, *offset, &tensor.schema).await?;
            }
        }
        let rows: Vec<Vec<State>> =
            rows.into_iter().map(|(offset, element)| vec![offset.into(), element.into()]).collect();
        self.txn().put_rows(table, &rows).await
    }

    /// Makes an element of a sparse tensor zero.
    async fn remove_entry(&self, base: &Base, offset: u64, schema: &TensorSchema) -> Result<()> {
        match base.initial.as_ref() {
            Initial::Fill(_) => self.txn().delete(&base.table, &[offset.into()]).await.map(|_| ()),
            // A zero hides what was there from the beginning.
            _ => self.txn().put(&base.table, &[offset.into(), schema.zero().into()]).await,
        }
    }
}

/// One element of a tensor.
async fn element(evaluation: &Evaluation, of: &Arc<Tensor>, offset: u64) -> Result<Number> {
    let range = offset..offset + 1;
    let entries = match of.schema.layout {
        Layout::Dense => return Ok(evaluation.piece(of, range).await?.get(0)),
        Layout::Sparse => evaluation.entries_within(of, range).await?,
    };
    Ok(if entries.is_empty() { of.schema.zero() } else { entries.values.get(0) })
}

/// How many elements there are within bounds.
fn size_of(bounds: &[AxisBound]) -> u64 {
    let lens = bounds.iter().map(|bound| match bound {
        AxisBound::At(_) => 1,
        AxisBound::Range(start, end) => end - start,
        AxisBound::Positions(positions) => positions.len() as u64,
    });
    lens.product()
}

/// Writes elements to the blocks of a dense tensor.
struct Patch<'a, 'b> {
    worker: &'a Worker<'b>,
    evaluation: &'a Evaluation,
    base: &'a Base,
    /// The tensor as it was.
    before: Arc<Tensor>,
    /// The number of the block that is being written, and its bytes.
    block: Option<(u64, Vec<u8>)>,
    /// Blocks that are to be written.
    rows: Vec<Vec<State>>,
}

impl Patch<'_, '_> {
    /// Writes elements from number `start` on.
    async fn write(&mut self, start: u64, elements: &Elements) -> Result<()> {
        let (width, block_len) = (width(elements.dtype()), Elements::block_len(elements.dtype()));
        let bytes = elements.bytes().as_slice();
        let mut done = 0;
        while done < elements.len() as u64 {
            let (block, within) = ((start + done) / block_len, (start + done) % block_len);
            let block_end = block_len.min(self.before.size() - block * block_len);
            let len = (block_end - within).min(elements.len() as u64 - done);
            let old = self.block(block, within == 0 && len == block_end).await?;
            let (to, from) = (within as usize * width, done as usize * width);
            let len_bytes = len as usize * width;
            old[to..to + len_bytes].copy_from_slice(&bytes[from..from + len_bytes]);
            done += len;
        }
        Ok(())
    }

    /// The bytes of a block, which are read unless all of them will be written.
    async fn block(&mut self, block: u64, is_whole: bool) -> Result<&mut [u8]> {
        if self.block.as_ref().is_none_or(|(current, _)| *current != block) {
            // One that comes again, since positions need not be in order, is read as it was left.
            let is_again = self.rows.iter().any(|row| row[0] == State::from(block));
            self.flush(if is_again { 1 } else { GROUP }).await?;
            let dtype = self.before.dtype();
            let block_len = Elements::block_len(dtype);
            let range = block * block_len..((block + 1) * block_len).min(self.before.size());
            let bytes = match is_whole {
                true => vec![0; (range.end - range.start) as usize * width(dtype)],
                false => match self.worker.txn().get(&self.base.table, &[block.into()]).await?.as_deref() {
                    // What was written before, perhaps just now.
                    Some([_, State::Value(Value::Bytes(bytes))]) => bytes.to_vec(),
                    _ => self.evaluation.piece(&self.before, range).await?.bytes().to_vec(),
                },
            };
            self.block = Some((block, bytes));
        }
        self.block.as_mut().map(|(_, bytes)| bytes.as_mut_slice()).ok_or_else(|| Error::internal("no block"))
    }

    /// Keeps the current block to be written, and writes if that makes `group` blocks or more.
    async fn flush(&mut self, group: usize) -> Result<()> {
        if let Some((block, bytes)) = self.block.take() {
            self.rows.push(vec![block.into(), State::Value(Value::Bytes(bytes.into()))]);
        }
        if self.rows.len() >= group {
            self.worker.txn().put_rows(&self.base.table, &std::mem::take(&mut self.rows)).await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<()> {
        self.flush(1).await
    }
}

/// A value as a tensor of the shape of the bounds and the dtype of what it is written to.
fn spread(schema: &TensorSchema, bounds: &[AxisBound], value: &Operand) -> Result<Arc<Tensor>> {
    let dims = bounds.iter().filter_map(|bound| match bound {
        AxisBound::At(_) => None,
        AxisBound::Range(start, end) => Some(end - start),
        AxisBound::Positions(positions) => Some(positions.len() as u64),
    });
    let dims: Vec<u64> = dims.collect();
    let shape = Shape::try_new(if dims.is_empty() { vec![1] } else { dims })?;
    let target = TensorSchema { shape: shape.clone(), ..schema.clone() };
    let tensor = match value {
        Operand::Number(number) => {
            return Ok(initial(&target, Initial::Fill(cast(*number, schema.dtype))));
        }
        Operand::Tensor(tensor) => Arc::clone(tensor),
    };
    let tensor = match *tensor.shape() == shape {
        true => tensor,
        false => {
            let schema = TensorSchema { shape, ..tensor.schema.clone() };
            Arc::new(Tensor::new(schema, Node::Broadcast { of: tensor }))
        }
    };
    let tensor = match tensor.schema.layout == schema.layout {
        true => tensor,
        false => {
            let schema = TensorSchema { layout: schema.layout, ..tensor.schema.clone() };
            Arc::new(Tensor::new(schema, Node::Relayout { of: tensor }))
        }
    };
    Ok(match tensor.dtype() == schema.dtype {
        true => tensor,
        false => Arc::new(Tensor::new(target, Node::Cast { of: tensor })),
    })
}

/// What `initial` says, as a tensor that cannot be written to.
pub(super) fn initial(schema: &TensorSchema, initial: Initial) -> Arc<Tensor> {
    Arc::new(Tensor::new(schema.clone(), Node::Initial(Arc::new(initial))))
}

/// What random elements are drawn from.
fn seed() -> u64 {
    let [bytes @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = crate::env::secret();
    u64::from_le_bytes(bytes)
}

/// Checks that a tensor can be kept.
fn check_size(schema: &TensorSchema) -> Result<()> {
    let bytes = schema.shape.size().saturating_mul(width(schema.dtype) as u64);
    match schema.layout {
        Layout::Dense if bytes > DENSE_BYTES_MAX => {
            let (shape, tebibytes) = (&schema.shape, DENSE_BYTES_MAX >> 40);
            Err(Error::bad_request(format!("a dense tensor of shape {shape} is larger than {tebibytes} TiB")))
        }
        _ => Ok(()),
    }
}

fn is_live(state: &State) -> bool {
    matches!(state, State::Tensor(tensor) if tensor.is_live())
}

/// A tensor that cannot be written to.
fn view(of: &Arc<Tensor>) -> Tensor {
    Tensor::new(of.schema.clone(), Node::Reshape { of: Arc::clone(of) })
}
