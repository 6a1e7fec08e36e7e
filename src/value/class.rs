//! Classes, and their paths on the wire.

use std::fmt;
use std::sync::LazyLock;

use super::number::NumberClass;
use super::{Link, Verb};

/// A class of states that has a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Class {
    /// Any state.
    State,
    Scalar,
    /// Any value.
    Value,
    None,
    /// Any number.
    Number,
    UInt,
    Int,
    Float,
    Complex,
    Exactly(NumberClass),
    String,
    Id,
    Link,
    Bytes,
    Email,
    Version,
    /// A tuple of values, as a class to cast to.
    ValueTuple,
    Tuple,
    Map,
    ScalarTuple,
    ScalarMap,
    Closure,
    /// Items that are computed as they are read.
    Stream,
    Op(Verb),
    Ref(Ref),
    BTree,
    Table,
    /// Tensors all of whose elements are kept.
    Dense,
    /// Tensors whose elements are kept that are not zero.
    Sparse,
    /// A class of collections, chains or objects.
    Other(Other),
}

/// The classes of references.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Ref {
    Id,
    Op(Verb),
    After,
    Before,
    Case,
    If,
    While,
    With,
}

/// Classes whose instances live in collections, chains and objects. Here they are only known as classes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub struct Other(&'static str);

const OTHER: &[&str] = &[
    "/state/scalar/range",
    "/state/scalar/cluster",
    "/state/scalar/ref",
    "/state/scalar/op",
    "/state/collection",
    "/state/collection/tensor",
    "/state/chain",
    "/state/chain/block",
    "/state/chain/sync",
    "/state/object",
    "/state/object/class",
    "/state/object/instance",
];

const PATHS: &[(Class, &str)] = &[
    (Class::State, "/state"),
    (Class::Scalar, "/state/scalar"),
    (Class::Value, "/state/scalar/value"),
    (Class::None, "/state/scalar/value/none"),
    (Class::Number, "/state/scalar/value/number"),
    (Class::UInt, "/state/scalar/value/number/uint"),
    (Class::Int, "/state/scalar/value/number/int"),
    (Class::Float, "/state/scalar/value/number/float"),
    (Class::Complex, "/state/scalar/value/number/complex"),
    (Class::Exactly(NumberClass::Bool), "/state/scalar/value/number/bool"),
    (Class::Exactly(NumberClass::U8), "/state/scalar/value/number/uint/8"),
    (Class::Exactly(NumberClass::U16), "/state/scalar/value/number/uint/16"),
    (Class::Exactly(NumberClass::U32), "/state/scalar/value/number/uint/32"),
    (Class::Exactly(NumberClass::U64), "/state/scalar/value/number/uint/64"),
    (Class::Exactly(NumberClass::I16), "/state/scalar/value/number/int/16"),
    (Class::Exactly(NumberClass::I32), "/state/scalar/value/number/int/32"),
    (Class::Exactly(NumberClass::I64), "/state/scalar/value/number/int/64"),
    (Class::Exactly(NumberClass::F32), "/state/scalar/value/number/float/32"),
    (Class::Exactly(NumberClass::F64), "/state/scalar/value/number/float/64"),
    (Class::Exactly(NumberClass::C32), "/state/scalar/value/number/complex/32"),
    (Class::Exactly(NumberClass::C64), "/state/scalar/value/number/complex/64"),
    (Class::String, "/state/scalar/value/string"),
    (Class::Id, "/state/scalar/value/id"),
    (Class::Link, "/state/scalar/value/link"),
    (Class::Bytes, "/state/scalar/value/bytes"),
    (Class::Email, "/state/scalar/value/email"),
    (Class::Version, "/state/scalar/value/version"),
    (Class::ValueTuple, "/state/scalar/value/tuple"),
    (Class::Tuple, "/state/tuple"),
    (Class::Map, "/state/map"),
    (Class::ScalarTuple, "/state/scalar/tuple"),
    (Class::ScalarMap, "/state/scalar/map"),
    (Class::Closure, "/state/closure"),
    (Class::Stream, "/state/stream"),
    (Class::BTree, "/state/collection/btree"),
    (Class::Table, "/state/collection/table"),
    (Class::Dense, "/state/collection/tensor/dense"),
    (Class::Sparse, "/state/collection/tensor/sparse"),
    (Class::Op(Verb::Get), "/state/scalar/op/get"),
    (Class::Op(Verb::Put), "/state/scalar/op/put"),
    (Class::Op(Verb::Post), "/state/scalar/op/post"),
    (Class::Op(Verb::Delete), "/state/scalar/op/delete"),
    (Class::Ref(Ref::Id), "/state/scalar/ref/id"),
    (Class::Ref(Ref::Op(Verb::Get)), "/state/scalar/ref/op/get"),
    (Class::Ref(Ref::Op(Verb::Put)), "/state/scalar/ref/op/put"),
    (Class::Ref(Ref::Op(Verb::Post)), "/state/scalar/ref/op/post"),
    (Class::Ref(Ref::Op(Verb::Delete)), "/state/scalar/ref/op/delete"),
    (Class::Ref(Ref::After), "/state/scalar/ref/after"),
    (Class::Ref(Ref::Before), "/state/scalar/ref/before"),
    (Class::Ref(Ref::Case), "/state/scalar/ref/case"),
    (Class::Ref(Ref::If), "/state/scalar/ref/if"),
    (Class::Ref(Ref::While), "/state/scalar/ref/while"),
    (Class::Ref(Ref::With), "/state/scalar/ref/with"),
];

