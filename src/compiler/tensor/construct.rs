//! What makes tensors: the paths below those of the classes.

use super::args::Args;
use super::call::Action;
use super::load::{copy, load};
use super::{einsum, join, promote, schema};
use crate::compiler::collection::schema::{items, show, whole_number};
use crate::compiler::methods::Shape;
use crate::error::{Error, Result};
use crate::value::number::NumberKind;
use crate::value::number::cast::{cast, to_f64};
use crate::value::number::compare::partial_compare;
use crate::value::tensor::{self, Distribution, Initial, Layout, TensorSchema};
use crate::value::{Number, NumberClass, State, Value};

/// The path of all tensors.
const ROOT: &str = "/state/collection/tensor";

/// What makes a tensor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Constructor {
    /// The path of the class itself.
    Class(Layout),
    Load(Option<Layout>),
    Constant,
    Range,
    Uniform,
    Normal,
    Eye,
    Concatenate,
    Copy,
    CopyFrom(Layout),
    Tile,
    Einsum,
}

impl Constructor {
    /// The constructor at a path.
    fn at(path: &str) -> Option<Self> {
        Some(match path.strip_prefix(ROOT)? {
            "/dense" => Constructor::Class(Layout::Dense),
            "/sparse" => Constructor::Class(Layout::Sparse),
            "/load" => Constructor::Load(None),
            "/dense/load" => Constructor::Load(Some(Layout::Dense)),
            "/sparse/load" => Constructor::Load(Some(Layout::Sparse)),
            "/dense/constant" => Constructor::Constant,
            "/dense/range" => Constructor::Range,
            "/dense/random" | "/dense/random/uniform" => Constructor::Uniform,
            "/dense/random/normal" => Constructor::Normal,
            "/sparse/eye" => Constructor::Eye,
            "/dense/concatenate" => Constructor::Concatenate,
            "/copy_from" => Constructor::Copy,
            "/dense/copy_from" => Constructor::CopyFrom(Layout::Dense),
            "/sparse/copy_from" => Constructor::CopyFrom(Layout::Sparse),
            "/tile" => Constructor::Tile,
            "/einsum" => Constructor::Einsum,
            _ => return None,
        })
    }
}

/// Whether the path of a class with what follows, such as `/state/collection/tensor/dense/load`, makes tensors.
pub fn is_constructor(path: &str) -> bool {
    Constructor::at(path).is_some()
}

/// What a call of a path that makes tensors asks for. The arguments are those of `shape`, in its order. Seeds of random
/// elements are 0: whoever makes the tensor draws them.
///
/// # Errors
/// `NotFound` if nothing is made there, `MethodNotAllowed` for another verb, `BadRequest` for arguments that make no sense.
pub fn construct(path: &str, shape: &Shape, args: &[State]) -> Result<Action> {
    let constructor = Constructor::at(path).ok_or_else(|| Error::not_found(path))?;
    let name = path.rsplit('/').next().unwrap_or(path);
    let args = Args::new(name, shape, args);
    match constructor {
        Constructor::Class(layout) => class(layout, &args),
        Constructor::Load(layout) => {
            let key = get(&args, "[schema, elements]")?;
            let Some([schema, elements]) = items(key) else { return Err(malformed(&args, "[schema, elements]", key)) };
            load(layout, schema, elements)
        }
        Constructor::Constant => constant(&args),
        Constructor::Range => range(&args),
        Constructor::Uniform => random(schema::shape(get(&args, "a shape")?)?, Distribution::Uniform),
        Constructor::Normal => normal(&args),
        Constructor::Eye => eye(&args),
        Constructor::Concatenate => join::concatenate(&args),
        Constructor::Copy => {
            let [tensor] = args.params(["tensor"])?;
            let tensor = args.tensor("tensor", tensor)?;
            copy(tensor.schema.clone(), tensor)
        }
        Constructor::CopyFrom(layout) => {
            let [schema, source] = args.params(["schema", "source"])?;
            let schema = schema::schema(layout, args.required("schema", schema)?)?;
            copy(schema, args.tensor("source", source)?)
        }
        Constructor::Tile => join::tile(&args),
        Constructor::Einsum => einsum::call(&args),
    }
}

/// A literal: a schema, with elements or without.
fn class(layout: Layout, args: &Args<'_>) -> Result<Action> {
    let none = State::NONE;
    let schema = args.at(0).unwrap_or(&none);
    match args.shape() {
        Shape::Get => {
            let schema = schema::schema(layout, schema)?;
            Ok(Action::Make { initial: Initial::Fill(schema.zero()), schema })
        }
        Shape::Put => load(Some(layout), schema, args.at(1).unwrap_or(&none)),
        _ => Err(args.not_allowed()),
    }
}

fn constant(args: &Args<'_>) -> Result<Action> {
    let key = get(args, "[shape, number]")?;
    match items(key) {
        Some([shape, State::Value(Value::Number(number))]) => {
            Ok(dense(number.class(), schema::shape(shape)?, Initial::Fill(*number)))
        }
        _ => Err(malformed(args, "[shape, number]", key)),
    }
}

