//! Elements that are not computed from others: stored ones, and those that a constructor describes.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AsArray as _, BinaryViewArray, ByteView, MAX_INLINE_VIEW_LEN, RecordBatch};
use arrow::buffer::{Buffer, MutableBuffer};
use arrow::datatypes::UInt64Type;
use futures::TryStreamExt as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, StandardNormal};

use super::Evaluation;
use super::region::apart;
use crate::error::{Error, Result};
use crate::value::number::cast::{cast, to_f64};
use crate::value::number::compare::is_truthy;
use crate::value::tensor::elements::{align, width};
use crate::value::tensor::{Content, Distribution, Elements, Entries, Initial};
use crate::value::{Number, NumberClass, Tensor};

/// Random elements that are drawn together, so that any of them can be had without all before it.
const RANDOM_LEN: u64 = 1024;

impl Evaluation {
    /// What was written, over what there was.
    pub(super) async fn stored(
        &self,
        tensor: &Tensor,
        content: &Arc<dyn Content>,
        initial: &Arc<Initial>,
        range: Range<u64>,
    ) -> Result<Elements> {
        if content.is_empty() {
            return self.initial(tensor, initial, range).await;
        }
        let dtype = tensor.dtype();
        let block_len = Elements::block_len(dtype);
        let blocks = range.start / block_len..range.end.div_ceil(block_len);
        let mut pieces = Vec::new();
        let mut at = range.start;
        let mut batches = content.read(blocks);
        while let Some(batch) = batches.try_next().await? {
            for (block, bytes) in rows(&batch, align(dtype))? {
                let elements = Elements::try_new(dtype, bytes)?;
                let start = block * block_len;
                if elements.len() as u64 != block_len.min(tensor.size() - start) {
                    return Err(Error::internal(format!("block {block} of a tensor has {} elements", elements.len())));
                }
                if at < start {
                    pieces.push(self.initial(tensor, initial, at..start).await?);
                    at = start;
                }
                let end = range.end.min(start + elements.len() as u64);
                pieces.push(part(&elements, at - start..end - start));
                at = end;
            }
        }
        if at < range.end {
            pieces.push(self.initial(tensor, initial, at..range.end).await?);
        }
        apart(len(&range)?, move || joined(dtype, &pieces)).await
    }

    /// What a constructor says.
    pub(super) async fn initial(&self, tensor: &Tensor, initial: &Initial, range: Range<u64>) -> Result<Elements> {
        let dtype = tensor.dtype();
        Ok(match initial {
            Initial::Fill(number) if !is_truthy(*number) => Elements::zeros(dtype, len(&range)?),
            Initial::Fill(number) => filled(dtype, *number, len(&range)?),
            Initial::Range { start, stop } => steps(dtype, (*start, *stop), tensor.size(), range),
            Initial::Random { seed, distribution } => random(dtype, *seed, *distribution, range),
            Initial::Elements(elements) => part(elements, range),
            Initial::Copy(of) => return self.piece(of, range).await,
            Initial::Entries(entries) => scatter(dtype, entries, range)?,
            Initial::Eye => return Err(Error::internal("a dense tensor is not made as a sparse one")),
        })
    }
}

/// The numbers of blocks, and their bytes, which begin at a multiple of `align`.
fn rows(batch: &RecordBatch, align: usize) -> Result<Vec<(u64, Buffer)>> {
    let keys = batch.column(0).as_primitive_opt::<UInt64Type>();
    let bytes = batch.column(1).as_binary_view_opt();
    let (Some(keys), Some(bytes)) = (keys, bytes) else {
        return Err(Error::internal("the rows of a dense tensor are not blocks"));
    };
    Ok((0..batch.num_rows()).map(|row| (keys.value(row), bytes_at(bytes, row, align))).collect())
}

/// The bytes of a row, where they are; copied only if they are in the view itself or not aligned.
fn bytes_at(values: &BinaryViewArray, row: usize, align: usize) -> Buffer {
    let view = ByteView::from(values.views()[row]);
    if view.length > MAX_INLINE_VIEW_LEN {
        let buffer = &values.data_buffers()[view.buffer_index as usize];
        let bytes = buffer.slice_with_length(view.offset as usize, view.length as usize);
        if bytes.as_ptr().align_offset(align) == 0 {
            return bytes;
        }
    }
    Buffer::from_slice_ref(values.value(row))
}

