//! Training: steps that make the loss of a batch smaller.

use burn::tensor::{Device, Tensor as OnDevice};
use rand::rngs::StdRng;

use super::examples::{Batch, Examples};
use super::losses::{compared, mean_loss};
use super::model::forward;
use super::{Learning, apart, download, generator, map_of, optimizer, seed_or_any, upload};
use crate::compiler::ml::optimizer::{STEPS, slot_name};
use crate::compiler::ml::{Fit, Loss, Network, Optimizer};
use crate::error::{Error, Result};
use crate::value::tensor::Elements;
use crate::value::{Id, Map, Number, State, Tuple};

/// A network while it learns.
struct Trainer {
    network: Network,
    loss: Loss,
    optimizer: Optimizer,
    device: Device,
    /// The parameters of the network, in their order, and what the optimizer keeps of each.
    parameters: Vec<OnDevice<1>>,
    slots: Vec<Vec<OnDevice<1>>>,
    /// Steps that were taken.
    steps: u64,
    /// Decides which features are dropped.
    dropout: StdRng,
    /// The sum of the losses of all rows of this epoch, and how many these are.
    total: Option<OnDevice<1>>,
    rows: u64,
}

impl Trainer {
    /// Takes a step.
    fn learn(&mut self, batch: &Batch) -> Result<()> {
        let rows = |elements: &Elements| {
            let tensor = upload(elements, &self.device)?;
            let width = elements.len() / batch.rows;
            Ok::<_, Error>(tensor.reshape([batch.rows, width]).autodiff())
        };
        let (inputs, targets) = (rows(&batch.inputs)?, rows(&batch.targets)?);
        // What gradients are wanted of.
        let leaves: Vec<OnDevice<1>> =
            self.parameters.iter().map(|parameter| parameter.clone().autodiff().require_grad()).collect();
        let results = forward(compared(&self.network, self.loss), &leaves, inputs, Some(&mut self.dropout));
        let loss = mean_loss(self.loss, results, targets);
        let mut gradients = loss.backward();
        self.steps += 1;
        for ((parameter, leaf), slots) in self.parameters.iter_mut().zip(leaves).zip(&mut self.slots) {
            // One that no result depends on has none, and stays as it is.
            let Some(gradient) = leaf.grad_remove(&mut gradients) else { continue };
            *parameter = optimizer::step(&self.optimizer, self.steps, parameter.clone(), gradient, slots)?;
        }
        let loss = loss.inner().mul_scalar(batch.rows as f64);
        self.total = Some(match self.total.take() {
            Some(total) => total.add(loss),
            None => loss,
        });
        self.rows += batch.rows as u64;
        Ok(())
    }

    /// The mean loss of the rows since this was asked for last.
    fn mean_loss(&mut self) -> Result<f32> {
        let total = self.total.take().ok_or_else(|| Error::internal("an epoch without rows"))?;
        let rows = std::mem::take(&mut self.rows);
        let mean = download(total.div_scalar(rows as f64))?;
        mean.typed::<f32>().first().copied().ok_or_else(|| Error::internal("a loss without a number"))
    }
}

impl Learning {
    /// Trains a network: `{"parameters", "state", "losses"}`.
    pub(super) async fn fit(&self, fit: Fit) -> Result<State> {
        let seed = seed_or_any(fit.seed);
        let mut examples = Examples::new(&self.evaluation, &fit, seed)?;
        let mut trainer = self.trainer(&fit, seed).await?;
        let mut losses = Vec::new();
        for _ in 0..fit.epochs {
            examples.begin();
            while let Some(batch) = examples.next().await? {
                trainer = apart(move || trainer.learn(&batch).map(|()| trainer)).await?;
            }
            let (after, loss) = apart(move || trainer.mean_loss().map(|loss| (trainer, loss))).await?;
            trainer = after;
            losses.push(State::from(Number::F32(loss)));
        }
        let (parameters, state) = self.learned(&fit, trainer).await?;
        let entries: [(Id, State); 3] = [
            ("losses".into(), Tuple::try_new(losses)?.into()),
            ("parameters".into(), parameters.into()),
            ("state".into(), state.into()),
        ];
        Ok(Map::try_new(entries)?.into())
    }

