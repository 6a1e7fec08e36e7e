//! What works element by element, on the entries of sparse tensors.

use std::sync::Arc;

use burn::tensor::Device;
use futures::future::BoxFuture;

use super::super::Evaluation;
use super::super::device::OpKey;
use super::super::kernel::{Chunk, Operand as Input};
use super::{picked, without_zeros};
use crate::error::{Error, Result};
use crate::value::tensor::{Binary, Elements, Entries, Layout, Node, Operand, Shape, TensorSchema, Unary};
use crate::value::{Number, NumberClass, Tensor};

/// An operand at some elements.
enum Values {
    Elements(Elements),
    Number(Number),
}

impl Values {
    /// The class of the elements, unless this is a number.
    fn dtype(&self) -> Option<NumberClass> {
        match self {
            Values::Elements(elements) => Some(elements.dtype()),
            Values::Number(_) => None,
        }
    }

    /// This as an operand, on a device.
    fn input(&self, device: &Device) -> Result<Input> {
        match self {
            Values::Elements(elements) => Chunk::upload(elements, device).map(Input::Chunk),
            Values::Number(number) => Ok(Input::Number(*number)),
        }
    }
}

impl Evaluation {
    pub(super) async fn cast_entries(&self, entries: Entries, dtype: NumberClass) -> Result<Entries> {
        let values = self.applied(entries.values, OpKey::Cast(dtype), move |chunk| chunk.cast(dtype)).await?;
        without_zeros(entries.offsets, values)
    }

    pub(super) async fn unary_entries(&self, entries: Entries, op: Unary) -> Result<Entries> {
        let values = self.applied(entries.values, OpKey::Unary(op), move |chunk| chunk.unary(op)).await?;
        without_zeros(entries.offsets, values)
    }

    async fn applied(
        &self,
        values: Elements,
        key: OpKey,
        function: impl FnOnce(Chunk) -> Result<Chunk> + Send + 'static,
    ) -> Result<Elements> {
        self.on_device([(key, values.dtype())], values.len(), move |device| {
            function(Chunk::upload(&values, device)?)?.download()
        })
        .await
    }

    /// The entries of a function of two operands, which is zero where those of them are that are sparse.
    pub(super) async fn binary_entries(
        &self,
        tensor: &Arc<Tensor>,
        op: Binary,
        l: &Operand,
        r: &Operand,
    ) -> Result<Entries> {
        let shape = tensor.shape();
        let (l, r, offsets) = match self.narrowest(op, [l, r], shape).await? {
            // What is zero wherever this operand is needs no other element of the other one, however far that stretches.
            Some(offsets) => (l.clone(), r.clone(), offsets),
            None => {
                let (l, r) = (stretched(l, shape)?, stretched(r, shape)?);
                let offsets = self.support(&[&l, &r]).await?;
                (l, r, offsets)
            }
        };
        let (l, r) = (self.at(&l, shape, &offsets).await?, self.at(&r, shape, &offsets).await?);
        let dtypes = [l.dtype(), r.dtype()].into_iter().flatten();
        let ops = dtypes.map(move |dtype| (OpKey::Binary(op), dtype));
        let function = move |device: &Device| Chunk::binary(op, l.input(device)?, r.input(device)?)?.download();
        let values = self.on_device(ops, offsets.len(), function).await?;
        without_zeros(offsets, values)
    }

    /// The entries of a choice among sparse operands.
    pub(super) async fn selected_entries(
        &self,
        tensor: &Arc<Tensor>,
        condition: &Arc<Tensor>,
        then: &Operand,
        or_else: &Operand,
    ) -> Result<Entries> {
        let shape = tensor.shape();
        let condition = stretched(&Operand::Tensor(Arc::clone(condition)), shape)?;
        let (then, or_else) = (stretched(then, shape)?, stretched(or_else, shape)?);
        let offsets = self.support(&[&condition, &then, &or_else]).await?;
        let Values::Elements(condition) = self.at(&condition, shape, &offsets).await? else {
            return Err(Error::internal("a condition is a number"));
        };
        let (then, or_else) = (self.at(&then, shape, &offsets).await?, self.at(&or_else, shape, &offsets).await?);
        let dtype = tensor.dtype();
        let function = move |device: &Device| {
            let condition = Chunk::upload(&condition, device)?;
            Chunk::select(condition, then.input(device)?, or_else.input(device)?, dtype)?.download()
        };
        let values = self.on_device([(OpKey::Select, dtype)], offsets.len(), function).await?;
        without_zeros(offsets, values)
    }

