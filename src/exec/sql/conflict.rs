//! INSERT with ON CONFLICT and UPDATE with FROM, which are said by a MERGE.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, ConflictTarget, Ident, OnConflict, OnConflictAction, OnInsert, Statement, TableObject, TableWithJoins,
    UpdateTableFromKind, visit_expressions_mut,
};

use super::Script;
use super::ddl::normalized;
use super::dml::declared;
use super::merge::NEW;
use crate::error::{Error, Kind, Result};
use crate::value::Table;

impl Script<'_> {
    /// A statement that does the same without ON CONFLICT and FROM; and whether it only inserts rows whose keys are new.
    pub(super) async fn plain(&self, statement: Statement) -> Result<(Statement, bool)> {
        match statement {
            Statement::Insert(mut insert) if does_nothing(&insert)? => {
                insert.on = None;
                Ok((Statement::Insert(insert), true))
            }
            Statement::Insert(insert) if insert.on.is_some() => Ok((of_insert(self, &insert).await?, false)),
            Statement::Update(update) if update.from.is_some() => Ok((of_update(&update)?, false)),
            statement => Ok((statement, false)),
        }
    }
}

/// Whether an INSERT leaves rows as they are whose keys are there.
///
/// # Errors
/// `NotImplemented` for a conflict that is not one of the primary key.
fn does_nothing(insert: &ast::Insert) -> Result<bool> {
    match &insert.on {
        Some(OnInsert::OnConflict(OnConflict { conflict_target: None, action: OnConflictAction::DoNothing })) => {
            match insert.returning.is_some() || insert.or.is_some() {
                true => Err(Error::new(Kind::NotImplemented, "RETURNING with ON CONFLICT is not supported")),
                false => Ok(true),
            }
        }
        _ => Ok(false),
    }
}

/// The MERGE that does what an INSERT with ON CONFLICT … DO UPDATE does.
async fn of_insert(script: &Script<'_>, insert: &ast::Insert) -> Result<Statement> {
    let unsupported = |what: &str| Error::new(Kind::NotImplemented, format!("{what} is not supported"));
    if insert.returning.is_some() || insert.or.is_some() {
        return Err(unsupported("RETURNING, or INSERT OR, with ON CONFLICT"));
    }
    let (TableObject::TableName(name), Some(source)) = (&insert.table, &insert.source) else {
        return Err(unsupported("ON CONFLICT without a table and a source"));
    };
    let Some(OnInsert::OnConflict(OnConflict { conflict_target, action })) = &insert.on else {
        return Err(unsupported("ON DUPLICATE KEY"));
    };
    let table = script.target(name).await?;
    check_target(&table, conflict_target.as_ref())?;
    let columns: Vec<String> = match insert.columns.is_empty() {
        true => declared(&table).iter().map(|column| column.name.to_string()).collect(),
        false => insert.columns.iter().map(column_name).collect::<Result<_>>()?,
    };
    let quote = |name: &str| Ident::with_quote('"', name).to_string();
    let new = |name: &str| quote(&format!("{NEW}{name}"));
    let join = |items: Vec<String>| items.join(", ");
    let target = insert.table_alias.as_ref().map_or_else(|| name.to_string(), |alias| alias.alias.to_string());
    let mut text = format!("MERGE INTO {name}");
    if let Some(alias) = &insert.table_alias {
        let _ = write!(text, " AS {}", alias.alias);
    }
    let _ = write!(text, " USING ({source}) AS excluded({})", join(columns.iter().map(|name| new(name)).collect()));
    let matches = table.schema.key().iter().map(|key| {
        let key = key.name.as_str();
        format!("{target}.{} = excluded.{}", quote(key), new(key))
    });
    let _ = write!(text, " ON {}", matches.collect::<Vec<_>>().join(" AND "));
    if let OnConflictAction::DoUpdate(update) = action {
        let mut update = update.clone();
        let _ = visit_expressions_mut(&mut update.assignments, rename_excluded);
        let _ = visit_expressions_mut(&mut update.selection, rename_excluded);
        text.push_str(" WHEN MATCHED");
        if let Some(selection) = &update.selection {
            let _ = write!(text, " AND ({selection})");
        }
        let assignments = update.assignments.iter().map(ToString::to_string).collect();
        let _ = write!(text, " THEN UPDATE SET {}", join(assignments));
    }
    let _ = write!(
        text,
        " WHEN NOT MATCHED THEN INSERT ({}) VALUES ({})",
        join(columns.iter().map(|name| quote(name)).collect()),
        join(columns.iter().map(|name| format!("excluded.{}", new(name))).collect())
    );
    super::parse(&text)?.into_iter().next().ok_or_else(|| Error::internal("a MERGE that is no statement"))
}

