//! The tables that SQL sees: those of the transaction, as catalogs and schemas of DataFusion.
//!
//! A table that SQL made is in the schema [`SCHEMA`]. What a chain of a service records, and the records, are in a schema that
//! is named by the path of the version without `/service/`. Nobody but the host sees its own tables.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::catalog::information_schema::InformationSchemaProvider;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, MemTable, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result, TableReference};
use parking_lot::Mutex;

use crate::chain::record;
use crate::error::Error;
use crate::exec::data::Session;
use crate::exec::relation::error::external;
use crate::exec::relation::{CollectionProvider, TensorProvider};
use crate::storage::Transaction;
use crate::value::schema::Kind;
use crate::value::{Table, Version};

/// The one catalog.
pub(super) const CATALOG: &str = "tinychain";
/// The schema of tables whose name has none.
pub(super) const SCHEMA: &str = "public";
/// The schema of queries for what there is.
pub(super) const INFORMATION: &str = "information_schema";
/// The schema of tables as they were, by their numbers.
pub(super) const PAST: &str = "~";
/// The schema of tensors, by their numbers.
pub(super) const TENSORS: &str = "~tensor";
/// Where services are.
const SERVICES: &str = "/service/";
/// The first segment of the paths of the service that every host has, where the tables of [`SCHEMA`] live.
const OWN: &str = "sql/";
const VERSION: &str = "/0.0.0/";

/// The path of a table of the schema [`SCHEMA`].
pub(super) fn path_of(table: &str) -> String {
    format!("{SERVICES}{OWN}{SCHEMA}{VERSION}{table}")
}

/// What the paths of all tables of the schema [`SCHEMA`] begin with.
pub(crate) fn prefix() -> String {
    path_of("")
}

/// Whether a path belongs to the service whose tables SQL makes.
pub(crate) fn owns(path: &str) -> bool {
    path.strip_prefix(SERVICES).is_some_and(|rest| rest.starts_with(OWN))
}

/// The path of the table that a statement names.
///
/// # Errors
/// `BadRequest` if there can be no such schema, `NotFound` if there can be no such table in it.
pub(super) fn path_to(name: &TableReference) -> crate::error::Result<String> {
    if let Some(catalog) = name.catalog().filter(|catalog| *catalog != CATALOG) {
        return Err(Error::bad_request(format!("there is no catalog {catalog}")));
    }
    match name.schema() {
        None | Some(SCHEMA) => Ok(path_of(name.table())),
        Some(PAST) => Err(Error::bad_request("a table as it was can only be read")),
        Some(TENSORS) => Err(Error::bad_request("SQL can only read a tensor")),
        Some(schema) if !is_version(schema) => Err(no_schema(schema)),
        Some(schema) if is_shown(name.table()) => Ok(format!("{SERVICES}{schema}/{}", name.table())),
        Some(_) => Err(no_table(name)),
    }
}

/// The table that a statement names.
///
/// # Errors
/// As [`path_to`]; `NotFound` if it is not there.
pub(super) async fn find(txn: &Transaction, name: &TableReference) -> crate::error::Result<Arc<Table>> {
    match txn.table(&path_to(name)?).await? {
        Some(table) if is_tensor(&table) => Err(tensor(&table)),
        Some(table) => Ok(table),
        None => Err(no_table(name)),
    }
}

/// Whether a table holds what was written to a tensor, which means nothing to others.
fn is_tensor(table: &Table) -> bool {
    matches!(table.schema.kind, Kind::Tensor(_))
}

fn tensor(table: &Table) -> Error {
    Error::bad_request(format!("{0} is a tensor, which is read as tensor('{0}')", table.name))
}

/// The schema and the name of the table at a path, if SQL shows it.
fn place_of(path: &str) -> Option<(&str, &str)> {
    let (schema, name) = path.strip_prefix(SERVICES)?.rsplit_once('/')?;
    let own = schema.strip_prefix(OWN).and_then(|own| own.strip_suffix(VERSION.trim_end_matches('/')));
    let is_seen = own == Some(SCHEMA) || (is_version(schema) && is_shown(name));
    is_seen.then_some((own.unwrap_or(schema), name))
}