    /// Of a function that is zero where either operand is, the numbers of the elements that are not zero in a sparse operand
    /// of the shape of the result: in that which has the fewest.
    async fn narrowest(&self, op: Binary, operands: [&Operand; 2], shape: &Shape) -> Result<Option<Arc<[u64]>>> {
        let mut narrowest: Option<Arc<[u64]>> = None;
        if !matches!(op, Binary::Mul | Binary::And) {
            return Ok(None);
        }
        for tensor in operands.into_iter().filter_map(Operand::tensor) {
            if tensor.schema.layout == Layout::Sparse && tensor.shape() == shape {
                let offsets = self.kept_entries(tensor).await?.offsets;
                if narrowest.as_ref().is_none_or(|narrowest| offsets.len() < narrowest.len()) {
                    narrowest = Some(offsets);
                }
            }
        }
        Ok(narrowest)
    }

    /// The numbers of all elements that are not zero in one of the sparse operands; of all elements that are not zero in a
    /// dense one, if none is sparse.
    async fn support(&self, operands: &[&Operand]) -> Result<Arc<[u64]>> {
        let tensors = || operands.iter().filter_map(|operand| operand.tensor());
        let is_any_sparse = tensors().any(|tensor| tensor.schema.layout == Layout::Sparse);
        let mut all: Arc<[u64]> = Arc::default();
        for tensor in tensors().filter(|tensor| !is_any_sparse || tensor.schema.layout == Layout::Sparse) {
            let entries = self.kept_entries(tensor).await?;
            all = if all.is_empty() { entries.offsets } else { union(&all, &entries.offsets) };
        }
        Ok(all)
    }

    /// An operand at these elements of a result of this shape.
    fn at<'a>(
        &'a self,
        operand: &'a Operand,
        shape: &'a Shape,
        offsets: &'a Arc<[u64]>,
    ) -> BoxFuture<'a, Result<Values>> {
        Box::pin(async move {
            match operand {
                Operand::Number(number) => Ok(Values::Number(*number)),
                Operand::Tensor(tensor) if tensor.schema.layout == Layout::Sparse => {
                    let entries = self.kept_entries(tensor).await?;
                    match tensor.shape() == shape {
                        true => spread(&entries, offsets).map(Values::Elements),
                        false => reached(&entries, tensor.shape(), shape, offsets).map(Values::Elements),
                    }
                }
                Operand::Tensor(_) => match stretched(operand, shape)? {
                    Operand::Tensor(tensor) => self.elements_at(&tensor, offsets).await.map(Values::Elements),
                    Operand::Number(number) => Ok(Values::Number(number)),
                },
            }
        })
    }

    /// Elements of a dense tensor that are not next to each other.
    async fn elements_at(&self, tensor: &Arc<Tensor>, offsets: &[u64]) -> Result<Elements> {
        let mut parts = Vec::new();
        let mut at = 0;
        while at < offsets.len() {
            let start = offsets[at];
            let end = start.saturating_add(super::super::PIECE_LEN).min(tensor.size());
            let until = at + offsets[at..].partition_point(|offset| *offset < end);
            let piece = self.piece(tensor, start..offsets[until - 1] + 1).await?;
            let places: Vec<usize> = offsets[at..until].iter().map(|offset| (offset - start) as usize).collect();
            parts.push(picked(&piece, &places)?);
            at = until;
        }
        super::super::leaf::joined(tensor.dtype(), &parts)
    }

    /// The entries of an operand, which may be asked for again.
    pub(super) async fn kept_entries(&self, tensor: &Arc<Tensor>) -> Result<Entries> {
        let cell = {
            let mut kept = self.memo.kept.lock();
            let new = || (Arc::clone(tensor), Arc::default());
            Arc::clone(&kept.entry(Arc::as_ptr(tensor).addr()).or_insert_with(new).1)
        };
        let computed = async || {
            let entries = self.entries(tensor).await?;
            self.memo.charge(entries.weight());
            Ok(entries)
        };
        cell.get_or_try_init(computed).await.cloned()
    }
}

