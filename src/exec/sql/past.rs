//! Tables as they were: `FROM "shop/stock/1.0.0"."items" FOR SYSTEM_TIME AS OF '<transaction>'`.
//!
//! The parser does not know this clause of the standard in the dialect that is used here, but it does know functions that
//! yield tables. So the clause is written as the parameter of one, `("system_time" => '<transaction>')`, before the text is
//! parsed. Before a statement is planned, a table of the session takes the place of each of these functions.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::{ScalarValue, TableReference};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Statement, TableAlias, TableFactor, TableFunctionArgs,
    Value, VisitMut as _, VisitorMut,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::catalog::{PAST, find};
use super::ddl::reference;
use crate::error::{Error, Result};
use crate::exec::data::Session;
use crate::txn::TxnId;
use crate::value::Table;

/// The clause, without the transaction.
const CLAUSE: [Keyword; 4] = [Keyword::FOR, Keyword::SYSTEM_TIME, Keyword::AS, Keyword::OF];
/// The parameter that is written in its place.
const PARAMETER: &str = "system_time";

/// The tokens of a script with parameters in place of clauses.
///
/// # Errors
/// `BadRequest` if a clause does not end with a text or a parameter of the script.
pub(super) fn rewritten(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    if !tokens.iter().any(|token| is_keyword(&token.token, Keyword::SYSTEM_TIME)) {
        return Ok(tokens);
    }
    let (mut all, mut at) = (Vec::with_capacity(tokens.len()), 0);
    while let Some(token) = tokens.get(at) {
        let Some(length) = clause(&tokens[at..]) else {
            all.push(token.clone());
            at += 1;
            continue;
        };
        let txn = &tokens[at + length];
        if !matches!(txn.token, Token::SingleQuotedString(_) | Token::Placeholder(_)) {
            let message = format!(
                "FOR SYSTEM_TIME AS OF takes the id of a transaction as a text or a parameter, not {}{}",
                txn.token, txn.span.start
            );
            return Err(Error::bad_request(message));
        }
        let parameter = [Token::LParen, Token::make_word(PARAMETER, Some('"')), Token::RArrow];
        all.extend(parameter.map(|other| TokenWithSpan::new(other, token.span)));
        all.extend([txn.clone(), TokenWithSpan::new(Token::RParen, txn.span)]);
        at += length + 1;
    }
    Ok(all)
}

/// How many tokens of a clause come before the transaction, if these begin with a clause.
fn clause(tokens: &[TokenWithSpan]) -> Option<usize> {
    let mut words = CLAUSE.into_iter().peekable();
    for (at, TokenWithSpan { token, .. }) in tokens.iter().enumerate() {
        match words.peek().copied() {
            _ if at > 0 && matches!(token, Token::Whitespace(_)) => {}
            Some(word) if is_keyword(token, word) => {
                words.next();
            }
            Some(_) => return None,
            None => return Some(at),
        }
    }
    None
}

fn is_keyword(token: &Token, keyword: Keyword) -> bool {
    matches!(token, Token::Word(word) if word.keyword == keyword)
}

/// Replaces the tables that a statement wants to see as they were by tables of the session, which are returned: their names
/// in the schema [`PAST`] are their numbers.
///
/// # Errors
/// As [`find`]; `BadRequest` if no chain keeps what a table was after that transaction.
pub(super) async fn replace(
    session: &Session,
    statement: &mut Statement,
    params: &[ScalarValue],
) -> Result<Vec<Arc<Table>>> {
    let mut replacer = Replacer { params, wanted: vec![] };
    if let ControlFlow::Break(error) = statement.visit(&mut replacer) {
        return Err(error);
    }
    let mut tables = Vec::with_capacity(replacer.wanted.len());
    for (name, txn) in replacer.wanted {
        let table = find(session.txn(), &name).await?;
        tables.push(session.table_as_of(&table, txn).await?);
    }
    Ok(tables)
}

/// Replaces tables, and remembers which.
struct Replacer<'a> {
    params: &'a [ScalarValue],
    wanted: Vec<(TableReference, TxnId)>,
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
        let Some(txn) = args.as_ref().and_then(system_time) else { return Ok(()) };
        let wanted = (reference(name)?, text(txn, self.params, "the id of a transaction")?.parse::<TxnId>()?);
        if alias.is_none() {
            let name = Ident::with_quote('"', wanted.0.table());
            *alias = Some(TableAlias { explicit: true, name, columns: vec![], at: None });
        }
        let known = self.wanted.iter().position(|other| *other == wanted);
        let number = known.unwrap_or(self.wanted.len());
        if known.is_none() {
            self.wanted.push(wanted);
        }
        *name = ObjectName::from(Vec::from([PAST, &number.to_string()].map(|part| Ident::with_quote('"', part))));
        *args = None;
        Ok(())
    }
}