type Index = (std::collections::HashMap<&'static str, Class>, std::collections::HashMap<Class, Link>);

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let others = OTHER.iter().map(|path| (Class::Other(Other(path)), *path));
    let all: Vec<(Class, &'static str)> = PATHS.iter().copied().chain(others).collect();
    let links = all.iter().map(|(class, path)| {
        let segments: Vec<_> = path[1..].split('/').map(super::Id::from).collect();
        (*class, Link::local(segments))
    });
    (all.iter().map(|(class, path)| (*path, *class)).collect(), links.collect())
});

impl Class {
    /// The class with the given path, e.g. `/state/scalar/value/number/int/32`.
    pub fn at(path: &str) -> Option<Self> {
        if path.starts_with("/state") { INDEX.0.get(path).copied() } else { None }
    }

    /// The class that a link on this host names.
    pub fn of_link(link: &Link) -> Option<Self> {
        if link.authority().is_some() || link.path().first().is_none_or(|id| id.as_str() != "state") {
            return None;
        }
        Class::at(&link.path_text())
    }

    /// The path of this class.
    pub fn path(self) -> &'static str {
        match self {
            Class::Other(Other(path)) => path,
            _ => PATHS.iter().find(|(class, _)| *class == self).map_or("/state", |(_, path)| path),
        }
    }

    /// This class as a state: the link that names it.
    pub fn link(self) -> Link {
        INDEX.1[&self].clone()
    }

    /// The last part of the path that tells this class apart, e.g. `int/32`, for plans and messages.
    pub fn short(self) -> &'static str {
        let path = self.path();
        let prefixes = ["/state/scalar/value/number/", "/state/scalar/value/", "/state/scalar/", "/state/"];
        prefixes.iter().find_map(|prefix| path.strip_prefix(prefix)).unwrap_or_else(|| &path[1..])
    }

    /// Whether every instance of this class is a number.
    pub fn is_number(self) -> bool {
        use Class::*;
        matches!(self, Number | UInt | Int | Float | Complex | Exactly(_))
    }

    /// Whether every instance of this class is a value without parts.
    pub fn is_atom(self) -> bool {
        use Class::*;
        self.is_number() || matches!(self, None | String | Id | Link | Bytes | Email | Version)
    }
}

impl From<NumberClass> for Class {
    fn from(class: NumberClass) -> Self {
        Class::Exactly(class)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_names_its_class() {
        for (class, path) in PATHS {
            assert_eq!(Class::at(path), Some(*class));
            assert_eq!(class.path(), *path);
            assert_eq!(Class::of_link(&class.link()), Some(*class));
        }
    }

    #[test]
    fn there_is_no_int_8() {
        assert_eq!(Class::at("/state/scalar/value/number/int/8"), None);
    }
}
