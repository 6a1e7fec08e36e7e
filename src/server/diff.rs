//! What a request that is hypothetical would change.

use super::codec::Document;
use super::codec::rows::encode_cells;
use crate::storage::{TableChange, TableDiff};
use crate::value::State;
use crate::value::encode::{Encoder, encode};

/// The result of a program that was not committed, and what it would have changed.
pub(super) struct Hypothetical<'a> {
    pub(super) result: &'a State,
    pub(super) diff: &'a [TableDiff],
}

impl Document for Hypothetical<'_> {
    fn write(&self, out: &mut impl Encoder) {
        out.begin_map();
        out.key("result");
        encode(self.result, out);
        out.key("diff");
        encode_diff(self.diff, out);
        out.end_map();
    }
}

/// Writes `[{"table": …, "change": …, "inserted": …, "updated": …, "deleted": …, "truncated": …}, …]`.
pub(super) fn encode_diff(diff: &[TableDiff], out: &mut impl Encoder) {
    out.begin_list();
    for table in diff {
        out.item();
        out.begin_map();
        out.key("table");
        out.string(&table.name);
        out.key("change");
        out.string(match table.change {
            TableChange::Kept => "kept",
            TableChange::Created => "created",
            TableChange::Dropped => "dropped",
            TableChange::Altered => "altered",
        });
        out.key("inserted");
        encode_rows(table.inserted.iter(), out);
        out.key("updated");
        out.begin_list();
        for (before, after) in &table.updated {
            out.item();
            out.begin_map();
            out.key("before");
            encode_cells(before, out);
            out.key("after");
            encode_cells(after, out);
            out.end_map();
        }
        out.end_list();
        out.key("deleted");
        encode_rows(table.deleted.iter(), out);
        out.key("truncated");
        out.bool(table.truncated);
        out.end_map();
    }
    out.end_list();
}

fn encode_rows<'a>(rows: impl Iterator<Item = &'a Vec<State>>, out: &mut impl Encoder) {
    out.begin_list();
    for row in rows {
        out.item();
        encode_cells(row, out);
    }
    out.end_list();
}