fn len(range: &Range<u64>) -> Result<usize> {
    usize::try_from(range.end - range.start).map_err(|_| Error::too_large("a tensor does not fit in memory"))
}

/// Some of `elements`.
pub(super) fn part(elements: &Elements, range: Range<u64>) -> Elements {
    // Whoever holds the elements has them in memory, so their numbers fit.
    elements.slice(range.start as usize, (range.end - range.start) as usize)
}

/// The elements of all pieces, one after the other.
pub(super) fn joined(dtype: NumberClass, pieces: &[Elements]) -> Result<Elements> {
    if let [only] = pieces {
        return Ok(only.clone());
    }
    let mut bytes = MutableBuffer::new(pieces.iter().map(|piece| piece.bytes().len()).sum());
    pieces.iter().for_each(|piece| bytes.extend_from_slice(piece.bytes().as_slice()));
    Elements::try_new(dtype, bytes.into())
}

/// `len` times the same element.
fn filled(dtype: NumberClass, number: Number, len: usize) -> Elements {
    let one = Elements::from_numbers(dtype, [number]);
    let bytes = one.bytes().as_slice();
    let mut all = MutableBuffer::new(len * width(dtype));
    let block: Vec<u8> = bytes.repeat(len.min(1024));
    let mut left = len * width(dtype);
    while left > 0 {
        let some = left.min(block.len());
        all.extend_from_slice(&block[..some]);
        left -= some;
    }
    Elements::try_new(dtype, all.into()).unwrap_or(one)
}

/// Elements of equal steps from a number to another.
fn steps(dtype: NumberClass, (start, stop): (Number, Number), size: u64, range: Range<u64>) -> Elements {
    let exact = |number: Number| match cast(number, NumberClass::I64) {
        Number::I64(n) => i128::from(n),
        _ => 0,
    };
    let integer = |number: Number| match number {
        Number::U64(n) => i128::from(n),
        number => exact(number),
    };
    match dtype {
        NumberClass::F32 | NumberClass::F64 | NumberClass::C32 | NumberClass::C64 => {
            let (start, stop) = (to_f64(start), to_f64(stop));
            let step = |at: u64| Number::F64(start + at as f64 * (stop - start) / size as f64);
            Elements::from_numbers(dtype, range.map(step))
        }
        _ => {
            let (start, stop) = (integer(start), integer(stop));
            let step = |at: u64| start + i128::from(at) * (stop - start) / i128::from(size);
            let number = |n: i128| u64::try_from(n).map_or_else(|_| Number::I64(n as i64), Number::U64);
            Elements::from_numbers(dtype, range.map(|at| number(step(at))))
        }
    }
}

/// Random elements. Each block of [`RANDOM_LEN`] of them has a generator of its own.
fn random(dtype: NumberClass, seed: u64, distribution: Distribution, range: Range<u64>) -> Elements {
    let blocks = range.start / RANDOM_LEN..range.end.div_ceil(RANDOM_LEN);
    let numbers = blocks.flat_map(|block| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&block.to_le_bytes());
        let mut rng = StdRng::from_seed(key);
        let start = block * RANDOM_LEN;
        let all: Vec<Number> = (0..RANDOM_LEN).map(|_| draw(&mut rng, distribution)).collect();
        let (from, to) = (range.start.max(start) - start, range.end.min(start + RANDOM_LEN) - start);
        all[from as usize..to as usize].to_vec()
    });
    Elements::from_numbers(dtype, numbers)
}

fn draw(rng: &mut StdRng, distribution: Distribution) -> Number {
    match distribution {
        Distribution::Uniform => Number::F32(rng.random::<f32>()),
        Distribution::Normal { mean, deviation } => {
            let standard: f64 = StandardNormal.sample(rng);
            Number::F64(mean + deviation * standard)
        }
    }
}

