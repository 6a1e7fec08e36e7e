//! What becomes of a definition when a table gets another schema.
//!
//! Columns and indexes are the same as before if they have the same name. Rows are not rewritten: a new column gets a slot
//! that no column had before, and the slot of a dropped one is not used again.

use crate::error::{Error, Result};
use crate::storage::catalog::Definition;
use crate::value::State;
use crate::value::cell::cast_cell;
use crate::value::schema::{Column, Index, Schema};

/// Another schema of a table.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Alteration {
    pub schema: Schema,
    /// The first slot of values that no column ever had.
    pub next_slot: u32,
    /// For each index of the schema its position before; none for a new one.
    pub kept: Vec<Option<usize>>,
}

/// A schema whose columns have slots in their order, as in a table without rows.
pub(super) fn numbered(mut schema: Schema) -> Schema {
    let (key, values) = schema.columns.split_at_mut(schema.key_len);
    for columns in [key, values] {
        for (slot, column) in (0..).zip(columns) {
            column.slot = slot;
        }
    }
    schema
}

/// Checks that a schema makes sense.
///
/// # Errors
/// `BadRequest` if it has no key, if two columns or two indexes have one name, or if an index has no columns, one of them
/// twice, or one that is not there.
pub(super) fn check(schema: &Schema) -> Result<()> {
    if schema.key_len == 0 || schema.key_len > schema.columns.len() {
        return Err(Error::bad_request("a table needs a key of at least one column"));
    }
    if let Some(name) = repeated(schema.columns.iter().map(|column| column.name.as_str())) {
        return Err(Error::bad_request(format!("there are two columns {name}")));
    }
    if let Some(name) = repeated(schema.indexes.iter().map(|index| index.name.as_str())) {
        return Err(Error::bad_request(format!("there are two indexes {name}")));
    }
    for Index { name, columns, .. } in &schema.indexes {
        if columns.is_empty() {
            return Err(Error::bad_request(format!("index {name} has no columns")));
        }
        if repeated(columns.iter()).is_some() || columns.iter().any(|column| *column >= schema.columns.len()) {
            return Err(Error::bad_request(format!("index {name} has a column twice, or one that is not there")));
        }
    }
    Ok(())
}

/// What becomes of the table that `old` defines when its columns and indexes are to be those of `wanted`. Slots of
/// `wanted` are not looked at.
///
/// # Errors
/// `BadRequest` if `wanted` makes no sense, if it has another key, if a column changes in more than that its cells may be
/// longer, if a new column is neither nullable nor has a default, or if a column is dropped, but not an index of it.
pub(super) fn alter(old: &Definition, wanted: Schema) -> Result<Alteration> {
    let before: &Schema = &old.table.schema;
    check(&wanted)?;
    let names = |schema: &Schema| schema.key().iter().map(|column| column.name.clone()).collect::<Vec<_>>();
    if wanted.kind != before.kind || names(&wanted) != names(before) {
        return Err(Error::bad_request(format!("the key of {} cannot be changed", old.table.name)));
    }
    let mut next_slot = old.next_slot;
    let mut columns = Vec::with_capacity(wanted.columns.len());
    for column in wanted.columns {
        columns.push(match before.position(column.name.as_str()) {
            Some(at) => kept_column(&before.columns[at], column)?,
            None => {
                let slot = next_slot;
                next_slot += 1;
                new_column(column, slot)?
            }
        });
    }
    let schema = Schema { columns, ..wanted };
    check_dropped(before, &schema)?;
    let kept = schema.indexes.iter().map(|index| place(before, &schema, index)).collect();
    Ok(Alteration { schema, next_slot, kept })
}

/// A column that was there before.
fn kept_column(before: &Column, wanted: Column) -> Result<Column> {
    let is_same = (before.class, before.ty, before.nullable) == (wanted.class, wanted.ty, wanted.nullable);
    let is_longer = match (before.max_len, wanted.max_len) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(before), Some(wanted)) => before <= wanted,
    };
    if !is_same || !is_longer {
        return Err(Error::bad_request(format!("column {} cannot be given another type", before.name)));
    }
    // The default stays too: it is what the rows have that were written before the column was added.
    Ok(Column { slot: before.slot, default: before.default.clone(), ..wanted })
}

fn new_column(wanted: Column, slot: u32) -> Result<Column> {
    if wanted.default == State::NONE && !wanted.nullable {
        let message = format!("the new column {} must be nullable or have a default", wanted.name);
        return Err(Error::bad_request(message));
    }
    let default = cast_cell(&wanted, &wanted.default)?;
    Ok(Column { slot, default, ..wanted })
}

/// Checks that no index has lost a column.
fn check_dropped(before: &Schema, after: &Schema) -> Result<()> {
    for index in &before.indexes {
        let stays = after.indexes.iter().any(|other| other.name == index.name);
        let mut names = index.columns.iter().map(|at| &before.columns[*at].name);
        let lost = names.find(|name| after.position(name.as_str()).is_none());
        if let (true, Some(column)) = (stays, lost) {
            return Err(Error::bad_request(format!("column {column} is used by index {}", index.name)));
        }
    }
    Ok(())
}

/// Where an index was before, if it has the same entries.
fn place(before: &Schema, after: &Schema, index: &Index) -> Option<usize> {
    let names = |schema: &Schema, index: &Index| -> Vec<_> {
        index.columns.iter().map(|at| schema.columns[*at].name.clone()).collect()
    };
    let is_same = |other: &Index| {
        other.name == index.name && other.unique == index.unique && names(before, other) == names(after, index)
    };
    before.indexes.iter().position(is_same)
}

