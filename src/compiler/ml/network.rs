//! Networks: layers with the shapes of what goes through them.

use std::ops::Range;
use std::sync::Arc;

use super::layer::{Layer, Window};
use crate::compiler::collection::schema::show;
use crate::error::{Error, Result};
use crate::value::number::NumberKind;
use crate::value::tensor::{Layout, Node, Shape, TensorSchema};
use crate::value::{Id, Map, NumberClass, State, Tensor};

/// Parameters of a network: 256 MiB of floats. They are in memory several times while it learns.
const PARAMETERS_MAX: u64 = 64 << 20;
/// What is between the layers of a network for the rows that it sees together: 256 MiB of floats. Learning takes about three times
/// as much.
const BATCH_MAX: u64 = 64 << 20;

/// A network whose layers fit together.
#[derive(Clone, Debug)]
pub struct Network {
    stages: Vec<Stage>,
    parameters: Vec<Parameter>,
}

/// A layer in its place. Shapes are those of a row.
#[derive(Clone, Debug)]
pub struct Stage {
    pub layer: Layer,
    pub input: Shape,
    pub output: Shape,
    /// Which of the parameters of the network belong to it: weights, and then a bias if there is one.
    pub parameters: Range<usize>,
}

/// A parameter of a network.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The number of its layer, and what it is there.
    pub name: Id,
    pub shape: Shape,
    /// What it is before the network has learned anything.
    pub start: Start,
    layer: usize,
}

/// What the elements of a parameter are at first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    Fill(f32),
    /// Random ones, as likely anywhere from minus this to this.
    Uniform(f64),
}

impl Network {
    /// A network for rows of a shape.
    ///
    /// # Errors
    /// `BadRequest` for a layer that does not fit what is before it, with its number; `TooLarge` for too many parameters, or too
    /// large rows.
    pub fn new(layers: Vec<Layer>, input: Shape) -> Result<Self> {
        let mut network = Self { stages: Vec::with_capacity(layers.len()), parameters: vec![] };
        let mut shape = input;
        for (number, layer) in layers.into_iter().enumerate() {
            let in_layer = |error: Error| {
                let message = format!("layer {number} ({}) {}", layer.name(), error.message());
                error.with_message(message)
            };
            let output = output(&layer, &shape).map_err(in_layer)?;
            let start = network.parameters.len();
            for (name, shape, start) in parameters(&layer, &shape).map_err(in_layer)? {
                let name: Id = format!("{number}.{name}").parse()?;
                network.parameters.push(Parameter { name, shape, start, layer: number });
            }
            let parameters = start..network.parameters.len();
            network.stages.push(Stage { layer, input: shape, output: output.clone(), parameters });
            shape = output;
        }
        let size = network.parameters.iter().fold(0u64, |sum, parameter| sum.saturating_add(parameter.shape.size()));
        if size > PARAMETERS_MAX {
            return Err(Error::too_large(format!("a network has at most {PARAMETERS_MAX} parameters, not {size}")));
        }
        if network.batch_max() == 0 {
            return Err(Error::too_large(format!("a row of this network takes more than {} MiB", BATCH_MAX >> 18)));
        }
        Ok(network)
    }

    /// The layers in their order, of which there is one at least.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The parameters of all layers, in the order of these.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The shape of a row of the result.
    ///
    /// # Errors
    /// `Internal` if there is no layer.
    pub fn output(&self) -> Result<&Shape> {
        self.stages.last().map(|stage| &stage.output).ok_or_else(|| Error::internal("a network without layers"))
    }

    /// How many rows may go through the network together.
    pub fn batch_max(&self) -> u64 {
        let input = self.stages.first().map_or(1, |stage| stage.input.size());
        BATCH_MAX / self.stages.iter().map(taken).fold(input, u64::saturating_add)
    }

    /// Multiplications for a row in the layer that takes most of them.
    pub fn multiplications(&self) -> u64 {
        let of = |stage: &Stage| {
            let weights = self.parameters.get(stage.parameters.start).map_or(1, |weights| weights.shape.size());
            match &stage.layer {
                Layer::Linear { .. } => weights,
                Layer::Conv2d { channels, .. } => weights.saturating_mul(stage.output.size() / channels),
                _ => 0,
            }
        };
        self.stages.iter().map(of).max().unwrap_or(0)
    }

