//! What can be asked of a version: calls, their parameters, and an example of each.

use serde_json::{Map, Value, json};

use crate::value::number::NumberClass;
use crate::value::schema::Column;
use crate::value::{Class, Verb};

/// A way to call something.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub verb: Verb,
    /// The path as it stands in a URL.
    pub path: String,
    /// What it does, in a sentence without a full stop.
    pub summary: String,
    pub key: Option<Param>,
    pub body: Body,
    /// The class of the result, as far as it is known.
    pub result: Option<Class>,
}

/// The body of a request.
#[derive(Clone, Debug)]
pub(super) enum Body {
    None,
    Value(Param),
    /// An object, all of whose entries are needed or none.
    Named {
        params: Vec<Param>,
        required: bool,
    },
    /// A program that does it, because the thing has no path of its own.
    Program {
        program: Value,
        params: Vec<Param>,
    },
}

/// A parameter.
#[derive(Clone, Debug)]
pub(super) struct Param {
    pub name: String,
    /// The class in words.
    pub class: String,
    /// The JSON Schema of it.
    pub schema: Value,
    pub example: Value,
}

impl Call {
    /// A call without parameters.
    pub fn new(verb: Verb, path: String, summary: impl Into<String>) -> Self {
        Self { verb, path, summary: summary.into(), key: None, body: Body::None, result: None }
    }

    /// The same call with a key.
    pub fn with_key(self, key: Param) -> Self {
        Self { key: Some(key), ..self }
    }

    /// The same call with a body.
    pub fn with_body(self, body: Body) -> Self {
        Self { body, ..self }
    }

    /// Whether the path is that of the thing itself.
    pub fn is_direct(&self) -> bool {
        !matches!(self.body, Body::Program { .. })
    }
}

impl Body {
    /// What is in the body.
    pub fn params(&self) -> &[Param] {
        match self {
            Body::None => &[],
            Body::Value(param) => std::slice::from_ref(param),
            Body::Named { params, .. } | Body::Program { params, .. } => params,
        }
    }

    /// An example, which is null where there is no body.
    pub fn example(&self) -> Value {
        match self {
            Body::None => Value::Null,
            Body::Value(param) => param.example.clone(),
            Body::Named { params, .. } => {
                let entries = params.iter().map(|param| (param.name.clone(), param.example.clone()));
                Value::Object(entries.collect::<Map<String, Value>>())
            }
            Body::Program { program, .. } => program.clone(),
        }
    }
}

impl Param {
    /// A parameter of which nothing is known.
    pub fn any(name: impl Into<String>) -> Self {
        Self { name: name.into(), class: "any".into(), schema: json!({}), example: Value::Null }
    }

    /// A parameter of a class, if that is known.
    pub fn of_class(name: impl Into<String>, class: Option<Class>) -> Self {
        match class {
            None | Some(Class::State) => Self::any(name),
            Some(class) => {
                Self { name: name.into(), class: class.to_string(), schema: schema(class), example: example(class) }
            }
        }
    }

    /// A list with a cell of each column.
    pub fn of_columns(name: impl Into<String>, columns: &[Column]) -> Self {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let cells: Vec<Value> = columns.iter().map(|column| schema(column.class)).collect();
        let mut list = json!({"type": "array", "minItems": cells.len(), "maxItems": cells.len()});
        if !cells.is_empty() {
            list["prefixItems"] = Value::Array(cells);
        }
        Self {
            name: name.into(),
            class: format!("[{}]", names.join(", ")),
            schema: list,
            example: columns.iter().map(|column| example(column.class)).collect(),
        }
    }

    /// The cell of a column.
    pub fn of_column(column: &Column) -> Self {
        Self::of_class(column.name.as_str(), Some(column.class))
    }
}

/// What one could write as an instance of `class`.
fn example(class: Class) -> Value {
    match class {
        Class::Exactly(NumberClass::Bool) => json!(true),
        Class::Float | Class::Exactly(NumberClass::F32 | NumberClass::F64) => json!(1.5),
        class if class.is_number() => json!(1),
        Class::Value => json!(1),
        Class::String | Class::Id => json!("a"),
        Class::Link => json!("/a"),
        Class::Email => json!("a@example.com"),
        Class::Version => json!("1.0.0"),
        Class::Bytes => json!({class.path(): "YQ=="}),
        Class::Tuple | Class::ValueTuple | Class::ScalarTuple => json!([1]),
        Class::Map | Class::ScalarMap => json!({"a": 1}),
        _ => Value::Null,
    }
}

/// The JSON Schema of what is read as an instance of `class`.
pub(super) fn schema(class: Class) -> Value {
    use NumberClass::{Bool, I16, I32, I64, U8, U16, U32, U64};
    match class {
        Class::None => json!({"type": "null"}),
        Class::Exactly(Bool) => json!({"type": "boolean"}),
        Class::UInt | Class::Exactly(U8 | U16 | U32 | U64) => json!({"type": "integer", "minimum": 0}),
        Class::Int | Class::Exactly(I16 | I32 | I64) => json!({"type": "integer"}),
        Class::Number | Class::Float | Class::Exactly(NumberClass::F32 | NumberClass::F64) => json!({"type": "number"}),
        Class::String => json!({"type": "string"}),
        Class::Tuple | Class::ValueTuple | Class::ScalarTuple => json!({"type": "array"}),
        Class::Map | Class::ScalarMap => json!({"type": "object"}),
        _ => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_fits_its_schema() {
        let all =
            [Class::Exactly(NumberClass::Bool), Class::UInt, Class::Float, Class::Number, Class::String, Class::Map];
        for class in all.into_iter().chain([Class::Tuple, Class::None, Class::Bytes, Class::Link]) {
            let (example, schema) = (example(class), schema(class));
            let fits = match schema["type"].as_str() {
                Some("boolean") => example.is_boolean(),
                Some("integer") => example.is_i64(),
                Some("number") => example.is_number(),
                Some("string") => example.is_string(),
                Some("array") => example.is_array(),
                Some("object") => example.is_object(),
                Some("null") => example.is_null(),
                _ => schema == json!({}),
            };
            assert!(fits, "{class}: {example} {schema}");
        }
    }

    #[test]
    fn a_class_that_is_not_known_can_be_anything() {
        for class in [None, Some(Class::State)] {
            let param = Param::of_class("x", class);
            assert_eq!((param.class.as_str(), param.example), ("any", Value::Null));
        }
    }
}
