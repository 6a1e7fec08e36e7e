//! Writing collections: as the literal that makes an equal one, so that a reply can be sent back.

use super::encode::{Encoder, encode};
use super::schema::{Column, Index, Kind};
use super::{Collection, Number, Schema};

/// Writes `{class: [schema, rows]}`. A view is written like a collection of what is seen, with the rows that were read for
/// the reply; none if none were read.
pub(super) fn encode_collection(collection: &Collection, out: &mut impl Encoder) {
    out.begin_map();
    out.key(collection.class().path());
    out.begin_list();
    out.item();
    encode_schema(&collection.schema(), out);
    out.item();
    out.begin_list();
    for row in collection.rows.iter().flat_map(|rows| rows.iter()) {
        out.item();
        out.begin_list();
        for cell in row.items() {
            out.item();
            encode(cell, out);
        }
        out.end_list();
    }
    out.end_list();
    out.end_list();
    out.end_map();
}

/// Writes the schema of a B-tree as `[column, …]`, that of a table as `[[[key column, …], [value column, …]], [index, …]]`.
pub(super) fn encode_schema(schema: &Schema, out: &mut impl Encoder) {
    if schema.kind == Kind::BTree {
        return encode_columns(&schema.columns, out);
    }
    out.begin_list();
    out.item();
    out.begin_list();
    for columns in [schema.key(), schema.values()] {
        out.item();
        encode_columns(columns, out);
    }
    out.end_list();
    out.item();
    out.begin_list();
    for index in &schema.indexes {
        out.item();
        encode_index(schema, index, out);
    }
    out.end_list();
    out.end_list();
}

fn encode_columns(columns: &[Column], out: &mut impl Encoder) {
    out.begin_list();
    for column in columns {
        out.item();
        encode_column(column, out);
    }
    out.end_list();
}

/// Writes `[name, {class: {}}]`, with the length where there is one.
fn encode_column(column: &Column, out: &mut impl Encoder) {
    out.begin_list();
    out.item();
    out.string(column.name.as_str());
    out.item();
    out.begin_map();
    out.key(column.class.path());
    out.begin_map();
    out.end_map();
    out.end_map();
    if let Some(max_len) = column.max_len {
        out.item();
        out.number(Number::U32(max_len));
    }
    out.end_list();
}

/// Writes `[name, [column name, …]]`, with the columns that were declared.
fn encode_index(schema: &Schema, index: &Index, out: &mut impl Encoder) {
    out.begin_list();
    out.item();
    out.string(index.name.as_str());
    out.item();
    out.begin_list();
    for column in &index.columns {
        out.item();
        out.string(schema.columns[*column].name.as_str());
    }
    out.end_list();
    out.end_list();
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::value::collection::View;
    use crate::value::encode::to_json;
    use crate::value::sample::{int, string};
    use crate::value::{Class, State, Table, TreeId, Tuple};

    fn column(name: &'static str, class: Class, max_len: Option<u32>, slot: u32) -> Column {
        let ty = Column::type_of(class).unwrap();
        Column { name: name.into(), class, ty, max_len, nullable: false, slot, ordinal: 0, default: State::NONE }
    }

    fn collection(schema: Schema) -> Collection {
        let (rows, indexes) = (TreeId(1), schema.indexes.iter().map(|_| TreeId(2)).collect());
        Collection::new(Arc::new(Table { name: "".into(), schema: Arc::new(schema), rows, indexes }))
    }

    fn city() -> Collection {
        let columns = vec![
            column("city", Class::String, Some(60), 0),
            column("zone", Class::UInt, None, 0),
            column("since", Class::at("/state/scalar/value/number/int/32").unwrap(), None, 1),
        ];
        let indexes = vec![
            Index { name: "by_zone".into(), columns: vec![1], unique: false },
            Index { name: "by_since".into(), columns: vec![2, 1], unique: false },
        ];
        collection(Schema { kind: Kind::Table, columns, key_len: 1, indexes })
    }

    fn with_rows(collection: Collection, rows: impl IntoIterator<Item = Vec<State>>) -> State {
        let rows: Vec<Tuple> = rows.into_iter().map(|row| Tuple::try_new(row).unwrap()).collect();
        Collection { rows: Some(rows.into()), ..collection }.into()
    }

    #[test]
    fn a_btree_is_written_as_its_literal() {
        let columns = vec![column("sku", Class::Int, None, 0), column("label", Class::String, Some(40), 1)];
        let tree = collection(Schema { kind: Kind::BTree, columns, key_len: 2, indexes: vec![] });
        let schema =
            r#"[["sku",{"/state/scalar/value/number/int":{}}],["label",{"/state/scalar/value/string":{}},40]]"#;
        let empty = format!(r#"{{"/state/collection/btree":[{schema},[]]}}"#);
        assert_eq!(to_json(&tree.clone().into()), empty);
        let rows = with_rows(tree, [vec![int(3), string("bolt")], vec![int(5), string("nut")]]);
        let expected = format!(r#"{{"/state/collection/btree":[{schema},[[3,"bolt"],[5,"nut"]]]}}"#);
        assert_eq!(to_json(&rows), expected);
    }

    #[test]
    fn a_table_is_written_with_key_values_and_indexes_apart() {
        let expected = concat!(
            r#"{"/state/collection/table":[[[[["city",{"/state/scalar/value/string":{}},60]],"#,
            r#"[["zone",{"/state/scalar/value/number/uint":{}}],["since",{"/state/scalar/value/number/int/32":{}}]]],"#,
            r#"[["by_zone",["zone"]],["by_since",["since","zone"]]]],[["ash",3,2000]]]}"#
        );
        let rows = with_rows(city(), [vec![string("ash"), int(3), int(2000)]]);
        assert_eq!(to_json(&rows), expected);
    }

    #[test]
    fn selected_columns_are_written_without_a_key() {
        let view = View { columns: Some(vec![1, 0]), ..View::default() };
        let rows = with_rows(Collection { view, ..city() }, [vec![int(3), string("ash")]]);
        let expected = concat!(
            r#"{"/state/collection/table":[[[[],[["zone",{"/state/scalar/value/number/uint":{}}],"#,
            r#"["city",{"/state/scalar/value/string":{}},60]]],[]],[[3,"ash"]]]}"#
        );
        assert_eq!(to_json(&rows), expected);
    }
}
