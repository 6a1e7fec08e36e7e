//! What calls of the functions below `/state/ml/sequential` ask for.

use std::sync::Arc;

use super::fields::{Fields, choice};
use super::layer::layers;
use super::network::{Network, floats};
use super::optimizer::{Optimizer, Past};
use crate::compiler::collection::schema::{items, show, whole_number};
use crate::compiler::methods::Shape as CallShape;
use crate::error::{Error, Result};
use crate::value::tensor::Shape;
use crate::value::{Id, Map, State, Tensor, Value};

/// The path of all functions.
const ROOT: &str = "/state/ml/sequential/";
/// Times that one call goes through all rows.
const EPOCHS_MAX: u64 = 1_000_000;
/// Rows that a network learns from at once, unless that is said.
const BATCH_ROWS: u64 = 32;

/// A function.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Function {
    Init,
    Predict,
    Fit,
    Load,
    Save,
}

/// What a call asks for. Tensors are dense and of Float32s, but for those that are saved.
#[derive(Debug)]
pub enum Request {
    /// Parameters that have learned nothing. Without a seed they differ each time.
    Init { network: Network, seed: Option<u64> },
    /// What a network makes of rows.
    Predict { network: Network, parameters: Vec<Arc<Tensor>>, inputs: Arc<Tensor> },
    /// Parameters that have learned.
    Fit(Box<Fit>),
    /// The tensors in a file; if a network is given, these must be its parameters.
    Load { file: Arc<[u8]>, network: Option<Network> },
    /// A file with these tensors.
    Save(Vec<(Id, Arc<Tensor>)>),
}

/// A training.
#[derive(Debug)]
pub struct Fit {
    pub network: Network,
    /// Those from which it begins, in the order of those of the network.
    pub parameters: Vec<Arc<Tensor>>,
    /// Rows of the shape that the network takes.
    pub inputs: Arc<Tensor>,
    /// As many rows.
    pub labels: Labels,
    pub loss: Loss,
    pub optimizer: Optimizer,
    /// What the optimizer kept of an earlier training.
    pub past: Option<Past>,
    pub epochs: u64,
    /// Rows between two steps of the optimizer.
    pub batch: u64,
    /// Whether rows are in another order each time.
    pub is_shuffled: bool,
    /// Of the order of rows and of dropout, which without one differ each time.
    pub seed: Option<u64>,
}

/// What a network should make of rows.
#[derive(Debug)]
pub enum Labels {
    /// Rows of the shape of its results.
    Values(Arc<Tensor>),
    /// The numbers of the results that should be one, where the others should be zero.
    Classes(Arc<Tensor>),
}

/// How far results are from what they should be; the mean over the rows of a batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Loss {
    /// The square of the difference, also averaged over the elements of a row.
    MeanSquaredError,
    /// Of probabilities of classes. Results are their logarithms, up to a constant, unless the last layer is softmax.
    CrossEntropy,
    /// Of probabilities, also averaged over the elements of a row. Results are log-odds, unless the last layer is sigmoid.
    BinaryCrossEntropy,
}

impl Function {
    fn at(path: &str) -> Option<Self> {
        Some(match path.strip_prefix(ROOT)? {
            "init" => Function::Init,
            "predict" => Function::Predict,
            "fit" => Function::Fit,
            "load" => Function::Load,
            "save" => Function::Save,
            _ => return None,
        })
    }
}

/// Whether one of these functions is at a path.
pub fn is_function(path: &str) -> bool {
    Function::at(path).is_some()
}

