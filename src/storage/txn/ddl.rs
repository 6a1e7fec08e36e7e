//! Which tables there are, and what they are like.

use std::sync::Arc;

use super::alter::{self, Alteration, alter, numbered};
use super::{Changed, Core, Transaction, Work, over};
use crate::error::{Error, Result};
use crate::storage::catalog::{self, CATALOG, Definition, catalog_schema};
use crate::storage::cursor::Cursor;
use crate::storage::index::{Access, Index};
use crate::storage::load::backfill;
use crate::value::schema::{Schema, Table, TreeId};

impl Transaction {
    /// The table at `path`, if there is one.
    ///
    /// Completes when it is first polled if the definition is in memory or in cached blocks.
    ///
    /// # Errors
    /// `Internal` if the catalog cannot be read; `BadRequest` if the transaction is over.
    pub async fn table(&self, path: &str) -> Result<Option<Arc<Table>>> {
        Ok(self.core.definition(path).await?.map(|definition| Arc::clone(&definition.table)))
    }

    /// The tables whose paths begin with `prefix`, in the order of their paths.
    ///
    /// # Errors
    /// As [`Transaction::table`].
    pub async fn tables(&self, prefix: &str) -> Result<Vec<(String, Arc<Table>)>> {
        let range = catalog::range(prefix)?;
        let source = {
            let mut work = self.core.work.lock();
            work.check()?;
            work.reads.add_range(CATALOG, &range);
            self.core.source(&work, CATALOG)
        };
        let mut rows = Cursor::new(&source, catalog_schema(), &range, [1]);
        let mut tables = Vec::new();
        while rows.key().await?.is_some() {
            let definition = Definition::of_row(&rows.row()?)?;
            if definition.table.name.starts_with(prefix) {
                tables.push((definition.table.name.to_string(), Arc::clone(&definition.table)));
            }
            rows.advance();
        }
        Ok(tables)
    }

    /// Makes an empty table at `path`, whose columns have slots in their order.
    ///
    /// # Errors
    /// `BadRequest` if there is one already, or if the schema makes no sense; as [`Transaction::table`].
    pub async fn create_table(&self, path: &str, schema: Schema) -> Result<Arc<Table>> {
        let core = &self.core;
        let _writing = core.writer().await;
        if core.definition(path).await?.is_some() {
            return Err(Error::bad_request(format!("there is already a table at {path}")));
        }
        alter::check(&schema)?;
        let schema = Arc::new(numbered(schema));
        let rows = core.store.next_tree_id();
        let indexes = schema.indexes.iter().map(|_| core.store.next_tree_id()).collect();
        let definition = Definition::new(Arc::new(Table { name: path.into(), schema, rows, indexes }));
        let table = Arc::clone(&definition.table);
        let mut work = core.work.lock();
        for (tree, schema) in definition.trees() {
            work.writes.create(tree, &schema);
        }
        work.define(path, None, Some(&definition))?;
        Ok(table)
    }

    /// Drops the table at `path` with all its rows. Returns whether there was one.
    ///
    /// # Errors
    /// As [`Transaction::table`].
    pub async fn drop_table(&self, path: &str) -> Result<bool> {
        let core = &self.core;
        let _writing = core.writer().await;
        let Some(definition) = core.definition(path).await? else {
            return Ok(false);
        };
        let mut work = core.work.lock();
        for (tree, schema) in definition.trees() {
            work.writes.drop_tree(tree, &schema);
        }
        work.define(path, Some(&definition.table), None)?;
        Ok(true)
    }

