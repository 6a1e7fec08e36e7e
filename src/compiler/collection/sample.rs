//! Collections of the contract's examples, and what a reader of rows makes of a view; for tests.

use std::cmp::Ordering;
use std::sync::Arc;

use super::access::access;
use super::condition::{compare, meets, meets_all};
use super::schema::parse_schema;
use crate::compiler::decode::{decode_params, decode_state};
use crate::compiler::methods::Shape;
use crate::value::cell::cast_row;
use crate::value::collection::Condition;
use crate::value::encode::to_json;
use crate::value::schema::Kind;
use crate::value::{Collection, Doc, Expr, Number, State, Table, TreeId, Tuple};

pub(super) const BS: &str =
    r#"[["sku",{"/state/scalar/value/number/int":{}}],["label",{"/state/scalar/value/string":{}},40]]"#;
pub(super) const B: &str = r#"[[3,"bolt"],[5,"nut"],[8,"gear"],[13,"cam"]]"#;
pub(super) const TS: &str = r#"[[[["city",{"/state/scalar/value/string":{}},60]],
    [["zone",{"/state/scalar/value/number/uint":{}}],["since",{"/state/scalar/value/number/int/32":{}}]]],
    [["by_zone",["zone"]],["by_since",["since","zone"]]]]"#;
pub(super) const T: &str = r#"[["ash",3,2000],["elm",1,2001],["fir",2,2000],["oak",5,1999]]"#;

/// The document that a JSON text is.
pub(crate) fn doc(text: &str) -> Doc {
    fn convert(json: serde_json::Value) -> Doc {
        use serde_json::Value as Json;
        match json {
            Json::Null => Doc::Null,
            Json::Bool(value) => Doc::Number(Number::Bool(value)),
            Json::Number(n) => Doc::Number(match n.as_i64() {
                Some(n) => Number::I64(n),
                None => Number::F64(n.as_f64().unwrap()),
            }),
            Json::String(text) => Doc::String(text.into()),
            Json::Array(items) => Doc::List(items.into_iter().map(convert).collect()),
            Json::Object(entries) => {
                Doc::Map(entries.into_iter().map(|(key, value)| (key.into(), convert(value))).collect())
            }
        }
    }
    convert(serde_json::from_str(text).unwrap())
}

/// The state that a JSON text is.
pub(crate) fn state(text: &str) -> State {
    decode_state(&doc(text)).unwrap()
}

/// The parameters of a POST that a JSON object is.
fn params(text: &str) -> (Shape, Vec<State>) {
    let Doc::Map(entries) = doc(text) else { panic!("{text} is no object") };
    let (names, values) = decode_params(&entries).unwrap();
    let values = values.into_iter().map(|value| match value {
        Expr::Literal(state) => state,
        other => panic!("{other:?} is no literal"),
    });
    (Shape::Post(names), values.collect())
}

/// The arguments of a call that is written as `[key]`, `[key, value]`, `{parameters}` or `DELETE key`.
pub(crate) fn arguments(request: &str) -> (Shape, Vec<State>) {
    if let Some(key) = request.strip_prefix("DELETE ") {
        return (Shape::Delete, vec![state(key)]);
    }
    if request.starts_with('{') {
        return params(request);
    }
    let State::Tuple(args) = state(request) else { panic!("{request} is no call") };
    let shape = if args.items().len() == 1 { Shape::Get } else { Shape::Put };
    (shape, args.items().to_vec())
}

/// A collection with the given schema.
pub(super) fn collection(kind: Kind, schema: &str) -> Collection {
    let schema = parse_schema(kind, &state(schema)).unwrap();
    let indexes = (2..).map(TreeId).take(schema.indexes.len()).collect();
    let name = "/service/test".into();
    Collection::new(Arc::new(Table { name, schema: Arc::new(schema), rows: TreeId(1), indexes }))
}

/// The rows that a JSON list is, as a collection stores them.
pub(super) fn rows(collection: &Collection, text: &str) -> Vec<Vec<State>> {
    let State::Tuple(rows) = state(text) else { panic!("{text} is no list") };
    let rows = rows.items().iter().map(|row| match row {
        State::Tuple(row) => cast_row(&collection.table.schema, row.items()).unwrap(),
        other => panic!("{other:?} is no row"),
    });
    rows.collect()
}

/// The rows of a view of the collection that has `rows`, read as [`access`] says.
pub(super) fn read(collection: &Collection, rows: &[Vec<State>]) -> Vec<Vec<State>> {
    let (schema, view) = (&collection.table.schema, &collection.view);
    let access = access(schema, view);
    let columns = match access.index {
        None => schema.primary_columns(),
        Some(index) => schema.index_columns(&schema.indexes[index]),
    };
    let by = |columns: &[usize], l: &[State], r: &[State]| {
        let orders = columns.iter().map(|column| compare(schema.columns[*column].ty, &l[*column], &r[*column]));
        orders.fold(Ordering::Equal, Ordering::then)
    };

    let mut found = rows.to_vec();
    found.sort_by(|l, r| by(&columns, l, r));
    let mut range: Vec<(usize, Condition)> =
        columns.iter().copied().zip(access.prefix.into_iter().map(Condition::Equal)).collect();
    if let Some((from, to)) = access.last {
        range.push((columns[range.len()], Condition::Range(from, to)));
    }
    found.retain(|row| {
        range.iter().all(|(column, condition)| meets(&schema.columns[*column], condition, &row[*column]))
    });
    found.retain(|row| meets_all(schema, &access.residual, row));
    if let Some(sort) = &access.sort {
        found.sort_by(|l, r| by(sort, l, r));
    }
    if access.reverse {
        found.reverse();
    }
    found.truncate(view.limit.map_or(usize::MAX, |limit| limit as usize));
    if let Some(columns) = &view.columns {
        found = found.iter().map(|row| columns.iter().map(|column| row[*column].clone()).collect()).collect();
    }
    found
}

/// The text of rows.
pub(super) fn text(rows: &[Vec<State>]) -> String {
    let rows: Vec<State> = rows.iter().map(|row| Tuple::try_new(row.clone()).unwrap().into()).collect();
    to_json(&Tuple::try_new(rows).unwrap().into())
}
