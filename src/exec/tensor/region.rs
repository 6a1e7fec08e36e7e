//! Regions: what works element by element, computed together on one device.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Device;

use super::device::OpKey;
use super::kernel::{Chunk, Operand as Input};
use super::{Evaluation, PIECE_LEN, leaf};
use crate::error::{Error, Result};
use crate::storage::files::run_blocking;
use crate::value::tensor::{Elements, Node, Operand, Shape, TensorSchema};
use crate::value::{NumberClass, Tensor};

/// Elements that are computed at once, where others wait: fewer than it is worth to hand over to another thread.
const INLINE_LEN: usize = 16 << 10;

/// Tensors that a region reads, by their addresses.
type Leaves = HashMap<usize, (Arc<Tensor>, Elements)>;

impl Evaluation {
    /// Elements of an expression. One that is small is computed once and as a whole, since views of it would ask for it again
    /// and again.
    pub(super) async fn region(&self, tensor: &Arc<Tensor>, range: Range<u64>) -> Result<Elements> {
        if tensor.size() > PIECE_LEN {
            return self.region_piece(tensor, range).await;
        }
        let cell = {
            let mut regions = self.memo.regions.lock();
            let new = || (Arc::clone(tensor), Arc::default());
            Arc::clone(&regions.entry(address(tensor)).or_insert_with(new).1)
        };
        let computed = async || {
            let elements = self.region_piece(tensor, 0..tensor.size()).await?;
            self.memo.charge(elements.bytes().len() as u64);
            Ok(elements)
        };
        Ok(leaf::part(cell.get_or_try_init(computed).await?, range))
    }

    /// Those of the leaves are read, and then everything is computed in one go.
    async fn region_piece(&self, tensor: &Arc<Tensor>, range: Range<u64>) -> Result<Elements> {
        let mut found = Vec::new();
        let mut seen = HashMap::new();
        walk(tensor, tensor.shape(), &mut seen, &mut found);
        let mut leaves = Leaves::with_capacity(found.len());
        for leaf in found {
            let elements = self.piece(&stretched(&leaf, tensor.shape()), range.clone()).await?;
            leaves.insert(address(&leaf), (leaf, elements));
        }
        let mut ops = Vec::new();
        keys(tensor, tensor.shape(), &mut HashSet::new(), &mut ops);
        let (tensor, len) = (Arc::clone(tensor), (range.end - range.start) as usize);
        let function =
            move |device: &Device| Region { device, leaves, uses: seen, computed: HashMap::new() }.run(&tensor);
        self.on_device(ops, len, function).await
    }

    /// Computes a piece by functions of operands of a class, on the device that suits them; where there are none, on the CPU.
    /// `work` is how many elements there are, or, for products of matrices, how many multiplications.
    ///
    /// # Errors
    /// Those of `function`.
    pub(super) async fn on_device<T: Send + 'static>(
        &self,
        ops: impl IntoIterator<Item = (OpKey, NumberClass)> + Send + 'static,
        work: usize,
        function: impl FnOnce(&Device) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (devices, tally) = (Arc::clone(&self.devices), Arc::clone(&self.tally));
        apart(work, move || devices.compute(ops, work, &tally, function)).await
    }
}

/// Does work on so many elements, on another thread if these are many.
pub(super) async fn apart<T: Send + 'static>(
    len: usize,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if len <= INLINE_LEN {
        return work();
    }
    run_blocking(work).await.map_err(|error| Error::internal(format!("a tensor was not computed: {error}")))?
}

fn address(tensor: &Arc<Tensor>) -> usize {
    Arc::as_ptr(tensor).addr()
}

/// Whether a tensor belongs to a region of this shape: whether its elements are computed from those with the same numbers.
fn is_within(tensor: &Tensor, shape: &Shape) -> bool {
    let is_pointwise =
        matches!(tensor.node, Node::Cast { .. } | Node::Unary { .. } | Node::Binary { .. } | Node::Select { .. });
    is_pointwise && tensor.shape() == shape
}