    /// A network that begins to learn, or goes on.
    async fn trainer(&self, fit: &Fit, seed: u64) -> Result<Trainer> {
        let device = self.device(&fit.network, fit.batch);
        let parameters = self.uploaded(&fit.parameters, &device).await?;
        let (steps, slots) = match &fit.past {
            Some(past) => {
                let mut slots = Vec::with_capacity(parameters.len());
                for kept in &past.slots {
                    slots.push(self.uploaded(kept, &device).await?);
                }
                (past.steps, slots)
            }
            None => {
                let names = fit.optimizer.slots();
                (0, parameters.iter().map(|parameter| vec![parameter.zeros_like(); names.len()]).collect())
            }
        };
        Ok(Trainer {
            network: fit.network.clone(),
            loss: fit.loss,
            optimizer: fit.optimizer,
            device,
            parameters,
            slots,
            steps,
            dropout: generator(seed, 1),
            total: None,
            rows: 0,
        })
    }

    /// The parameters of a network, and what the optimizer keeps.
    async fn learned(&self, fit: &Fit, trainer: Trainer) -> Result<(Map, Map)> {
        let (mut parameters, mut state) = (Vec::new(), vec![(Id::from(STEPS), State::from(trainer.steps))]);
        let trained = trainer.parameters.into_iter().zip(trainer.slots);
        for (declared, (parameter, slots)) in fit.network.parameters().iter().zip(trained) {
            let tensor = self.tensor(&declared.shape, download(parameter)?).await?;
            parameters.push((declared.name.clone(), tensor));
            for (slot, kept) in fit.optimizer.slots().iter().zip(slots) {
                let tensor = self.tensor(&declared.shape, download(kept)?).await?;
                state.push((slot_name(&declared.name, slot)?, State::Tensor(tensor)));
            }
        }
        Ok((map_of(parameters)?, Map::try_new(state)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{network, tensor};
    use super::*;
    use crate::compiler::ml::optimizer::Decays;
    use crate::value::NumberClass;

    const DESCENT: Optimizer = Optimizer::Sgd { rate: 1.0, momentum: 0.0, is_nesterov: false, decay: 0.0 };

    fn trainer(network: Network, loss: Loss, optimizer: Optimizer, parameters: &[Vec<f32>]) -> Trainer {
        let parameters: Vec<OnDevice<1>> = parameters.iter().map(|elements| tensor(elements)).collect();
        let slots = parameters.iter().map(|p| vec![p.zeros_like(); optimizer.slots().len()]).collect();
        Trainer {
            network,
            loss,
            optimizer,
            device: Device::flex(),
            parameters,
            slots,
            steps: 0,
            dropout: generator(1, 1),
            total: None,
            rows: 0,
        }
    }

    fn batch(rows: usize, inputs: &[f32], targets: &[f32]) -> Batch {
        let elements = |elements: &[f32]| Elements::from_vec(NumberClass::F32, elements.to_vec());
        Batch { rows, inputs: elements(inputs), targets: elements(targets) }
    }

    /// Numbers between −1 and 1, without a pattern.
    fn numbers(len: usize, start: usize) -> Vec<f32> {
        (start..start + len).map(|at| (at as f32 * 1.7).sin()).collect()
    }

    /// The loss of a batch.
    fn loss_of(layers: &str, input: &[u64], loss: Loss, parameters: &[Vec<f32>], batch: &Batch) -> f32 {
        let mut trainer = trainer(network(layers, input), loss, DESCENT, parameters);
        trainer.learn(batch).unwrap();
        trainer.mean_loss().unwrap()
    }

    /// Compares the gradients of a network, which one step of descent at the rate 1 shows, with differences of the loss.
    #[track_caller]
    fn check_gradients(layers: &str, input: &[u64], loss: Loss) {
        const STEP: f32 = 1e-2;
        let declared = network(layers, input);
        let sizes: Vec<usize> = declared.parameters().iter().map(|p| p.shape.size() as usize).collect();
        let parameters: Vec<Vec<f32>> = (0..).zip(&sizes).map(|(at, size)| numbers(*size, 10 * at)).collect();
        let (features, results) = (input.iter().product::<u64>() as usize, declared.output().unwrap().size() as usize);
        let targets: Vec<f32> = numbers(3 * results, 77).iter().map(|n| (n + 1.0) / 2.0).collect();
        let batch = batch(3, &numbers(3 * features, 50), &targets);
        let mut trainer = trainer(declared, loss, DESCENT, &parameters);
        trainer.learn(&batch).unwrap();
        for (at, after) in trainer.parameters.into_iter().enumerate() {
            let after: Vec<f32> = after.try_into_vec_as().unwrap();
            for element in 0..sizes[at] {
                let moved = |by: f32| {
                    let mut parameters = parameters.clone();
                    parameters[at][element] += by;
                    loss_of(layers, input, loss, &parameters, &batch)
                };
                let expected = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                let found = parameters[at][element] - after[element];
                let is_near = (found - expected).abs() < 3e-3 * expected.abs().max(1.0);
                assert!(is_near, "{layers} {loss:?}: parameter {at}, element {element}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let perceptron =
            r#"[{"linear":{"units":4}},"tanh",{"linear":{"units":3}},"layer_norm","gelu",{"linear":{"units":2}}]"#;
        check_gradients(perceptron, &[3], Loss::MeanSquaredError);
        check_gradients(perceptron, &[3], Loss::CrossEntropy);
        check_gradients(perceptron, &[3], Loss::BinaryCrossEntropy);
        check_gradients(r#"[{"linear":{"units":3}},"sigmoid"]"#, &[2], Loss::BinaryCrossEntropy);
        check_gradients(r#"[{"linear":{"units":3}},"softmax"]"#, &[2], Loss::CrossEntropy);
        check_gradients(r#"[{"linear":{"units":3}},"softmax"]"#, &[2], Loss::MeanSquaredError);
        let images = r#"[{"conv2d":{"channels":2,"kernel":[2,3],"stride":[1,2],"padding":1}},"tanh","flatten",
            {"linear":{"units":2,"bias":false}}]"#;
        check_gradients(images, &[2, 4, 5], Loss::MeanSquaredError);
    }

    #[test]
    fn losses_are_means_of_all_rows() {
        let layers = r#"[{"linear":{"units":1,"bias":false}}]"#;
        let still = Optimizer::Sgd { rate: 0.0, momentum: 0.0, is_nesterov: false, decay: 0.0 };
        let mut trainer = trainer(network(layers, &[1]), Loss::MeanSquaredError, still, &[vec![1.0]]);
        trainer.learn(&batch(3, &[1.0, 2.0, 3.0], &[0.0, 0.0, 0.0])).unwrap();
        trainer.learn(&batch(1, &[4.0], &[0.0])).unwrap();
        assert!((trainer.mean_loss().unwrap() - 30.0 / 4.0).abs() < 1e-5);
        trainer.learn(&batch(1, &[2.0], &[0.0])).unwrap();
        assert_eq!(trainer.mean_loss(), Ok(4.0));
    }

    #[test]
    fn every_optimizer_learns_a_line() {
        let layers = r#"[{"linear":{"units":1}}]"#;
        let adam = |decays| Optimizer::Adam { rate: 0.1, betas: [0.9, 0.999], epsilon: 1e-8, decay: 0.0, decays };
        let momentum = Optimizer::Sgd { rate: 0.05, momentum: 0.9, is_nesterov: true, decay: 0.0 };
        let descent = Optimizer::Sgd { rate: 0.1, momentum: 0.0, is_nesterov: false, decay: 0.0 };
        let batch = batch(4, &[-1.0, 0.0, 1.0, 2.0], &[-1.0, 1.0, 3.0, 5.0]);
        for optimizer in [descent, momentum, adam(Decays::Gradient), adam(Decays::Parameter)] {
            let mut trainer =
                trainer(network(layers, &[1]), Loss::MeanSquaredError, optimizer, &[vec![0.0], vec![0.0]]);
            for _ in 0..500 {
                trainer.learn(&batch).unwrap();
            }
            let [weight, bias] = [0, 1].map(|at| trainer.parameters[at].clone().try_into_scalar::<f32>().unwrap());
            assert!((weight - 2.0).abs() < 1e-2 && (bias - 1.0).abs() < 1e-2, "{optimizer:?}: {weight} {bias}");
            assert_eq!(trainer.steps, 500);
        }
    }
}
