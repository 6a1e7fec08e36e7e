//! Optimizers as they are written, and what they keep between two trainings.

use std::sync::Arc;

use super::fields::{Fields, choice, real};
use super::network::Network;
use crate::compiler::collection::schema::{items, show};
use crate::error::{Error, Result};
use crate::value::{Id, State, Tensor};

/// What changes the parameters, given their gradients. Names, defaults and formulas are those of `torch.optim`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// Gradient descent: `v ← momentum · v + g`, `p ← p − rate · v`; with Nesterov's momentum `p ← p − rate · (g + momentum · v)`.
    Sgd { rate: f64, momentum: f64, is_nesterov: bool, decay: f64 },
    /// Adam (Kingma and Ba, 2015), with the bias corrected.
    Adam { rate: f64, betas: [f64; 2], epsilon: f64, decay: f64, decays: Decays },
}

/// What the decay of weights is a part of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decays {
    /// The gradient.
    Gradient,
    /// The parameter itself: AdamW (Loshchilov and Hutter, 2019).
    Parameter,
}

/// What an optimizer has kept of the steps that it has made.
#[derive(Debug)]
pub struct Past {
    pub steps: u64,
    /// Of each parameter, in the order of [`Optimizer::slots`]: tensors of its shape.
    pub slots: Vec<Vec<Arc<Tensor>>>,
}

/// The name of the number of steps.
pub const STEPS: &str = "step";

impl Optimizer {
    /// The optimizer that is written as a name, or as `{"name": options}`.
    ///
    /// # Errors
    /// `BadRequest` for an unknown one, or options that make no sense.
    pub(super) fn read(state: &State) -> Result<Self> {
        let unknown = || Error::bad_request(format!("an optimizer is sgd, adam or adamw, not {}", show(state)));
        let (name, options) = choice(state).ok_or_else(unknown)?;
        let what = format!("the optimizer {name}");
        match name {
            "sgd" => {
                let fields = Fields::of(&what, options, &["lr", "momentum", "nesterov", "weight_decay"])?;
                let momentum = not_negative(&fields, "momentum", 0.0)?;
                let is_nesterov = fields.flag("nesterov")?.unwrap_or(false);
                if is_nesterov && momentum == 0.0 {
                    return Err(Error::bad_request(format!("nesterov of {what} needs a momentum")));
                }
                let decay = not_negative(&fields, "weight_decay", 0.0)?;
                Ok(Optimizer::Sgd { rate: not_negative(&fields, "lr", 1e-3)?, momentum, is_nesterov, decay })
            }
            "adam" => adam(&what, options, Decays::Gradient, 0.0),
            "adamw" => adam(&what, options, Decays::Parameter, 1e-2),
            _ => Err(unknown()),
        }
    }

    /// The names of what is kept of each parameter.
    pub fn slots(&self) -> &'static [&'static str] {
        match self {
            Optimizer::Sgd { momentum, .. } if *momentum == 0.0 => &[],
            Optimizer::Sgd { .. } => &["momentum_buffer"],
            Optimizer::Adam { .. } => &["exp_avg", "exp_avg_sq"],
        }
    }

    /// What an earlier training has replied as its state; nothing if there was none.
    ///
    /// # Errors
    /// `BadRequest` if it is not that of this optimizer and this network.
    pub(super) fn past(&self, network: &Network, state: Option<&State>) -> Result<Option<Past>> {
        let map = match state {
            Some(State::Map(map)) if !map.is_empty() => map,
            Some(other) if !other.is_none() => {
                return Err(Error::bad_request(format!("state must be that of a fit, not {}", show(other))));
            }
            _ => return Ok(None),
        };
        let parameters = network.parameters();
        let names: Vec<String> = parameters
            .iter()
            .flat_map(|parameter| self.slots().iter().map(|slot| format!("{}.{slot}", parameter.name)))
            .collect();
        let known: Vec<&str> = [STEPS].into_iter().chain(names.iter().map(String::as_str)).collect();
        let fields = Fields::new("the state of this optimizer", map.keys(), map.values(), &known)?;
        let steps = fields.whole(STEPS, 0..=u64::MAX)?.ok_or_else(|| fields.missing(STEPS))?;
        let slots = parameters.iter().map(|parameter| {
            let of = self.slots().iter().map(|slot| parameter.fit(&format!(".{slot}"), map));
            of.collect::<Result<Vec<_>>>()
        });
        Ok(Some(Past { steps, slots: slots.collect::<Result<Vec<_>>>()? }))
    }
}

/// The name under which something is kept of a parameter.
///
/// # Errors
/// `BadRequest` if there is no such name.
pub fn slot_name(parameter: &Id, slot: &str) -> Result<Id> {
    format!("{parameter}.{slot}").parse()
}

