//! Networks that learn, for calls of the functions below `/state/ml/sequential`.
//!
//! What a call asks for is a [`Request`], whose tensors are read in pieces, so that the rows may be more than memory holds;
//! parameters are in memory.
//!
//! - [`model`] is what a network makes of rows, [`losses`] how far that is from what it should be, [`optimizer`] how parameters
//!   move, all by burn on one device;
//! - [`train`] takes these steps batch by batch, with gradients by burn, in the order that [`order`] says, of the rows that
//!   [`examples`] reads;
//! - [`predict`], [`init`] and [`safetensors`] are the other functions, and [`output`] keeps what they result in.
//!
//! Each batch is computed apart from the threads of requests, and awaited. So a request that is dropped, because it has run out of
//! its time or nobody waits for it, ends with the batch that is computed meanwhile.

mod examples;
mod init;
mod losses;
mod model;
mod optimizer;
mod order;
mod output;
mod predict;
mod safetensors;
#[cfg(test)]
mod sample;
mod train;

use std::sync::Arc;

use burn::tensor::{Device, Tensor as OnDevice};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::tensor::Evaluation;
use super::tensor::device::{Devices, OpKey, Why};
use super::tensor::kernel::Chunk;
use crate::compiler::ml::{Network, Request};
use crate::env;
use crate::error::{Error, Result};
use crate::storage::Transaction;
use crate::storage::files::run_blocking;
use crate::value::tensor::{Binary, Elements, Reduction, Unary};
use crate::value::{Id, Map, NumberClass, State, Tensor, Value};

/// The functions that networks are made of, beside products of matrices.
const OPS: [OpKey; 9] = [
    OpKey::Binary(Binary::Add),
    OpKey::Binary(Binary::Sub),
    OpKey::Binary(Binary::Mul),
    OpKey::Binary(Binary::Div),
    OpKey::Unary(Unary::Exp),
    OpKey::Unary(Unary::Log),
    OpKey::Unary(Unary::Tanh),
    OpKey::Reduce(Reduction::Sum),
    OpKey::Reduce(Reduction::Max),
];

/// What a call computes with.
pub(super) struct Learning {
    devices: Arc<Devices>,
    txn: Arc<Transaction>,
    evaluation: Evaluation,
}

impl Learning {
    pub fn new(devices: &Arc<Devices>, txn: &Arc<Transaction>) -> Self {
        Self {
            devices: Arc::clone(devices),
            txn: Arc::clone(txn),
            evaluation: Evaluation::new(devices, txn, Arc::default()),
        }
    }

    /// Performs what a call asks for. No tensor of it may be a base.
    ///
    /// # Errors
    /// `BadRequest` for labels that are no classes, and what is no file of tensors; `TooLarge` for files that are; as
    /// [`Evaluation::piece`].
    pub async fn perform(&self, request: Request) -> Result<State> {
        match request {
            Request::Init { network, seed } => self.init(&network, seed).await,
            Request::Predict { network, parameters, inputs } => {
                self.predict(network, &parameters, &inputs).await.map(State::Tensor)
            }
            Request::Fit(fit) => self.fit(*fit).await,
            Request::Load { file, network } => self.load(&file, network.as_ref()).await,
            Request::Save(tensors) => self.save(tensors).await.map(|file| State::Value(Value::Bytes(file))),
        }
    }

    /// The device for a network that so many rows go through together: the one for its largest product, if that computes the rest
    /// as well.
    fn device(&self, network: &Network, rows: u64) -> Device {
        let work = usize::try_from(network.multiplications().saturating_mul(rows)).unwrap_or(usize::MAX);
        let is_refused = |op| matches!(self.devices.place(op, NumberClass::F32, 0).1, Why::Refused(_));
        match self.devices.place(OpKey::MatMul, NumberClass::F32, work) {
            (device, Why::Faster) if !OPS.into_iter().any(is_refused) => device.clone(),
            _ => self.devices.cpu().clone(),
        }
    }

    /// Tensors on a device, each in a row.
    async fn uploaded(&self, tensors: &[Arc<Tensor>], device: &Device) -> Result<Vec<OnDevice<1>>> {
        let mut uploaded = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            uploaded.push(upload(&self.evaluation.elements(tensor).await?, device)?);
        }
        Ok(uploaded)
    }
}

/// Computes where that keeps no other request waiting.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    run_blocking(work).await.map_err(|error| Error::internal(format!("a network was not computed: {error}")))?
}

/// Float32s on a device, in a row.
fn upload(elements: &Elements, device: &Device) -> Result<OnDevice<1>> {
    match Chunk::upload(elements, device)? {
        Chunk::Float(_, tensor) => Ok(tensor),
        _ => Err(Error::internal("networks compute with floats")),
    }
}

/// The elements of a tensor, without what computes gradients.
fn download(tensor: OnDevice<1>) -> Result<Elements> {
    Chunk::Float(NumberClass::F32, tensor.inner()).download()
}

/// A generator of random numbers for one of several purposes.
fn generator(seed: u64, purpose: u64) -> StdRng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&purpose.to_le_bytes());
    StdRng::from_seed(key)
}

/// A seed that was given, or any.
fn seed_or_any(seed: Option<u64>) -> u64 {
    seed.unwrap_or_else(|| {
        let [a, b, c, d, e, f, g, h, ..] = env::secret();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    })
}

/// A map of tensors.
fn map_of(tensors: impl IntoIterator<Item = (Id, Arc<Tensor>)>) -> Result<Map> {
    Map::try_new(tensors.into_iter().map(|(name, tensor)| (name, State::Tensor(tensor))))
}