/// Whether a schema can be that of a version of a service.
pub(super) fn is_version(schema: &str) -> bool {
    let is_other = !schema.starts_with('/') && !schema.starts_with(OWN);
    is_other && schema.rsplit_once('/').is_some_and(|(_, version)| version.parse::<Version>().is_ok())
}

/// Whether SQL shows a table of a service. Of those that a chain keeps, only the records mean something to others.
fn is_shown(table: &str) -> bool {
    let subject = table.strip_suffix(record::path("").as_str()).unwrap_or(table);
    !record::is_path(subject) && !subject.contains('/')
}

fn no_schema(schema: &str) -> Error {
    Error::bad_request(format!("there is no schema {schema} that a table could be in"))
}

fn no_table(name: &TableReference) -> Error {
    match name.schema() {
        None | Some(SCHEMA) => Error::not_found(format!("table {}", name.table())),
        Some(schema) => Error::not_found(format!("table {} of the schema {schema}", name.table())),
    }
}

/// Finds tables in one transaction, and remembers which were asked for.
pub(super) struct Tables {
    txn: Arc<Transaction>,
    /// All tables by schema and name, once something asked for a list.
    listed: Mutex<BTreeMap<String, BTreeMap<String, Arc<Table>>>>,
    /// The tables that were found, by path.
    found: Mutex<HashMap<String, Arc<Table>>>,
    /// Those of the schema [`PAST`].
    past: Vec<Arc<Table>>,
    /// Those of the schema [`TENSORS`].
    tensors: Vec<Arc<TensorProvider>>,
    /// Whether tables say what is unique in them.
    says_keys: AtomicBool,
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tables")
    }
}

impl Tables {
    /// The tables that a transaction sees, some as they were, and tensors.
    pub(super) fn new(txn: &Arc<Transaction>, past: Vec<Arc<Table>>, tensors: Vec<Arc<TensorProvider>>) -> Arc<Self> {
        Arc::new(Self {
            txn: Arc::clone(txn),
            listed: Mutex::default(),
            found: Mutex::default(),
            past,
            tensors,
            says_keys: AtomicBool::new(false),
        })
    }

    /// From now on, tables say what is unique in them.
    pub(super) fn say_keys(&self) {
        self.says_keys.store(true, Ordering::Relaxed);
    }

    /// Reads the names of all tables that the request may read, for queries of the information schema.
    pub(super) async fn list(&self, session: &Session) -> crate::error::Result<()> {
        let mut listed: BTreeMap<String, BTreeMap<String, Arc<Table>>> = BTreeMap::new();
        for (path, table) in self.txn.tables(SERVICES).await? {
            if let Some((schema, name)) = place_of(&path).filter(|_| !is_tensor(&table))
                && session.will_read(&path).await.is_ok()
            {
                listed.entry(schema.into()).or_default().insert(name.into(), table);
            }
        }
        *self.listed.lock() = listed;
        Ok(())
    }

    /// The table with a name in a schema.
    async fn find(&self, schema: &str, name: &str) -> crate::error::Result<Option<Arc<Table>>> {
        if schema == PAST {
            return Ok(name.parse().ok().and_then(|number: usize| self.past.get(number)).cloned());
        }
        let Ok(path) = path_to(&TableReference::partial(schema, name)) else { return Ok(None) };
        let table = self.txn.table(&path).await?;
        if let Some(table) = &table {
            if is_tensor(table) {
                return Err(tensor(table));
            }
            self.found.lock().insert(path, Arc::clone(table));
        }
        Ok(table)
    }

    /// The tables that were found so far.
    pub(super) fn take_found(&self) -> Vec<Arc<Table>> {
        self.found.lock().drain().map(|(_, table)| table).collect()
    }

    /// The schemas that have tables, without [`SCHEMA`].
    fn schemas(&self) -> Vec<String> {
        self.listed.lock().keys().filter(|schema| *schema != SCHEMA).cloned().collect()
    }