/// Entries among zeros.
pub(super) fn scatter(dtype: NumberClass, entries: &Entries, range: Range<u64>) -> Result<Elements> {
    let width = width(dtype);
    let mut bytes = MutableBuffer::from_len_zeroed(len(&range)? * width);
    let first = entries.offsets.partition_point(|offset| *offset < range.start);
    let last = entries.offsets.partition_point(|offset| *offset < range.end);
    let values = entries.values.bytes().as_slice();
    for (at, offset) in (first..last).zip(&entries.offsets[first..last]) {
        // The range is in memory.
        let to = (offset - range.start) as usize * width;
        bytes.as_slice_mut()[to..to + width].copy_from_slice(&values[at * width..(at + 1) * width]);
    }
    Elements::try_new(dtype, bytes.into())
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, BinaryViewBuilder, UInt64Array};

    use super::*;

    fn numbers(elements: &Elements) -> Vec<f64> {
        elements.iter().map(to_f64).collect()
    }

    #[test]
    fn blocks_are_read_where_they_are() {
        let block = Buffer::from_vec((0..100u64).collect::<Vec<u64>>());
        let mut values = BinaryViewBuilder::new();
        values.append_value([7; 8]);
        let at = values.append_block(block.clone());
        values.try_append_view(at, 8, 80).unwrap();
        values.try_append_view(at, 4, 80).unwrap();
        let columns: [ArrayRef; 2] = [Arc::new(UInt64Array::from(vec![1, 2, 5])), Arc::new(values.finish())];
        let batch = RecordBatch::try_from_iter(["key", "value"].into_iter().zip(columns)).unwrap();
        let rows = rows(&batch, 8).unwrap();
        assert_eq!(rows.iter().map(|(key, _)| *key).collect::<Vec<u64>>(), [1, 2, 5]);
        let bytes: Vec<&[u8]> = rows.iter().map(|(_, bytes)| bytes.as_slice()).collect();
        assert_eq!(bytes, [&[7; 8], &block[8..88], &block[4..84]]);
        assert_eq!(rows[1].1.as_ptr(), block[8..].as_ptr());
        assert!(rows.iter().all(|(_, bytes)| bytes.as_ptr().align_offset(8) == 0));
    }

    #[test]
    fn steps_of_integers_are_truncated() {
        let ints = steps(NumberClass::I64, (Number::I64(0), Number::I64(6)), 4, 0..4);
        assert_eq!(numbers(&ints), [0.0, 1.0, 3.0, 4.0]);
        let floats = steps(NumberClass::F64, (Number::F64(0.0), Number::F64(1.0)), 4, 1..4);
        assert_eq!(numbers(&floats), [0.25, 0.5, 0.75]);
        let large = steps(NumberClass::U64, (Number::U64(u64::MAX - 1), Number::U64(u64::MAX)), 1, 0..1);
        assert_eq!(large.get(0), Number::U64(u64::MAX - 1));
    }

    #[test]
    fn random_elements_do_not_depend_on_how_they_are_asked_for() {
        for distribution in [Distribution::Uniform, Distribution::Normal { mean: 1.0, deviation: 2.0 }] {
            let all = random(NumberClass::F32, 7, distribution, 0..5000);
            assert_eq!(part(&all, 1000..3000), random(NumberClass::F32, 7, distribution, 1000..3000));
            assert_ne!(all, random(NumberClass::F32, 8, distribution, 0..5000));
            let mean = numbers(&all).iter().sum::<f64>() / 5000.0;
            let expected = if distribution == Distribution::Uniform { 0.5 } else { 1.0 };
            assert!((mean - expected).abs() < 0.1, "{mean}");
        }
    }

    #[test]
    fn pieces_are_joined_and_entries_scattered() {
        let entries = Entries {
            offsets: [1, 4].into(),
            values: Elements::from_numbers(NumberClass::I16, [Number::I16(5), Number::I16(-7)]),
        };
        let scattered = scatter(NumberClass::I16, &entries, 1..6).unwrap();
        assert_eq!(numbers(&scattered), [5.0, 0.0, 0.0, -7.0, 0.0]);
        let halves = [part(&scattered, 0..2), part(&scattered, 2..5)];
        assert_eq!(joined(NumberClass::I16, &halves).unwrap(), scattered);
        assert_eq!(numbers(&filled(NumberClass::F32, Number::F32(2.5), 3000)), [2.5; 3000]);
    }
}
