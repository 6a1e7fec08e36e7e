//! The arguments of a call, by the verb and the names of its parameters.

use std::sync::Arc;

use crate::compiler::collection::schema::show;
use crate::compiler::methods::Shape;
use crate::error::{Error, Result};
use crate::value::tensor::Operand;
use crate::value::{State, Tensor, Value};

/// The arguments of a call. One that is null counts as missing.
pub(super) struct Args<'a> {
    /// What is called, for messages.
    pub name: &'a str,
    shape: &'a Shape,
    args: &'a [State],
}

impl<'a> Args<'a> {
    /// The arguments of a call of `name`: those of `shape`, in its order.
    pub fn new(name: &'a str, shape: &'a Shape, args: &'a [State]) -> Self {
        Self { name, shape, args }
    }

    /// How the arguments are given.
    pub fn shape(&self) -> &'a Shape {
        self.shape
    }

    /// The argument at `index`: the key of a GET, or key and value of a PUT.
    pub fn at(&self, index: usize) -> Option<&'a State> {
        self.args.get(index).filter(|arg| **arg != State::NONE)
    }

    /// The key of a GET. A POST without parameters is one without a key.
    ///
    /// # Errors
    /// `MethodNotAllowed` for anything else.
    pub fn key(&self) -> Result<Option<&'a State>> {
        match self.shape {
            Shape::Get => Ok(self.at(0)),
            Shape::Post(names) if names.is_empty() => Ok(None),
            _ => Err(self.not_allowed()),
        }
    }

    /// Checks that there is no argument.
    ///
    /// # Errors
    /// `BadRequest` if there is one, `MethodNotAllowed` for a verb that needs some.
    pub fn none(&self) -> Result<()> {
        match self.key()? {
            None => Ok(()),
            Some(key) => Err(Error::bad_request(format!("{} takes no argument, found {}", self.name, show(key)))),
        }
    }

    /// The key of a GET, or the only parameter of a POST.
    ///
    /// # Errors
    /// `BadRequest` if there is another parameter, `MethodNotAllowed` for another verb.
    pub fn one(&self, param: &str) -> Result<Option<&'a State>> {
        match self.shape {
            Shape::Get => Ok(self.at(0)),
            _ => self.params([param]).map(|[found]| found),
        }
    }

    /// The parameters of a POST, in the order of their names in `known`.
    ///
    /// # Errors
    /// `BadRequest` if there is another parameter, `MethodNotAllowed` for another verb.
    pub fn params<const N: usize>(&self, known: [&str; N]) -> Result<[Option<&'a State>; N]> {
        let Shape::Post(names) = self.shape else { return Err(self.not_allowed()) };
        if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
            let known = known.join(", ");
            return Err(Error::bad_request(format!("{} has no parameter {name}, only {known}", self.name)));
        }
        let index = |known: &str| names.iter().position(|name| name.as_str() == known);
        Ok(known.map(|known| index(known).and_then(|index| self.at(index))))
    }

    /// An argument that has to be there.
    ///
    /// # Errors
    /// `BadRequest` if it is not.
    pub fn required(&self, param: &str, found: Option<&'a State>) -> Result<&'a State> {
        found.ok_or_else(|| Error::bad_request(format!("{} needs {param}", self.name)))
    }

    /// An argument that has to be a tensor.
    ///
    /// # Errors
    /// `BadRequest` if it is none.
    pub fn tensor(&self, param: &str, found: Option<&'a State>) -> Result<&'a Arc<Tensor>> {
        match self.required(param, found)? {
            State::Tensor(tensor) => Ok(tensor),
            other => Err(self.unexpected(param, "a tensor", other)),
        }
    }

    /// An argument that has to be a tensor or a number.
    ///
    /// # Errors
    /// `BadRequest` if it is neither.
    pub fn operand(&self, param: &str, found: Option<&'a State>) -> Result<Operand> {
        match self.required(param, found)? {
            State::Tensor(tensor) => Ok(Operand::Tensor(Arc::clone(tensor))),
            State::Value(Value::Number(number)) => Ok(Operand::Number(*number)),
            other => Err(self.unexpected(param, "a tensor or a number", other)),
        }
    }

    /// The error for an argument that is not what was expected.
    pub fn unexpected(&self, param: &str, expected: &str, found: &State) -> Error {
        Error::bad_request(format!("expected {expected} as {param} of {}, found {}", self.name, show(found)))
    }

    /// The error for a verb that what is called does not have.
    pub fn not_allowed(&self) -> Error {
        Error::method_not_allowed(format!("{} does not support {}", self.name, self.shape.verb().http()))
    }
}

#[cfg(test)]
mod tests {
    use crate::compiler::tensor::sample::{A, check_fault, refuse};

    #[test]
    fn verbs_and_parameters_are_checked() {
        let a = |request: &str| format!("a = {A}; r = {request}");
        refuse(&a("$a/add {}"), "add needs r");
        refuse(&a(r#"$a/eq {"r":null}"#), "eq needs r");
        refuse(&a(r#"$a/add {"r":1,"x":2}"#), "add has no parameter x, only r");
        refuse(&a(r#"$a/add {"r":[1,2,3]}"#), "expected a tensor or a number as r of add, found [1,2,3]");
        refuse(&a(r#"$a/add {"r":"x"}"#), r#"expected a tensor or a number as r of add, found "x""#);
        refuse(&a("$a/abs [[0]]"), "abs takes no argument, found [0]");
        check_fault(&a("DELETE $a null"), "method_not_allowed: a tensor does not support DELETE");
        check_fault(&a(r#"$a {"bounds":[0]}"#), "method_not_allowed: a tensor does not support POST");
        check_fault(&a(r#"$a/abs {"r":1}"#), "method_not_allowed: abs does not support POST");
        check_fault(&a("$a/sum [0,1]"), "method_not_allowed: sum does not support PUT");
        check_fault(&a("$a/weigh [null]"), "not_found: /weigh");
    }
}
