//! Programs over tensors as texts, and what they reply; for tests.
//!
//! A program is steps `name = what`, separated by `; `. A step is a tensor such as `D(I32,[2])[7,8]` or
//! `S(I32,[2])[[[1],8]]`, or a call `$name/method arguments` or `~class/path arguments`, where the arguments are `[key]`,
//! `[key, value]` or an object of parameters. `⟨I32⟩` stands for a class, `⟨1+2i⟩` for a complex number, and the string
//! `"$name"` for what a step replied. Expressions are computed element by element, by the laws of numbers.

use std::collections::HashMap;
use std::sync::Arc;

use super::call::{Action, plan};
use super::construct::construct;
use crate::compiler::collection::sample::{arguments, state};
use crate::compiler::methods::Shape as CallShape;
use crate::error::Result;
use crate::value::encode::to_json;
use crate::value::number::cast::{cast, to_f64};
use crate::value::number::compare::{collate, is_truthy};
use crate::value::number::{NumberKind, arith, math};
use crate::value::tensor::{AxisBound, Binary, Initial, Layout, Node, Operand, Reduction, Shape, TensorSchema, Unary};
use crate::value::{Class, Map, Number, NumberClass, State, Table, Tensor, TreeId, Tuple, Value};

pub(super) const A: &str = "D(I32,[2,3])[1,2,3,4,5,6]";
pub(super) const F: &str = "D(F64,[2,3])[1,2,3,4,5,6]";
pub(super) const S: &str = "S(I32,[2,3])[[[0,1],5],[[1,2],-7]]";
pub(super) const V: &str = "D(F64,[4])[1,0,-1,2]";
pub(super) const VI: &str = "D(I32,[4])[1,0,-1,2]";
pub(super) const C: &str = "D(C64,[2])[1,2,3,-1]";
pub(super) const SS: &str = "s = S(I32,[4])[[[0],5],[[1],-7],[[2],1]]; u = S(I32,[4])[[[0],5],[[1],2],[[3],4]]; \
                             a = D(I32,[4])[5,0,-1,0]";

/// Checks what a program replies. Of numbers, the shortest text counts; of tensors, layout, dtype, shape and elements.
#[track_caller]
pub(super) fn check(program: &str, expected: &str) {
    let reply = run(program).unwrap_or_else(|error| format!("{error}"));
    assert_eq!(reply, expected, "{program}");
}

/// Checks layout, dtype and shape of the reply.
#[track_caller]
pub(super) fn check_schema(program: &str, expected: &str) {
    let reply = run(program).unwrap_or_else(|error| format!("{error}"));
    let end = reply.find(')').map_or(reply.len(), |end| end + 1);
    assert_eq!(&reply[..end], expected, "{program}");
}

/// Checks the message of a bad request.
#[track_caller]
pub(super) fn refuse(program: &str, message: &str) {
    check_fault(program, &format!("bad_request: {message}"));
}

/// Checks kind and message of an error.
#[track_caller]
pub(super) fn check_fault(program: &str, expected: &str) {
    let error = run(program).expect_err(program);
    assert_eq!(format!("{}: {}", error.kind().name(), error.message()), expected, "{program}");
}

/// The reply of the last step, as text.
pub(super) fn run(program: &str) -> Result<String> {
    let mut replies = HashMap::new();
    let mut last = String::new();
    for step in program.split("; ") {
        let (name, what) = step.split_once(" = ").unwrap_or_else(|| panic!("{step} is no step"));
        let action = act(&replies, &expand(what))?;
        last = text(&action);
        if let Some(reply) = reply_of(action) {
            replies.insert(format!("${name}"), reply);
        }
    }
    Ok(last)
}

/// Writes `⟨…⟩` and `~` in full.
fn expand(text: &str) -> String {
    let mut parts = text.split('⟨');
    let mut full = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (short, rest) = part.split_once('⟩').unwrap();
        full.push_str(&match dtype(short) {
            Some(dtype) => format!("{:?}", Class::from(dtype).path()),
            None => match crate::value::number::text::parse(short) {
                Some(Number::C64(n)) => {
                    format!(r#"{{"/state/scalar/value/number/complex":[[{:?},{:?}]]}}"#, n.re, n.im)
                }
                _ => panic!("{short} is neither class nor complex number"),
            },
        });
        full.push_str(rest);
    }
    match full.strip_prefix('~') {
        Some(rest) => format!("/state/collection/tensor/{}", rest.strip_prefix("tensor/").unwrap_or(rest)),
        None => full,
    }
}