/// What a call of a function asks for. The arguments are those of `shape`, in its order.
///
/// # Errors
/// `NotFound` if there is no such function, `MethodNotAllowed` for another verb than POST, `BadRequest` for arguments that make
/// no sense or do not fit each other, `TooLarge` for what would take too much memory.
pub fn plan(path: &str, shape: &CallShape, args: &[State]) -> Result<Request> {
    let function = Function::at(path).ok_or_else(|| Error::not_found(path))?;
    let CallShape::Post(names) = shape else {
        return Err(Error::method_not_allowed(format!("{path} does not support {}", shape.verb().http())));
    };
    let what = path.rsplit('/').next().unwrap_or(path);
    let fields = |known: &[&str]| Fields::new(what, names, args, known);
    match function {
        Function::Init => {
            let fields = fields(&["layers", "inputs", "seed"])?;
            let network = Network::new(layers(fields.required("layers")?)?, row(fields.required("inputs")?)?)?;
            Ok(Request::Init { network, seed: seed(&fields)? })
        }
        Function::Predict => {
            let fields = fields(&["layers", "parameters", "inputs"])?;
            let (network, parameters, inputs) = model(&fields)?;
            Ok(Request::Predict { network, parameters, inputs })
        }
        Function::Fit => {
            const KNOWN: &[&str] = &[
                "layers",
                "parameters",
                "inputs",
                "labels",
                "loss",
                "optimizer",
                "epochs",
                "batch_size",
                "shuffle",
                "seed",
                "state",
            ];
            fit(&fields(KNOWN)?).map(Box::new).map(Request::Fit)
        }
        Function::Load => load(&fields(&["safetensors", "layers", "inputs"])?),
        Function::Save => {
            let fields = fields(&["parameters"])?;
            let parameters = parameters(&fields)?.iter().map(|(name, state)| match state {
                State::Tensor(tensor) => Ok((name.clone(), Arc::clone(tensor))),
                other => Err(Error::bad_request(format!("{name} must be a tensor, not {}", show(other)))),
            });
            Ok(Request::Save(parameters.collect::<Result<_>>()?))
        }
    }
}

/// A network with its parameters, and the rows that go through it.
fn model(fields: &Fields<'_>) -> Result<(Network, Vec<Arc<Tensor>>, Arc<Tensor>)> {
    let inputs = floats("inputs", fields.tensor("inputs")?)?;
    let [_, features @ ..] = inputs.shape().dims() else { return Err(Error::internal("a tensor without axes")) };
    if features.is_empty() {
        let message = format!(
            "inputs must have an axis of rows and at least one of features, found the shape {}",
            inputs.shape()
        );
        return Err(Error::bad_request(message));
    }
    let network = Network::new(layers(fields.required("layers")?)?, Shape::try_new(features)?)?;
    let parameters = network.arrange(parameters(fields)?)?;
    Ok((network, parameters, inputs))
}

fn parameters<'a>(fields: &Fields<'a>) -> Result<&'a Map> {
    fields.map("parameters", "a map of tensors by their names")
}

fn fit(fields: &Fields<'_>) -> Result<Fit> {
    let (network, parameters, inputs) = model(fields)?;
    if parameters.is_empty() {
        return Err(Error::bad_request("this network has no parameters, so there is nothing that it can learn"));
    }
    let loss = loss(fields.required("loss")?)?;
    let labels = labels(&network, loss, &inputs, &floats("labels", fields.tensor("labels")?)?)?;
    let optimizer = Optimizer::read(fields.required("optimizer")?)?;
    let past = optimizer.past(&network, fields.get("state"))?;
    let epochs = fields.whole("epochs", 1..=EPOCHS_MAX)?.ok_or_else(|| fields.missing("epochs"))?;
    let rows = inputs.shape().dims()[0];
    let batch = fields.whole("batch_size", 1..=u64::MAX)?.unwrap_or(BATCH_ROWS).min(rows);
    let batch_max = network.batch_max();
    if batch > batch_max {
        let message =
            format!("a batch of {batch} rows is too large for this network: at most {batch_max} are possible");
        return Err(Error::too_large(message));
    }
    let is_shuffled = fields.flag("shuffle")?.unwrap_or(true);
    let seed = seed(fields)?;
    Ok(Fit { network, parameters, inputs, labels, loss, optimizer, past, epochs, batch, is_shuffled, seed })
}

fn loss(state: &State) -> Result<Loss> {
    match choice(state) {
        Some(("mse", None)) => Ok(Loss::MeanSquaredError),
        Some(("cross_entropy", None)) => Ok(Loss::CrossEntropy),
        Some(("binary_cross_entropy", None)) => Ok(Loss::BinaryCrossEntropy),
        _ => {
            let found = show(state);
            let message = format!("a loss is mse, cross_entropy or binary_cross_entropy, not {found}");
            Err(Error::bad_request(message))
        }
    }
}

