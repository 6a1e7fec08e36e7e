//! The tables that SQL sees: those of the transaction, as catalogs and schemas of DataFusion.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::catalog::information_schema::InformationSchemaProvider;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, MemTable, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result};
use parking_lot::Mutex;

use crate::exec::relation::CollectionProvider;
use crate::exec::relation::error::external;
use crate::storage::Transaction;
use crate::value::Link;
use crate::value::Table;

/// The one catalog.
pub(super) const CATALOG: &str = "tinychain";
/// The schema of tables whose name has none.
pub(super) const SCHEMA: &str = "public";
const INFORMATION: &str = "information_schema";
/// Where the tables of a schema live: in a service that every host has.
const SERVICE: &str = "/service/sql/";
const VERSION: &str = "/0.0.0/";

/// The path of a table of the schema [`SCHEMA`].
pub(super) fn path_of(table: &str) -> String {
    format!("{SERVICE}{SCHEMA}{VERSION}{table}")
}

/// What the paths of all tables begin with.
pub(crate) fn prefix() -> String {
    path_of("")
}

/// Whether a path belongs to the service whose tables SQL makes.
pub(crate) fn owns(link: &Link) -> bool {
    link.path_text().starts_with(SERVICE)
}

/// Finds tables in one transaction, and remembers which were asked for.
pub(super) struct Tables {
    txn: Arc<Transaction>,
    /// All tables, once something asked for a list.
    listed: Mutex<Vec<Arc<Table>>>,
    /// The tables that were found by name.
    found: Mutex<HashMap<String, Arc<Table>>>,
    /// Whether tables say what is unique in them.
    says_keys: AtomicBool,
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tables")
    }
}

impl Tables {
    pub(super) fn new(txn: &Arc<Transaction>) -> Arc<Self> {
        Arc::new(Self {
            txn: Arc::clone(txn),
            listed: Mutex::default(),
            found: Mutex::default(),
            says_keys: AtomicBool::new(false),
        })
    }

    /// From now on, tables say what is unique in them.
    pub(super) fn say_keys(&self) {
        self.says_keys.store(true, Ordering::Relaxed);
    }

    /// Reads the names of all tables, for queries of the information schema.
    pub(super) async fn list(&self) -> crate::error::Result<()> {
        let tables = self.txn.tables(&prefix()).await?;
        *self.listed.lock() = tables.into_iter().map(|(_, table)| table).collect();
        Ok(())
    }

    /// The tables that were found so far.
    pub(super) fn take_found(&self) -> Vec<Arc<Table>> {
        self.found.lock().drain().map(|(_, table)| table).collect()
    }

    fn names(&self) -> Vec<String> {
        self.listed.lock().iter().map(|table| name_of(table)).collect()
    }
}

/// The name of a table in its schema.
pub(super) fn name_of(table: &Table) -> String {
    table.name.rsplit('/').next().unwrap_or_default().to_string()
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
        vec![SCHEMA.into()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            SCHEMA => Some(Arc::new(Public(Arc::clone(&self.0)))),
            INFORMATION => Some(Arc::new(Information::new(&self.0))),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Public(Arc<Tables>);

#[async_trait]
impl SchemaProvider for Public {
    fn table_names(&self) -> Vec<String> {
        self.0.names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Some(table) = self.0.txn.table(&path_of(name)).await.map_err(external)? else { return Ok(None) };
        self.0.found.lock().insert(name.to_string(), Arc::clone(&table));
        let provider = CollectionProvider::new(table);
        let says_keys = self.0.says_keys.load(Ordering::Relaxed);
        Ok(Some(Arc::new(if says_keys { provider } else { provider.without_constraints() })))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.0.names().iter().any(|other| other == name)
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
        let tables = self.tables.listed.lock().clone();
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
    rows: &[(String, Vec<String>)],
    names: &[&'static str],
    numbers: Option<(&'static str, Vec<i64>)>,
) -> Result<RecordBatch> {
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("table_catalog", texts(rows.iter().map(|_| CATALOG.to_string()))),
        ("table_schema", texts(rows.iter().map(|_| SCHEMA.to_string()))),
        ("table_name", texts(rows.iter().map(|(table, _)| table.clone()))),
    ];
    for (at, name) in names.iter().enumerate() {
        columns.push((name, texts(rows.iter().map(|(_, cells)| cells[at].clone()))));
    }
    if let Some((name, values)) = numbers {
        columns.push((name, Arc::new(Int64Array::from(values))));
    }
    Ok(RecordBatch::try_from_iter(columns)?)
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
            all.map(|cells| (name_of(table), cells)).collect::<Vec<_>>()
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
                rows.push((name_of(table), vec![constraint.clone(), column]));
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
                rows.push((name_of(table), vec![index.name.to_string(), column, unique.to_string()]));
                positions.push(at as i64 + 1);
            }
        }
    }
    about(&rows, &["index_name", "column_name", "non_unique"], Some(("seq_in_index", positions)))
}
