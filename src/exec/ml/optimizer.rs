//! Steps of optimizers, on the device where the parameters are.

use burn::tensor::Tensor;

use crate::compiler::ml::Optimizer;
use crate::compiler::ml::optimizer::Decays;
use crate::error::{Error, Result};

/// A parameter after step `step`, counted from 1. The slots are what the optimizer keeps of it, zeros before the first step.
///
/// # Errors
/// `Internal` for slots of another optimizer.
pub(super) fn step(
    optimizer: &Optimizer,
    step: u64,
    parameter: Tensor<1>,
    gradient: Tensor<1>,
    slots: &mut [Tensor<1>],
) -> Result<Tensor<1>> {
    match (*optimizer, slots) {
        (Optimizer::Sgd { rate, decay, .. }, []) => {
            let gradient = decayed(gradient, &parameter, decay);
            Ok(parameter.sub(gradient.mul_scalar(rate)))
        }
        (Optimizer::Sgd { rate, momentum, is_nesterov, decay }, [velocity]) => {
            let gradient = decayed(gradient, &parameter, decay);
            *velocity = velocity.clone().mul_scalar(momentum).add(gradient.clone());
            let direction = match is_nesterov {
                true => gradient.add(velocity.clone().mul_scalar(momentum)),
                false => velocity.clone(),
            };
            Ok(parameter.sub(direction.mul_scalar(rate)))
        }
        (Optimizer::Adam { rate, betas, epsilon, decay, decays }, [mean, square]) => {
            let (parameter, gradient) = match decays {
                Decays::Gradient => (parameter.clone(), decayed(gradient, &parameter, decay)),
                Decays::Parameter if decay > 0.0 => (parameter.mul_scalar(1.0 - rate * decay), gradient),
                Decays::Parameter => (parameter, gradient),
            };
            *mean = moved(mean, gradient.clone(), betas[0]);
            *square = moved(square, gradient.clone().mul(gradient), betas[1]);
            let [of_mean, of_square] = betas.map(|beta| 1.0 - beta.powf(step as f64));
            let deviation = square.clone().sqrt().div_scalar(of_square.sqrt()).add_scalar(epsilon);
            Ok(parameter.sub(mean.clone().div(deviation).mul_scalar(rate / of_mean)))
        }
        _ => Err(Error::internal("an optimizer has the state of another one")),
    }
}

/// A gradient with the pull towards zero.
fn decayed(gradient: Tensor<1>, parameter: &Tensor<1>, decay: f64) -> Tensor<1> {
    match decay > 0.0 {
        true => gradient.add(parameter.clone().mul_scalar(decay)),
        false => gradient,
    }
}

/// A moving average with a new value.
fn moved(average: &Tensor<1>, new: Tensor<1>, beta: f64) -> Tensor<1> {
    average.clone().mul_scalar(beta).add(new.mul_scalar(1.0 - beta))
}

#[cfg(test)]
mod tests {
    use super::super::sample::tensor;
    use super::*;

    const GRADIENTS: [f64; 3] = [0.5, -1.0, 0.25];

    /// A parameter after each step, and what `formula` says it is: a function of the number of the step, the parameter and the
    /// gradient.
    #[track_caller]
    fn check(optimizer: Optimizer, mut formula: impl FnMut(i32, f64, f64) -> f64) {
        let (mut parameter, mut expected) = (tensor(&[2.0]), 2.0);
        let mut slots: Vec<Tensor<1>> = optimizer.slots().iter().map(|_| tensor(&[0.0])).collect();
        for (number, gradient) in (1..).zip(GRADIENTS) {
            parameter = step(&optimizer, number, parameter, tensor(&[gradient as f32]), &mut slots).unwrap();
            expected = formula(number as i32, expected, gradient);
            let found: f32 = parameter.clone().try_into_scalar().unwrap();
            assert!(
                (f64::from(found) - expected).abs() < 1e-5,
                "step {number} of {optimizer:?}: {found}, not {expected}"
            );
        }
    }

    fn sgd(momentum: f64, is_nesterov: bool, decay: f64) -> Optimizer {
        Optimizer::Sgd { rate: 0.1, momentum, is_nesterov, decay }
    }

    #[test]
    fn gradient_descent() {
        check(sgd(0.0, false, 0.0), |_, p, g| p - 0.1 * g);
        check(sgd(0.0, false, 0.5), |_, p, g| p - 0.1 * (g + 0.5 * p));
    }

    #[test]
    fn gradient_descent_with_momentum() {
        let mut v = 0.0;
        check(sgd(0.9, false, 0.0), |_, p, g| {
            v = 0.9 * v + g;
            p - 0.1 * v
        });
        let mut v = 0.0;
        check(sgd(0.9, true, 0.5), |_, p, g| {
            let g = g + 0.5 * p;
            v = 0.9 * v + g;
            p - 0.1 * (g + 0.9 * v)
        });
    }

    #[test]
    fn adam() {
        let betas = [0.9, 0.99];
        for (decays, decay) in [(Decays::Gradient, 0.0), (Decays::Gradient, 0.5), (Decays::Parameter, 0.5)] {
            let (mut m, mut v) = (0.0, 0.0);
            check(Optimizer::Adam { rate: 0.1, betas, epsilon: 1e-3, decay, decays }, |t, p, g| {
                let g = if decays == Decays::Gradient { g + decay * p } else { g };
                let p = if decays == Decays::Parameter { p * (1.0 - 0.1 * decay) } else { p };
                m = 0.9 * m + 0.1 * g;
                v = 0.99 * v + 0.01 * g * g;
                let (m, v) = (m / (1.0 - 0.9f64.powi(t)), v / (1.0 - 0.99f64.powi(t)));
                p - 0.1 * m / (v.sqrt() + 1e-3)
            });
        }
    }

    #[test]
    fn slots_of_another_optimizer_are_refused() {
        let found =
            step(&sgd(0.9, false, 0.0), 1, tensor(&[1.0]), tensor(&[1.0]), &mut [tensor(&[0.0]), tensor(&[0.0])]);
        assert!(found.is_err());
    }
}
