//! Sums over products of tensors whose axes are labelled, as the clients of the first versions ask for them.
//!
//! Tensors are multiplied two at a time. A label that two of them share and nothing else needs is summed over by a matrix
//! product, so that the product of all elements is never there as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::args::Args;
use super::binary;
use super::call::{Action, reply};
use super::{build, join, matmul};
use crate::compiler::collection::schema::show;
use crate::error::{Error, Result};
use crate::value::tensor::{Binary, Layout, Node, Operand, Reduction, Shape};
use crate::value::{NumberClass, State, Tensor, Value};

/// Tensors that are multiplied. Each makes the expression deeper.
const TENSORS_MAX: usize = 16;

/// A tensor with a label for each axis; without labels, it has one element.
#[derive(Clone)]
struct Labelled {
    tensor: Arc<Tensor>,
    labels: Vec<char>,
}

/// A POST of `einsum` with a `format` such as `ij,jk->ik`, and `tensors`.
///
/// # Errors
/// `BadRequest` if the format is malformed, if it does not fit the tensors, or if a label stands for two dimensions.
pub(super) fn call(args: &Args<'_>) -> Result<Action> {
    let [format, tensors] = args.params(["format", "tensors"])?;
    let format = match args.required("format", format)? {
        State::Value(Value::String(format)) => format,
        other => return Err(args.unexpected("format", "a text such as ij,jk->ik", other)),
    };
    let tensors = join::list("tensors", args, tensors)?;
    if tensors.len() > TENSORS_MAX {
        return Err(Error::bad_request(format!("einsum is of at most {TENSORS_MAX} tensors, not {}", tensors.len())));
    }
    let (inputs, output) = parse(format)?;
    let mut operands = label(&inputs, &tensors)?;
    check(&operands, &output)?;
    if operands.iter().flat_map(|operand| &operand.labels).any(|label| !output.contains(label)) {
        // A sum of Bool counts.
        for operand in operands.iter_mut().filter(|operand| operand.tensor.dtype() == NumberClass::Bool) {
            operand.tensor = build::cast(&operand.tensor, NumberClass::I64);
        }
    }

    let Some(first) = operands.first() else { return Err(malformed(format)) };
    let mut product = first.clone();
    for (at, next) in operands.iter().enumerate().skip(1) {
        let later = &operands[at + 1..];
        let needs = |label| output.contains(&label) || later.iter().any(|other| other.labels.contains(&label));
        product = multiply(product, next.clone(), needs)?;
    }
    if output.is_empty() {
        let (of, op) = (product.tensor, Reduction::Sum);
        return Ok(if product.labels.is_empty() { Action::Element { of, offset: 0 } } else { Action::Fold { op, of } });
    }
    product.keep(|label| output.contains(&label))?.arrange(&output).map(|product| reply(product.tensor))
}

/// The sum over `axes` of a product of two tensors that stretch each other, as clients write a product of matrices: so that
/// the product of all elements is never there as a whole. Nothing if it is something else.
///
/// # Errors
/// `BadRequest` if a shape on the way is too large.
pub(super) fn contraction(of: &Tensor, axes: &[usize]) -> Result<Option<Arc<Tensor>>> {
    let Node::Binary { op: Binary::Mul, l: Operand::Tensor(l), r: Operand::Tensor(r) } = &of.node else {
        return Ok(None);
    };
    let is_stretched = |operand: &Tensor| operand.size() < of.size() && operand.dtype() == of.dtype();
    let is_dense = [of, l, r].iter().all(|tensor| tensor.schema.layout == Layout::Dense);
    if !is_dense || !is_stretched(l) || !is_stretched(r) || of.dtype() == NumberClass::Bool {
        return Ok(None);
    }
    let labels: Vec<char> = ('a'..).take(of.shape().ndim()).collect();
    let is_kept =
        |label: char| labels.iter().position(|other| *other == label).is_some_and(|axis| !axes.contains(&axis));
    // As matrices, the operands may be of a shape that is too large.
    let Ok(product) = multiply(squeezed(l, &labels)?, squeezed(r, &labels)?, is_kept) else { return Ok(None) };
    let kept: Vec<char> = labels.iter().copied().filter(|label| is_kept(*label)).collect();
    let found: Vec<char> = kept.iter().copied().filter(|label| product.labels.contains(label)).collect();
    let product = product.arrange(&found)?;
    // What is of dimension 1 in both has no label.
    let dims = labels.iter().zip(of.shape().dims()).filter(|(label, _)| kept.contains(label)).map(|(_, dim)| *dim);
    Ok(Some(build::reshape(&product.tensor, Shape::try_new(dims.collect::<Vec<u64>>())?)))
}

