//! Parameters that have learned nothing.

use rand::RngExt as _;

use super::model::len;
use super::{Learning, apart, generator, map_of, seed_or_any};
use crate::compiler::ml::{Network, Parameter, Start};
use crate::error::Result;
use crate::value::tensor::Elements;
use crate::value::{NumberClass, State};

impl Learning {
    /// The parameters of a network that has learned nothing.
    pub(super) async fn init(&self, network: &Network, seed: Option<u64>) -> Result<State> {
        let seed = seed_or_any(seed);
        let mut tensors = Vec::new();
        for (number, parameter) in (0..).zip(network.parameters()) {
            let elements = {
                let parameter = parameter.clone();
                apart(move || Ok(start(&parameter, seed, number))).await?
            };
            tensors.push((parameter.name.clone(), self.tensor(&parameter.shape, elements).await?));
        }
        Ok(map_of(tensors)?.into())
    }
}

/// What a parameter, which is the one of this number in its network, is at first.
fn start(parameter: &Parameter, seed: u64, number: u64) -> Elements {
    let len = len(&parameter.shape);
    let elements = match parameter.start {
        Start::Fill(element) => vec![element; len],
        Start::Uniform(bound) => {
            let mut rng = generator(seed, number);
            (0..len).map(|_| ((2.0 * rng.random::<f64>() - 1.0) * bound) as f32).collect()
        }
    };
    Elements::from_vec(NumberClass::F32, elements)
}

#[cfg(test)]
mod tests {
    use super::super::sample::network;
    use super::*;

    #[test]
    fn parameters_are_drawn_as_in_pytorch() {
        let network = network(r#"[{"linear":{"units":50}},"layer_norm"]"#, &[100]);
        let starts = |seed| -> Vec<Elements> {
            (0..).zip(network.parameters()).map(|(number, parameter)| start(parameter, seed, number)).collect()
        };
        let drawn = starts(1);
        let weights = drawn[0].typed::<f32>();
        assert_eq!(weights.len(), 5000);
        let (least, most) = weights.iter().fold((0f32, 0f32), |(l, m), w| (l.min(*w), m.max(*w)));
        assert!((-0.1..-0.099).contains(&least) && (0.099..0.1).contains(&most), "{least} {most}");
        let mean = weights.iter().sum::<f32>() / 5000.0;
        assert!(mean.abs() < 5e-3, "{mean}");
        assert!(drawn[1].typed::<f32>().iter().all(|bias| bias.abs() <= 0.1));
        assert_eq!(drawn[2].typed::<f32>(), [1.0; 50]);
        assert_eq!(drawn[3].typed::<f32>(), [0.0; 50]);
        assert_eq!(starts(1), drawn);
        assert_ne!(starts(2), drawn);
        assert_ne!(drawn[0].typed::<f32>()[..50], *drawn[1].typed::<f32>());
    }
}
