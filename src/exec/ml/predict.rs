//! What a network makes of rows.

use std::sync::Arc;

use super::examples::places;
use super::model::{forward, len};
use super::output::Output;
use super::{Learning, apart, download, upload};
use crate::compiler::ml::Network;
use crate::error::{Error, Result};
use crate::value::Tensor;
use crate::value::tensor::Shape;

/// Rows that go through a network together, if they are not too large for that.
const ROWS: u64 = 4096;

impl Learning {
    /// What a network makes of rows. They go through it some at a time, and need not fit in memory.
    pub(super) async fn predict(
        &self,
        network: Network,
        parameters: &[Arc<Tensor>],
        inputs: &Arc<Tensor>,
    ) -> Result<Arc<Tensor>> {
        let rows = inputs.shape().dims()[0];
        let features = usize::try_from(inputs.size() / rows).map_err(|_| Error::too_large("a row is too large"))?;
        let results = network.output()?.clone();
        let shape: Vec<u64> = [rows].into_iter().chain(results.dims().iter().copied()).collect();
        let batch = ROWS.min(network.batch_max()).min(rows);
        let device = self.device(&network, batch);
        let parameters = Arc::new(self.uploaded(parameters, &device).await?);
        let network = Arc::new(network);
        let mut output = Output::new(&self.txn, &Shape::try_new(shape)?);
        for first in (0..rows).step_by(usize::try_from(batch).unwrap_or(usize::MAX)) {
            let last = (first + batch).min(rows);
            let inputs = self.evaluation.piece(inputs, places(&(first..last), features)).await?;
            let (network, parameters, device) = (Arc::clone(&network), Arc::clone(&parameters), device.clone());
            let (count, width) = ((last - first) as usize, len(&results));
            let made = apart(move || {
                let rows = upload(&inputs, &device)?.reshape([count, features]);
                download(forward(network.stages(), &parameters, rows, None).reshape([count * width]))
            });
            output.add(&made.await?).await?;
        }
        output.finish().await
    }
}