fn adam(what: &str, options: Option<&State>, decays: Decays, decay: f64) -> Result<Optimizer> {
    let fields = Fields::of(what, options, &["lr", "betas", "eps", "weight_decay"])?;
    Ok(Optimizer::Adam {
        rate: not_negative(&fields, "lr", 1e-3)?,
        betas: betas(&fields)?,
        epsilon: not_negative(&fields, "eps", 1e-8)?,
        decay: not_negative(&fields, "weight_decay", decay)?,
        decays,
    })
}

fn betas(fields: &Fields<'_>) -> Result<[f64; 2]> {
    let Some(state) = fields.get("betas") else { return Ok([0.9, 0.999]) };
    let beta = |state: &State| real(state).filter(|beta| (0.0..1.0).contains(beta));
    let found = match items(state) {
        Some([first, second]) => beta(first).zip(beta(second)).map(<[f64; 2]>::from),
        _ => None,
    };
    found.ok_or_else(|| fields.unexpected("betas", "two numbers from 0 to less than 1", state))
}

fn not_negative(fields: &Fields<'_>, name: &str, default: f64) -> Result<f64> {
    let found = fields.number(name, "a number that is not negative", |number| number >= 0.0 && number.is_finite());
    found.map(|found| found.unwrap_or(default))
}

#[cfg(test)]
mod tests {
    use super::super::layer::layers;
    use super::*;
    use crate::compiler::collection::sample::state;
    use crate::value::tensor::Shape;

    fn read(text: &str) -> Result<Optimizer, String> {
        Optimizer::read(&state(text)).map_err(|error| error.message().to_string())
    }

    #[test]
    fn optimizers_have_the_defaults_of_pytorch() {
        let sgd = Optimizer::Sgd { rate: 1e-3, momentum: 0.0, is_nesterov: false, decay: 0.0 };
        assert_eq!(read(r#""sgd""#), Ok(sgd));
        let momentum = Optimizer::Sgd { rate: 0.1, momentum: 0.9, is_nesterov: true, decay: 0.0 };
        assert_eq!(read(r#"{"sgd":{"lr":0.1,"momentum":0.9,"nesterov":true}}"#), Ok(momentum));
        let adam = |decay, decays| Optimizer::Adam { rate: 1e-3, betas: [0.9, 0.999], epsilon: 1e-8, decay, decays };
        assert_eq!(read(r#"{"adam":{}}"#), Ok(adam(0.0, Decays::Gradient)));
        assert_eq!(read(r#""adamw""#), Ok(adam(0.01, Decays::Parameter)));
        assert!(sgd.slots().is_empty());
        assert_eq!(momentum.slots(), ["momentum_buffer"]);
    }

    #[test]
    fn what_is_no_optimizer_is_refused() {
        let refuse = |text: &str, message: &str| assert_eq!(read(text), Err(message.to_string()));
        refuse(r#""rprop""#, r#"an optimizer is sgd, adam or adamw, not "rprop""#);
        let rate = "lr of the optimizer sgd must be a number that is not negative, not";
        refuse(r#"{"sgd":{"lr":-1}}"#, &format!("{rate} -1"));
        refuse(r#"{"sgd":{"lr":"x"}}"#, &format!(r#"{rate} "x""#));
        refuse(r#"{"sgd":{"nesterov":true}}"#, "nesterov of the optimizer sgd needs a momentum");
        let betas = "betas of the optimizer adam must be two numbers from 0 to less than 1, not";
        refuse(r#"{"adam":{"betas":[0.9,1]}}"#, &format!("{betas} [0.9,1]"));
        refuse(r#"{"adam":{"momentum":1}}"#, "the optimizer adam has no momentum, only lr, betas, eps, weight_decay");
    }

    #[test]
    fn the_state_of_another_training_is_checked() {
        let network = layers(&state(r#"[{"linear":{"units":1,"bias":false}}]"#)).unwrap();
        let network = Network::new(network, Shape::try_new([2u64]).unwrap()).unwrap();
        let sgd = read(r#"{"sgd":{"momentum":0.9}}"#).unwrap();
        let past = |text: &str| sgd.past(&network, Some(&state(text))).map(|past| past.map(|past| past.steps));
        let message = |text: &str| past(text).unwrap_err().message().to_string();
        assert_eq!(past("{}"), Ok(None));
        assert_eq!(past("null"), Ok(None));
        assert_eq!(message("5"), "state must be that of a fit, not 5");
        assert_eq!(
            message(r#"{"step":1}"#),
            "0.weight.momentum_buffer of layer 0 is missing: a tensor of shape [1, 2]"
        );
        let other = "the state of this optimizer has no 0.weight.exp_avg, only step, 0.weight.momentum_buffer";
        assert_eq!(message(r#"{"step":1,"0.weight.exp_avg":2}"#), other);
        assert_eq!(message(r#"{"0.weight.momentum_buffer":2}"#), "the state of this optimizer needs step");
    }
}