/// A tensor without its axes of dimension 1, and the labels of the others, which are those of the last axes.
fn squeezed(of: &Arc<Tensor>, labels: &[char]) -> Result<Labelled> {
    let own = &labels[labels.len() - of.shape().ndim()..];
    let axes = of.shape().dims().iter().copied().zip(own.iter().copied()).filter(|(dim, _)| *dim != 1);
    let (mut dims, labels): (Vec<u64>, Vec<char>) = axes.unzip();
    if dims.is_empty() {
        dims.push(1);
    }
    Ok(Labelled { tensor: build::reshape(of, Shape::try_new(dims)?), labels })
}

/// The labels of each tensor and of the result.
fn parse(format: &str) -> Result<(Vec<Vec<char>>, Vec<char>)> {
    let spaceless: String = format.chars().filter(|c| *c != ' ').collect();
    let (inputs, output) = spaceless.split_once("->").ok_or_else(|| malformed(format))?;
    let labels = |text: &str| -> Result<Vec<char>> {
        let labels: Vec<char> = text.chars().collect();
        if let Some(other) = labels.iter().find(|label| !label.is_ascii_alphabetic()) {
            return Err(Error::bad_request(format!("{other:?} is no label of an axis in the format {format:?}")));
        }
        match (1..labels.len()).find(|at| labels[..*at].contains(&labels[*at])) {
            Some(at) => {
                let label = labels[at];
                Err(Error::bad_request(format!("the label {label} is there twice in {text} of the format {format:?}")))
            }
            None => Ok(labels),
        }
    };
    Ok((inputs.split(',').map(labels).collect::<Result<_>>()?, labels(output)?))
}

/// The tensors with their labels.
fn label(inputs: &[Vec<char>], tensors: &[&Arc<Tensor>]) -> Result<Vec<Labelled>> {
    if inputs.len() != tensors.len() {
        let (inputs, tensors) = (inputs.len(), tensors.len());
        return Err(Error::bad_request(format!("the format is for {inputs} tensors, not {tensors}")));
    }
    let operands = inputs.iter().zip(tensors).map(|(labels, tensor)| {
        if labels.len() != tensor.shape().ndim() {
            let (labels, shape) = (labels.iter().collect::<String>(), tensor.shape());
            return Err(Error::bad_request(format!("the labels {labels} do not fit a tensor of shape {shape}")));
        }
        Ok(Labelled { tensor: Arc::clone(tensor), labels: labels.clone() })
    });
    operands.collect()
}

/// Checks that each label has one dimension, and that those of the result have one at all.
fn check(operands: &[Labelled], output: &[char]) -> Result<()> {
    let mut known = BTreeMap::new();
    for (label, dim) in operands.iter().flat_map(Labelled::dims) {
        let before = *known.entry(label).or_insert(dim);
        if before != dim {
            return Err(Error::bad_request(format!("the label {label} is of dimension {before}, and of {dim}")));
        }
    }
    match output.iter().find(|label| !known.contains_key(*label)) {
        Some(label) => Err(Error::bad_request(format!("the label {label} of the result is of no tensor"))),
        None => Ok(()),
    }
}