    /// The parameters out of a map by their names, in their order, as dense floats.
    ///
    /// # Errors
    /// `BadRequest` if one is missing, does not fit, or does not belong to the network.
    pub fn arrange(&self, map: &Map) -> Result<Vec<Arc<Tensor>>> {
        let is_known = |name: &Id| self.parameters.iter().any(|parameter| parameter.name == *name);
        if let Some(name) = map.keys().iter().find(|name| !is_known(name)) {
            return Err(Error::bad_request(format!("this network has no parameter {name}")));
        }
        let found = self.parameters.iter().map(|parameter| parameter.fit("", map));
        found.collect()
    }
}

impl Parameter {
    /// The tensor of the shape of this parameter that belongs to it in a map: with its name, and `suffix`.
    ///
    /// # Errors
    /// `BadRequest` if it is missing or does not fit.
    pub(super) fn fit(&self, suffix: &str, map: &Map) -> Result<Arc<Tensor>> {
        let Self { name, shape, layer, .. } = self;
        let name = format!("{name}{suffix}");
        match map.get(&name) {
            Some(State::Tensor(tensor)) if tensor.shape() == shape => floats(&name, tensor),
            Some(State::Tensor(tensor)) => {
                let found = tensor.shape();
                let message = format!("{name} does not fit layer {layer}: expected the shape {shape}, found {found}");
                Err(Error::bad_request(message))
            }
            Some(other) => Err(Error::bad_request(format!("{name} must be a tensor, not {}", show(other)))),
            None => Err(Error::bad_request(format!("{name} of layer {layer} is missing: a tensor of shape {shape}"))),
        }
    }
}

/// A tensor as what networks compute with: dense, and of Float32s.
///
/// # Errors
/// `BadRequest` for complex numbers.
pub(super) fn floats(what: &str, tensor: &Arc<Tensor>) -> Result<Arc<Tensor>> {
    if tensor.dtype().kind() == NumberKind::Complex {
        return Err(Error::bad_request(format!("{what} must be of real numbers, not of complex ones")));
    }
    let mut tensor = Arc::clone(tensor);
    if tensor.is_sparse() {
        let schema = TensorSchema { layout: Layout::Dense, ..tensor.schema.clone() };
        tensor = Arc::new(Tensor::new(schema, Node::Relayout { of: tensor }));
    }
    if tensor.dtype() != NumberClass::F32 {
        let schema = TensorSchema { dtype: NumberClass::F32, ..tensor.schema.clone() };
        tensor = Arc::new(Tensor::new(schema, Node::Cast { of: tensor }));
    }
    Ok(tensor)
}

/// The shape that a layer makes of a row.
fn output(layer: &Layer, input: &Shape) -> Result<Shape> {
    match layer {
        Layer::Linear { units, .. } => {
            flat(input)?;
            Shape::try_new([*units])
        }
        Layer::Softmax => {
            flat(input)?;
            Ok(input.clone())
        }
        Layer::Conv2d { channels, window, .. } => {
            let [_, height, width] = image(input)?;
            let [height, width] = moved(window, [height, width])?;
            Shape::try_new([*channels, height, width])
        }
        Layer::MaxPool2d(window) => {
            let [channels, height, width] = image(input)?;
            let [height, width] = moved(window, [height, width])?;
            Shape::try_new([channels, height, width])
        }
        Layer::Flatten => Shape::try_new([input.size()]),
        Layer::Relu | Layer::Tanh | Layer::Sigmoid | Layer::Gelu | Layer::Dropout(_) | Layer::LayerNorm => {
            Ok(input.clone())
        }
    }
}

