//! Statements that change which tables there are.

use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast::{
    self, AlterTableOperation, ColumnDef, ColumnOption, Ident, IndexColumn, NullsDistinctOption, ObjectName,
    ObjectType, TableConstraint,
};
use futures::StreamExt as _;

use super::Script;
use super::catalog::{find, is_version, name_of, path_of, path_to, prefix};
use super::types::{class_of, declared, of_result};
use crate::error::{Error, Kind, Result};
use crate::exec::relation::error::internal;
use crate::storage::codec::{cast_batch, cell};
use crate::value::cell::cast_cell;
use crate::value::schema::{self, Column, Index, Schema};
use crate::value::{Id, State, Table};

/// What a statement names, with the schema if it says one.
pub(super) fn reference(name: &ObjectName) -> Result<TableReference> {
    let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(normalized).collect();
    match parts.as_slice() {
        [table] => Ok(TableReference::bare(table.as_str())),
        [schema, table] => Ok(TableReference::partial(schema.as_str(), table.as_str())),
        [catalog, schema, table] => Ok(TableReference::full(catalog.as_str(), schema.as_str(), table.as_str())),
        _ => Err(Error::bad_request(format!("{name} is not the name of a table"))),
    }
}

/// The name of a table that SQL may make and change: not one of a service.
///
/// # Errors
/// `BadRequest` for a table of another schema than that of SQL.
pub(super) fn table_name(name: &ObjectName) -> Result<String> {
    let reference = reference(name)?;
    match reference.schema() {
        Some(schema) if is_version(schema) => Err(Error::bad_request(format!(
            "{name} belongs to a service, whose tables are those that it was installed with"
        ))),
        _ => path_to(&reference).map(|_| reference.table().to_string()),
    }
}

