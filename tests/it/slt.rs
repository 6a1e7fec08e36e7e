//! The files in `tests/sql`, in the format of sqllogictest, run against a host over a socket.

use std::fmt;

use serde_json::{Value as Json, json};
use sqllogictest::{DB, DBOutput, DefaultColumnType, Runner};

use crate::support::{Client, Host};
use crate::tidy::ROOT;

/// A host that is asked in SQL.
struct Sql {
    client: Client,
}

/// What the host replied to a statement that it refused.
#[derive(Debug)]
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl DB for Sql {
    type Error = Refused;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Refused> {
        let reply = self.client.send("POST", "/sql", &[], json!({ "sql": sql }).to_string().as_bytes());
        let body: Json =
            serde_json::from_str(&reply.text()).map_err(|error| Refused(format!("{error}: {}", reply.text())))?;
        if reply.status != 200 {
            return Err(Refused(format!("{} {body}", reply.status)));
        }
        if let Some(rows) = body["rows_affected"].as_u64() {
            return Ok(DBOutput::StatementComplete(rows));
        }
        let (Some(columns), Some(rows)) = (body["columns"].as_array(), body["rows"].as_array()) else {
            return Err(Refused(format!("a reply without rows: {body}")));
        };
        let types = columns.iter().map(|column| column_type(column["type"].as_str().unwrap_or_default())).collect();
        let rows = rows.iter().map(|row| row.as_array().into_iter().flatten().map(cell).collect()).collect();
        Ok(DBOutput::Rows { types, rows })
    }
}

fn column_type(name: &str) -> DefaultColumnType {
    match name {
        name if name.contains("INT") => DefaultColumnType::Integer,
        "REAL" | "DOUBLE" => DefaultColumnType::FloatingPoint,
        name if name.starts_with("DECIMAL") => DefaultColumnType::FloatingPoint,
        _ => DefaultColumnType::Text,
    }
}

fn cell(value: &Json) -> String {
    match value {
        Json::Null => "NULL".into(),
        Json::String(text) if text.is_empty() => "(empty)".into(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[test]
fn files_of_statements_and_their_results() {
    let folder = format!("{ROOT}/tests/sql");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "slt"));
    paths.sort();
    assert!(!paths.is_empty());
    let (mut records, mut failures) = (0, Vec::new());
    for path in paths {
        // Each file has a host of its own, so that it does not depend on the others.
        let host = Host::start(&[]);
        let mut runner = Runner::new(|| async { Ok(Sql { client: host.connect() }) });
        runner.with_column_validator(|_, _| true);
        if let Err(error) = runner.run_file(&path) {
            failures.push(error.display(false).to_string());
        }
        records += std::fs::read_to_string(&path).unwrap().lines().filter(|line| is_record(line)).count();
    }
    println!("{records} statements and queries");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn is_record(line: &str) -> bool {
    line.starts_with("statement ") || line.starts_with("query ")
}