/// An item that is there twice.
fn repeated<T: Ord + Copy>(items: impl Iterator<Item = T>) -> Option<T> {
    let mut seen = std::collections::BTreeSet::new();
    items.into_iter().find(|item| !seen.insert(*item))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::codec::sample::{column, nullable, schema};
    use crate::value::NumberClass;
    use crate::value::sample::{int, string};
    use crate::value::schema::{ColumnType, Table, TreeId};

    const INT: ColumnType = ColumnType::Number(NumberClass::I64);

    /// `id; name, size` with an index on name.
    fn old() -> Definition {
        let mut schema = schema(vec![column("id", INT)], vec![column("name", ColumnType::String), column("size", INT)]);
        schema.columns[1].max_len = Some(10);
        schema.indexes.push(Index { name: "by_name".into(), columns: vec![1], unique: false });
        let table = Table { name: "/t".into(), schema: Arc::new(schema), rows: TreeId(1), indexes: vec![TreeId(2)] };
        Definition { table: Arc::new(table), next_slot: 5 }
    }

    fn altered(change: impl FnOnce(&mut Schema)) -> Result<Alteration> {
        let old = old();
        let mut wanted = old.table.schema.as_ref().clone();
        change(&mut wanted);
        alter(&old, wanted)
    }

    #[test]
    fn a_new_column_has_a_slot_of_its_own() {
        let alteration = altered(|schema| {
            schema.columns.push(Column { default: string("7"), slot: 0, ..column("age", INT) });
            schema.columns.push(nullable("note", ColumnType::String));
        });
        let Alteration { schema, next_slot, kept } = alteration.unwrap();
        let slots: Vec<u32> = schema.columns.iter().map(|column| column.slot).collect();
        assert_eq!((slots, next_slot, kept), (vec![0, 0, 1, 5, 6], 7, vec![Some(0)]));
        assert_eq!(schema.columns[3].default, int(7));
    }

    #[test]
    fn a_dropped_column_leaves_its_slot() {
        let alteration = altered(|schema| {
            schema.columns.remove(1);
            schema.indexes.clear();
            schema.columns[1].default = int(3);
        });
        let Alteration { schema, next_slot, kept } = alteration.unwrap();
        assert_eq!((schema.columns[1].slot, next_slot, kept), (1, 5, vec![]));
        assert_eq!(schema.columns[1].default, State::NONE);
    }

    #[test]
    fn indexes_are_kept_added_and_dropped() {
        let size = |unique| Index { name: "by_size".into(), columns: vec![2], unique };
        assert_eq!(altered(|schema| schema.indexes.push(size(true))).unwrap().kept, [Some(0), None]);
        assert_eq!(altered(|schema| schema.indexes.clear()).unwrap().kept, vec![]);
        // The same name with other columns, or another rule, is another index.
        assert_eq!(altered(|schema| schema.indexes[0].columns = vec![2]).unwrap().kept, [None]);
        assert_eq!(altered(|schema| schema.indexes[0].unique = true).unwrap().kept, [None]);
        // Positions may change while the columns are the same.
        let moved = altered(|schema| {
            schema.columns.swap(1, 2);
            schema.indexes[0].columns = vec![2];
        });
        assert_eq!(moved.unwrap().kept, [Some(0)]);
    }

    #[test]
    fn other_changes_are_refused() {
        #[track_caller]
        fn refused(change: impl FnOnce(&mut Schema), expected: &str) {
            let error = altered(change).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
        }
        refused(|schema| schema.columns.push(column("age", INT)), "age must be nullable or have a default");
        refused(|schema| schema.columns.push(Column { default: string("x"), ..column("age", INT) }), "column age");
        refused(|schema| schema.columns.push(column("name", INT)), "two columns name");
        refused(|schema| schema.columns[2].ty = ColumnType::Any, "column size cannot be given another type");
        refused(|schema| schema.columns[2].nullable = true, "column size cannot be given another type");
        refused(|schema| schema.columns[1].max_len = Some(9), "column name cannot be given another type");
        refused(|schema| schema.columns[0].name = "key".into(), "the key of /t cannot be changed");
        refused(|schema| schema.key_len = 2, "the key of /t cannot be changed");
        refused(
            |schema| {
                schema.columns.remove(1);
                schema.indexes[0].columns = vec![1];
            },
            "column name is used by index by_name",
        );
        refused(|schema| schema.indexes[0].columns.clear(), "index by_name has no columns");
        refused(|schema| schema.indexes[0].columns = vec![1, 1], "index by_name has a column twice");
        refused(|schema| schema.indexes[0].columns = vec![3], "one that is not there");
        refused(|schema| schema.indexes.push(schema.indexes[0].clone()), "two indexes by_name");
        assert!(altered(|schema| schema.columns[1].max_len = None).is_ok());
    }

    #[test]
    fn a_new_table_has_its_slots_in_order() {
        let mut schema = schema(vec![column("a", INT), column("b", INT)], vec![column("c", INT)]);
        schema.columns.iter_mut().for_each(|column| column.slot = 9);
        let slots: Vec<u32> = numbered(schema).columns.iter().map(|column| column.slot).collect();
        assert_eq!(slots, [0, 1, 0]);
    }
}