/// What the network should make of the inputs: rows of the shape of its results. One element in a row needs no axis of its own,
/// and neither do the numbers of classes.
fn labels(network: &Network, loss: Loss, inputs: &Tensor, labels: &Arc<Tensor>) -> Result<Labels> {
    let rows = inputs.shape().dims()[0];
    let output = network.output()?;
    let is_classes = loss == Loss::CrossEntropy;
    if is_classes && output.ndim() != 1 {
        let message = format!(
            "cross_entropy needs results of one axis, the classes; those of this network have the shape {output}"
        );
        return Err(Error::bad_request(message));
    }
    let found = labels.shape();
    let whole: Vec<u64> = [rows].into_iter().chain(output.dims().iter().copied()).collect();
    if found.dims() == whole {
        return Ok(Labels::Values(Arc::clone(labels)));
    }
    let is_one_each = found.dims() == [rows];
    let whole = Shape::try_new(whole)?;
    match is_one_each {
        true if is_classes => Ok(Labels::Classes(Arc::clone(labels))),
        true if output.size() == 1 => Ok(Labels::Values(Arc::clone(labels))),
        _ if is_classes => Err(Error::bad_request(format!(
            "labels must be the numbers of classes, of the shape [{rows}], or their probabilities, of the shape {whole}; found the \
             shape {found}"
        ))),
        _ => Err(Error::bad_request(format!("labels must have the shape {whole}, found {found}"))),
    }
}

fn load(fields: &Fields<'_>) -> Result<Request> {
    let file = match fields.required("safetensors")? {
        State::Value(Value::Bytes(file)) => Arc::clone(file),
        other => return Err(fields.unexpected("safetensors", "the bytes of a file", other)),
    };
    let network = match (fields.get("layers"), fields.get("inputs")) {
        (None, None) => None,
        (Some(listed), Some(inputs)) => Some(Network::new(layers(listed)?, row(inputs)?)?),
        (Some(_), None) => return Err(fields.missing("inputs, since there are layers")),
        (None, Some(_)) => return Err(fields.missing("layers, since there are inputs")),
    };
    Ok(Request::Load { file, network })
}

/// The shape of a row: how many features it has, or a list of dimensions.
fn row(state: &State) -> Result<Shape> {
    let dimension = |state: &State| whole_number(state).and_then(|dim| u64::try_from(dim).ok());
    let dims: Option<Vec<u64>> = match items(state) {
        Some(dims) => dims.iter().map(dimension).collect(),
        None => dimension(state).map(|features| vec![features]),
    };
    match dims {
        Some(dims) => Shape::try_new(dims),
        None => {
            let message = format!("inputs must be a number of features, or the shape of a row, not {}", show(state));
            Err(Error::bad_request(message))
        }
    }
}

