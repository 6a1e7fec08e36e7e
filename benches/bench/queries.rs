//! The statements in benches/queries, which the programs of the peers read too.

/// The definitions of tables.
pub const TABLES: &str = include_str!("../queries/tables.sql");
/// Queries over the table `facts`.
pub const SCAN: &str = include_str!("../queries/scan.sql");
/// The queries of TPC-H.
pub const TPCH: &str = include_str!("../queries/tpch.sql");

/// The statements of a file with their names.
pub fn statements(text: &'static str) -> Vec<(&'static str, &'static str)> {
    // What comes before the first is said to the reader.
    let parts = text.split("\n-- name: ").skip(1);
    parts.filter_map(|part| part.split_once('\n')).map(|(name, sql)| (name.trim(), sql.trim())).collect()
}

/// The statement that makes a table.
pub fn definition(table: &str) -> &'static str {
    let found = statements(TABLES).into_iter().find(|(name, _)| *name == table);
    found.unwrap_or_else(|| panic!("tables.sql has no table {table}")).1
}