/// Names are in lower case unless they are quoted.
pub(super) fn normalized(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

fn id(ident: &Ident) -> Result<Id> {
    normalized(ident).parse()
}

fn unsupported(what: impl std::fmt::Display) -> Error {
    Error::new(Kind::NotImplemented, format!("{what} is not supported"))
}

impl Script<'_> {
    pub(super) async fn create_table(&self, create: &ast::CreateTable) -> Result<()> {
        let name = table_name(&create.name)?;
        if create.or_replace || create.temporary || create.external || create.like.is_some() {
            return Err(unsupported("CREATE TABLE with OR REPLACE, TEMPORARY, EXTERNAL or LIKE"));
        }
        if create.inherits.is_some() || create.partition_by.is_some() {
            return Err(unsupported("CREATE TABLE with INHERITS or PARTITION BY"));
        }
        let _: Id = name.parse()?;
        let path = path_of(&name);
        if self.txn().table(&path).await?.is_some() {
            return match create.if_not_exists {
                true => Ok(()),
                false => Err(Error::bad_request(format!("there is already a table {name}"))),
            };
        }
        let Some(query) = &create.query else {
            let schema = self.declared_schema(&name, &create.columns, &create.constraints).await?;
            return self.txn().create_table(&path, schema).await.map(drop);
        };
        if !create.columns.is_empty() {
            return Err(unsupported("CREATE TABLE AS with column definitions"));
        }
        let plan = self.plan(ast::Statement::Query(query.clone())).await?;
        let columns = plan.schema().fields().iter().map(|field| {
            let (ty, max_len) = of_result(field.data_type())?;
            Ok(column(field.name().parse()?, ty, max_len, true))
        });
        let schema = keyed(&name, columns.collect::<Result<_>>()?, &create.constraints)?;
        let order: Vec<String> = schema.columns.iter().map(|column| column.name.to_string()).collect();
        let table = self.txn().create_table(&path, schema).await?;
        self.fill(&table, plan, &order).await.map(drop)
    }

    async fn declared_schema(
        &self,
        table: &str,
        columns: &[ColumnDef],
        constraints: &[TableConstraint],
    ) -> Result<Schema> {
        let mut constraints = constraints.to_vec();
        let mut all = Vec::with_capacity(columns.len());
        for definition in columns {
            let (column, own) = self.declared_column(definition).await?;
            all.push(column);
            constraints.extend(own);
        }
        keyed(table, all, &constraints)
    }

    /// A column, and the constraints that its definition says about it alone.
    async fn declared_column(&self, definition: &ColumnDef) -> Result<(Column, Vec<TableConstraint>)> {
        let (ty, max_len) = declared(&definition.data_type)?;
        let mut column = column(id(&definition.name)?, ty, max_len, true);
        let mut constraints = Vec::new();
        for option in &definition.options {
            match &option.option {
                ColumnOption::Null => column.nullable = true,
                ColumnOption::NotNull => column.nullable = false,
                ColumnOption::Default(expr) => column.default = self.constant(&column, expr).await?,
                ColumnOption::PrimaryKey(key) => {
                    let mut key = key.clone();
                    key.columns = vec![IndexColumn::from(definition.name.clone())];
                    constraints.push(TableConstraint::PrimaryKey(key));
                }
                ColumnOption::Unique(unique) => {
                    let mut unique = unique.clone();
                    unique.columns = vec![IndexColumn::from(definition.name.clone())];
                    constraints.push(TableConstraint::Unique(unique));
                }
                ColumnOption::Comment(_) => {}
                other => return Err(unsupported(format_args!("{other} of the column {}", column.name))),
            }
        }
        Ok((column, constraints))
    }

    /// The value of an expression without columns, as a cell.
    async fn constant(&self, column: &Column, expr: &ast::Expr) -> Result<State> {
        if !matches!(expr, ast::Expr::Value(_) | ast::Expr::UnaryOp { .. } | ast::Expr::TypedString(_)) {
            return Err(unsupported(format_args!("the default {expr} of {}, which is not a literal,", column.name)));
        }
        let query = format!("SELECT {expr} AS {}", Ident::with_quote('"', column.name.as_str()));
        let statement = super::parse(&query)?.into_iter().next();
        let statement = statement.ok_or_else(|| Error::internal("a query that is no statement"))?;
        let plan = self.plan(statement).await?;
        let mut batches = self.stream(plan).await?;
        let batch = batches.next().await.ok_or_else(|| Error::internal("a constant without a value"))?;
        let batch = batch.map_err(internal)?;
        let nullable = Column { nullable: true, ..column.clone() };
        let alone = Schema { kind: schema::Kind::Table, columns: vec![nullable.clone()], key_len: 0, indexes: vec![] };
        let cells = cast_batch(&alone, &batch)?;
        cast_cell(&nullable, &cell(&nullable, cells.column(0).as_ref(), 0)?)
    }

    pub(super) async fn create_index(&self, create: &ast::CreateIndex) -> Result<()> {
        if create.predicate.is_some() || !create.include.is_empty() {
            return Err(unsupported("an index with WHERE or INCLUDE"));
        }
        if create.nulls_distinct == Some(false) {
            return Err(unsupported("an index with NULLS NOT DISTINCT"));
        }
        let table = self.table(&create.table_name).await?;
        let columns = positions(&table.schema.columns, &create.columns)?;
        let name: Id = match &create.name {
            Some(name) => table_name(name)?.parse()?,
            None => generated_name(&name_of(&table), &table.schema.columns, &columns)?,
        };
        let taken = self.txn().tables(&prefix()).await?;
        if taken.iter().any(|(_, table)| table.schema.indexes.iter().any(|index| index.name == name)) {
            return match create.if_not_exists {
                true => Ok(()),
                false => Err(Error::bad_request(format!("there is already an index {name}"))),
            };
        }
        let mut schema = table.schema.as_ref().clone();
        schema.indexes.push(Index { name, columns, unique: create.unique });
        self.txn().alter_table(&table.name, schema).await.map(drop)
    }

    pub(super) async fn drop(&self, kind: ObjectType, names: &[ObjectName], if_exists: bool) -> Result<()> {
        for name in names {
            let name = table_name(name)?;
            let is_gone = match kind {
                ObjectType::Table => self.txn().drop_table(&path_of(&name)).await?,
                ObjectType::Index => self.drop_index(&name).await?,
                other => return Err(unsupported(format_args!("DROP {other}"))),
            };
            if !is_gone && !if_exists {
                return Err(Error::not_found(format!("{} {name}", kind.to_string().to_lowercase())));
            }
        }
        Ok(())
    }

    async fn drop_index(&self, name: &str) -> Result<bool> {
        let tables = self.txn().tables(&prefix()).await?;
        let has_it = |table: &Table| table.schema.indexes.iter().any(|index| index.name.as_str() == name);
        if tables.iter().filter(|(_, table)| has_it(table)).count() > 1 {
            return Err(Error::bad_request(format!("several tables have an index {name}")));
        }
        for (_, table) in tables {
            let mut schema = table.schema.as_ref().clone();
            let before = schema.indexes.len();
            schema.indexes.retain(|index| index.name.as_str() != name);
            if schema.indexes.len() < before {
                self.txn().alter_table(&table.name, schema).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) async fn alter_table(&self, alter: &ast::AlterTable) -> Result<()> {
        let name = table_name(&alter.name)?;
        if alter.if_exists && self.txn().table(&path_of(&name)).await?.is_none() {
            return Ok(());
        }
        for operation in &alter.operations {
            let table = self.table(&alter.name).await?;
            let mut schema = table.schema.as_ref().clone();
            match operation {
                AlterTableOperation::AddColumn { if_not_exists, column_def, .. } => {
                    if !self.add_column(&mut schema, column_def, *if_not_exists).await? {
                        continue;
                    }
                }
                AlterTableOperation::DropColumn { column_names, if_exists, .. } => {
                    drop_columns(&mut schema, column_names, *if_exists)?;
                }
                other => return Err(unsupported(format_args!("ALTER TABLE {other}"))),
            }
            self.txn().alter_table(&table.name, schema).await?;
        }
        Ok(())
    }

    /// Adds a column; returns whether it was new.
    async fn add_column(&self, schema: &mut Schema, definition: &ColumnDef, if_not_exists: bool) -> Result<bool> {
        let (column, constraints) = self.declared_column(definition).await?;
        if schema.position(column.name.as_str()).is_some() {
            return match if_not_exists {
                true => Ok(false),
                false => Err(Error::bad_request(format!("there is already a column {}", column.name))),
            };
        }
        if !constraints.is_empty() {
            return Err(unsupported("a PRIMARY KEY or UNIQUE in ADD COLUMN"));
        }
        if !column.nullable && column.default == State::NONE {
            return Err(Error::bad_request(format!(
                "the new column {} is NOT NULL, so it needs a DEFAULT",
                column.name
            )));
        }
        let ordinal = schema.columns.iter().map(|column| column.ordinal + 1).max().unwrap_or_default();
        schema.columns.push(Column { ordinal, ..column });
        Ok(true)
    }

    /// The table of that name, which SQL may change.
    async fn table(&self, name: &ObjectName) -> Result<Arc<Table>> {
        find(self.txn(), &TableReference::bare(table_name(name)?)).await
    }
}

fn column(name: Id, ty: schema::ColumnType, max_len: Option<u32>, nullable: bool) -> Column {
    Column { name, class: class_of(ty), ty, max_len, nullable, slot: 0, ordinal: 0, default: State::NONE }
}

/// The positions of columns that are listed by name.
fn positions(columns: &[Column], listed: &[IndexColumn]) -> Result<Vec<usize>> {
    let mut found = Vec::with_capacity(listed.len());
    for index in listed {
        let name = match &index.column.expr {
            ast::Expr::Identifier(name) => normalized(name),
            other => return Err(unsupported(format_args!("an index of the expression {other}"))),
        };
        let position = columns.iter().position(|column| column.name.as_str() == name);
        let position = position.ok_or_else(|| Error::bad_request(format!("there is no column {name}")))?;
        if found.contains(&position) {
            return Err(Error::bad_request(format!("the column {name} is listed twice")));
        }
        found.push(position);
    }
    Ok(found)
}

fn generated_name(table: &str, columns: &[Column], positions: &[usize]) -> Result<Id> {
    let names: Vec<&str> = positions.iter().map(|position| columns[*position].name.as_str()).collect();
    format!("{table}_{}_idx", names.join("_")).parse()
}

/// The schema of a table with these columns and constraints: the key moves to the front.
fn keyed(table: &str, mut columns: Vec<Column>, constraints: &[TableConstraint]) -> Result<Schema> {
    for (at, column) in columns.iter().enumerate() {
        if columns[..at].iter().any(|other| other.name == column.name) {
            return Err(Error::bad_request(format!("the column {} is declared twice", column.name)));
        }
    }
    let mut keys = constraints.iter().filter_map(|constraint| match constraint {
        TableConstraint::PrimaryKey(key) => Some(&key.columns),
        _ => None,
    });
    let key = match (keys.next(), keys.next()) {
        (Some(key), None) => positions(&columns, key)?,
        (None, _) => return Err(Error::bad_request("a table needs a PRIMARY KEY")),
        _ => return Err(Error::bad_request("a table has one PRIMARY KEY only")),
    };
    for position in &key {
        columns[*position].nullable = false;
    }
    let rest = (0..columns.len()).filter(|position| !key.contains(position));
    let order: Vec<usize> = key.iter().copied().chain(rest).collect();
    let mut sorted: Vec<Column> =
        order.iter().map(|position| Column { ordinal: *position as u32, ..columns[*position].clone() }).collect();
    for (at, column) in sorted.iter_mut().enumerate() {
        column.slot = if at < key.len() { at } else { at - key.len() } as u32;
    }
    let mut indexes = Vec::new();
    for constraint in constraints {
        match constraint {
            TableConstraint::PrimaryKey(_) => {}
            TableConstraint::Unique(unique) => {
                if unique.nulls_distinct == NullsDistinctOption::NotDistinct {
                    return Err(unsupported("UNIQUE NULLS NOT DISTINCT"));
                }
                let columns = positions(&sorted, &unique.columns)?;
                let name = match &unique.name {
                    Some(name) => id(name)?,
                    None => generated_name(table, &sorted, &columns)?,
                };
                indexes.push(Index { name, columns, unique: true });
            }
            other => return Err(unsupported(other)),
        }
    }
    Ok(Schema { kind: schema::Kind::Table, columns: sorted, key_len: key.len(), indexes })
}

fn drop_columns(schema: &mut Schema, names: &[Ident], if_exists: bool) -> Result<()> {
    for name in names {
        let name = normalized(name);
        let Some(position) = schema.position(&name) else {
            if if_exists {
                continue;
            }
            return Err(Error::bad_request(format!("there is no column {name}")));
        };
        if position < schema.key_len {
            return Err(Error::bad_request(format!("the column {name} belongs to the primary key")));
        }
        if let Some(index) = schema.indexes.iter().find(|index| index.columns.contains(&position)) {
            return Err(Error::bad_request(format!("the index {} needs the column {name}", index.name)));
        }
        schema.columns.remove(position);
        for column in schema.indexes.iter_mut().flat_map(|index| &mut index.columns) {
            *column -= usize::from(*column > position);
        }
    }
    Ok(())
}