/// The product of two tensors, summed over the labels that nothing needs.
fn multiply(l: Labelled, r: Labelled, needs: impl Fn(char) -> bool) -> Result<Labelled> {
    let l = l.keep(|label| r.labels.contains(&label) || needs(label))?;
    let r = r.keep(|label| l.labels.contains(&label) || needs(label))?;
    let pick = |of: &Labelled, wanted: &dyn Fn(char) -> bool| -> Vec<char> {
        of.labels.iter().copied().filter(|label| wanted(*label)).collect()
    };
    let batch = pick(&l, &|label: char| r.labels.contains(&label) && needs(label));
    let inner = pick(&l, &|label: char| r.labels.contains(&label) && !needs(label));
    let rows = pick(&l, &|label: char| !r.labels.contains(&label));
    let columns = pick(&r, &|label: char| !l.labels.contains(&label));
    let dims: BTreeMap<char, u64> = l.dims().chain(r.dims()).collect();
    let size = |labels: &[char]| labels.iter().map(|label| dims[label]).product::<u64>();

    let labels = [batch.as_slice(), &rows, &columns].concat();
    let l = l.arrange(&[batch.as_slice(), &rows, &inner].concat())?;
    let r = r.arrange(&[batch.as_slice(), &inner, &columns].concat())?;
    let batch: Vec<u64> = batch.iter().map(|label| dims[label]).collect();
    let matrices = |of: &Labelled, m: u64, n: u64| -> Result<Arc<Tensor>> {
        Ok(build::reshape(&of.tensor, Shape::try_new([batch.as_slice(), &[m, n]].concat())?))
    };
    let (m, k, n) = (size(&rows), size(&inner), size(&columns));
    let (l, r) = (matrices(&l, m, k)?, matrices(&r, k, n)?);
    let product = match inner.is_empty() {
        // Every element of a row with every one of a column.
        true => binary::apply("einsum", Binary::Mul, &l, &Operand::Tensor(r))?,
        false => matmul::product(&l, &r)?,
    };
    let mut result: Vec<u64> = labels.iter().map(|label| dims[label]).collect();
    if result.is_empty() {
        result.push(1);
    }
    Ok(Labelled { tensor: build::reshape(&product, Shape::try_new(result)?), labels })
}

impl Labelled {
    /// The labels with their dimensions.
    fn dims(&self) -> impl Iterator<Item = (char, u64)> {
        self.labels.iter().copied().zip(self.tensor.shape().dims().iter().copied())
    }

    /// Summed over the other labels.
    fn keep(self, needs: impl Fn(char) -> bool) -> Result<Self> {
        let axes: Vec<usize> = (0..self.labels.len()).filter(|axis| !needs(self.labels[*axis])).collect();
        if axes.is_empty() {
            return Ok(self);
        }
        let labels: Vec<char> = self.labels.iter().copied().filter(|label| needs(*label)).collect();
        let tensor = build::reduce(Reduction::Sum, &self.tensor, &axes, labels.is_empty())?;
        let tensor = if labels.is_empty() { build::reshape(&tensor, Shape::try_new([1u64])?) } else { tensor };
        Ok(Self { tensor, labels })
    }

    /// With the labels in this order.
    fn arrange(self, labels: &[char]) -> Result<Self> {
        if self.labels == labels {
            return Ok(self);
        }
        let axes = labels.iter().filter_map(|label| self.labels.iter().position(|other| other == label));
        let tensor = build::transpose(&self.tensor, &axes.collect::<Vec<usize>>())?;
        Ok(Self { tensor, labels: labels.to_vec() })
    }
}

fn malformed(format: &str) -> Error {
    let state = State::from(format);
    Error::bad_request(format!("the format of einsum is a text such as ij,jk->ik, not {}", show(&state)))
}

#[cfg(test)]
mod tests {
    use crate::compiler::tensor::sample::{A, S, check, refuse};

