//! What a network makes of rows.

use burn::tensor::module::{conv2d, layer_norm, linear, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{DType, Tensor, TensorData, activation};
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::compiler::ml::layer::Window;
use crate::compiler::ml::{Layer, Stage};
use crate::value::tensor::Shape;

/// What is added to the variance of a row, so that nothing is divided by zero.
const EPSILON: f64 = 1e-5;

/// What layers make of rows of features. The parameters are those of the network, each in a row; the layers are some of its first.
/// With a generator the network is learning, and drops features.
///
/// # Shapes
/// `[rows, features]` → `[rows, features of the result]`
pub(super) fn forward(
    stages: &[Stage],
    parameters: &[Tensor<1>],
    inputs: Tensor<2>,
    mut dropout: Option<&mut StdRng>,
) -> Tensor<2> {
    stages.iter().fold(inputs, |rows, stage| {
        let parameters = &parameters[stage.parameters.clone()];
        layer(stage, parameters, rows, dropout.as_deref_mut())
    })
}

fn layer(stage: &Stage, parameters: &[Tensor<1>], rows: Tensor<2>, dropout: Option<&mut StdRng>) -> Tensor<2> {
    match (&stage.layer, parameters) {
        (Layer::Linear { .. }, [weight, bias @ ..]) => {
            let [units, features] = [&stage.output, &stage.input].map(len);
            // Stored as in PyTorch; burn takes the transpose, which copies nothing.
            let weight = weight.clone().reshape([units, features]).transpose();
            linear(rows, weight, bias.first().cloned())
        }
        (Layer::Conv2d { window, .. }, [weight, bias @ ..]) => {
            let ([channels, ..], [units, ..]) = (image(&stage.input), image(&stage.output));
            let Window { kernel: [height, width], stride, padding } = *window;
            let weight = weight.clone().reshape([units, channels, size(height), size(width)]);
            let options = ConvOptions::new(stride.map(size), padding.map(size), [1, 1], 1);
            flattened(conv2d(images(rows, &stage.input), weight, bias.first().cloned(), options), &stage.output)
        }
        (Layer::MaxPool2d(window), _) => {
            let options = MaxPoolOptions::new(window.kernel.map(size))
                .with_stride(window.stride.map(size))
                .with_padding(window.padding.map(size));
            flattened(max_pool2d(images(rows, &stage.input), options), &stage.output)
        }
        (Layer::LayerNorm, [weight, bias]) => layer_norm(rows, weight.clone(), Some(bias.clone()), EPSILON),
        (Layer::Dropout(probability), _) => match dropout {
            Some(rng) if *probability > 0.0 => dropped(rows, *probability, rng),
            _ => rows,
        },
        (Layer::Relu, _) => activation::relu(rows),
        (Layer::Tanh, _) => activation::tanh(rows),
        (Layer::Sigmoid, _) => activation::sigmoid(rows),
        (Layer::Gelu, _) => activation::gelu(rows),
        (Layer::Softmax, _) => activation::softmax(rows, 1),
        // Rows are flat already. Layers with weights always have them.
        (Layer::Flatten | Layer::Linear { .. } | Layer::Conv2d { .. } | Layer::LayerNorm, _) => rows,
    }
}

/// Makes each feature zero with a probability, and the others as much larger.
fn dropped(rows: Tensor<2>, probability: f64, rng: &mut StdRng) -> Tensor<2> {
    let dims = rows.dims();
    let kept = (1.0 / (1.0 - probability)) as f32;
    let factor = |_| if rng.random::<f64>() < probability { 0.0 } else { kept };
    let factors: Vec<f32> = (0..dims[0] * dims[1]).map(factor).collect();
    let device = rows.device();
    rows.mul(Tensor::from_data(TensorData::new(factors, dims), (&device, DType::F32)))
}

fn images(rows: Tensor<2>, shape: &Shape) -> Tensor<4> {
    let ([count, _], [channels, height, width]) = (rows.dims(), image(shape));
    rows.reshape([count, channels, height, width])
}

fn flattened(images: Tensor<4>, shape: &Shape) -> Tensor<2> {
    let [count, ..] = images.dims();
    images.reshape([count, len(shape)])
}

/// The dimensions of a row that is an image; the network was checked to have such rows there.
fn image(shape: &Shape) -> [usize; 3] {
    match shape.dims() {
        [channels, height, width] => [*channels, *height, *width].map(size),
        _ => [len(shape), 1, 1],
    }
}

/// How many features a row has.
pub(super) fn len(shape: &Shape) -> usize {
    size(shape.size())
}

/// A dimension, all of which are small enough for memory.
fn size(dim: u64) -> usize {
    usize::try_from(dim).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::super::sample::{network, tensor};
    use super::*;

    /// What a network makes of rows, given with its parameters.
    fn run(layers: &str, input: &[u64], parameters: &[&[f32]], rows: &[f32]) -> Vec<f32> {
        let network = network(layers, input);
        let parameters: Vec<Tensor<1>> = parameters.iter().map(|elements| tensor(elements)).collect();
        let features = input.iter().product::<u64>() as usize;
        let rows = tensor(rows).reshape([rows.len() / features, features]);
        forward(network.stages(), &parameters, rows, None).try_into_vec_as().unwrap()
    }

    #[track_caller]
    fn assert_near(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        let is_near = found.iter().zip(expected).all(|(l, r)| (l - r).abs() < 1e-5);
        assert!(is_near, "{found:?}, not {expected:?}");
    }

    #[test]
    fn weights_are_those_of_pytorch() {
        let linear = r#"[{"linear":{"units":2}}]"#;
        let found =
            run(linear, &[3], &[&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[10.0, 20.0]], &[1.0, 0.0, 2.0, 0.0, 1.0, 0.0]);
        assert_eq!(found, [17.0, 36.0, 12.0, 25.0]);
        let without = run(r#"[{"linear":{"units":1,"bias":false}}]"#, &[2], &[&[2.0, 3.0]], &[5.0, 7.0]);
        assert_eq!(without, [31.0]);
    }

    #[test]
    fn activations_are_those_of_pytorch() {
        let rows = [-1.0, 0.0, 2.0];
        assert_near(&run(r#"["relu"]"#, &[3], &[], &rows), &[0.0, 0.0, 2.0]);
        assert_near(&run(r#"["tanh"]"#, &[3], &[], &rows), &[-0.761594, 0.0, 0.964028]);
        assert_near(&run(r#"["sigmoid"]"#, &[3], &[], &rows), &[0.268941, 0.5, 0.880797]);
        assert_near(&run(r#"["gelu"]"#, &[3], &[], &rows), &[-0.158655, 0.0, 1.9545]);
        assert_near(&run(r#"["softmax"]"#, &[3], &[], &rows), &[0.04201, 0.114195, 0.843795]);
        assert_near(
            &run(r#"["layer_norm"]"#, &[3], &[&[1.0, 1.0, 2.0], &[0.0, 5.0, 0.0]], &[1.0, 2.0, 3.0]),
            &[-1.224736, 5.0, 2.449471],
        );
    }

    #[test]
    fn images_are_convolved_and_pooled() {
        let image: Vec<f32> = (1..=9u8).map(f32::from).collect();
        let conv = r#"[{"conv2d":{"channels":1,"kernel":2}}]"#;
        assert_eq!(run(conv, &[1, 3, 3], &[&[1.0, 0.0, 0.0, 1.0], &[0.5]], &image), [6.5, 8.5, 12.5, 14.5]);
        let padded = r#"[{"conv2d":{"channels":1,"kernel":3,"stride":2,"padding":1,"bias":false}},"flatten"]"#;
        let centre = [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(run(padded, &[1, 3, 3], &[&centre], &image), [1.0, 3.0, 7.0, 9.0]);
        let pool = r#"[{"max_pool2d":{"kernel":2,"stride":1}}]"#;
        assert_eq!(run(pool, &[1, 3, 3], &[], &image), [5.0, 6.0, 8.0, 9.0]);
    }

    #[test]
    fn features_are_dropped_only_while_the_network_learns() {
        let network = network(r#"[{"dropout":0.25}]"#, &[1000]);
        let rows = || tensor(&[1.0; 1000]).reshape([1, 1000]);
        let read = |rows: Tensor<2>| -> Vec<f32> { rows.try_into_vec_as().unwrap() };
        assert_eq!(read(forward(network.stages(), &[], rows(), None)), [1.0; 1000]);
        let drop = || read(forward(network.stages(), &[], rows(), Some(&mut StdRng::seed_from_u64(7))));
        let dropped = drop();
        assert_eq!(dropped, drop());
        let zeros = dropped.iter().filter(|feature| **feature == 0.0).count();
        assert!((200..300).contains(&zeros), "{zeros}");
        assert!(dropped.iter().all(|feature| *feature == 0.0 || (*feature - 4.0 / 3.0).abs() < 1e-6));
    }
}