/// An operand of the shape of the result.
fn stretched(operand: &Operand, shape: &Shape) -> Result<Operand> {
    match operand {
        Operand::Tensor(tensor) if tensor.shape() != shape => {
            let schema = TensorSchema { shape: shape.clone(), ..tensor.schema.clone() };
            Ok(Operand::Tensor(Arc::new(Tensor::new(schema, Node::Broadcast { of: Arc::clone(tensor) }))))
        }
        operand => Ok(operand.clone()),
    }
}

/// The numbers in either of two ascending lists.
fn union(l: &[u64], r: &[u64]) -> Arc<[u64]> {
    let mut all = Vec::with_capacity(l.len() + r.len());
    let (mut l, mut r) = (l.iter().peekable(), r.iter().peekable());
    loop {
        let next = match (l.peek(), r.peek()) {
            (None, None) => return all.into(),
            (Some(l), None) => **l,
            (None, Some(r)) => **r,
            (Some(l), Some(r)) => **l.min(r),
        };
        l.next_if(|at| **at == next);
        r.next_if(|at| **at == next);
        all.push(next);
    }
}

/// The values of entries at these numbers; zero where there is none.
fn spread(entries: &Entries, offsets: &[u64]) -> Result<Elements> {
    if *entries.offsets == *offsets {
        return Ok(entries.values.clone());
    }
    let mut next = 0;
    let places = offsets.iter().map(|offset| {
        next += entries.offsets[next..].partition_point(|at| at < offset);
        entries.offsets.get(next).filter(|at| *at == offset).map(|_| next)
    });
    chosen(entries, places.collect())
}

/// The values of entries of a tensor that is stretched to a shape, at these elements of that; zero where there is none.
fn reached(entries: &Entries, own: &Shape, shape: &Shape, offsets: &[u64]) -> Result<Elements> {
    let missing = shape.ndim() - own.ndim();
    let places = offsets.iter().map(|offset| {
        let coord = shape.coord(*offset);
        let own_coord = own.dims().iter().zip(&coord[missing..]).map(|(dim, at)| if *dim == 1 { 0 } else { *at });
        entries.offsets.binary_search(&own.offset(&own_coord.collect::<Vec<u64>>())).ok()
    });
    chosen(entries, places.collect())
}

/// The values at these places, and zero for none.
fn chosen(entries: &Entries, places: Vec<Option<usize>>) -> Result<Elements> {
    // A zero behind all values stands for what is not there.
    let zero = Elements::zeros(entries.values.dtype(), 1);
    let values = super::super::leaf::joined(entries.values.dtype(), &[entries.values.clone(), zero])?;
    picked(&values, &places.into_iter().map(|place| place.unwrap_or(entries.len())).collect::<Vec<usize>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_union_of_numbers_is_sorted_and_has_each_once() {
        assert_eq!(&*union(&[1, 4, 6], &[0, 4, 9]), [0, 1, 4, 6, 9]);
        assert_eq!(&*union(&[], &[2]), [2]);
    }

    #[test]
    fn what_is_not_there_is_zero() {
        let values = Elements::from_numbers(NumberClass::I32, [5, -7].map(Number::I64));
        let entries = Entries { offsets: [1, 5].into(), values };
        let spread = spread(&entries, &[0, 1, 4, 5]).unwrap();
        assert_eq!(spread.typed::<i32>(), [0, 5, 0, -7]);
        assert_eq!(super::spread(&entries, &[1, 2]).unwrap().typed::<i32>(), [5, 0]);
        let (own, shape) = (Shape::try_new([1, 6]).unwrap(), Shape::try_new([3, 6]).unwrap());
        assert_eq!(reached(&entries, &own, &shape, &[1, 6, 7, 17]).unwrap().typed::<i32>(), [5, 0, 5, -7]);
    }
}