    /// Gives the table at `path` another schema. Columns and indexes are the same as before if they have the same name.
    ///
    /// A new column is nullable, or has a default, which rows have that are there already; its slot in `schema` is not
    /// looked at. A column can be dropped if it is not in the key, and if the indexes go that it is in. New indexes get
    /// their entries here.
    ///
    /// # Errors
    /// `BadRequest` if there is no such table, if the change is another one, if rows do not agree with a new unique
    /// index, or if there is a new index and this transaction has appended rows; as [`Transaction::table`].
    pub async fn alter_table(&self, path: &str, schema: Schema) -> Result<Arc<Table>> {
        let core = &self.core;
        let _writing = core.writer().await;
        let definition = core.definition(path).await?;
        let definition = definition.ok_or_else(|| Error::bad_request(format!("there is no table at {path}")))?;
        let old = &definition.table;
        let Alteration { schema, next_slot, kept } = alter(&definition, schema)?;
        let schema = Arc::new(schema);
        let tree = |at: &Option<usize>| at.map_or_else(|| core.store.next_tree_id(), |at| old.indexes[at]);
        let indexes: Vec<TreeId> = kept.iter().map(tree).collect();
        let table = Arc::new(Table { name: Arc::clone(&old.name), schema, rows: old.rows, indexes });
        let altered = Definition { table: Arc::clone(&table), next_slot };

        let added = kept.iter().enumerate().filter(|(_, before)| before.is_none());
        let added = added.map(|(at, _)| Index::new(&table.schema, at, table.indexes[at])).collect::<Vec<_>>();
        if !added.is_empty() && core.work.lock().writes.is_stamped(old.rows) {
            let message = format!("rows were appended to {path} in this transaction, so it cannot get an index now");
            return Err(Error::bad_request(message));
        }
        let mut filled = Vec::with_capacity(added.len());
        for index in &added {
            filled.push(backfill(core, &table, index).await?);
        }

        {
            let mut work = core.work.lock();
            let dropped = definition.trees().into_iter().filter(|(tree, _)| !altered.has(*tree));
            for (tree, schema) in dropped {
                work.writes.drop_tree(tree, &schema);
            }
            for (tree, schema) in altered.trees() {
                work.writes.alter(tree, &schema);
            }
            for (index, staged) in added.iter().zip(filled) {
                work.writes.create(index.tree, &index.schema);
                staged.install(&mut work.writes, index.tree, &index.schema);
            }
            work.define(path, Some(old), Some(&altered))?;
        }
        core.make_room().await?;
        Ok(table)
    }

    /// Deletes all rows of a table.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn clear(&self, table: &Table) -> Result<()> {
        let core = &self.core;
        let _writing = core.writer().await;
        let mut work = core.work.lock();
        let access = core.access(&mut work, table)?;
        for (tree, schema) in access.trees() {
            work.writes.clear(tree, schema);
        }
        Ok(())
    }
}

impl Core {
    /// The definition of the table at `path`, which counts as read.
    async fn definition(&self, path: &str) -> Result<Option<Arc<Definition>>> {
        let key = catalog::key(path)?;
        let source = {
            let mut work = self.work.lock();
            work.check()?;
            work.reads.add_point(CATALOG, &key);
            self.source(&work, CATALOG)
        };
        let row = source.get(catalog_schema(), &key).await?;
        row.map(|row| Definition::of_row(&row)).transpose()
    }
}

impl Work {
    /// Checks that the transaction is not over.
    fn check(&self) -> Result<()> {
        if self.is_over { Err(over()) } else { Ok(()) }
    }

    /// Writes the catalog's entry of `path`, or deletes it, and notes what the table was before and is now.
    fn define(&mut self, path: &str, before: Option<&Arc<Table>>, after: Option<&Definition>) -> Result<()> {
        self.check()?;
        let (key, payload) = match after {
            Some(definition) => {
                let (key, payload) = definition.entry()?;
                (key, Some(payload.into()))
            }
            None => (catalog::key(path)?, None),
        };
        self.writes.write(CATALOG, catalog_schema(), key.into(), payload);
        if let Some(before) = before {
            self.used.remove(&before.rows);
        }
        let after = after.map(|definition| Arc::clone(&definition.table));
        if let Some(table) = &after {
            self.used.insert(table.rows, Arc::new(Access::new(table)));
        }
        let first = || Changed { before: before.cloned(), after: None };
        self.changed.entry(path.into()).or_insert_with(first).after = after;
        Ok(())
    }
}