fn range(args: &Args<'_>) -> Result<Action> {
    let key = get(args, "[shape, start, stop]")?;
    let Some([shape, State::Value(Value::Number(start)), State::Value(Value::Number(stop))]) = items(key) else {
        return Err(malformed(args, "[shape, start, stop]", key));
    };
    let dtype = promote::tensors(start.class(), stop.class());
    let (start, stop) = (cast(*start, dtype), cast(*stop, dtype));
    let are_ordered = partial_compare(start, stop).is_some_and(|order| order.is_le());
    let is_finite = |number: Number| to_f64(number).is_finite();
    if dtype.kind() == NumberKind::Bool || !are_ordered || !is_finite(start) || !is_finite(stop) {
        return Err(Error::bad_request(format!("there is no range from {start} to {stop}")));
    }
    Ok(dense(dtype, schema::shape(shape)?, Initial::Range { start, stop }))
}

/// Normal distribution: of mean 0 and deviation 1 for a GET of a shape, as the parameters say for a POST.
fn normal(args: &Args<'_>) -> Result<Action> {
    let (shape, mean, std) = match args.shape() {
        Shape::Get => (get(args, "a shape")?, None, None),
        _ => {
            let [shape, mean, std] = args.params(["shape", "mean", "std"])?;
            (args.required("shape", shape)?, mean, std)
        }
    };
    let real = |param: &str, found: Option<&State>, default: f64| match found {
        None => Ok(default),
        Some(State::Value(Value::Number(n))) if !promote::is_complex(n.class()) && to_f64(*n).is_finite() => {
            Ok(to_f64(*n))
        }
        Some(other) => Err(args.unexpected(param, "a real number", other)),
    };
    let (mean, deviation) = (real("mean", mean, 0.0)?, real("std", std, 1.0)?);
    if deviation < 0.0 {
        return Err(Error::bad_request(format!("a standard deviation is not negative, as {deviation} is")));
    }
    random(schema::shape(shape)?, Distribution::Normal { mean, deviation })
}

fn random(shape: tensor::Shape, distribution: Distribution) -> Result<Action> {
    Ok(dense(NumberClass::F32, shape, Initial::Random { seed: 0, distribution }))
}

fn eye(args: &Args<'_>) -> Result<Action> {
    let key = get(args, "a size")?;
    if whole_number(key).is_none() {
        return Err(malformed(args, "a size", key));
    }
    let size = schema::dimension(key)?;
    let shape = tensor::Shape::try_new([size, size])?;
    Ok(Action::Make {
        schema: TensorSchema { layout: Layout::Sparse, dtype: NumberClass::Bool, shape },
        initial: Initial::Eye,
    })
}

fn dense(dtype: NumberClass, shape: tensor::Shape, initial: Initial) -> Action {
    Action::Make { schema: TensorSchema { layout: Layout::Dense, dtype, shape }, initial }
}

/// The key of a GET that needs one.
fn get<'a>(args: &Args<'a>, expected: &str) -> Result<&'a State> {
    match args.shape() {
        Shape::Get => args.required(expected, args.at(0)),
        _ => Err(args.not_allowed()),
    }
}