/// The MERGE that does what an UPDATE with FROM does.
fn of_update(update: &ast::Update) -> Result<Statement> {
    if update.returning.is_some() || update.limit.is_some() || !update.order_by.is_empty() || update.or.is_some() {
        let message = "UPDATE with FROM and RETURNING, LIMIT, ORDER BY or OR is not supported";
        return Err(Error::new(Kind::NotImplemented, message));
    }
    let from = match &update.from {
        Some(UpdateTableFromKind::AfterSet(from) | UpdateTableFromKind::BeforeSet(from)) => from.as_slice(),
        None => &[],
    };
    let ([TableWithJoins { relation, joins }], true) = (from, update.table.joins.is_empty()) else {
        return Err(Error::new(Kind::NotImplemented, "UPDATE with several tables in FROM is not supported"));
    };
    if !joins.is_empty() {
        return Err(Error::new(Kind::NotImplemented, "UPDATE with a join in FROM is not supported"));
    }
    let condition = update.selection.as_ref().map_or_else(|| "TRUE".into(), ToString::to_string);
    let assignments: Vec<String> = update.assignments.iter().map(ToString::to_string).collect();
    let text = format!(
        "MERGE INTO {} USING {relation} ON {condition} WHEN MATCHED THEN UPDATE SET {}",
        update.table,
        assignments.join(", ")
    );
    super::parse(&text)?.into_iter().next().ok_or_else(|| Error::internal("a MERGE that is no statement"))
}

fn column_name(name: &ast::ObjectName) -> Result<String> {
    match name.0.as_slice() {
        [part] => part.as_ident().map(normalized),
        _ => None,
    }
    .ok_or_else(|| Error::bad_request(format!("{name} is not the name of a column")))
}

/// Conflicts are those of the primary key.
fn check_target(table: &Table, target: Option<&ConflictTarget>) -> Result<()> {
    let columns = match target {
        None => return Ok(()),
        Some(ConflictTarget::Columns(columns)) => columns,
        Some(ConflictTarget::OnConstraint(name)) => {
            let message = format!("ON CONFLICT ON CONSTRAINT {name} is not supported");
            return Err(Error::new(Kind::NotImplemented, message));
        }
    };
    let mut named: Vec<String> = columns.iter().map(normalized).collect();
    let mut key: Vec<String> = table.schema.key().iter().map(|key| key.name.to_string()).collect();
    named.sort();
    key.sort();
    match named == key {
        true => Ok(()),
        false => Err(Error::new(
            Kind::NotImplemented,
            format!("ON CONFLICT ({}), which is not the primary key, is not supported", named.join(", ")),
        )),
    }
}

/// The columns of `excluded` have names of their own, so that a bare name is one of the table.
fn rename_excluded(expr: &mut ast::Expr) -> ControlFlow<()> {
    if let ast::Expr::CompoundIdentifier(parts) = expr
        && let [table, column] = parts.as_mut_slice()
        && normalized(table) == "excluded"
    {
        *column = Ident::with_quote('"', format!("{NEW}{}", normalized(column)));
    }
    ControlFlow::Continue(())
}