    fn names(&self, schema: &str) -> Vec<String> {
        self.listed.lock().get(schema).map_or_else(Vec::new, |tables| tables.keys().cloned().collect())
    }
}

/// The name of a table in its schema.
pub(super) fn name_of(table: &Table) -> String {
    place_of(&table.name).map_or_else(String::new, |(_, name)| name.into())
}

/// The list of the one catalog.
#[derive(Debug)]
pub(super) struct Catalogs(pub(super) Arc<Tables>);

impl CatalogProviderList for Catalogs {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.into()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| Arc::new(Catalog(Arc::clone(&self.0))) as _)
    }
}

#[derive(Debug)]
struct Catalog(Arc<Tables>);

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        std::iter::once(SCHEMA.into()).chain(self.0.schemas()).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            INFORMATION => Some(Arc::new(Information::new(&self.0))),
            name if matches!(name, SCHEMA | PAST | TENSORS) || is_version(name) => {
                Some(Arc::new(Schema { tables: Arc::clone(&self.0), name: name.into() }))
            }
            _ => None,
        }
    }
}

/// The tables that SQL made, or those of one version of a service.
#[derive(Debug)]
struct Schema {
    tables: Arc<Tables>,
    name: String,
}

#[async_trait]
impl SchemaProvider for Schema {
    fn table_names(&self) -> Vec<String> {
        self.tables.names(&self.name)
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let tables = &self.tables;
        if self.name == TENSORS {
            let tensor = name.parse().ok().and_then(|number: usize| tables.tensors.get(number));
            return Ok(tensor.map(|tensor| Arc::clone(tensor) as Arc<dyn TableProvider>));
        }
        let Some(table) = tables.find(&self.name, name).await.map_err(external)? else { return Ok(None) };
        let provider = CollectionProvider::new(table);
        let says_keys = tables.says_keys.load(Ordering::Relaxed);
        Ok(Some(Arc::new(if says_keys { provider } else { provider.without_constraints() })))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.listed.lock().get(&self.name).is_some_and(|tables| tables.contains_key(name))
    }
}

/// DataFusion's information schema, and the views about keys and indexes that it does not have.
#[derive(Debug)]
struct Information {
    tables: Arc<Tables>,
    common: InformationSchemaProvider,
}

impl Information {
    fn new(tables: &Arc<Tables>) -> Self {
        let common = InformationSchemaProvider::new(Arc::new(Catalogs(Arc::clone(tables))));
        Self { tables: Arc::clone(tables), common }
    }
}