fn malformed(args: &Args<'_>, expected: &str, found: &State) -> Error {
    Error::bad_request(format!("{} needs {expected}, not {}", args.name, show(found)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::tensor::sample::{A, S, check, check_fault, refuse};

    #[test]
    fn literals() {
        check("r = ~dense [[⟨I32⟩,[2,2]]]", "D(I32,[2,2])[0,0,0,0]");
        check("r = ~dense [[[⟨I32⟩,[2,2]]]]", "D(I32,[2,2])[0,0,0,0]");
        check("r = ~dense [[⟨I32⟩,[2,2]],[1,2,3,4]]", "D(I32,[2,2])[1,2,3,4]");
        check("r = ~dense [[[2,2],⟨I32⟩],[1,2,3,4]]", "D(I32,[2,2])[1,2,3,4]");
        check("r = ~sparse [[⟨I32⟩,[2,2]]]", "S(I32,[2,2])[]");
        check("r = ~sparse [[⟨I32⟩,[2,2]],[[[0,1],3]]]", "S(I32,[2,2])[[[0,1],3]]");
        check("r = ~sparse [[[2,2],⟨Bool⟩]]", "S(Bool,[2,2])[]");
        refuse("r = ~dense [null]", "the schema of a tensor is [dtype, shape], not null");
        check_fault("r = ~dense {}", "method_not_allowed: dense does not support POST");
    }

    #[test]
    fn constants() {
        check("r = ~dense/constant [[[2],3]]", "D(I64,[2])[3,3]");
        check("r = ~dense/constant [[[2],3.0]]", "D(F64,[2])[3,3]");
        check("r = ~dense/constant [[[2],true]]", "D(Bool,[2])[true,true]");
        check("r = ~dense/constant [[[2],⟨1+2i⟩]]", "D(C64,[2])[1,2,1,2]");
        refuse(r#"r = ~dense/constant [[[2],"x"]]"#, r#"constant needs [shape, number], not [[2],"x"]"#);
        refuse("r = ~dense/constant [null]", "constant needs [shape, number]");
        check_fault("r = ~dense/constant [[2],3]", "method_not_allowed: constant does not support PUT");
    }

    #[test]
    fn ranges() {
        check("r = ~dense/range [[[2,3],0,6]]", "D(I64,[2,3])[0,1,2,3,4,5]");
        check("r = ~dense/range [[[4],0.0,1.0]]", "D(F64,[4])[0,0.25,0.5,0.75]");
        check("r = ~dense/range [[[4],0,6]]", "D(I64,[4])[0,1,3,4]");
        check("r = ~dense/range [[[4],0,1.0]]", "D(F64,[4])[0,0.25,0.5,0.75]");
        check("r = ~dense/range [[[2],2,2]]", "D(I64,[2])[2,2]");
        refuse("r = ~dense/range [[[4],6,0]]", "there is no range from 6 to 0");
        refuse("r = ~dense/range [[[4],0]]", "range needs [shape, start, stop], not [[4],0]");
        refuse("r = ~dense/range [[[4],0,⟨1+2i⟩]]", "there is no range from 0+0i to 1+2i");
    }

    #[test]
    fn random_elements() {
        let uniform = "make D(F32,[2,3]) Random { seed: 0, distribution: Uniform }";
        check("r = ~dense/random/uniform [[2,3]]", uniform);
        check("r = ~dense/random [[2,3]]", uniform);
        let normal = |mean: f64, deviation: f64| {
            let distribution = format!("Normal {{ mean: {mean:?}, deviation: {deviation:?} }}");
            format!("make D(F32,[3]) Random {{ seed: 0, distribution: {distribution} }}")
        };
        check("r = ~dense/random/normal [[3]]", &normal(0.0, 1.0));
        check(r#"r = ~dense/random/normal {"shape":[3]}"#, &normal(0.0, 1.0));
        check(r#"r = ~dense/random/normal {"shape":[3],"mean":1.5,"std":0.0}"#, &normal(1.5, 0.0));
        refuse(r#"r = ~dense/random/normal {"mean":1.5}"#, "normal needs shape");
        refuse(r#"r = ~dense/random/normal {"shape":[3],"std":-1}"#, "a standard deviation is not negative, as -1 is");
        refuse(
            r#"r = ~dense/random/normal {"shape":[3],"mean":"x"}"#,
            r#"expected a real number as mean of normal, found "x""#,
        );
    }

    #[test]
    fn identities() {
        check("r = ~sparse/eye [2]", "S(Bool,[2,2])[[[0,0],true],[[1,1],true]]");
        refuse("r = ~sparse/eye [0]", "0 is no dimension of a tensor: expected 1 to 4294967295");
        refuse("r = ~sparse/eye [[2]]", "eye needs a size, not [2]");
    }

    #[test]
    fn copies() {
        check(&format!(r#"a = {A}; r = ~tensor/copy_from {{"tensor":"$a"}}"#), A);
        check(&format!(r#"a = {S}; r = ~tensor/copy_from {{"tensor":"$a"}}"#), S);
        let into = |class: &str, schema: &str| {
            format!(r#"a = {A}; r = ~{class}/copy_from {{"schema":{schema},"source":"$a"}}"#)
        };
        check(&into("dense", "[⟨F64⟩,[2,3]]"), "D(F64,[2,3])[1,2,3,4,5,6]");
        check(&into("dense", "[⟨I32⟩,[1,2,3]]"), "D(I32,[1,2,3])[1,2,3,4,5,6]");
        let sparse = "S(I32,[2,3])[[[0,0],1],[[0,1],2],[[0,2],3],[[1,0],4],[[1,1],5],[[1,2],6]]";
        check(&into("sparse", "[⟨I32⟩,[2,3]]"), sparse);
        refuse(&into("dense", "[⟨I32⟩,[3]]"), "cannot broadcast a tensor of shape [2, 3] to [3]");
        refuse(r#"r = ~tensor/copy_from {"tensor":1}"#, "expected a tensor as tensor of copy_from, found 1");
    }

    #[test]
    fn there_are_no_other_paths() {
        for path in ["", "/sparse/concatenate", "/sparse/constant", "/dense/eye", "/dense/loads", "s"] {
            let path = format!("{ROOT}{path}");
            assert!(!is_constructor(&path));
            let error = construct(&path, &Shape::Get, &[State::NONE]).unwrap_err();
            assert_eq!((error.kind(), error.message()), (crate::error::Kind::NotFound, path.as_str()));
        }
        assert!(!is_constructor("/state/collection/table/load"));
        assert!(is_constructor("/state/collection/tensor/dense"));
    }
}