fn seed(fields: &Fields<'_>) -> Result<Option<u64>> {
    fields.whole("seed", 0..=u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::collection::sample::state;
    use crate::error::Kind;
    use crate::value::NumberClass;
    use crate::value::tensor::{Initial, Layout, Node, TensorSchema};

    fn tensor(dims: &[u64]) -> State {
        let shape = Shape::try_new(dims).unwrap();
        let schema = TensorSchema { layout: Layout::Dense, dtype: NumberClass::F32, shape };
        let zero = schema.zero();
        Tensor::new(schema, Node::Initial(Arc::new(Initial::Fill(zero)))).into()
    }

    /// The parameters of a perceptron with 4 inputs, 3 hidden units and 2 outputs.
    fn weights() -> State {
        let shapes: [(&str, &[u64]); 4] =
            [("0.weight", &[3, 4]), ("0.bias", &[3]), ("2.weight", &[2, 3]), ("2.bias", &[2])];
        Map::try_new(shapes.map(|(name, dims)| (name.parse().unwrap(), tensor(dims)))).unwrap().into()
    }

    /// The arguments of a training of that, but for what `changed` says.
    fn training(changed: &[(&str, State)]) -> Vec<(String, State)> {
        let mut args = vec![
            ("layers", state(r#"[{"linear":{"units":3}},"relu",{"linear":{"units":2}}]"#)),
            ("parameters", weights()),
            ("inputs", tensor(&[10, 4])),
            ("labels", tensor(&[10])),
            ("loss", state(r#""cross_entropy""#)),
            ("optimizer", state(r#"{"sgd":{"lr":0.1}}"#)),
            ("epochs", 3i64.into()),
        ];
        args.retain(|(name, _)| !changed.iter().any(|(other, _)| other == name));
        args.extend(changed.iter().cloned());
        args.into_iter().map(|(name, state)| (name.to_string(), state)).collect()
    }

    fn call(function: &str, args: Vec<(String, State)>) -> Result<Request> {
        let args = Map::try_new(args.into_iter().map(|(name, state)| (name.parse().unwrap(), state))).unwrap();
        plan(&format!("{ROOT}{function}"), &CallShape::Post(args.shared_keys()), args.values())
    }

    fn fit(changed: &[(&str, State)]) -> Result<Fit, String> {
        match call("fit", training(changed)) {
            Ok(Request::Fit(fit)) => Ok(*fit),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.message().to_string()),
        }
    }

    #[test]
    fn a_training_has_defaults() {
        let fit = fit(&[]).unwrap();
        assert_eq!((fit.epochs, fit.batch, fit.is_shuffled, fit.seed), (3, 10, true, None));
        assert!(matches!(fit.labels, Labels::Classes(_)) && fit.past.is_none());
        assert_eq!(fit.parameters.len(), 4);
    }

    #[test]
    fn labels_have_a_row_for_each_of_the_inputs() {
        let values = |loss: &str, dims: &[u64]| {
            let fit = fit(&[("loss", state(loss)), ("labels", tensor(dims))])?;
            Ok::<_, String>(matches!(fit.labels, Labels::Values(_)))
        };
        assert_eq!(values(r#""cross_entropy""#, &[10, 2]), Ok(true));
        assert_eq!(values(r#""mse""#, &[10, 2]), Ok(true));
        assert_eq!(values(r#""mse""#, &[10]), Err("labels must have the shape [10, 2], found [10]".into()));
        let message = "labels must be the numbers of classes, of the shape [10], or their probabilities, of the shape [10, 2]; found \
                       the shape [9]";
        assert_eq!(values(r#""cross_entropy""#, &[9]), Err(message.into()));
        let message = r#"a loss is mse, cross_entropy or binary_cross_entropy, not "hinge""#;
        assert_eq!(values(r#""hinge""#, &[10]), Err(message.into()));
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        let refuse = |changed: &[(&str, State)], message: &str| {
            assert_eq!(fit(changed).map(|_| ()), Err(message.to_string()));
        };
        refuse(&[("epochs", State::NONE)], "fit needs epochs");
        refuse(&[("epochs", 0i64.into())], "epochs of fit must be a whole number from 1 to 1000000, not 0");
        refuse(&[("labels", 5i64.into())], "labels of fit must be a tensor, not 5");
        refuse(&[("parameters", 5i64.into())], "parameters of fit must be a map of tensors by their names, not 5");
        let message = "inputs must have an axis of rows and at least one of features, found the shape [4]";
        refuse(&[("inputs", tensor(&[4]))], message);
        let message = "0.weight does not fit layer 0: expected the shape [3, 5], found [3, 4]";
        refuse(&[("inputs", tensor(&[10, 5]))], message);
        let message = "this network has no parameters, so there is nothing that it can learn";
        refuse(&[("layers", state(r#"["relu"]"#)), ("parameters", state("{}"))], message);
        let known = "layers, parameters, inputs, labels, loss, optimizer, epochs, batch_size, shuffle, seed, state";
        refuse(&[("rate", 1i64.into())], &format!("fit has no rate, only {known}"));
    }

    #[test]
    fn only_posts_of_known_functions_are_planned() {
        let kind = |path: &str, shape: CallShape| plan(path, &shape, &[State::NONE]).unwrap_err().kind();
        assert_eq!(kind("/state/ml/sequential/fit", CallShape::Get), Kind::MethodNotAllowed);
        assert_eq!(kind("/state/ml/sequential/guess", CallShape::Get), Kind::NotFound);
        assert!(is_function("/state/ml/sequential/init") && !is_function("/state/ml/sequential"));
    }

    #[test]
    fn a_file_is_loaded_for_a_network_or_for_none() {
        let file = || ("safetensors".to_string(), State::Value(Value::Bytes([1u8, 2].as_slice().into())));
        let layers = || ("layers".to_string(), state(r#"["relu"]"#));
        let inputs = || ("inputs".to_string(), state("[3,4]"));
        let load = |args| call("load", args).map_err(|error| error.message().to_string());
        assert!(matches!(load(vec![file()]), Ok(Request::Load { network: None, .. })));
        assert!(matches!(load(vec![file(), layers(), inputs()]), Ok(Request::Load { network: Some(_), .. })));
        assert_eq!(load(vec![file(), layers()]).unwrap_err(), "load needs inputs, since there are layers");
        let text = ("safetensors".to_string(), state(r#""x""#));
        assert_eq!(load(vec![text]).unwrap_err(), r#"safetensors of load must be the bytes of a file, not "x""#);
    }
}