/// An operand in the shape of its region.
fn stretched(operand: &Arc<Tensor>, shape: &Shape) -> Arc<Tensor> {
    if operand.shape() == shape {
        return Arc::clone(operand);
    }
    let schema = TensorSchema { shape: shape.clone(), ..operand.schema.clone() };
    Arc::new(Tensor::new(schema, Node::Broadcast { of: Arc::clone(operand) }))
}

/// Finds the leaves of a region, and counts how often each of its tensors is used.
fn walk(tensor: &Arc<Tensor>, shape: &Shape, uses: &mut HashMap<usize, usize>, leaves: &mut Vec<Arc<Tensor>>) {
    let count = uses.entry(address(tensor)).or_default();
    *count += 1;
    if *count > 1 {
        return;
    }
    match is_within(tensor, shape) {
        true => tensor.node.operands().for_each(|operand| walk(operand, shape, uses, leaves)),
        false => leaves.push(Arc::clone(tensor)),
    }
}

/// The functions of a region, with the class of their operands.
fn keys(tensor: &Arc<Tensor>, shape: &Shape, seen: &mut HashSet<usize>, ops: &mut Vec<(OpKey, NumberClass)>) {
    if !is_within(tensor, shape) || !seen.insert(address(tensor)) {
        return;
    }
    let of = tensor.node.operands().next().map_or_else(|| tensor.dtype(), |of| of.dtype());
    match &tensor.node {
        Node::Cast { .. } => ops.push((OpKey::Cast(tensor.dtype()), of)),
        Node::Unary { op, .. } => ops.push((OpKey::Unary(*op), of)),
        // Operands of "and" and the like may be of two classes.
        Node::Binary { op, .. } => ops.extend(tensor.node.operands().map(|of| (OpKey::Binary(*op), of.dtype()))),
        _ => ops.push((OpKey::Select, tensor.dtype())),
    }
    tensor.node.operands().for_each(|operand| keys(operand, shape, seen, ops));
}

/// A region that is being computed.
struct Region<'a> {
    device: &'a Device,
    leaves: Leaves,
    /// How often each tensor will still be used.
    uses: HashMap<usize, usize>,
    /// What was computed and is used again.
    computed: HashMap<usize, Chunk>,
}

impl Region<'_> {
    fn run(mut self, tensor: &Arc<Tensor>) -> Result<Elements> {
        self.chunk(tensor)?.download()
    }

    /// The elements of one tensor of the region. The recursion is as deep as expressions are: [`Tensor::DEPTH_MAX`].
    fn chunk(&mut self, tensor: &Arc<Tensor>) -> Result<Chunk> {
        let address = address(tensor);
        let left = self.uses.get_mut(&address).map_or(0, |left| {
            *left = left.saturating_sub(1);
            *left
        });
        if let Some(chunk) =
            if left == 0 { self.computed.remove(&address) } else { self.computed.get(&address).cloned() }
        {
            return Ok(chunk);
        }
        let chunk = self.computed_chunk(tensor)?;
        if left > 0 {
            self.computed.insert(address, chunk.clone());
        }
        Ok(chunk)
    }

    fn computed_chunk(&mut self, tensor: &Arc<Tensor>) -> Result<Chunk> {
        if let Some((_, elements)) = self.leaves.get(&address(tensor)) {
            return Chunk::upload(elements, self.device);
        }
        match &tensor.node {
            Node::Cast { of } => self.chunk(of)?.cast(tensor.dtype()),
            Node::Unary { op, of } => self.chunk(of)?.unary(*op),
            Node::Binary { op, l, r } => {
                let (l, r) = (self.input(l)?, self.input(r)?);
                Chunk::binary(*op, l, r)
            }
            Node::Select { condition, then, or_else } => {
                let condition = self.chunk(condition)?;
                let (then, or_else) = (self.input(then)?, self.input(or_else)?);
                Chunk::select(condition, then, or_else, tensor.dtype())
            }
            _ => Err(Error::internal("a region lacks one of its leaves")),
        }
    }

    fn input(&mut self, operand: &Operand) -> Result<Input> {
        match operand {
            Operand::Tensor(tensor) => self.chunk(tensor).map(Input::Chunk),
            Operand::Number(number) => Ok(Input::Number(*number)),
        }
    }
}
