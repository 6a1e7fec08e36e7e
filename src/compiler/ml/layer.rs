//! Layers as they are written.

use super::fields::{Fields, choice, real};
use crate::compiler::collection::schema::{items, show};
use crate::error::{Error, Result};
use crate::value::State;
use crate::value::tensor::Shape;

/// Layers of a network.
const LAYERS_MAX: usize = 256;
/// The names of all layers, for messages.
const NAMES: &str = "linear, relu, tanh, sigmoid, gelu, softmax, dropout, conv2d, max_pool2d, flatten or layer_norm";

/// A layer of a network.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// Inputs times weights, plus a bias.
    Linear {
        units: u64,
        bias: bool,
    },
    Relu,
    Tanh,
    Sigmoid,
    /// `x · Φ(x)`, where Φ is the distribution function of the normal distribution.
    Gelu,
    /// Over the features of a row.
    Softmax,
    /// While the network learns, zero with this probability, and scaled up otherwise.
    Dropout(f64),
    /// Of rows `[channels, height, width]`.
    Conv2d {
        channels: u64,
        window: Window,
        bias: bool,
    },
    /// Of rows `[channels, height, width]`.
    MaxPool2d(Window),
    /// Makes one axis of all axes of a row.
    Flatten,
    /// Normalizes each row, and scales and shifts its features.
    LayerNorm,
}

/// What moves over an image: how high and wide it is, how far it moves, and how many zeros there are around the image.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    pub kernel: [u64; 2],
    pub stride: [u64; 2],
    pub padding: [u64; 2],
}

impl Layer {
    /// The name by which it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Layer::Linear { .. } => "linear",
            Layer::Relu => "relu",
            Layer::Tanh => "tanh",
            Layer::Sigmoid => "sigmoid",
            Layer::Gelu => "gelu",
            Layer::Softmax => "softmax",
            Layer::Dropout(_) => "dropout",
            Layer::Conv2d { .. } => "conv2d",
            Layer::MaxPool2d(_) => "max_pool2d",
            Layer::Flatten => "flatten",
            Layer::LayerNorm => "layer_norm",
        }
    }
}

/// The layers that a list says.
///
/// # Errors
/// `BadRequest` for what is no layer, with its number.
pub(crate) fn layers(state: &State) -> Result<Vec<Layer>> {
    let listed = items(state).filter(|listed| (1..=LAYERS_MAX).contains(&listed.len())).ok_or_else(|| {
        Error::bad_request(format!("layers must be a list of 1 to {LAYERS_MAX} layers, not {}", show(state)))
    })?;
    listed.iter().enumerate().map(|(number, state)| layer(number, state)).collect()
}