/// The text that an expression is, or that the parameter is which it names; `what` says what for.
///
/// # Errors
/// `BadRequest` if it is neither.
pub(super) fn text<'a>(expr: &'a Expr, params: &'a [ScalarValue], what: &str) -> Result<&'a str> {
    let value = match expr {
        Expr::Value(value) => &value.value,
        other => return Err(Error::bad_request(format!("expected {what}, not {other}"))),
    };
    match value {
        Value::SingleQuotedString(text) => Ok(text),
        Value::Placeholder(name) => {
            let number = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
            match number.and_then(|number| params.get(number.checked_sub(1)?)) {
                Some(ScalarValue::Utf8View(Some(text))) => Ok(text),
                Some(_) => Err(Error::bad_request(format!("the parameter {name} is not {what}"))),
                None => Err(Error::bad_request(format!("there is no parameter {name}"))),
            }
        }
        other => Err(Error::bad_request(format!("expected {what}, not {other}"))),
    }
}

/// What stands for the transaction, if these are the parameters that stand for a clause.
fn system_time(args: &TableFunctionArgs) -> Option<&Expr> {
    match args.args.as_slice() {
        [FunctionArg::ExprNamed { name: Expr::Identifier(name), arg: FunctionArgExpr::Expr(value), .. }] => {
            (name.value == PARAMETER).then_some(value)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;

    /// The statement that a text becomes, and what it wants to see as it was.
    fn replaced(text: &str, params: &[ScalarValue]) -> Result<(String, Vec<(TableReference, TxnId)>)> {
        let dialect = PostgreSqlDialect {};
        let tokens = rewritten(Tokenizer::new(&dialect, text).tokenize_with_location().unwrap())?;
        let mut parser = Parser::new(&dialect).with_tokens_with_locations(tokens);
        let mut statement = parser.parse_statement().unwrap();
        let mut replacer = Replacer { params, wanted: vec![] };
        match statement.visit(&mut replacer) {
            ControlFlow::Break(error) => Err(error),
            ControlFlow::Continue(()) => Ok((statement.to_string(), replacer.wanted)),
        }
    }

    #[test]
    fn a_table_takes_the_place_of_one_as_it_was() {
        let txn = TxnId { timestamp: 12, nonce: 5 };
        let items = (TableReference::partial("shop/stock/1.0.0", "items"), txn);
        let (text, wanted) = replaced(
            "SELECT * FROM \"shop/stock/1.0.0\".items for system_time /* then */ as of '12-5' WHERE qty > 1",
            &[],
        )
        .unwrap();
        assert_eq!(text, "SELECT * FROM \"~\".\"0\" AS \"items\" WHERE qty > 1");
        assert_eq!(wanted, std::slice::from_ref(&items));

        let text = "SELECT 1 FROM (SELECT * FROM \"shop/stock/1.0.0\".items FOR SYSTEM_TIME AS OF $2 AS i JOIN now ON $1) \
                    WHERE x IN (SELECT y FROM \"shop/stock/1.0.0\".items FOR SYSTEM_TIME AS OF '12-5', other \
                    FOR SYSTEM_TIME AS OF '12-5')";
        let params = [ScalarValue::Boolean(Some(true)), ScalarValue::Utf8View(Some("12-5".into()))];
        let (text, wanted) = replaced(text, &params).unwrap();
        assert!(text.contains("FROM \"~\".\"0\" AS i JOIN now") && text.contains("\"~\".\"1\" AS \"other\""), "{text}");
        assert_eq!(wanted, [items, (TableReference::bare("other"), txn)]);
    }

    #[test]
    fn other_statements_stay_as_they_are() {
        for text in [
            "SELECT * FROM generate_series(1, 3) AS t (n)",
            "SELECT system_time FROM t FOR UPDATE",
            "SELECT 'FOR SYSTEM_TIME AS OF' FROM t",
        ] {
            assert_eq!(replaced(text, &[]), Ok((text.to_string(), vec![])));
        }
    }

    #[test]
    fn what_is_no_transaction_is_refused() {
        let message = |id: &str, params: &[ScalarValue]| {
            let text = format!("SELECT * FROM t FOR SYSTEM_TIME AS OF {id}");
            replaced(&text, params).unwrap_err().message().to_string()
        };
        assert!(message("now()", &[]).contains("not now at Line: 1, Column: 39"), "{}", message("now()", &[]));
        assert!(message("'yesterday'", &[]).contains("\"yesterday\" is not a transaction id"));
        assert!(message("$1", &[]).contains("no parameter $1"));
        assert!(message("$1", &[ScalarValue::Int64(Some(5))]).contains("$1 is not the id"));
    }
}
