//! The functions, for the reference.

use crate::compiler::methods::{Body, Method, Param, Params, ResultClass, param};
use crate::value::Class;

const LAYERS: Param = param("layers", "Tuple");
const PARAMETERS: Param = param("parameters", "Map of Tensors");
const INPUTS: Param = param("inputs", "Tensor");
const MAP: ResultClass = ResultClass::Exactly(Class::Map);

/// A dense tensor of Float32s.
macro_rules! dense {
    ($shape:literal, $elements:literal) => {
        concat!(
            r#"{"/state/collection/tensor/dense":[["/state/scalar/value/number/float/32","#,
            $shape,
            "],",
            $elements,
            "]}"
        )
    };
}

/// The functions below `/state/ml/sequential`; `name` is the whole path.
pub(crate) static METHODS: &[Method] = &[
    Method {
        name: "/state/ml/sequential/fit",
        aliases: &[],
        params: Params::Named(&[
            LAYERS,
            PARAMETERS,
            INPUTS,
            param("labels", "Tensor"),
            param("loss", "String"),
            param("optimizer", "String or Map"),
            param("epochs", "UInt"),
            param("[batch_size]", "UInt"),
            param("[shuffle]", "Bool"),
            param("[seed]", "UInt"),
            param("[state]", "Map"),
        ]),
        result: MAP,
        doc: "What parameters have learned when all rows of the inputs have gone through the network, and the optimizer has \
              moved them after each batch (32 rows, unless batch_size says otherwise), as often as epochs says: \
              {parameters, state, losses}. The losses are the mean of each epoch, before the steps in it. The state is for the \
              next fit, so that the optimizer goes on where it was. The loss is mse; cross_entropy, with labels that are the \
              numbers of classes or their probabilities; or binary_cross_entropy. The last two take results as logarithms, \
              unless the last layer is softmax or sigmoid. The optimizer is {sgd: {lr, momentum, nesterov, weight_decay}} or \
              {adam: {lr, betas, eps, weight_decay}} or the same as adamw; all options have the defaults of PyTorch, and so do \
              all formulas. With the same seed, the result is the same.",
        example: (
            concat!(
                r#"[["r",{"/state/ml/sequential/fit":{"layers":[{"linear":{"units":1,"bias":false}}],"parameters":{"0.weight":"#,
                dense!("[1,1]", "[1]"),
                r#"},"inputs":"#,
                dense!("[2,1]", "[1,2]"),
                r#","labels":"#,
                dense!("[2,1]", "[2,4]"),
                r#","loss":"mse","optimizer":{"sgd":{"lr":0.125}},"epochs":2}}]]"#
            ),
            concat!(
                r#"{"losses":[2.5,0.3515625],"parameters":{"0.weight":"#,
                dense!("[1,1]", "[1.859375]"),
                r#"},"state":{"step":2}}"#
            ),
        ),
        body: Body::Data,
    },
    Method {
        name: "/state/ml/sequential/init",
        aliases: &[],
        params: Params::Named(&[LAYERS, param("inputs", "UInt or Tuple"), param("[seed]", "UInt")]),
        result: MAP,
        doc: "Parameters that have learned nothing, of a network for rows of so many features, or of this shape. Their names and \
              shapes are those of PyTorch, and so is how they are drawn: 0.weight and 0.bias of the first layer, and so on. With \
              the same seed they are the same. Layers are {linear: {units, bias}}, relu, tanh, sigmoid, gelu, softmax, \
              {dropout: probability}, {conv2d: {channels, kernel, stride, padding, bias}}, \
              {max_pool2d: {kernel, stride, padding}}, flatten and layer_norm.",
        example: (
            r#"[["r",{"/state/ml/sequential/init":{"layers":["layer_norm"],"inputs":2}}]]"#,
            concat!(r#"{"0.bias":"#, dense!("[2]", "[0.0,0.0]"), r#","0.weight":"#, dense!("[2]", "[1.0,1.0]"), "}"),
        ),
        body: Body::Data,
    },
    Method {
        name: "/state/ml/sequential/load",
        aliases: &[],
        params: Params::Named(&[
            param("safetensors", "Bytes"),
            param("[layers]", "Tuple"),
            param("[inputs]", "UInt or Tuple"),
        ]),
        result: MAP,
        doc: "The tensors in a file in the format of safetensors, by their names, such as the parameters of an nn.Sequential of \
              PyTorch. Half floats become Float32s. If layers and inputs are given, the file must have the parameters of that \
              network, and nothing else.",
        example: (
            r#"[["r",{"/state/ml/sequential/load":{"safetensors":{"/state/scalar/value/bytes":"QAAAAAAAAAB7IjAuYmlhcyI6eyJkdHlwZSI6IkYzMiIsInNoYXBlIjpbMV0sImRhdGFfb2Zmc2V0cyI6WzAsNF19fSAgICAgAADAPw=="}}}]]"#,
            concat!(r#"{"0.bias":"#, dense!("[1]", "[1.5]"), "}"),
        ),
        body: Body::Data,
    },
    Method {
        name: "/state/ml/sequential/predict",
        aliases: &[],
        params: Params::Named(&[LAYERS, PARAMETERS, INPUTS]),
        result: ResultClass::Exactly(Class::Dense),
        doc: "What a network makes of rows: a tensor of Float32s with as many rows.",
        example: (
            concat!(
                r#"[["r",{"/state/ml/sequential/predict":{"layers":[{"linear":{"units":1}},"relu"],"parameters":{"0.weight":"#,
                dense!("[1,2]", "[2,3]"),
                r#","0.bias":"#,
                dense!("[1]", "[-10]"),
                r#"},"inputs":"#,
                dense!("[2,2]", "[1,2,3,4]"),
                "}}]]"
            ),
            dense!("[2,1]", "[0.0,8.0]"),
        ),
        body: Body::Data,
    },
    Method {
        name: "/state/ml/sequential/save",
        aliases: &[],
        params: Params::Named(&[PARAMETERS]),
        result: ResultClass::Exactly(Class::Bytes),
        doc: "A file in the format of safetensors with these tensors, which PyTorch reads.",
        example: (
            concat!(r#"[["r",{"/state/ml/sequential/save":{"parameters":{"0.bias":"#, dense!("[1]", "[1.5]"), "}}}]]"),
            r#""QAAAAAAAAAB7IjAuYmlhcyI6eyJkdHlwZSI6IkYzMiIsInNoYXBlIjpbMV0sImRhdGFfb2Zmc2V0cyI6WzAsNF19fSAgICAgAADAPw==""#,
        ),
        body: Body::Data,
    },
];