fn dtype(short: &str) -> Option<NumberClass> {
    NumberClass::ALL.into_iter().find(|dtype| format!("{dtype:?}") == short)
}

/// Performs a step as far as planning it.
fn act(replies: &HashMap<String, State>, step: &str) -> Result<Action> {
    if step.starts_with("D(") || step.starts_with("S(") {
        return literal(step);
    }
    let step = step.strip_prefix("DELETE ").map_or_else(|| step.to_string(), |rest| rest.replacen(' ', " DELETE ", 1));
    let (subject, request) = step.split_once(' ').unwrap();
    let (shape, args) = arguments(request);
    let args: Vec<State> = args.iter().map(|arg| resolve(replies, arg)).collect();
    if subject.starts_with('/') {
        return construct(subject, &shape, &args);
    }
    let (name, method) = subject.split_once('/').map_or((subject, None), |(name, method)| (name, Some(method)));
    let State::Tensor(tensor) = &replies[name] else { panic!("{name} is no tensor") };
    let tensor = if shape == CallShape::Put { base(tensor) } else { Arc::clone(tensor) };
    plan(&tensor, method, &shape, &args)
}

/// The tensor that a text such as `D(I32,[2])[7,8]` is.
fn literal(text: &str) -> Result<Action> {
    let (class, rest) = text.split_once('(').unwrap();
    let (schema, contents) = rest.split_once(')').unwrap();
    let (dtype, shape) = schema.split_once(',').unwrap();
    let dtype = self::dtype(dtype).unwrap();
    let path = if class == "D" { "/state/collection/tensor/dense" } else { "/state/collection/tensor/sparse" };
    let schema = state(&format!(r#"["{}",{shape}]"#, Class::from(dtype).path()));
    construct(path, &CallShape::Put, &[schema, state(contents)])
}

/// The argument with what its references stand for.
fn resolve(replies: &HashMap<String, State>, arg: &State) -> State {
    match arg {
        State::Value(Value::String(name)) if name.starts_with('$') => replies[&**name].clone(),
        State::Tuple(items) => {
            let items: Vec<State> = items.items().iter().map(|item| resolve(replies, item)).collect();
            Tuple::try_new(items).unwrap().into()
        }
        State::Map(map) => {
            let entries = map.iter().map(|(name, value)| (name.clone(), resolve(replies, value)));
            Map::try_new(entries.collect::<Vec<_>>()).unwrap().into()
        }
        other => other.clone(),
    }
}

/// A tensor that can be written to, if that is what was made.
fn base(tensor: &Arc<Tensor>) -> Arc<Tensor> {
    let Node::Initial(initial) = &tensor.node else { return Arc::clone(tensor) };
    let (name, schema) = ("".into(), Arc::new(tensor.schema.rows()));
    let table = Arc::new(Table { name, schema, rows: TreeId(1), indexes: vec![] });
    Arc::new(Tensor::of(&table, &tensor.schema, Arc::clone(initial)))
}

fn reply_of(action: Action) -> Option<State> {
    match action {
        Action::Done(state) => Some(state),
        Action::Tensor(tensor) => Some(tensor.into()),
        Action::Make { schema, initial } => Some(Tensor::new(schema, Node::Initial(Arc::new(initial))).into()),
        Action::Element { .. } | Action::Fold { .. } | Action::Norm { .. } => None,
        Action::Hash(_) | Action::Write { .. } => None,
    }
}

fn text(action: &Action) -> String {
    match action {
        Action::Done(State::Tensor(tensor)) => tensor_text(tensor),
        Action::Done(state) => to_json(state),
        Action::Tensor(tensor) => tensor_text(tensor),
        Action::Element { of, offset } => elements(of)[*offset as usize].to_string(),
        Action::Fold { op, of } => fold(*op, elements(of).into_iter().map(widened)).to_string(),
        Action::Norm { dtype, .. } => format!("norm {dtype:?}"),
        Action::Hash(_) => "hash".into(),
        Action::Make { schema, initial: initial @ Initial::Random { .. } } => {
            format!("make {} {initial:?}", schema_text(schema))
        }
        Action::Make { schema, initial } => {
            let numbers = initial_elements(schema, initial);
            elements_text(schema, &numbers)
        }
        Action::Write { bounds, value, .. } => {
            let bounds: Vec<String> = bounds.iter().map(bound_text).collect();
            let value = match value {
                Operand::Tensor(tensor) => tensor_text(tensor),
                Operand::Number(number) => number.to_string(),
            };
            format!("write {} ← {value}", bounds.join(" "))
        }
    }
}

fn bound_text(bound: &AxisBound) -> String {
    match bound {
        AxisBound::At(at) => at.to_string(),
        AxisBound::Range(from, to) => format!("{from}..{to}"),
        AxisBound::Positions(positions) => format!("{positions:?}"),
    }
}

fn tensor_text(tensor: &Tensor) -> String {
    elements_text(&tensor.schema, &elements(tensor))
}

fn schema_text(schema: &TensorSchema) -> String {
    let layout = if schema.layout == Layout::Dense { "D" } else { "S" };
    format!("{layout}({:?},{})", schema.dtype, schema.shape.to_string().replace(' ', ""))
}

fn elements_text(schema: &TensorSchema, numbers: &[Number]) -> String {
    let parts = |number: &Number| match *number {
        Number::C32(n) => vec![n.re.to_string(), n.im.to_string()],
        Number::C64(n) => vec![n.re.to_string(), n.im.to_string()],
        real => vec![real.to_string()],
    };
    assert!(numbers.iter().all(|number| number.class() == schema.dtype), "{numbers:?} are not of {schema:?}");
    assert_eq!(numbers.len() as u64, schema.shape.size());
    let listed: Vec<String> = match schema.layout {
        Layout::Dense => numbers.iter().flat_map(parts).collect(),
        Layout::Sparse => {
            let entries = (0..).zip(numbers).filter(|(_, number)| is_truthy(**number)).map(|(offset, number)| {
                let coord: Vec<String> = schema.shape.coord(offset).iter().map(u64::to_string).collect();
                let element = match parts(number).as_slice() {
                    [only] => only.clone(),
                    parts => format!("[{}]", parts.join(",")),
                };
                format!("[[{}],{element}]", coord.join(","))
            });
            entries.collect()
        }
    };
    format!("{}[{}]", schema_text(schema), listed.join(","))
}

/// All elements of an expression.
fn elements(tensor: &Tensor) -> Vec<Number> {
    let (dtype, shape) = (tensor.dtype(), tensor.shape());
    let coords = || (0..shape.size()).map(move |offset| shape.coord(offset));
    let at = |of: &Tensor, all: &[Number], coord: &[u64]| all[of.shape().offset(coord) as usize];
    match &tensor.node {
        Node::Base(_) | Node::Stored { .. } => panic!("nothing is stored"),
        Node::Initial(initial) => initial_elements(&tensor.schema, initial),
        Node::Reshape { of } | Node::Relayout { of } => elements(of),
        Node::Cast { of } => elements(of).into_iter().map(|number| cast(number, dtype)).collect(),
        Node::Unary { op, of } => elements(of).into_iter().map(|number| unary(*op, number)).collect(),
        Node::Broadcast { of } => repeated(&Operand::Tensor(Arc::clone(of)), shape),
        Node::Binary { op, l, r } => {
            let pairs = repeated(l, shape).into_iter().zip(repeated(r, shape));
            pairs.map(|(l, r)| binary(*op, l, r, dtype)).collect()
        }
        Node::Select { condition, then, or_else } => {
            let condition = repeated(&Operand::Tensor(Arc::clone(condition)), shape);
            let choices = repeated(then, shape).into_iter().zip(repeated(or_else, shape));
            condition
                .into_iter()
                .zip(choices)
                .map(|(c, (then, or_else))| if is_truthy(c) { then } else { or_else })
                .collect()
        }
        Node::Slice { of, bounds } => {
            let all = elements(of);
            let source = |coord: Vec<u64>| -> Vec<u64> {
                let mut coord = coord.into_iter();
                let mut next = || coord.next().unwrap();
                let places = bounds.iter().map(|bound| match bound {
                    AxisBound::At(at) => *at,
                    AxisBound::Range(from, _) => from + next(),
                    AxisBound::Positions(positions) => positions[next() as usize],
                });
                places.collect()
            };
            coords().map(|coord| at(of, &all, &source(coord))).collect()
        }
        Node::Transpose { of, permutation } => {
            let all = elements(of);
            let source = |coord: Vec<u64>| {
                let mut source = vec![0; coord.len()];
                permutation.iter().zip(coord).for_each(|(axis, at)| source[*axis] = at);
                source
            };
            coords().map(|coord| at(of, &all, &source(coord))).collect()
        }
        Node::Reduce { op, of, axes } => {
            let all = elements(of);
            let keeps = of.shape().ndim() == shape.ndim();
            let mut groups: Vec<Vec<Number>> = vec![vec![]; all.len().min(shape.size() as usize)];
            for (offset, number) in (0..).zip(all) {
                let places = of.shape().coord(offset).into_iter().enumerate();
                let coord: Vec<u64> = places
                    .filter_map(|(axis, at)| if axes.contains(&axis) { keeps.then_some(0) } else { Some(at) })
                    .collect();
                groups[shape.offset(&coord) as usize].push(number);
            }
            groups.into_iter().map(|group| cast(fold(*op, group.into_iter()), dtype)).collect()
        }
        Node::MatMul { l, r } => matrix_product(tensor, l, r),
        Node::Diagonal { of } => {
            let all = elements(of);
            coords()
                .map(|mut coord| {
                    coord.extend(coord.last().copied());
                    at(of, &all, &coord)
                })
                .collect()
        }
        Node::Concatenate { axis, parts } => coords()
            .map(|mut coord| {
                for part in parts.iter() {
                    let dim = part.shape().dims()[*axis];
                    if coord[*axis] < dim {
                        return at(part, &elements(part), &coord);
                    }
                    coord[*axis] -= dim;
                }
                panic!("no part has {coord:?}")
            })
            .collect(),
        Node::Tile { of, .. } => {
            let all = elements(of);
            let wrapped =
                |coord: Vec<u64>| coord.iter().zip(of.shape().dims()).map(|(at, dim)| at % dim).collect::<Vec<_>>();
            coords().map(|coord| at(of, &all, &wrapped(coord))).collect()
        }
        Node::ArgSort { of } => {
            let row = *shape.dims().last().unwrap() as usize;
            let all = elements(of);
            let sorted = all.chunks(row).map(|row| {
                let mut places: Vec<usize> = (0..row.len()).collect();
                places.sort_by(|l, r| collate(row[*l], row[*r]));
                places
            });
            sorted.collect::<Vec<_>>().concat().into_iter().map(|place| Number::I64(place as i64)).collect()
        }
    }
}

fn initial_elements(schema: &TensorSchema, initial: &Initial) -> Vec<Number> {
    let size = schema.shape.size();
    match initial {
        Initial::Fill(number) => vec![*number; size as usize],
        Initial::Elements(elements) => elements.iter().collect(),
        Initial::Copy(of) => {
            assert_eq!(of.schema, *schema);
            elements(of)
        }
        Initial::Range { start, stop } => {
            let (start, stop) = (to_f64(*start), to_f64(*stop));
            let step = |at: u64| start + at as f64 * (stop - start) / size as f64;
            (0..size).map(|at| cast(Number::F64(step(at)), schema.dtype)).collect()
        }
        Initial::Entries(entries) => {
            let mut all = vec![schema.zero(); size as usize];
            entries
                .offsets
                .iter()
                .zip(entries.values.iter())
                .for_each(|(offset, number)| all[*offset as usize] = number);
            all
        }
        Initial::Eye => {
            let coords = (0..size).map(|offset| schema.shape.coord(offset));
            coords.map(|coord| Number::Bool(coord[0] == coord[1])).collect()
        }
        Initial::Random { .. } => panic!("random elements are drawn by the executor"),
    }
}

/// The elements of an operand in a shape that it broadcasts to.
fn repeated(operand: &Operand, shape: &Shape) -> Vec<Number> {
    match operand {
        Operand::Number(number) => vec![*number; shape.size() as usize],
        Operand::Tensor(of) => {
            let (all, dims) = (elements(of), of.shape().dims());
            let source = |coord: Vec<u64>| -> Vec<u64> {
                let aligned = &coord[coord.len() - dims.len()..];
                aligned.iter().zip(dims).map(|(at, dim)| if *dim == 1 { 0 } else { *at }).collect()
            };
            let coords = (0..shape.size()).map(|offset| shape.coord(offset));
            coords.map(|coord| all[of.shape().offset(&source(coord)) as usize]).collect()
        }
    }
}

fn matrix_product(tensor: &Tensor, l: &Arc<Tensor>, r: &Arc<Tensor>) -> Vec<Number> {
    let batch = |of: &Tensor| of.shape().dims().len() - 2;
    let pick = |of: &Tensor, all: &[Number], coord: &[u64], place: [u64; 2]| {
        let dims = of.shape().dims();
        let leading = &coord[coord.len() - 2 - batch(of)..coord.len() - 2];
        let mut source: Vec<u64> = leading.iter().zip(dims).map(|(at, dim)| if *dim == 1 { 0 } else { *at }).collect();
        source.extend(place);
        all[of.shape().offset(&source) as usize]
    };
    let (l_all, r_all) = (elements(l), elements(r));
    let inner = *l.shape().dims().last().unwrap();
    let coords = (0..tensor.size()).map(|offset| tensor.shape().coord(offset));
    let dots = coords.map(|coord| {
        let (row, column) = (coord[coord.len() - 2], coord[coord.len() - 1]);
        let products = (0..inner).map(|at| {
            let (l, r) = (pick(l, &l_all, &coord, [row, at]), pick(r, &r_all, &coord, [at, column]));
            binary(Binary::Mul, l, r, tensor.dtype())
        });
        fold(Reduction::Sum, products)
    });
    dots.map(|dot| cast(dot, tensor.dtype())).collect()
}

/// A number as full sums count it.
fn widened(number: Number) -> Number {
    match number.class().kind() {
        NumberKind::Bool | NumberKind::UInt | NumberKind::Int => cast(number, NumberClass::I64),
        _ => number,
    }
}

fn fold(op: Reduction, numbers: impl Iterator<Item = Number>) -> Number {
    let combine = |l: Number, r: Number| match op {
        Reduction::Sum => arith::add(l, r).unwrap(),
        Reduction::Product => arith::mul(l, r).unwrap(),
        Reduction::Max => {
            if collate(l, r).is_ge() {
                l
            } else {
                r
            }
        }
        Reduction::Min => {
            if collate(l, r).is_le() {
                l
            } else {
                r
            }
        }
        Reduction::All => Number::Bool(is_truthy(l) && is_truthy(r)),
        Reduction::Any => Number::Bool(is_truthy(l) || is_truthy(r)),
    };
    let folded = numbers.reduce(combine).unwrap();
    match op {
        Reduction::All | Reduction::Any => Number::Bool(is_truthy(folded)),
        _ => folded,
    }
}

fn unary(op: Unary, number: Number) -> Number {
    let function: fn(Number) -> Result<Number> = match op {
        Unary::Abs => math::abs,
        Unary::Exp => math::exp,
        Unary::Log => math::ln,
        Unary::Round => math::round,
        Unary::Sin => math::sin,
        Unary::Cos => math::cos,
        Unary::Tan => math::tan,
        Unary::Asin => math::asin,
        Unary::Acos => math::acos,
        Unary::Atan => math::atan,
        Unary::Sinh => math::sinh,
        Unary::Cosh => math::cosh,
        Unary::Tanh => math::tanh,
        Unary::Asinh => math::asinh,
        Unary::Acosh => math::acosh,
        Unary::Atanh => math::atanh,
        Unary::Not => |number| Ok(Number::Bool(!is_truthy(number))),
    };
    function(number).unwrap()
}

fn binary(op: Binary, l: Number, r: Number, dtype: NumberClass) -> Number {
    let (l_truth, r_truth) = (is_truthy(l), is_truthy(r));
    let zero = cast(Number::Bool(false), dtype);
    let number = match op {
        Binary::And => return Number::Bool(l_truth && r_truth),
        Binary::Or => return Number::Bool(l_truth || r_truth),
        Binary::Xor => return Number::Bool(l_truth != r_truth),
        op if op.is_predicate() => return Number::Bool(super::sparse::holds(op, l, r)),
        Binary::Add => arith::add(l, r),
        Binary::Sub if dtype == NumberClass::Bool => Ok(Number::Bool(l_truth && !r_truth)),
        Binary::Sub => arith::sub(l, r),
        Binary::Mul => arith::mul(l, r),
        Binary::Div | Binary::Mod if !r_truth => Ok(zero),
        Binary::Div => arith::div(l, r),
        Binary::Mod => arith::rem(l, r).and_then(|rest| match to_f64(rest) * to_f64(r) < 0.0 {
            true => arith::add(rest, r),
            false => Ok(rest),
        }),
        Binary::Pow => arith::pow(l, r),
        _ => math::log(l, Some(r)),
    };
    // Both operands are of the dtype of the result.
    assert_eq!((l.class(), r.class()), (dtype, dtype), "{op:?}");
    cast(number.unwrap(), dtype)
}
