//! Writing tensors: as the literal that makes an equal one, so that a reply can be sent back.

use super::encode::Encoder;
use super::tensor::{Elements, Initial, Node, Tensor};
use super::{Class, Number};

/// Writes `{class: [[dtype, shape], elements]}` with the elements that were computed for the reply; none if none were.
///
/// Elements of a dense tensor are a flat list in row-major order, in which a complex number is two. Those of a sparse one
/// are `[coordinate, element]` in the order of the coordinates, where a complex number is a list of two.
pub(super) fn encode_tensor(tensor: &Tensor, out: &mut impl Encoder) {
    out.begin_map();
    out.key(tensor.class().path());
    out.begin_list();
    out.item();
    encode_schema(tensor, out);
    out.item();
    out.begin_list();
    if let Node::Initial(initial) = &tensor.node {
        encode_initial(tensor, initial, out);
    }
    out.end_list();
    out.end_list();
    out.end_map();
}

/// Writes `[dtype, shape]`.
pub(super) fn encode_schema(tensor: &Tensor, out: &mut impl Encoder) {
    out.begin_list();
    out.item();
    out.string(Class::from(tensor.dtype()).path());
    out.item();
    encode_offsets(tensor.shape().dims(), out);
    out.end_list();
}

fn encode_initial(tensor: &Tensor, initial: &Initial, out: &mut impl Encoder) {
    match initial {
        Initial::Elements(elements) => encode_elements(elements, out),
        Initial::Entries(entries) => {
            for (offset, element) in entries.offsets.iter().zip(entries.values.iter()) {
                out.item();
                out.begin_list();
                out.item();
                encode_offsets(&tensor.shape().coord(*offset), out);
                out.item();
                encode_element(element, out);
                out.end_list();
            }
        }
        _ => {}
    }
}

fn encode_offsets(offsets: &[u64], out: &mut impl Encoder) {
    out.begin_list();
    for offset in offsets {
        out.item();
        out.number(Number::U64(*offset));
    }
    out.end_list();
}

fn encode_elements(elements: &Elements, out: &mut impl Encoder) {
    for element in elements.iter() {
        for part in parts(element).into_iter().flatten() {
            out.item();
            out.number(short(part));
        }
    }
}

/// Writes an element by itself: a complex one as a list of its parts.
fn encode_element(element: Number, out: &mut impl Encoder) {
    match parts(element) {
        [Some(re), Some(im)] => {
            out.begin_list();
            out.item();
            out.number(short(re));
            out.item();
            out.number(short(im));
            out.end_list();
        }
        _ => out.number(short(element)),
    }
}

/// A whole number without a fraction, which is shorter to write. The dtype says what it is.
fn short(number: Number) -> Number {
    /// Larger floats are whole anyway, and written in their own way.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float = match number {
        // The digits that tell it from other floats of its width, where not all do.
        Number::F32(n) if n.abs() >= 16_777_216.0 && n.is_finite() => {
            n.to_string().parse().unwrap_or_else(|_| n.into())
        }
        Number::F32(n) => f64::from(n),
        Number::F64(n) => n,
        other => return other,
    };
    let is_whole = float.trunc() == float && float.abs() < EXACT && !(float == 0.0 && float.is_sign_negative());
    if is_whole { Number::I64(float as i64) } else { number }
}

/// The real parts that a number is written as.
fn parts(number: Number) -> [Option<Number>; 2] {
    match number {
        Number::C32(n) => [Some(Number::F32(n.re)), Some(Number::F32(n.im))],
        Number::C64(n) => [Some(Number::F64(n.re)), Some(Number::F64(n.im))],
        real => [Some(real), None],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::value::encode::to_json;
    use crate::value::tensor::{Entries, Layout, Shape, TensorSchema};
    use crate::value::{NumberClass, State};

    fn json(layout: Layout, dtype: NumberClass, dims: &[u64], initial: Initial) -> String {
        let schema = TensorSchema { layout, dtype, shape: Shape::try_new(dims).unwrap() };
        let state = State::from(Tensor::new(schema, Node::Initial(Arc::new(initial))));
        to_json(&state)
    }

    #[test]
    fn elements_are_flat_and_entries_have_coordinates() {
        let numbers = [1.0, 2.0, 3.0, 4.0, 5.0, 6.5].map(Number::F64);
        let elements = Elements::from_numbers(NumberClass::F32, numbers);
        assert_eq!(
            json(Layout::Dense, NumberClass::F32, &[2, 3], Initial::Elements(elements)),
            r#"{"/state/collection/tensor/dense":[["/state/scalar/value/number/float/32",[2,3]],[1,2,3,4,5,6.5]]}"#
        );
        let values = Elements::from_numbers(NumberClass::I32, [5, -7].map(Number::I64));
        let entries = Entries { offsets: [1, 5].into(), values };
        assert_eq!(
            json(Layout::Sparse, NumberClass::I32, &[2, 3], Initial::Entries(entries)),
            r#"{"/state/collection/tensor/sparse":[["/state/scalar/value/number/int/32",[2,3]],[[[0,1],5],[[1,2],-7]]]}"#
        );
    }

    #[test]
    fn complex_elements_are_pairs() {
        let values = Elements::from_vec(NumberClass::C64, vec![1.0, 2.0, 0.0, -1.0]);
        let (path, schema) = ("/state/collection/tensor", r#"["/state/scalar/value/number/complex/64",[2]]"#);
        assert_eq!(
            json(Layout::Dense, NumberClass::C64, &[2], Initial::Elements(values.clone())),
            format!(r#"{{"{path}/dense":[{schema},[1,2,0,-1]]}}"#)
        );
        let entries = Entries { offsets: [0, 1].into(), values };
        assert_eq!(
            json(Layout::Sparse, NumberClass::C64, &[2], Initial::Entries(entries)),
            format!(r#"{{"{path}/sparse":[{schema},[[[0],[1,2]],[[1],[0,-1]]]]}}"#)
        );
    }
}
