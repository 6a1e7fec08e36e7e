//! Performs calls.

use std::sync::Arc;

use super::chain::check_present;
use super::{DataCall, Worker};
use crate::compiler::collection::{self, Action, Literal, Source, first_reply, meets_all, plan};
use crate::compiler::graph::created_class;
use crate::compiler::methods::Shape;
use crate::compiler::{ml, tensor};
use crate::error::{Error, Result};
use crate::exec::call::Invocation;
use crate::exec::ml::Learning;
use crate::exec::sql;
use crate::value::cell::cast_row;
use crate::value::hash_collection::hash_collection;
use crate::value::schema::{ColumnType, Kind};
use crate::value::{Class, Collection, Id, Link, Map, State, Table, Tensor, Tuple, Value};

/// Rows that are written before others get a turn.
const TURN_ROWS: usize = 1024;
/// The segments of the path of a table of a service: `/service/<name>…/<version>/<table>`.
const TABLE_SEGMENTS: usize = 5;

impl Worker<'_> {
    /// Performs a call.
    pub(super) async fn perform(&self, call: DataCall) -> Result<Invocation> {
        match call {
            DataCall::Method { collection, path, shape, args } => {
                self.method(&collection, &path, &shape, &args).await.map(Invocation::Done)
            }
            DataCall::Tensor { tensor, path, shape, args } => {
                self.tensor(&tensor, &path, &shape, &args).await.map(Invocation::Done)
            }
            DataCall::WriteAll { collection, args } => self.write_all(&collection, &args).await.map(Invocation::Done),
            DataCall::Path { link, shape, args } => match created_class(&link) {
                Class::BTree => self.construct(Kind::BTree, &shape, &args).await.map(Invocation::Done),
                Class::Table => self.construct(Kind::Table, &shape, &args).await.map(Invocation::Done),
                _ if tensor::is_constructor(&link.path_text()) => {
                    self.construct_tensor(&link.path_text(), &shape, &args).await.map(Invocation::Done)
                }
                _ if ml::is_function(&link.path_text()) => {
                    Box::pin(self.learn(&link, &shape, &args)).await.map(Invocation::Done)
                }
                _ => self.cluster(&link, &shape, args).await,
            },
        }
    }

    /// A call of a function of networks that learn.
    async fn learn(&self, link: &Link, shape: &Shape, args: &[State]) -> Result<State> {
        let args = args.iter().map(|arg| self.frozen(arg)).collect::<Result<Vec<_>>>()?;
        let request = ml::plan(&link.path_text(), shape, &args)?;
        Learning::new(&self.session.devices, self.txn()).perform(request).await
    }

    /// A call of the collection that a table stores, or of a method of it.
    pub(super) async fn stored(&self, table: &Arc<Table>, path: &[Id], shape: &Shape, args: &[State]) -> Result<State> {
        match Tensor::stored(table) {
            Some(tensor) => self.tensor(&Arc::new(tensor), path, shape, args).await,
            None => self.method(&Collection::new(Arc::clone(table)), path, shape, args).await,
        }
    }

    /// A call of a table or a B-tree, or of a method of it.
    pub(super) async fn method(
        &self,
        collection: &Collection,
        path: &[Id],
        shape: &Shape,
        args: &[State],
    ) -> Result<State> {
        let name = match path {
            [] => None,
            [name] => Some(name.as_str()),
            path => {
                let path: Vec<&str> = path.iter().map(Id::as_str).collect();
                return Err(Error::not_found(format!("/{}", path.join("/"))));
            }
        };
        self.act(collection, plan(collection, name, shape, args)?).await
    }

    /// Puts rows to a collection: each pair of `args` is a key and a value.
    async fn write_all(&self, collection: &Collection, args: &[State]) -> Result<State> {
        self.check_write(&collection.table).await?;
        let mut rows = Vec::with_capacity(args.len() / 2);
        for pair in args.chunks_exact(2) {
            match plan(collection, None, &Shape::Put, pair)? {
                Action::Upsert(row) | Action::InsertRow(row) => rows.push(row),
                other => drop(self.act(collection, other).await?),
            }
        }
        self.note(|| format!("writes {} rows together", rows.len()));
        self.put_rows(&collection.table, &rows).await?;
        Ok(State::NONE)
    }

    /// Makes a collection that lives as long as the transaction.
    async fn construct(&self, kind: Kind, shape: &Shape, args: &[State]) -> Result<State> {
        let literal = match (shape, args) {
            (Shape::Get, [schema]) => collection::create(kind, schema)?,
            (Shape::Put, [schema, contents]) => collection::load(kind, schema, contents)?,
            (Shape::Post(names), args) => collection::copy_from(kind, names, args)?,
            _ => return Err(Error::method_not_allowed(format!("a {} cannot be made so", kind.class()))),
        };
        self.make(literal).await
    }

    async fn make(&self, Literal { schema, source }: Literal) -> Result<State> {
        let table = self.txn().create(schema);
        match source {
            Source::Rows(rows) => {
                self.put_rows(&table, &rows).await?;
            }
            Source::Collection(source) => self.copy(&table, &source).await?,
            Source::Tensor(tensor) => Box::pin(self.load_numbers(&table, &tensor)).await?,
        }
        Ok(Collection::new(table).into())
    }

    /// A path of the service whose tables SQL makes: a table, a method of it, or the service itself.
    pub(super) async fn service(&self, link: &Link, shape: &Shape, args: &[State]) -> Result<State> {
        let path = link.path();
        let text = |segments: &[Id]| segments.iter().map(|segment| format!("/{segment}")).collect::<String>();
        if path.len() < TABLE_SEGMENTS {
            return self.directory(link, shape, args).await;
        }
        let (table, rest) = path.split_at(TABLE_SEGMENTS);
        match self.txn().table(&text(table)).await? {
            Some(table) => {
                check_present(&Link::local(&path[..TABLE_SEGMENTS]), rest)?;
                self.stored(&table, rest, shape, args).await
            }
            None => Err(Error::not_found(link.path_text())),
        }
    }

    /// The tables below a path, by their names.
    async fn directory(&self, link: &Link, shape: &Shape, args: &[State]) -> Result<State> {
        let prefix = format!("{}/", link.path_text());
        let tables = self.txn().tables(&prefix).await?;
        // That of SQL is there also while there is no table.
        if tables.is_empty() && prefix != sql::tables_prefix() {
            return Err(Error::not_found(link.path_text()));
        }
        if *shape != Shape::Get {
            let verb = shape.verb().http();
            return Err(Error::method_not_allowed(format!("{link} does not support {verb}")));
        }
        let entries = tables.into_iter().filter_map(|(path, table)| {
            let name: Id = path.strip_prefix(&prefix)?.parse().ok()?;
            Some((name, table))
        });
        let entries = entries.map(|(name, table)| Ok((name, described(&table)?))).collect::<Result<Vec<_>>>()?;
        let all = Map::try_new(entries)?;
        match args.first() {
            None | Some(State::Value(Value::None)) => Ok(all.into()),
            Some(key) => {
                let name = crate::value::cast::to_id(key)?;
                all.get(name.as_str()).cloned().ok_or_else(|| Error::not_found(name.to_string()))
            }
        }
    }

    /// Performs what a call of `collection` asks for.
    async fn act(&self, collection: &Collection, action: Action) -> Result<State> {
        let (txn, table) = (self.txn(), &collection.table);
        if action.is_write() {
            self.check_write(table).await?;
        }
        match action {
            Action::Done(state) => return Ok(state),
            Action::Row { view, key } => {
                return match self.row(&view, &key).await? {
                    Some(row) => Ok(Tuple::try_new(projected(&view, row))?.into()),
                    None => Ok(State::NONE),
                };
            }
            Action::ContainsKey { view, key } => return Ok(self.row(&view, &key).await?.is_some().into()),
            Action::CountKey { view, key } => return Ok(u64::from(self.row(&view, &key).await?.is_some()).into()),
            Action::Contains(view) => return Ok(self.first(&view).await?.is_some().into()),
            Action::IsEmpty(view) => return Ok(self.first(&view).await?.is_none().into()),
            Action::Count(view) => return Ok(self.count(&view).await?.into()),
            Action::First(view) => return first_reply(&view, self.first(&view).await?.as_deref()),
            Action::Hash(view) => return Ok(hash_collection(&view, &self.read(&view, u64::MAX).await?).into()),
            Action::Numbers(columns) => return Box::pin(self.read_numbers(&columns)).await,
            Action::Copy(literal) => return self.make(literal).await,
            Action::InsertRow(row) => self.put_rows(table, &[row]).await?,
            Action::Upsert(row) => txn.put(table, &row).await?,
            Action::InsertAll(source) => self.copy(table, &source).await?,
            Action::Update { view, values } => self.update(&view, &values).await?,
            Action::UpdateRow { key, values } => {
                if let Some(row) = txn.get(table, &key).await? {
                    txn.put(table, &updated(row, &values)).await?;
                }
            }
            Action::PutNumbers { columns, value } => Box::pin(self.write_numbers(&columns, &value)).await?,
            Action::DeleteRow(key) => drop(txn.delete(table, &key).await?),
            Action::DeleteWhere(view) => self.delete(&view).await?,
            Action::Clear => txn.clear(table).await?,
        }
        Ok(State::NONE)
    }

    /// Writes rows. One that is in a B-tree already stays as it is, which shows where equal cells differ, e.g. 1 and true.
    async fn put_rows(&self, table: &Table, rows: &[Vec<State>]) -> Result<()> {
        let is_set = table.schema.kind == Kind::BTree;
        if !is_set || table.schema.columns.iter().all(|column| column.ty != ColumnType::Any) {
            return self.txn().put_rows(table, rows).await;
        }
        for row in rows {
            self.txn().insert(table, row).await?;
        }
        Ok(())
    }

    /// The row of a view with the given key.
    async fn row(&self, view: &Collection, key: &[State]) -> Result<Option<Vec<State>>> {
        self.note(|| "reads a row by its key".into());
        let row = self.txn().get(&view.table, key).await?;
        Ok(row.filter(|row| meets_all(&view.table.schema, &view.view.filter, row)))
    }

    /// Writes the rows of a view to a table, cast to its columns.
    async fn copy(&self, table: &Arc<Table>, source: &Collection) -> Result<()> {
        let rows = self.read(source, u64::MAX).await?;
        let rows = rows.iter().map(|row| cast_row(&table.schema, row)).collect::<Result<Vec<_>>>()?;
        self.put_rows(table, &rows).await
    }

    /// The rows of a view with all their columns, before any of them is written.
    async fn whole_rows(&self, view: &Collection) -> Result<Vec<Vec<State>>> {
        let mut whole = view.clone();
        whole.view.columns = None;
        self.read(&whole, u64::MAX).await
    }

    async fn update(&self, view: &Collection, values: &[(usize, State)]) -> Result<()> {
        for (at, row) in self.whole_rows(view).await?.into_iter().enumerate() {
            self.txn().put(&view.table, &updated(row, values)).await?;
            take_turns(at).await;
        }
        Ok(())
    }

    async fn delete(&self, view: &Collection) -> Result<()> {
        let keys = view.table.schema.key_len;
        for (at, row) in self.whole_rows(view).await?.into_iter().enumerate() {
            self.txn().delete(&view.table, &row[..keys]).await?;
            take_turns(at).await;
        }
        Ok(())
    }
}

async fn take_turns(row: usize) {
    if row % TURN_ROWS == TURN_ROWS - 1 {
        tokio::task::yield_now().await;
    }
}

fn updated(mut row: Vec<State>, values: &[(usize, State)]) -> Vec<State> {
    for (column, value) in values {
        row[*column] = value.clone();
    }
    row
}

fn projected(view: &Collection, row: Vec<State>) -> Vec<State> {
    match &view.view.columns {
        None => row,
        Some(columns) => columns.iter().map(|column| row[*column].clone()).collect(),
    }
}

/// What a table is: the class of the chain that records what is written to it, and its schema.
fn described(table: &Table) -> Result<State> {
    let schema = collection::schema_state(&table.schema)?;
    let chain = Class::at("/state/chain/sync").ok_or_else(|| Error::internal("there is no SyncChain"))?;
    Ok(Map::try_new([(Id::from("chain"), chain.link().into()), (Id::from("schema"), schema)])?.into())
}