    /// What the official client sends for `ij,jk->ik`.
    #[test]
    fn a_sum_of_a_product_that_is_stretched_is_a_product_of_matrices() {
        let program = |sum: &str| {
            let (a, b) = ("a = D(I32,[2,3])[1,2,3,4,5,6]", "b = D(I32,[3,2])[1,0,0,1,1,1]");
            let product = r#"c = $a/expand_dims [[2]]; d = $b/expand_dims [[0]]; p = $c/mul {"r":"$d"}"#;
            format!("{a}; {b}; {product}; r = $p/sum {sum}")
        };
        check(&program(r#"{"axes":[1]}"#), "D(I32,[2,2])[4,5,10,11]");
        check(&program(r#"{"axes":[0,1]}"#), "D(I32,[2])[14,16]");
        check(&program(r#"{"axes":[1,2]}"#), "D(I32,[2])[9,21]");
    }

    const B: &str = "D(I32,[3,2])[1,0,0,1,1,1]";
    const V: &str = "D(I32,[3])[1,0,2]";

    fn of(format: &str, tensors: &str) -> String {
        let tensors = format!(r#""format":"{format}","tensors":{tensors}"#);
        format!("a = {A}; b = {B}; v = {V}; s = {S}; r = ~tensor/einsum {{{tensors}}}")
    }

    #[test]
    fn one_tensor() {
        check(&of("ij->ji", r#"["$a"]"#), "D(I32,[3,2])[1,4,2,5,3,6]");
        check(&of("ij->i", r#"["$a"]"#), "D(I32,[2])[6,15]");
        check(&of("ij->", r#"["$a"]"#), "21");
        check(&of("ij -> ij", r#"["$a"]"#), A);
    }

    #[test]
    fn two_tensors() {
        check(&of("ij,jk->ik", r#"["$a","$b"]"#), "D(I32,[2,2])[4,5,10,11]");
        check(&of("ij,jk->ki", r#"["$a","$b"]"#), "D(I32,[2,2])[4,10,5,11]");
        check(&of("ij,j->i", r#"["$a","$v"]"#), "D(I32,[2])[7,16]");
        check(&of("ij,j->ij", r#"["$a","$v"]"#), "D(I32,[2,3])[1,0,6,4,0,12]");
        check(&of("i,j->ij", r#"["$v","$v"]"#), "D(I32,[3,3])[1,0,2,0,0,0,2,0,4]");
        check(&of("j,j->", r#"["$v","$v"]"#), "5");
        check(&of("ij,kj->", r#"["$a","$a"]"#), "155");
        check(&of("ij,ij->ij", r#"["$a","$s"]"#), "S(I32,[2,3])[[[0,1],10],[[1,2],-42]]");
        check(&of("ij,kl->", r#"["$a","$b"]"#), "84");
        let booleans = r#"a = D(Bool,[2,2])[1,1,0,1]; r = ~tensor/einsum {"format":"ij,jk->ik","tensors":["$a","$a"]}"#;
        check(booleans, "D(I64,[2,2])[1,2,0,1]");
    }

    #[test]
    fn many_tensors() {
        check(&of("ij,jk,kl->il", r#"["$a","$b","$a"]"#), "D(I32,[2,3])[24,33,42,54,75,96]");
        check(&of("ij,j,j->i", r#"["$a","$v","$v"]"#), "D(I32,[2])[13,28]");
    }

    #[test]
    fn formats_are_checked() {
        refuse(&of("ij", r#"["$a"]"#), r#"the format of einsum is a text such as ij,jk->ik, not "ij""#);
        refuse(&of("ij,jk->ik", r#"["$a"]"#), "the format is for 2 tensors, not 1");
        refuse(&of("i->i", r#"["$a"]"#), "the labels i do not fit a tensor of shape [2, 3]");
        refuse(&of("ii->i", r#"["$a"]"#), r#"the label i is there twice in ii of the format "ii->i""#);
        refuse(&of("i2->i", r#"["$a"]"#), r#"'2' is no label of an axis in the format "i2->i""#);
        refuse(&of("ij,ij->ij", r#"["$a","$b"]"#), "the label i is of dimension 2, and of 3");
        refuse(&of("ij->k", r#"["$a"]"#), "the label k of the result is of no tensor");
        let tensors: Vec<&str> = vec![r#""$v""#; 17];
        let format = ["i"; 17].join(",") + "->i";
        refuse(&of(&format, &format!("[{}]", tensors.join(","))), "einsum is of at most 16 tensors, not 17");
        refuse(
            "r = ~tensor/einsum {\"format\":1,\"tensors\":[]}",
            "expected a text such as ij,jk->ik as format of einsum, found 1",
        );
    }
}