fn layer(number: usize, state: &State) -> Result<Layer> {
    let (name, options) = choice(state).ok_or_else(|| {
        let found = show(state);
        Error::bad_request(format!(r#"layer {number} must be a name or {{"name": options}}, not {found}"#))
    })?;
    let what = format!("layer {number} ({name})");
    let fields = |known: &[&str]| Fields::of(&what, options, known);
    let plain = |layer: Layer| fields(&[]).map(|_| layer);
    match name {
        "linear" => {
            let fields = fields(&["units", "bias"])?;
            Ok(Layer::Linear { units: dimension(&fields, "units")?, bias: fields.flag("bias")?.unwrap_or(true) })
        }
        "conv2d" => {
            let fields = fields(&["channels", "kernel", "stride", "padding", "bias"])?;
            let channels = dimension(&fields, "channels")?;
            let window = window(&fields, |_| [1, 1])?;
            Ok(Layer::Conv2d { channels, window, bias: fields.flag("bias")?.unwrap_or(true) })
        }
        "max_pool2d" => {
            let fields = fields(&["kernel", "stride", "padding"])?;
            let window = window(&fields, |kernel| kernel)?;
            if (0..2).any(|axis| window.padding[axis] > window.kernel[axis] / 2) {
                return Err(Error::bad_request(format!("padding of {what} must be half of the kernel at most")));
            }
            Ok(Layer::MaxPool2d(window))
        }
        "dropout" => match options.and_then(real).filter(|p| (0.0..1.0).contains(p)) {
            Some(probability) => Ok(Layer::Dropout(probability)),
            None => {
                let found = options.map_or_else(|| "nothing".to_string(), show);
                Err(Error::bad_request(format!("{what} needs a probability from 0 to less than 1, found {found}")))
            }
        },
        "relu" => plain(Layer::Relu),
        "tanh" => plain(Layer::Tanh),
        "sigmoid" => plain(Layer::Sigmoid),
        "gelu" => plain(Layer::Gelu),
        "softmax" => plain(Layer::Softmax),
        "flatten" => plain(Layer::Flatten),
        "layer_norm" => plain(Layer::LayerNorm),
        _ => Err(Error::bad_request(format!("layer {number} is no layer: expected {NAMES}, found {}", show(state)))),
    }
}

fn dimension(fields: &Fields<'_>, name: &str) -> Result<u64> {
    fields.whole(name, 1..=Shape::DIMENSION_MAX)?.ok_or_else(|| fields.missing(name))
}

fn window(fields: &Fields<'_>, default_stride: fn([u64; 2]) -> [u64; 2]) -> Result<Window> {
    let kernel = fields.pair("kernel", 1..=Shape::DIMENSION_MAX)?.ok_or_else(|| fields.missing("kernel"))?;
    let stride = fields.pair("stride", 1..=Shape::DIMENSION_MAX)?.unwrap_or_else(|| default_stride(kernel));
    let padding = fields.pair("padding", 0..=Shape::DIMENSION_MAX)?.unwrap_or([0, 0]);
    Ok(Window { kernel, stride, padding })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::collection::sample::state;

    fn read(text: &str) -> Result<Vec<Layer>, String> {
        layers(&state(text)).map_err(|error| error.message().to_string())
    }

    #[test]
    fn layers_are_names_with_options() {
        let conv = Window { kernel: [3, 3], stride: [1, 1], padding: [1, 1] };
        let pool = Window { kernel: [2, 3], stride: [2, 3], padding: [0, 0] };
        let expected = vec![
            Layer::Conv2d { channels: 8, window: conv, bias: true },
            Layer::MaxPool2d(pool),
            Layer::Flatten,
            Layer::Linear { units: 4, bias: false },
            Layer::LayerNorm,
            Layer::Dropout(0.5),
            Layer::Relu,
        ];
        let text = r#"[{"conv2d":{"channels":8,"kernel":3,"padding":1}},{"max_pool2d":{"kernel":[2,3]}},"flatten",
            {"linear":{"units":4,"bias":false}},{"layer_norm":{}},{"dropout":0.5},"relu"]"#;
        assert_eq!(read(text), Ok(expected));
    }

    #[test]
    fn what_is_no_layer_is_refused() {
        let refuse = |text: &str, message: &str| assert_eq!(read(text), Err(message.to_string()));
        refuse("[]", "layers must be a list of 1 to 256 layers, not []");
        refuse("5", "layers must be a list of 1 to 256 layers, not 5");
        refuse(r#"["relu",5]"#, r#"layer 1 must be a name or {"name": options}, not 5"#);
        refuse(r#"["lstm"]"#, &format!(r#"layer 0 is no layer: expected {NAMES}, found "lstm""#));
        refuse(r#"["relu","linear"]"#, "layer 1 (linear) needs units");
        let units = "units of layer 0 (linear) must be a whole number from 1 to 4294967295, not";
        refuse(r#"[{"linear":{"units":0}}]"#, &format!("{units} 0"));
        refuse(r#"[{"linear":{"units":"x"}}]"#, &format!(r#"{units} "x""#));
        refuse(r#"[{"linear":{"units":2,"rate":1}}]"#, "layer 0 (linear) has no rate, only units, bias");
        refuse(r#"[{"relu":{"x":1}}]"#, "layer 0 (relu) has no options, found x");
        let dropout = "layer 0 (dropout) needs a probability from 0 to less than 1, found";
        refuse(r#"["dropout"]"#, &format!("{dropout} nothing"));
        refuse(r#"[{"dropout":1}]"#, &format!("{dropout} 1"));
        refuse(r#"[{"conv2d":{"channels":1}}]"#, "layer 0 (conv2d) needs kernel");
        refuse(
            r#"[{"max_pool2d":{"kernel":3,"padding":2}}]"#,
            "padding of layer 0 (max_pool2d) must be half of the kernel at most",
        );
    }
}
