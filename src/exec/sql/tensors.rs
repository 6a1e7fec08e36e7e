//! Tensors of services in queries: `FROM tensor('/service/shop/visits/1.0.0/days')`.
//!
//! A function that yields a table is planned without waiting for anything, but a tensor has to be found. So before a statement is
//! planned, a table of the session takes the place of each of these functions, as for tables as they were ([`super::past`]).

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    FunctionArg, FunctionArgExpr, Ident, ObjectName, Statement, TableAlias, TableFactor, VisitMut as _, VisitorMut,
};

use super::catalog::TENSORS;
use super::ddl::normalized;
use super::past::text;
use crate::error::{Error, Result};
use crate::exec::data::Session;
use crate::exec::relation::TensorProvider;

/// The name of the function.
const FUNCTION: &str = "tensor";

/// Replaces the tensors that a statement reads by tables of the session, which are returned: their names in the schema
/// [`TENSORS`] are their numbers.
///
/// # Errors
/// `BadRequest` if the function is not given the path of a tensor; `NotFound` if there is nothing at the path.
pub(super) async fn replace(
    session: &Session,
    statement: &mut Statement,
    params: &[ScalarValue],
) -> Result<Vec<Arc<TensorProvider>>> {
    let mut replacer = Replacer { params, wanted: vec![] };
    if let ControlFlow::Break(error) = statement.visit(&mut replacer) {
        return Err(error);
    }
    let mut tensors = Vec::with_capacity(replacer.wanted.len());
    for path in replacer.wanted {
        let (tensor, evaluation) = session.tensor_at(&path).await?;
        tensors.push(Arc::new(TensorProvider::new(tensor, evaluation)));
    }
    Ok(tensors)
}

/// Replaces functions, and remembers the paths.
struct Replacer<'a> {
    params: &'a [ScalarValue],
    wanted: Vec<String>,
}

impl VisitorMut for Replacer<'_> {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        match self.replace(factor) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Replacer<'_> {
    fn replace(&mut self, factor: &mut TableFactor) -> Result<()> {
        let TableFactor::Table { name, alias, args, .. } = factor else { return Ok(()) };
        let Some(given) = args.as_ref().filter(|_| is_function(name)) else { return Ok(()) };
        let path = match given.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(path))] => text(path, self.params, "the path of a tensor")?,
            _ => return Err(Error::bad_request(format!("{FUNCTION} takes one argument, the path of a tensor"))),
        };
        let known = self.wanted.iter().position(|other| other == path);
        let number = known.unwrap_or(self.wanted.len());
        if known.is_none() {
            self.wanted.push(path.into());
        }
        if alias.is_none() {
            let name = Ident::with_quote('"', FUNCTION);
            *alias = Some(TableAlias { explicit: true, name, columns: vec![], at: None });
        }
        *name = ObjectName::from(Vec::from([TENSORS, &number.to_string()].map(|part| Ident::with_quote('"', part))));
        *args = None;
        Ok(())
    }
}

fn is_function(name: &ObjectName) -> bool {
    match name.0.as_slice() {
        [part] => part.as_ident().is_some_and(|ident| normalized(ident) == FUNCTION),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    /// The statement that a text becomes, and the tensors that it reads.
    fn replaced(text: &str, params: &[ScalarValue]) -> Result<(String, Vec<String>)> {
        let mut statement = Parser::parse_sql(&PostgreSqlDialect {}, text).unwrap().remove(0);
        let mut replacer = Replacer { params, wanted: vec![] };
        match statement.visit(&mut replacer) {
            ControlFlow::Break(error) => Err(error),
            ControlFlow::Continue(()) => Ok((statement.to_string(), replacer.wanted)),
        }
    }

    #[test]
    fn a_table_takes_the_place_of_a_tensor() {
        let (text, wanted) = replaced("SELECT value FROM tensor('/service/a/1.0.0/t') WHERE axis_0 = 1", &[]).unwrap();
        assert_eq!(text, "SELECT value FROM \"~tensor\".\"0\" AS \"tensor\" WHERE axis_0 = 1");
        assert_eq!(wanted, ["/service/a/1.0.0/t"]);
        let text = "INSERT INTO t SELECT l.value FROM Tensor('/a') AS l JOIN tensor($1) AS r (i, v) ON l.axis_0 = i \
                    WHERE i IN (SELECT axis_0 FROM tensor('/a'))";
        let (text, wanted) = replaced(text, &[ScalarValue::Utf8View(Some("/b".into()))]).unwrap();
        assert!(text.contains("\"~tensor\".\"0\" AS l JOIN \"~tensor\".\"1\" AS r (i, v)"), "{text}");
        assert_eq!(wanted, ["/a", "/b"]);
    }

    #[test]
    fn other_statements_stay_as_they_are() {
        for text in ["SELECT * FROM generate_series(1, 3)", "SELECT tensor FROM tensor", "SELECT tensor('/a')"] {
            assert_eq!(replaced(text, &[]), Ok((text.to_string(), vec![])));
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let message = |text: &str, params: &[ScalarValue]| replaced(text, params).unwrap_err().message().to_string();
        let one = "tensor takes one argument, the path of a tensor";
        assert_eq!(message("SELECT * FROM tensor()", &[]), one);
        assert_eq!(message("SELECT * FROM tensor('/a', '/b')", &[]), one);
        assert_eq!(message("SELECT * FROM tensor(1)", &[]), "expected the path of a tensor, not 1");
        assert_eq!(message("SELECT * FROM tensor(x)", &[]), "expected the path of a tensor, not x");
        assert_eq!(message("SELECT * FROM tensor($1)", &[]), "there is no parameter $1");
        let params = [ScalarValue::Int64(Some(5))];
        assert_eq!(message("SELECT * FROM tensor($1)", &params), "the parameter $1 is not the path of a tensor");
    }
}
