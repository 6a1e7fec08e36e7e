//! What was measured, one JSON object a line, for `benches/compare`: written where `TINYCHAIN_BENCH_JSON` says, if
//! anywhere.

use std::fs::OpenOptions;
use std::io::Write as _;

use serde_json::json;

/// One measurement. Systems that did the same work have the same group and name.
pub struct Record<'a> {
    pub group: &'a str,
    pub name: &'a str,
    pub system: &'a str,
    pub value: f64,
    pub unit: &'a str,
    /// The beginning of an answer, which must be the same for all systems.
    pub check: Option<&'a [String]>,
}

impl Record<'_> {
    /// Writes this down.
    pub fn write(&self) {
        let Some(path) = std::env::var_os("TINYCHAIN_BENCH_JSON") else { return };
        let Self { group, name, system, value, unit, check } = self;
        let mut line = json!({"group": group, "name": name, "system": system, "value": value, "unit": unit});
        if let Some(check) = check {
            line["check"] = json!(check);
        }
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let written = file.and_then(|mut file| writeln!(file, "{line}"));
        written.unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }
}

/// Writes down a measurement that has no answer.
pub fn record(group: &str, name: &str, system: &str, value: f64, unit: &str) {
    Record { group, name, system, value, unit, check: None }.write();
}

/// What so many clients do.
pub fn of_clients(work: &str, clients: usize) -> String {
    if clients == 1 { format!("{work}, 1 client") } else { format!("{work}, {clients} clients") }
}
