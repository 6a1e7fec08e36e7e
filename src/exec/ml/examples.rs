//! The rows that a network learns from, batch by batch.

use std::ops::Range;
use std::sync::Arc;

use super::generator;
use super::model::len;
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
    /// The window that was read last: which rows these are, and their elements.
    window: Option<(Range<u64>, Elements, Elements)>,
}

impl<'a> Examples<'a> {
    /// # Errors
    /// `Internal` if the network has no layers.
    pub fn new(evaluation: &'a Evaluation, fit: &'a Fit, seed: u64) -> Result<Self> {
        let rows = fit.inputs.shape().dims()[0];
        let results = len(fit.network.output()?);
        let features = fit.inputs.size() / rows;
        let width = features.saturating_add(results as u64).saturating_mul(size_of::<f32>() as u64);
        let batch = usize::try_from(fit.batch).map_err(|_| Error::too_large("the batch is too large"))?;
        let shuffle = fit.is_shuffled.then(|| generator(seed, 0));
        let order = Order::new(rows, batch, WINDOW_BYTES / width, shuffle);
        let features = usize::try_from(features).map_err(|_| Error::too_large("a row of inputs is too large"))?;
        Ok(Self { evaluation, inputs: &fit.inputs, labels: &fit.labels, features, results, order, window: None })
    }

    /// Goes back to the beginning.
    pub fn begin(&mut self) {
        self.order.begin();
    }

    /// The next batch; nothing behind the last.
    ///
    /// # Errors
    /// `BadRequest` for a label that is no class; as [`Evaluation::piece`].
    pub async fn next(&mut self) -> Result<Option<Batch>> {
        let Self { evaluation, inputs, labels, features, results, order, window } = self;
        let Some((range, rows)) = order.next() else { return Ok(None) };
        let (inputs, labels) = match window {
            Some((known, inputs, labels)) if *known == range => (&*inputs, (*labels).clone()),
            _ => {
                // What is not needed any more makes room for what is read.
                *window = None;
                let read = read(evaluation, inputs, *features, &range).await?;
                let read_labels = match labels {
                    Labels::Values(values) => read_rows(evaluation, values, *results, &range).await?,
                    Labels::Classes(classes) => read_rows(evaluation, classes, 1, &range).await?,
                };
                let (_, inputs, labels) = window.insert((range.clone(), read, read_labels));
                (&*inputs, labels.clone())
            }
        };
        let targets = match self.labels {
            Labels::Values(_) => gathered(&labels, rows, *results),
            Labels::Classes(_) => one_hot(&labels, rows, *results, range.start)?,
        };
        Ok(Some(Batch { rows: rows.len(), inputs: gathered(inputs, rows, *features), targets }))
    }
}
