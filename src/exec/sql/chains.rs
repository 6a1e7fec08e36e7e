//! A bound on how deep an expression becomes that is written without parentheses.
//!
//! The parser bounds how deep parentheses and queries nest. `1 + 1 + 1 + …` nests too, each operator around all before it,
//! and what walks such a tree later recurses or takes time that grows with its square.

use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::error::{Error, Result};

/// Operators in a row.
const OPERATORS_MAX: usize = 500;

/// The tokens of a text that can be parsed.
///
/// # Errors
/// `BadRequest` if it is no SQL, `TooLarge` if more than [`OPERATORS_MAX`] operators are chained in it.
pub(super) fn tokens(text: &str, dialect: &dyn Dialect) -> Result<Vec<TokenWithSpan>> {
    let tokens = Tokenizer::new(dialect, text).tokenize_with_location();
    let tokens = tokens.map_err(|error| Error::bad_request(error.to_string()))?;
    check(&tokens)?;
    Ok(tokens)
}

fn check(tokens: &[TokenWithSpan]) -> Result<()> {
    // Of each parenthesis that is open: the operators since the last comma, and since it was opened those that join
    // queries, which commas do not separate.
    let mut open = vec![(0, 0)];
    for TokenWithSpan { token, .. } in tokens {
        let depth = open.len();
        let Some((operators, queries)) = open.last_mut() else { return Ok(()) };
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => open.push((0, 0)),
            Token::RParen | Token::RBracket | Token::RBrace if depth > 1 => drop(open.pop()),
            Token::SemiColon => (*operators, *queries) = (0, 0),
            Token::Comma => *operators = 0,
            Token::Word(word) => match word.value.to_ascii_uppercase().as_str() {
                "UNION" | "EXCEPT" | "INTERSECT" | "JOIN" => *queries += 1,
                "AND" | "OR" | "NOT" | "IS" | "LIKE" | "ILIKE" | "BETWEEN" | "IN" => *operators += 1,
                _ => {}
            },
            token if is_operator(token) => *operators += 1,
            _ => {}
        }
        let longest = open.last().map_or(0, |(operators, queries)| (*operators).max(*queries));
        if longest > OPERATORS_MAX {
            return Err(Error::too_large(format!("the script chains more than {OPERATORS_MAX} operators in a row")));
        }
    }
    Ok(())
}

fn is_operator(token: &Token) -> bool {
    !matches!(
        token,
        Token::EOF
            | Token::Whitespace(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::DollarQuotedString(_)
            | Token::Placeholder(_)
            | Token::Period
    )
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;

    use super::*;
    use crate::error::Kind;

    fn kind(text: &str) -> Option<Kind> {
        tokens(text, &PostgreSqlDialect {}).err().map(|error| error.kind())
    }

    #[test]
    fn chains_are_bounded_and_lists_are_not() {
        assert_eq!(kind(&format!("SELECT {}", vec!["1"; 2000].join(" + "))), Some(Kind::TooLarge));
        assert_eq!(kind(&format!("SELECT 1 WHERE {}", vec!["1 = 1"; 2000].join(" OR "))), Some(Kind::TooLarge));
        assert_eq!(kind(&vec!["SELECT 1, 2"; 2000].join(" UNION ALL ")), Some(Kind::TooLarge));
        assert_eq!(kind(&format!("SELECT 1{}", "::int".repeat(2000))), Some(Kind::TooLarge));
        assert_eq!(kind(&format!("INSERT INTO t VALUES {}", vec!["(-1, -2)"; 2000].join(", "))), None);
        assert_eq!(kind(&format!("SELECT 1 IN ({})", vec!["-1"; 2000].join(", "))), None);
        assert_eq!(kind(&vec!["SELECT 1 + 1"; 2000].join("; ")), None);
        assert_eq!(kind("SELECT 'unfinished"), Some(Kind::BadRequest));
    }
}
