//! The hash of a tensor: SHA-256 over its class, its schema and its elements.
//!
//! As in [`super::hash`], parts are hashed first: the path of the class, the text of the schema, and the elements that
//! are not zero, each with its number, as 8 and as many bytes as it has, in little-endian order. So elements can come
//! piece by piece.

use sha2::{Digest, Sha256};

use super::encode::Json;
use super::encode_tensor::encode_schema;
use super::number::compare::is_truthy;
use super::tensor::{Initial, Node};
use super::{Id, Number, Tensor};

/// Hashes a tensor whose elements come in ascending order.
#[derive(Clone, Debug)]
pub struct TensorHasher {
    head: Sha256,
    elements: Sha256,
}

impl TensorHasher {
    /// The hasher of a tensor with the schema of this one, which has seen no element yet.
    pub fn new(tensor: &Tensor) -> Self {
        let mut json = Json::default();
        encode_schema(tensor, &mut json);
        let mut head = Sha256::new();
        head.update(Sha256::digest(tensor.class().path()));
        head.update(Sha256::digest(json.into_bytes()));
        Self { head, elements: Sha256::new() }
    }

    /// Adds the element with this number. Zeros count as if they were not there.
    pub fn element(&mut self, offset: u64, element: Number) {
        if !is_truthy(element) {
            return;
        }
        self.elements.update(offset.to_le_bytes());
        match element {
            Number::Bool(n) => self.elements.update([u8::from(n)]),
            Number::U8(n) => self.elements.update(n.to_le_bytes()),
            Number::U16(n) => self.elements.update(n.to_le_bytes()),
            Number::U32(n) => self.elements.update(n.to_le_bytes()),
            Number::U64(n) => self.elements.update(n.to_le_bytes()),
            Number::I16(n) => self.elements.update(n.to_le_bytes()),
            Number::I32(n) => self.elements.update(n.to_le_bytes()),
            Number::I64(n) => self.elements.update(n.to_le_bytes()),
            Number::F32(n) => self.elements.update(n.to_le_bytes()),
            Number::F64(n) => self.elements.update(n.to_le_bytes()),
            Number::C32(n) => {
                self.elements.update(n.re.to_le_bytes());
                self.elements.update(n.im.to_le_bytes());
            }
            Number::C64(n) => {
                self.elements.update(n.re.to_le_bytes());
                self.elements.update(n.im.to_le_bytes());
            }
        }
    }

    /// The hash of everything that was added.
    pub fn finish(self) -> [u8; 32] {
        let mut head = self.head;
        head.update(self.elements.finalize());
        head.finalize().into()
    }

    /// The hash of everything that was added, as a name of 64 hexadecimal digits.
    pub fn finish_id(self) -> Id {
        hex::encode(self.finish()).parse().expect("hexadecimal digits are a valid name")
    }
}

/// The hash of a tensor with the elements that were computed for a reply, as if it had no other.
pub(super) fn hash_tensor(tensor: &Tensor) -> [u8; 32] {
    let mut hasher = TensorHasher::new(tensor);
    if let Node::Initial(initial) = &tensor.node {
        match initial.as_ref() {
            Initial::Elements(elements) => {
                (0..).zip(elements.iter()).for_each(|(offset, element)| hasher.element(offset, element));
            }
            Initial::Entries(entries) => {
                let entries = entries.offsets.iter().zip(entries.values.iter());
                entries.for_each(|(offset, element)| hasher.element(*offset, element));
            }
            _ => {}
        }
    }
    hasher.finish()
}