/// The name of a parameter in its layer, its shape, and what it is at first.
type Declared = (&'static str, Shape, Start);

/// The parameters of a layer for rows of a shape. What they are at first is as in PyTorch.
fn parameters(layer: &Layer, input: &Shape) -> Result<Vec<Declared>> {
    match layer {
        Layer::Linear { units, bias } => weighted(Shape::try_new([*units, flat(input)?])?, *units, *bias),
        Layer::Conv2d { channels, window: Window { kernel: [height, width], .. }, bias } => {
            let weights = Shape::try_new([*channels, image(input)?[0], *height, *width])?;
            weighted(weights, *channels, *bias)
        }
        Layer::LayerNorm => {
            Ok(vec![("weight", input.clone(), Start::Fill(1.0)), ("bias", input.clone(), Start::Fill(0.0))])
        }
        _ => Ok(vec![]),
    }
}

/// Weights, and perhaps a bias, of so many units.
fn weighted(weights: Shape, units: u64, has_bias: bool) -> Result<Vec<Declared>> {
    let inputs = weights.size() / units;
    let start = Start::Uniform(1.0 / (inputs as f64).sqrt());
    let mut declared = vec![("weight", weights, start)];
    if has_bias {
        declared.push(("bias", Shape::try_new([units])?, start));
    }
    Ok(declared)
}

/// Elements that a layer makes for a row: the result, and what it unfolds before.
fn taken(stage: &Stage) -> u64 {
    let output = stage.output.size();
    match (&stage.layer, stage.input.dims(), stage.output.dims()) {
        (Layer::Conv2d { window: Window { kernel: [rows, cols], .. }, .. }, [channels, ..], [_, height, width]) => {
            let unfolded = [*rows, *cols, *channels, *height, *width].into_iter().fold(1u64, u64::saturating_mul);
            output.saturating_add(unfolded)
        }
        _ => output,
    }
}

/// The dimension of a row of one axis.
fn flat(input: &Shape) -> Result<u64> {
    match input.dims() {
        [features] => Ok(*features),
        _ => Err(Error::bad_request(format!(
            r#"takes rows of one axis, found the shape {input}: put "flatten" before it"#
        ))),
    }
}

/// The dimensions of a row that is an image.
fn image(input: &Shape) -> Result<[u64; 3]> {
    <[u64; 3]>::try_from(input.dims()).map_err(|_| {
        Error::bad_request(format!("takes rows of the shape [channels, height, width], found the shape {input}"))
    })
}

/// In how many places a window is when it moves over an image.
fn moved(window: &Window, image: [u64; 2]) -> Result<[u64; 2]> {
    let mut places = [0; 2];
    for (axis, place) in places.iter_mut().enumerate() {
        let (kernel, stride) = (window.kernel[axis], window.stride[axis]);
        let padded = image[axis] + 2 * window.padding[axis];
        let room = padded.checked_sub(kernel).ok_or_else(|| {
            let [height, width] = image;
            Error::bad_request(format!("has a kernel that is larger than what it moves over, [{height}, {width}]"))
        })?;
        *place = room / stride + 1;
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::super::layer::layers;
    use super::*;
    use crate::compiler::collection::sample::state;
    use crate::error::Kind;
    use crate::value::tensor::Initial;

    fn network(layers_text: &str, input: &[u64]) -> Result<Network> {
        Network::new(layers(&state(layers_text)).unwrap(), Shape::try_new(input).unwrap())
    }

    fn zeros(layout: Layout, dtype: NumberClass, shape: &[u64]) -> State {
        let schema = TensorSchema { layout, dtype, shape: Shape::try_new(shape).unwrap() };
        let zero = schema.zero();
        Tensor::new(schema, Node::Initial(Arc::new(Initial::Fill(zero)))).into()
    }

    fn map(entries: Vec<(&str, State)>) -> Map {
        Map::try_new(entries.into_iter().map(|(name, state)| (name.parse().unwrap(), state))).unwrap()
    }

    #[test]
    fn shapes_are_those_of_pytorch() {
        let text = r#"[{"conv2d":{"channels":4,"kernel":[3,5],"stride":2,"padding":1}},"relu",{"max_pool2d":{"kernel":2}},
            "flatten",{"linear":{"units":10,"bias":false}},"layer_norm","softmax"]"#;
        let network = network(text, &[3, 28, 28]).unwrap();
        let shapes: Vec<String> = network.stages().iter().map(|stage| stage.output.to_string()).collect();
        assert_eq!(shapes, ["[4, 14, 13]", "[4, 14, 13]", "[4, 7, 6]", "[168]", "[10]", "[10]", "[10]"]);
        let parameters: Vec<String> =
            network.parameters().iter().map(|parameter| format!("{} {}", parameter.name, parameter.shape)).collect();
        let expected = ["0.weight [4, 3, 3, 5]", "0.bias [4]", "4.weight [10, 168]", "5.weight [10]", "5.bias [10]"];
        assert_eq!(parameters, expected);
        assert_eq!(network.stages()[5].parameters, 3..5);
        assert_eq!(network.parameters()[0].start, Start::Uniform(1.0 / 45f64.sqrt()));
        assert_eq!(network.parameters()[1].start, Start::Uniform(1.0 / 45f64.sqrt()));
        assert_eq!(network.parameters()[3].start, Start::Fill(1.0));
        assert_eq!(network.multiplications(), 180 * 14 * 13);
    }

    #[test]
    fn layers_that_do_not_fit_are_refused() {
        let refuse = |layers: &str, input: &[u64], kind: Kind, message: &str| {
            let error = network(layers, input).unwrap_err();
            assert_eq!((error.kind(), error.message()), (kind, message));
        };
        let linear = r#"["relu",{"linear":{"units":2}}]"#;
        let message = r#"layer 1 (linear) takes rows of one axis, found the shape [8, 8]: put "flatten" before it"#;
        refuse(linear, &[8, 8], Kind::BadRequest, message);
        let conv = r#"[{"conv2d":{"channels":2,"kernel":9,"padding":1}}]"#;
        let message = "layer 0 (conv2d) takes rows of the shape [channels, height, width], found the shape [64]";
        refuse(conv, &[64], Kind::BadRequest, message);
        let message = "layer 0 (conv2d) has a kernel that is larger than what it moves over, [6, 8]";
        refuse(conv, &[1, 6, 8], Kind::BadRequest, message);
        let wide = r#"[{"linear":{"units":4294967295}}]"#;
        refuse(wide, &[1], Kind::TooLarge, "a network has at most 67108864 parameters, not 8589934590");
        refuse(r#"["relu"]"#, &[1 << 31, 1 << 10], Kind::TooLarge, "a row of this network takes more than 256 MiB");
    }

    #[test]
    fn parameters_are_checked() {
        let network = network(r#"["tanh",{"linear":{"units":2}}]"#, &[3]).unwrap();
        let (dense, f32) = (Layout::Dense, NumberClass::F32);
        let weight = || ("1.weight", zeros(dense, f32, &[2, 3]));
        let bias = ("1.bias", zeros(Layout::Sparse, NumberClass::I64, &[2]));
        let arranged = network.arrange(&map(vec![weight(), bias])).unwrap();
        let shapes: Vec<&TensorSchema> = arranged.iter().map(|tensor| &tensor.schema).collect();
        let expected = [&[2, 3][..], &[2]].map(|dims: &[u64]| TensorSchema {
            layout: dense,
            dtype: f32,
            shape: Shape::try_new(dims).unwrap(),
        });
        assert_eq!(shapes, expected.iter().collect::<Vec<_>>());
        let refuse = |entries: Vec<(&str, State)>, message: &str| {
            let error = network.arrange(&map(entries)).unwrap_err();
            assert_eq!((error.kind(), error.message()), (Kind::BadRequest, message));
        };
        refuse(vec![weight()], "1.bias of layer 1 is missing: a tensor of shape [2]");
        refuse(vec![("0.bias", State::NONE)], "this network has no parameter 0.bias");
        refuse(
            vec![weight(), ("1.bias", zeros(dense, f32, &[3]))],
            "1.bias does not fit layer 1: expected the shape [2], found [3]",
        );
        refuse(vec![weight(), ("1.bias", 5i64.into())], "1.bias must be a tensor, not 5");
        let complex = ("1.bias", zeros(dense, NumberClass::C32, &[2]));
        refuse(vec![weight(), complex], "1.bias must be of real numbers, not of complex ones");
    }
}
