//! How far results are from what they should be.

use burn::tensor::{Tensor, activation};

use crate::compiler::ml::{Layer, Loss, Network, Stage};

/// The layers whose results are compared. What would only make probabilities of logarithms is left out: the loss takes these, which
/// is exact also where probabilities are nearly 0 or 1.
pub(super) fn compared(network: &Network, loss: Loss) -> &[Stage] {
    let stages = network.stages();
    match (stages, loss) {
        ([before @ .., Stage { layer: Layer::Softmax, .. }], Loss::CrossEntropy)
        | ([before @ .., Stage { layer: Layer::Sigmoid, .. }], Loss::BinaryCrossEntropy) => before,
        _ => stages,
    }
}

/// The mean loss of rows.
///
/// # Shapes
/// `[rows, features]`, `[rows, features]` → `[1]`
pub(super) fn mean_loss(loss: Loss, results: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    match loss {
        Loss::MeanSquaredError => {
            let difference = results.sub(targets);
            difference.clone().mul(difference).mean()
        }
        Loss::CrossEntropy => activation::log_softmax(results, 1).mul(targets).sum_dim(1).mean().neg(),
        Loss::BinaryCrossEntropy => {
            // −t · ln σ(x) − (1 − t) · ln σ(−x), where ln σ(−x) = ln σ(x) − x.
            let others = targets.neg().add_scalar(1.0);
            results.clone().mul(others).sub(activation::log_sigmoid(results)).mean()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{network, tensor};
    use super::*;

    fn value(loss: Loss, results: &[f32], targets: &[f32]) -> f32 {
        let rows = |elements: &[f32]| tensor(elements).reshape([2, elements.len() / 2]);
        mean_loss(loss, rows(results), rows(targets)).try_into_scalar().unwrap()
    }

    #[track_caller]
    fn assert_near(found: f32, expected: f64) {
        assert!((f64::from(found) - expected).abs() < 1e-6, "{found}, not {expected}");
    }

    #[test]
    fn losses_are_those_of_pytorch() {
        let results = [0.5f32, -1.0, 2.0, 0.0];
        assert_near(value(Loss::MeanSquaredError, &results, &[1.0, 0.0, 2.0, 1.0]), 2.25 / 4.0);
        let row = |l: f64, r: f64| (l.exp() + r.exp()).ln();
        let expected = ((row(0.5, -1.0) - 0.5) + (row(2.0, 0.0) - 0.25 * 2.0)) / 2.0;
        assert_near(value(Loss::CrossEntropy, &results, &[1.0, 0.0, 0.25, 0.75]), expected);
        let of = |x: f64, t: f64| -t * (1.0 / (1.0 + (-x).exp())).ln() - (1.0 - t) * (1.0 / (1.0 + x.exp())).ln();
        let expected = (of(0.5, 1.0) + of(-1.0, 0.0) + of(2.0, 0.25) + of(0.0, 1.0)) / 4.0;
        assert_near(value(Loss::BinaryCrossEntropy, &results, &[1.0, 0.0, 0.25, 1.0]), expected);
    }

    #[test]
    fn losses_of_large_results_are_finite() {
        assert_near(value(Loss::CrossEntropy, &[1000.0, 0.0, 0.0, 1000.0], &[0.0, 1.0, 0.0, 1.0]), 500.0);
        assert_near(value(Loss::BinaryCrossEntropy, &[500.0, -500.0], &[0.0, 0.0]), 250.0);
    }

    #[test]
    fn what_makes_probabilities_is_left_out() {
        let count = |layers: &str, loss: Loss| compared(&network(layers, &[2]), loss).len();
        assert_eq!(count(r#"["relu","softmax"]"#, Loss::CrossEntropy), 1);
        assert_eq!(count(r#"["relu","softmax"]"#, Loss::BinaryCrossEntropy), 2);
        assert_eq!(count(r#"["relu","softmax"]"#, Loss::MeanSquaredError), 2);
        assert_eq!(count(r#"["relu","sigmoid"]"#, Loss::BinaryCrossEntropy), 1);
        assert_eq!(count(r#"["softmax","relu"]"#, Loss::CrossEntropy), 2);
    }
}