#[async_trait]
impl SchemaProvider for Information {
    fn table_names(&self) -> Vec<String> {
        let mut names = self.common.table_names();
        names.extend(["key_column_usage", "statistics", "table_constraints"].map(String::from));
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let tables: Vec<Arc<Table>> = self.tables.listed.lock().values().flat_map(BTreeMap::values).cloned().collect();
        let batch = match name {
            "table_constraints" => table_constraints(&tables)?,
            "key_column_usage" => key_column_usage(&tables)?,
            "statistics" => statistics(&tables)?,
            _ => return self.common.table(name).await,
        };
        Ok(Some(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|other| other == name)
    }
}

fn texts(values: impl Iterator<Item = String>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// A batch whose first columns say which table a row is about.
fn about(
    rows: &[(&Arc<Table>, Vec<String>)],
    names: &[&'static str],
    numbers: Option<(&'static str, Vec<i64>)>,
) -> Result<RecordBatch> {
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("table_catalog", texts(rows.iter().map(|_| CATALOG.to_string()))),
        ("table_schema", texts(rows.iter().map(|(table, _)| schema_of(table)))),
        ("table_name", texts(rows.iter().map(|(table, _)| name_of(table)))),
    ];
    for (at, name) in names.iter().enumerate() {
        columns.push((name, texts(rows.iter().map(|(_, cells)| cells[at].clone()))));
    }
    if let Some((name, values)) = numbers {
        columns.push((name, Arc::new(Int64Array::from(values))));
    }
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn schema_of(table: &Table) -> String {
    place_of(&table.name).map_or_else(String::new, |(schema, _)| schema.into())
}

fn primary_key(table: &Table) -> String {
    format!("{}_pkey", name_of(table))
}

fn table_constraints(tables: &[Arc<Table>]) -> Result<RecordBatch> {
    let rows: Vec<_> = tables
        .iter()
        .flat_map(|table| {
            let unique = table.schema.indexes.iter().filter(|index| index.unique);
            let unique = unique.map(|index| vec![index.name.to_string(), "UNIQUE".to_string()]);
            let all = std::iter::once(vec![primary_key(table), "PRIMARY KEY".to_string()]).chain(unique);
            all.map(|cells| (table, cells)).collect::<Vec<_>>()
        })
        .collect();
    about(&rows, &["constraint_name", "constraint_type"], None)
}

fn key_column_usage(tables: &[Arc<Table>]) -> Result<RecordBatch> {
    let (mut rows, mut positions) = (Vec::new(), Vec::new());
    for table in tables {
        let key: Vec<usize> = (0..table.schema.key_len).collect();
        let unique = table.schema.indexes.iter().filter(|index| index.unique);
        let unique = unique.map(|index| (index.name.to_string(), index.columns.clone()));
        for (constraint, columns) in std::iter::once((primary_key(table), key)).chain(unique) {
            for (at, column) in columns.into_iter().enumerate() {
                let column = table.schema.columns[column].name.to_string();
                rows.push((table, vec![constraint.clone(), column]));
                positions.push(at as i64 + 1);
            }
        }
    }
    about(&rows, &["constraint_name", "column_name"], Some(("ordinal_position", positions)))
}

fn statistics(tables: &[Arc<Table>]) -> Result<RecordBatch> {
    let (mut rows, mut positions) = (Vec::new(), Vec::new());
    for table in tables {
        for index in &table.schema.indexes {
            for (at, column) in index.columns.iter().enumerate() {
                let (column, unique) = (table.schema.columns[*column].name.to_string(), !index.unique);
                rows.push((table, vec![index.name.to_string(), column, unique.to_string()]));
                positions.push(at as i64 + 1);
            }
        }
    }
    about(&rows, &["index_name", "column_name", "non_unique"], Some(("seq_in_index", positions)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_name_leads_to_the_path_that_it_is_shown_for() {
        for (schema, name, path) in [
            (SCHEMA, "city", "/service/sql/public/0.0.0/city"),
            ("stock/1.0.0", "items", "/service/stock/1.0.0/items"),
            ("a/shop/stock/1.0.0", "items~records", "/service/a/shop/stock/1.0.0/items~records"),
        ] {
            assert_eq!(path_to(&TableReference::partial(schema, name)).unwrap(), path);
            assert_eq!(place_of(path), Some((schema, name)));
        }
    }

    #[test]
    fn other_tables_have_no_name() {
        for path in [
            "/host/entries",
            "/service/stock/1.0.0/items~blocks",
            "/service/stock/1.0.0/items~records~blocks",
            "/service/sql/other/0.0.0/t",
            "/service/1.0.0/t",
            "/service/shop/stock/items",
        ] {
            assert_eq!(place_of(path), None, "{path}");
        }
        let kind = |schema: &str, table: &str| path_to(&TableReference::partial(schema, table)).unwrap_err().kind();
        assert_eq!(kind("shop/stock/1.0.0", "items~blocks"), Kind::NotFound);
        assert_eq!(kind("shop/stock/1.0.0", "a/b"), Kind::NotFound);
        for schema in ["sql/public/0.0.0", "other", "shop/stock", "/1.0.0", "/a/1.0.0", INFORMATION, ""] {
            assert_eq!(kind(schema, "t"), Kind::BadRequest, "{schema}");
        }
        assert_eq!(path_to(&TableReference::full("other", SCHEMA, "t")).unwrap_err().kind(), Kind::BadRequest);
    }
}
