//! The rows that a network learns from, batch by batch.

use std::ops::Range;
use std::sync::Arc;

use super::generator;
use super::order::Order;
use crate::compiler::ml::{Fit, Labels};
use crate::error::{Error, Result};
use crate::exec::tensor::Evaluation;
use crate::value::tensor::Elements;
use crate::value::{NumberClass, Tensor};

/// Bytes of rows that are in memory together.
const WINDOW_BYTES: u64 = 32 << 20;

/// Rows of inputs, and what the network should make of them.
pub(super) struct Batch {
    pub rows: usize,
    pub inputs: Elements,
    pub targets: Elements,
}

/// All rows, in the order in which they are learned from.
pub(super) struct Examples<'a> {
    evaluation: &'a Evaluation,
    inputs: &'a Arc<Tensor>,
    labels: &'a Labels,
    /// Features of a row, and of a result.
    features: usize,
    results: usize,
    order: Order,
    /// What was read last.
    window: Option<Window>,
}

/// Rows that follow each other.
struct Window {
    rows: Range<u64>,
    inputs: Elements,
    labels: Elements,
}

impl<'a> Examples<'a> {
    /// The rows of a training. The order of shuffled ones depends on the seed.
    ///
    /// # Errors
    /// `TooLarge` if a row is too large for memory.
    pub fn new(evaluation: &'a Evaluation, fit: &'a Fit, seed: u64) -> Result<Self> {
        let rows = fit.inputs.shape().dims()[0];
        let (features, results) = (fit.inputs.size() / rows, fit.network.output()?.size());
        let width = features.saturating_add(results).saturating_mul(size_of::<f32>() as u64);
        let size = |n: u64| usize::try_from(n).map_err(|_| Error::too_large("a batch is too large for memory"));
        let shuffle = fit.is_shuffled.then(|| generator(seed, 0));
        let order = Order::new(rows, size(fit.batch)?, WINDOW_BYTES / width, shuffle);
        let (inputs, labels) = (&fit.inputs, &fit.labels);
        Ok(Self { evaluation, inputs, labels, features: size(features)?, results: size(results)?, order, window: None })
    }

    /// Goes to the beginning.
    pub fn begin(&mut self) {
        self.order.begin();
    }

    /// The next batch; nothing behind the last.
    ///
    /// # Errors
    /// `BadRequest` for a label that is no class; as [`Evaluation::piece`].
    pub async fn next(&mut self) -> Result<Option<Batch>> {
        let Some((window, rows)) = self.order.next() else { return Ok(None) };
        let first = window.start;
        let (inputs, labels) = self.read(window).await?;
        let targets = match self.labels {
            Labels::Values(_) => gathered(&labels, &rows, self.results),
            Labels::Classes(_) => one_hot(&labels, &rows, self.results, first)?,
        };
        Ok(Some(Batch { rows: rows.len(), inputs: gathered(&inputs, &rows, self.features), targets }))
    }

    /// The inputs and labels of some rows, which are kept for the next batch.
    async fn read(&mut self, rows: Range<u64>) -> Result<(Elements, Elements)> {
        if let Some(window) = &self.window
            && window.rows == rows
        {
            return Ok((window.inputs.clone(), window.labels.clone()));
        }
        // Makes room for what is read.
        self.window = None;
        let (labels, width) = match self.labels {
            Labels::Values(values) => (values, self.results),
            Labels::Classes(classes) => (classes, 1),
        };
        let inputs = self.evaluation.piece(self.inputs, places(&rows, self.features)).await?;
        let labels = self.evaluation.piece(labels, places(&rows, width)).await?;
        self.window = Some(Window { rows, inputs: inputs.clone(), labels: labels.clone() });
        Ok((inputs, labels))
    }
}

/// Which elements rows of this width are.
pub(super) fn places(rows: &Range<u64>, width: usize) -> Range<u64> {
    rows.start * width as u64..rows.end * width as u64
}

/// Some of the rows of a window.
fn gathered(window: &Elements, rows: &[u32], width: usize) -> Elements {
    let window = window.typed::<f32>();
    let mut picked = Vec::with_capacity(rows.len() * width);
    for row in rows {
        let start = *row as usize * width;
        picked.extend_from_slice(&window[start..start + width]);
    }
    Elements::from_vec(NumberClass::F32, picked)
}

/// One where the class of a row is, and zero elsewhere. The window begins at row `first`.
fn one_hot(window: &Elements, rows: &[u32], classes: usize, first: u64) -> Result<Elements> {
    let window = window.typed::<f32>();
    let mut targets = vec![0f32; rows.len() * classes];
    for (target, row) in targets.chunks_exact_mut(classes).zip(rows) {
        let label = window[*row as usize];
        let is_class = label >= 0.0 && label.fract() == 0.0;
        match target.get_mut(label as usize).filter(|_| is_class) {
            Some(probability) => *probability = 1.0,
            None => {
                let (row, last) = (first + u64::from(*row), classes - 1);
                let message = format!("the label of row {row} is {label}, and no number of a class from 0 to {last}");
                return Err(Error::bad_request(message));
            }
        }
    }
    Ok(Elements::from_vec(NumberClass::F32, targets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(elements: &[f32]) -> Elements {
        Elements::from_vec(NumberClass::F32, elements.to_vec())
    }

    #[test]
    fn rows_are_gathered() {
        let window = floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(gathered(&window, &[2, 0], 2), floats(&[5.0, 6.0, 1.0, 2.0]));
    }

    #[test]
    fn classes_become_probabilities() {
        let window = floats(&[1.0, 0.0, 2.0]);
        assert_eq!(one_hot(&window, &[2, 0], 3, 0).unwrap(), floats(&[0.0, 0.0, 1.0, 0.0, 1.0, 0.0]));
        for label in [3.0, -1.0, 0.5, f32::NAN, f32::INFINITY] {
            let error = one_hot(&floats(&[0.0, label]), &[1], 3, 40).unwrap_err();
            let message = format!("the label of row 41 is {label}, and no number of a class from 0 to 2");
            assert_eq!(error.message(), message);
        }
    }
}
