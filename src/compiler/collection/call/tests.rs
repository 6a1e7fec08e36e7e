//! The tables of the contract, line by line: every call is planned, and performed on a few rows in memory.

use super::*;
use crate::compiler::collection::condition::meets_all;
use crate::compiler::collection::sample::{self, B, BS, T, TS, arguments, read, state, text};
use crate::error::Kind as ErrorKind;
use crate::value::encode::to_json;
use crate::value::{Class, Tuple};

/// A step of a program: the method, or nothing for the collection itself, and the call: `[key]`, `[key, value]`,
/// `{parameters}` or `DELETE key`.
type Step<'a> = (&'a str, &'a str);

fn planned(collection: &Collection, (name, request): Step<'_>) -> Result<Action> {
    let (shape, args) = arguments(request);
    plan(collection, (!name.is_empty()).then_some(name), &shape, &args)
}

/// Does what an action says with the rows of a collection.
fn perform(rows: &mut Vec<Vec<State>>, collection: &Collection, action: Action) -> Result<State> {
    let schema = &collection.table.schema;
    let has_key = |row: &[State], key: &[State]| row[..schema.key_len] == *key;
    let find = |rows: &[Vec<State>], view: &Collection, key: &[State]| {
        rows.iter().find(|row| has_key(row, key) && meets_all(schema, &view.view.filter, row)).cloned()
    };
    let assign = |row: &mut Vec<State>, values: &[(usize, State)]| {
        values.iter().for_each(|(position, value)| row[*position] = value.clone());
    };
    match action {
        Action::Done(state) => return Ok(state),
        Action::Row { view, key } => {
            return Ok(match find(rows, &view, &key) {
                Some(row) => Tuple::try_new(row)?.into(),
                None => State::NONE,
            });
        }
        Action::ContainsKey { view, key } => return Ok(find(rows, &view, &key).is_some().into()),
        Action::CountKey { view, key } => return Ok(u64::from(find(rows, &view, &key).is_some()).into()),
        Action::Contains(view) => return Ok((!read(&view, rows).is_empty()).into()),
        Action::IsEmpty(view) => return Ok(read(&view, rows).is_empty().into()),
        Action::Count(view) => return Ok((read(&view, rows).len() as u64).into()),
        Action::First(view) => return first_reply(&view, read(&view, rows).first().map(Vec::as_slice)),
        Action::Hash(_) | Action::Copy(_) | Action::InsertAll(_) | Action::Numbers(_) | Action::PutNumbers { .. } => {
            panic!("this needs more than rows")
        }
        Action::InsertRow(row) if rows.contains(&row) => {}
        Action::InsertRow(row) => rows.push(row),
        Action::Upsert(row) => {
            rows.retain(|other| !has_key(other, &row[..schema.key_len]));
            rows.push(row);
        }
        Action::Update { view, values } => {
            let found = rows.iter_mut().filter(|row| meets_all(schema, &view.view.filter, row));
            found.for_each(|row| assign(row, &values));
        }
        Action::UpdateRow { key, values } => {
            rows.iter_mut().filter(|row| has_key(row, &key)).for_each(|row| assign(row, &values));
        }
        Action::DeleteRow(key) => rows.retain(|row| !has_key(row, &key)),
        Action::DeleteWhere(view) => rows.retain(|row| !meets_all(schema, &view.view.filter, row)),
        Action::Clear => rows.clear(),
    }
    Ok(State::NONE)
}

/// Runs the steps, each on the view that the one before made, or on the same collection. The last result as JSON; of a
/// view, its rows.
fn run(kind: Kind, schema: &str, data: &str, steps: &[Step<'_>]) -> Result<String> {
    let mut subject = sample::collection(kind, schema);
    let mut rows = sample::rows(&subject, data);
    let mut reply = String::new();
    for step in steps {
        let action = planned(&subject, *step)?;
        match perform(&mut rows, &subject, action)? {
            State::Collection(view) => {
                reply = text(&read(&view, &rows));
                subject = Collection::clone(&view);
            }
            other => reply = to_json(&other),
        }
    }
    Ok(reply)
}

#[track_caller]
fn btree_is(steps: &[Step<'_>], expected: &str) {
    assert_eq!(run(Kind::BTree, BS, B, steps).as_deref(), Ok(expected), "{steps:?}");
}

#[track_caller]
fn empty_btree_is(steps: &[Step<'_>], expected: &str) {
    assert_eq!(run(Kind::BTree, BS, "[]", steps).as_deref(), Ok(expected), "{steps:?}");
}

#[track_caller]
fn btree_fails(steps: &[Step<'_>], kind: ErrorKind) {
    assert_eq!(run(Kind::BTree, BS, B, steps).map_err(|error| error.kind()), Err(kind), "{steps:?}");
}

#[track_caller]
fn table_is(steps: &[Step<'_>], expected: &str) {
    assert_eq!(run(Kind::Table, TS, T, steps).as_deref(), Ok(expected), "{steps:?}");
}

#[track_caller]
fn table_fails(steps: &[Step<'_>], kind: ErrorKind) {
    assert_eq!(run(Kind::Table, TS, T, steps).map_err(|error| error.kind()), Err(kind), "{steps:?}");
}

const BAD: ErrorKind = ErrorKind::BadRequest;

#[test]
fn slices_of_btrees() {
    for request in ["[null]", "[[]]", r#"{"range":null}"#, r#"{"range":[]}"#, "{}", r#"{"range":[null]}"#] {
        btree_is(&[("", request)], B);
    }
    btree_is(&[("", "[[5]]")], r#"[[5,"nut"]]"#);
    btree_is(&[("", r#"{"range":[5]}"#)], r#"[[5,"nut"]]"#);
    btree_is(&[("", r#"{"range":[5,"nut"]}"#)], r#"[[5,"nut"]]"#);
    btree_is(&[("", r#"{"range":[[["in",5],["ex",13]]]}"#)], r#"[[5,"nut"],[8,"gear"]]"#);
    btree_is(&[("", r#"{"range":[[["ex",5],["in",13]]]}"#)], r#"[[8,"gear"],[13,"cam"]]"#);
    btree_is(&[("", r#"{"range":[[["in",8],null]]}"#)], r#"[[8,"gear"],[13,"cam"]]"#);
    btree_is(&[("", r#"{"range":[[null,["ex",8]]]}"#)], r#"[[3,"bolt"],[5,"nut"]]"#);
    btree_is(&[("", r#"{"range":[[["in",null],["ex",8]]]}"#)], r#"[[3,"bolt"],[5,"nut"]]"#);
    btree_is(&[("", r#"{"range":[5,[["in","a"],["ex","z"]]]}"#)], r#"[[5,"nut"]]"#);
    btree_is(&[("", r#"{"range":[[["in",5],null]],"reverse":true}"#)], r#"[[13,"cam"],[8,"gear"],[5,"nut"]]"#);
    btree_is(&[("", r#"{"range":[99]}"#)], "[]");
    btree_is(&[("", r#"{"range":[[["in",13],["ex",5]]]}"#)], "[]");
    for request in ["[5]", r#"{"range":[5,"nut",1]}"#, r#"{"range":["x"]}"#, r#"{"rang":[5]}"#, r#"{"reverse":5}"#] {
        btree_fails(&[("", request)], BAD);
    }
}

#[test]
fn slices_of_slices_of_btrees() {
    let slice = ("", r#"{"range":[[["in",3],["ex",9]]]}"#);
    btree_is(&[slice, ("", r#"{"range":[5]}"#)], r#"[[5,"nut"]]"#);
    btree_fails(&[slice, ("", r#"{"range":[13]}"#)], BAD);
    btree_is(&[slice, ("", "[null]")], r#"[[3,"bolt"],[5,"nut"],[8,"gear"]]"#);
    btree_is(&[slice, ("count", "[null]")], "3");
    btree_is(&[slice, ("count", "[[5]]")], "1");
    btree_fails(&[slice, ("count", "[[13]]")], BAD);
}

#[test]
fn methods_of_btrees() {
    btree_is(&[("count", "[null]")], "4");
    btree_is(&[("count", "{}")], "4");
    btree_is(&[("count", r#"[[[["in",5],["ex",13]]]]"#)], "2");
    btree_is(&[("first", "[null]")], r#"{"label":"bolt","sku":3}"#);
    btree_fails(&[("first", "[[5]]")], BAD);
    assert_eq!(run(Kind::BTree, BS, "[]", &[("first", "[null]")]), Err(Error::not_found("this BTree is empty")));
    let reversed = ("reverse", "[null]");
    btree_is(&[reversed], r#"[[13,"cam"],[8,"gear"],[5,"nut"],[3,"bolt"]]"#);
    btree_is(&[reversed, reversed], B);
    btree_is(&[reversed, ("", r#"{"reverse":true}"#)], B);
    btree_is(&[reversed, ("first", "[null]")], r#"{"label":"cam","sku":13}"#);
    btree_is(&[("class", "[null]")], r#"{"/state/collection/btree":[]}"#);
    btree_is(&[("is_none", "[null]")], "false");
    let schema = r#"[["sku",{"/state/scalar/value/number/int":[]}],["label",{"/state/scalar/value/string":[]},40]]"#;
    btree_is(&[("schema", "[null]")], schema);
}

#[test]
fn methods_that_are_not_there() {
    let error = run(Kind::BTree, BS, B, &[("weigh", "[null]")]);
    assert_eq!(error, Err(Error::not_found("/weigh")));
    table_fails(&[("reverse", "[null]")], ErrorKind::NotFound);
    btree_fails(&[("order", "[[]]")], ErrorKind::NotFound);
    btree_fails(&[("count", "DELETE null")], ErrorKind::MethodNotAllowed);
    btree_fails(&[("count", "[null,5]")], ErrorKind::MethodNotAllowed);
    btree_fails(&[("count", r#"{"range":[5]}"#)], ErrorKind::MethodNotAllowed);
    table_fails(&[("contains", "{}")], ErrorKind::MethodNotAllowed);
    table_fails(&[("limit", r#"{"rows":5}"#)], ErrorKind::MethodNotAllowed);
}

#[test]
fn every_declared_method_is_planned() {
    for (kind, schema, receiver) in [(Kind::BTree, BS, Receiver::BTree), (Kind::Table, TS, Receiver::Table)] {
        let collection = sample::collection(kind, schema);
        for method in methods::lists(receiver).into_iter().flatten() {
            for name in method.aliases.iter().chain([&method.name]) {
                let planned = planned(&collection, (*name, "[null]")).map_err(|error| error.kind());
                assert!(!matches!(planned, Err(ErrorKind::Internal | ErrorKind::NotFound)), "{name}");
            }
        }
    }
}

#[test]
fn writes_to_btrees() {
    empty_btree_is(&[("", r#"[null,[5,"nut"]]"#)], "null");
    empty_btree_is(&[("", r#"[null,[5,"nut"]]"#), ("", "[null]")], r#"[[5,"nut"]]"#);
    empty_btree_is(&[("", r#"[null,["5",7.5]]"#), ("", "[null]")], r#"[[5,"7.5"]]"#);
    btree_is(&[("", r#"[null,[5,"nut"]]"#), ("count", "[null]")], "4");
    for request in ["[null,[5]]", r#"[null,[5,"nut",1]]"#, r#"[null,[null,"nut"]]"#, "[null,5]", r#"[[5],[5,"nut"]]"#] {
        btree_fails(&[("", request)], BAD);
    }
    btree_fails(&[("", r#"[null,[1,"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddX"]]"#)], BAD);
    btree_is(&[("", "DELETE [5]"), ("", "[null]")], r#"[[3,"bolt"],[8,"gear"],[13,"cam"]]"#);
    btree_is(&[("", r#"DELETE [[["in",5],["ex",13]]]"#), ("", "[null]")], r#"[[3,"bolt"],[13,"cam"]]"#);
    btree_is(&[("", "DELETE null"), ("", "[null]")], "[]");
    btree_is(&[("", "DELETE [99]"), ("count", "[null]")], "4");
    btree_fails(&[("", "DELETE 5")], BAD);
    let slice = ("", r#"{"range":[5]}"#);
    btree_fails(&[slice, ("", r#"[null,[5,"cog"]]"#)], BAD);
    btree_fails(&[slice, ("", "DELETE null")], BAD);
    btree_fails(&[("reverse", "[null]"), ("", "DELETE null")], BAD);
}

#[test]
fn rows_of_a_collection_are_added_to_a_btree() {
    let tree = sample::collection(Kind::BTree, BS);
    let slice = btree_slice(&tree, &state(r#"[[["in",5],["ex",13]]]"#), false).unwrap();
    let action = plan(&tree, None, &Shape::Put, &[State::NONE, slice.clone().into()]);
    assert_eq!(action, Ok(Action::InsertAll(slice)));
    let table = sample::collection(Kind::Table, TS);
    let action = plan(&tree, None, &Shape::Put, &[State::NONE, table.into()]);
    assert_eq!(action.map_err(|error| error.kind()), Err(BAD));
}

#[test]
fn rows_of_tables() {
    table_is(&[("", "[null]")], T);
    table_is(&[("", "[[]]")], T);
    table_is(&[("", "{}")], T);
    table_is(&[("", r#"[["ash"]]"#)], r#"["ash",3,2000]"#);
    table_is(&[("", r#"[["yew"]]"#)], "null");
    table_fails(&[("", r#"["ash"]"#)], BAD);
    table_fails(&[("", r#"[["ash","x"]]"#)], BAD);
    table_fails(&[("", r#"[""]"#)], BAD);
}

#[test]
fn conditions_on_tables() {
    let by_zone = r#"[["fir",2,2000],["ash",3,2000],["oak",5,1999]]"#;
    table_is(&[("", r#"[[["city","elm"]]]"#)], r#"[["elm",1,2001]]"#);
    table_is(&[("", r#"[[["city",[["in","b"],["ex","g"]]]]]"#)], r#"[["elm",1,2001],["fir",2,2000]]"#);
    table_is(&[("", r#"[[["zone",[["in",2],["ex",6]]]]]"#)], by_zone);
    table_is(&[("", r#"[[["zone",[["ex",2],["in",5]]]]]"#)], r#"[["ash",3,2000],["oak",5,1999]]"#);
    table_is(&[("", r#"[[["zone",[null,["ex",3]]]]]"#)], r#"[["elm",1,2001],["fir",2,2000]]"#);
    table_is(&[("", r#"[[["zone",[["in",3],null]]]]"#)], r#"[["ash",3,2000],["oak",5,1999]]"#);
    table_is(&[("", r#"[[["since",2000],["zone",[["in",1],["ex",3]]]]]"#)], r#"[["fir",2,2000]]"#);
    table_is(&[("", r#"[[["zone",[["in",1],["ex",3]]],["since",2000]]]"#)], r#"[["fir",2,2000]]"#);
    table_is(&[("", r#"[[["since",2000]]]"#)], r#"[["fir",2,2000],["ash",3,2000]]"#);
    table_is(&[("", r#"{"zone":[["in",2],["ex",6]]}"#)], by_zone);
    table_is(&[("", r#"{"bounds":{"zone":[["in",2],["ex",6]]}}"#)], by_zone);
    table_is(&[("", r#"{"bounds":null}"#)], T);
    table_is(&[("", r#"[[["zone","3"]]]"#)], r#"[["ash",3,2000]]"#);
    table_is(&[("", r#"[[["zone",null]]]"#)], T);
    table_is(&[("", r#"[[["zone",99]]]"#)], "[]");
    table_fails(&[("", r#"[[["girth",1]]]"#)], BAD);
    table_fails(&[("", r#"[[["zone","x"]]]"#)], BAD);
    table_fails(&[("", r#"{"bounds":5}"#)], BAD);
    table_fails(&[("", r#"{"girth":5}"#)], BAD);
}

#[test]
fn conditions_that_no_index_serves_are_scanned_in_the_order_of_the_key() {
    table_is(&[("", r#"[[["city","ash"],["since",2000]]]"#)], r#"[["ash",3,2000]]"#);
    let two_ranges = r#"[[["since",[["in",1],null]],["zone",[["in",2],null]]]]"#;
    table_is(&[("", two_ranges)], r#"[["ash",3,2000],["fir",2,2000],["oak",5,1999]]"#);
    let table = sample::collection(Kind::Table, TS);
    let action = |request| planned(&table, ("count", request)).unwrap();
    assert!(action(two_ranges).is_scan());
    assert!(!action(r#"[[["zone",[["in",2],["ex",6]]]]]"#).is_scan());
    assert!(!action("[null]").is_scan());
}

#[test]
fn methods_of_tables() {
    table_is(&[("contains", r#"[["ash"]]"#)], "true");
    table_is(&[("contains", r#"[["yew"]]"#)], "false");
    table_is(&[("contains", r#"[[["zone",1]]]"#)], "true");
    table_is(&[("contains", r#"[[["zone",99]]]"#)], "false");
    table_is(&[("contains", "[null]")], "true");
    table_is(&[("count", "[null]")], "4");
    table_is(&[("count", r#"[["ash"]]"#)], "1");
    table_is(&[("count", r#"[["yew"]]"#)], "0");
    table_is(&[("count", r#"[[["zone",[["in",2],["ex",6]]]]]"#)], "3");
    table_is(&[("is_empty", "[null]")], "false");
    assert_eq!(run(Kind::Table, TS, "[]", &[("is_empty", "[null]")]).as_deref(), Ok("true"));
    table_is(&[("columns", "[null]")], r#"[{"city":[]},{"zone":[]},{"since":[]}]"#);
    table_is(&[("key_columns", "[null]")], r#"[{"city":[]}]"#);
    table_is(&[("key_names", "[null]")], r#"[{"city":[]}]"#);
    table_is(&[("class", "[null]")], r#"{"/state/collection/table":[]}"#);
    table_is(&[("is_none", "[null]")], "false");
    table_fails(&[("contains", r#"["ash"]"#)], BAD);
    table_fails(&[("contains", r#"{"ash":[]}"#)], BAD);
}

#[test]
fn orders_of_tables() {
    let ascending = r#"[["elm",1,2001],["fir",2,2000],["ash",3,2000],["oak",5,1999]]"#;
    let descending = r#"[["oak",5,1999],["ash",3,2000],["fir",2,2000],["elm",1,2001]]"#;
    let by_key = r#"[["oak",5,1999],["fir",2,2000],["elm",1,2001],["ash",3,2000]]"#;
    let by_since = r#"[["oak",5,1999],["fir",2,2000],["ash",3,2000],["elm",1,2001]]"#;
    table_is(&[("order", r#"[[["zone"],false]]"#)], ascending);
    table_is(&[("order", r#"[[["zone"],true]]"#)], descending);
    table_is(&[("order", r#"[["zone"]]"#)], ascending);
    table_is(&[("order", r#"[[{"zone":[]}]]"#)], ascending);
    table_is(&[("order", r#"[[["city"],true]]"#)], by_key);
    table_is(&[("order", r#"[[["since","zone"],false]]"#)], by_since);
    table_is(&[("order", r#"[[["since"],false]]"#)], by_since);
    table_is(&[("order", "[[[],true]]")], by_key);
    table_is(&[("order", r#"[[["zone","since"],false]]"#)], ascending);
    table_fails(&[("order", r#"[[["girth"],false]]"#)], BAD);
    table_fails(&[("order", r#"["zone"]"#)], BAD);
    table_fails(&[("order", r#"[[["zone"],5]]"#)], BAD);
}

#[test]
fn orders_with_conditions() {
    let slice = ("", r#"[[["zone",[["in",2],["ex",6]]]]]"#);
    let descending = r#"[["oak",5,1999],["ash",3,2000],["fir",2,2000]]"#;
    table_is(&[slice, ("order", r#"[[["zone"],true]]"#)], descending);
    table_is(&[slice, ("order", "[[[],true]]")], descending);
    table_is(&[("order", r#"[[["zone"],true]]"#), slice], descending);
    let by_city = ("order", r#"[[["city"],true]]"#);
    table_is(&[by_city, ("", r#"[[["since",2000]]]"#)], r#"[["fir",2,2000],["ash",3,2000]]"#);
    // Ties of an order that is sorted are in the order of the key.
    let (older, by_since) = (("", r#"[[["zone",[["in",2],null]]]]"#), ("order", r#"[[["since"],false]]"#));
    table_is(&[older, by_since], r#"[["oak",5,1999],["ash",3,2000],["fir",2,2000]]"#);
}

#[test]
fn columns_of_tables() {
    let select = ("select", r#"[["zone","city"]]"#);
    table_is(&[select], r#"[[3,"ash"],[1,"elm"],[2,"fir"],[5,"oak"]]"#);
    table_is(&[select, ("select", r#"[["city"]]"#)], r#"[["ash"],["elm"],["fir"],["oak"]]"#);
    let zone = ("select", r#"[["zone"]]"#);
    let schema = r#"[[[],[["zone",{"/state/scalar/value/number/uint":[]}]]],[]]"#;
    table_is(&[zone, ("schema", "[null]")], schema);
    table_is(&[("select", r#"[["city"]]"#), ("count", "[null]")], "4");
    table_is(&[zone, ("columns", "[null]")], r#"[{"zone":[]}]"#);
    table_is(&[zone, ("key_columns", "[null]")], "[]");
    table_is(&[select, ("", r#"[[["zone",3]]]"#)], r#"[[3,"ash"]]"#);
    table_is(&[select, ("order", r#"[[["zone"],true]]"#)], r#"[[5,"oak"],[3,"ash"],[2,"fir"],[1,"elm"]]"#);
    table_fails(&[zone, ("", r#"[["ash"]]"#)], BAD);
    table_fails(&[zone, ("", r#"[[["city","ash"]]]"#)], BAD);
    for request in [r#"["city"]"#, r#"[["girth"]]"#, "[[]]", r#"[["zone","zone"]]"#, "[null]"] {
        table_fails(&[("select", request)], BAD);
    }
}

#[test]
fn limits_of_tables() {
    let two = ("limit", "[2]");
    table_is(&[two], r#"[["ash",3,2000],["elm",1,2001]]"#);
    table_is(&[("limit", "[0]")], "[]");
    table_is(&[two, ("limit", "[3]")], r#"[["ash",3,2000],["elm",1,2001]]"#);
    table_is(&[two, ("", "[null]")], r#"[["ash",3,2000],["elm",1,2001]]"#);
    table_is(&[("order", r#"[[["zone"],true]]"#), two], r#"[["oak",5,1999],["ash",3,2000]]"#);
    table_is(&[two, ("select", r#"[["city"]]"#)], r#"[["ash"],["elm"]]"#);
    table_is(&[two, ("count", "[null]")], "2");
    table_fails(&[two, ("order", r#"[[["zone"],false]]"#)], BAD);
    table_fails(&[two, ("", r#"[[["city","ash"]]]"#)], BAD);
    table_fails(&[two, ("", r#"[["ash"]]"#)], BAD);
    for request in ["[-1]", r#"["x"]"#, "[1.5]", "[null]", "[true]"] {
        table_fails(&[("limit", request)], BAD);
    }
}

#[test]
fn slices_of_slices_of_tables() {
    let zones = |range: &str| format!(r#"[[["zone",{range}]]]"#);
    let wide = zones(r#"[["in",1],["ex",5]]"#);
    let narrow = zones(r#"[["in",2],["ex",4]]"#);
    let (wide, narrow) = (("", wide.as_str()), ("", narrow.as_str()));
    table_is(&[wide, narrow], r#"[["fir",2,2000],["ash",3,2000]]"#);
    table_fails(&[narrow, wide], BAD);
    let cities = |from: &str| format!(r#"[[["city",[["in","{from}"],["ex","c"]]]]]"#);
    let (from_a, from_ash) = (cities("a"), cities("ash"));
    let (from_a, from_ash) = (("", from_a.as_str()), ("", from_ash.as_str()));
    let (ash, oak) = (("", r#"[["ash"]]"#), r#"[["oak"]]"#);
    table_is(&[from_a, ash], r#"["ash",3,2000]"#);
    table_is(&[from_ash, ash], r#"["ash",3,2000]"#);
    table_fails(&[from_a, ("", oak)], BAD);
    table_is(&[from_a, ("contains", oak)], "false");
    table_is(&[from_a, ("count", oak)], "0");
    // What a row holds beside its key is known once it is read.
    table_is(&[wide, ash], r#"["ash",3,2000]"#);
    table_is(&[wide, ("", oak)], "null");
    table_is(&[wide, ("contains", oak)], "false");
    table_is(&[wide, ("count", r#"[["ash"]]"#)], "1");
}

#[test]
fn writes_to_tables() {
    let all = ("", "[null]");
    let yew = r#"[["ash",3,2000],["elm",1,2001],["fir",2,2000],["oak",5,1999],["yew",9,1990]]"#;
    table_is(&[("", r#"[["yew"],[9,1990]]"#)], "null");
    table_is(&[("", r#"[["yew"],[9,1990]]"#), all], yew);
    let ash = r#"[["ash",9,1990],["elm",1,2001],["fir",2,2000],["oak",5,1999]]"#;
    table_is(&[("", r#"[["ash"],[9,1990]]"#), all], ash);
    table_is(&[("", r#"[["yew"],["7",8.5]]"#), ("", r#"[["yew"]]"#)], r#"["yew",7,8]"#);
    for request in [
        r#"[["yew"],[9]]"#,
        r#"[["yew"],[9,1,1]]"#,
        r#"[["yew"],["x",1]]"#,
        r#"[["yew"],[null,1]]"#,
        r#"[["yew"],9]"#,
        r#"[["yew"],null]"#,
        r#"["yew",[9,1990]]"#,
        r#"[["aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffX"],[1,1]]"#,
        r#"[null,[9,1990]]"#,
        r#"[[["zone",1]],5]"#,
        r#"[[["zone",1]],{"city":"x"}]"#,
        r#"[[["zone",1]],{"girth":1}]"#,
        r#"[[["zone",1]],{"zone":"x"}]"#,
        r#"[["ash"],{"city":"x"}]"#,
    ] {
        table_fails(&[("", request)], BAD);
    }
}

#[test]
fn updates_of_tables() {
    let all = ("", "[null]");
    let since = r#"[["ash",8,2000],["elm",1,2001],["fir",8,2000],["oak",5,1999]]"#;
    table_is(&[("", r#"[[["since",2000]],{"zone":8}]"#), all], since);
    for update in [r#"[{"zone":0},null]"#, r#"[null,{"zone":0}]"#, r#"[[],{"zone":0}]"#] {
        table_is(&[("", update), ("count", r#"[[["zone",0]]]"#)], "4");
        table_is(&[("", update), ("count", "[null]")], "4");
    }
    table_is(&[("", r#"[["ash"],{"zone":7}]"#), ("", r#"[["ash"]]"#)], r#"["ash",7,2000]"#);
    table_is(&[("", r#"[["yew"],{"zone":7}]"#), ("count", "[null]")], "4");
    table_is(&[("", "[null,{}]"), all], T);
    table_is(&[("", r#"[[["zone",[null,["ex",3]]]],{"zone":0}]"#), ("count", r#"[[["zone",0]]]"#)], "2");
}

#[test]
fn columns_as_tensors() {
    let table = sample::collection(Kind::Table, TS);
    for request in ["[null]", r#"["zone"]"#, r#"[["zone","since"]]"#, "{}", r#"{"zone":[]}"#] {
        let action = planned(&table, ("tensor", request)).unwrap();
        assert!(matches!(action, Action::Numbers(_)) && !action.is_write(), "{request}");
    }
    table_fails(&[("tensor", r#"["city"]"#)], BAD);
    table_fails(&[("tensor", r#"["zone",5]"#)], BAD);
    for request in ["DELETE null", r#"{"bounds":[1]}"#] {
        table_fails(&[("tensor", request)], ErrorKind::MethodNotAllowed);
        btree_fails(&[("tensor", request)], ErrorKind::MethodNotAllowed);
    }
    btree_fails(&[("tensor", r#"["sku",5]"#)], ErrorKind::MethodNotAllowed);
}

#[test]
fn deletions_from_tables() {
    let all = ("", "[null]");
    table_is(&[("", r#"DELETE ["ash"]"#), all], r#"[["elm",1,2001],["fir",2,2000],["oak",5,1999]]"#);
    table_is(&[("", r#"DELETE ["ash"]"#), ("", r#"[[["zone",3]]]"#)], "[]");
    table_is(&[("", r#"DELETE ["yew"]"#)], "null");
    table_is(&[("", r#"DELETE [["since",2000]]"#), all], r#"[["elm",1,2001],["oak",5,1999]]"#);
    table_is(&[("", r#"DELETE [["city",[["in","b"],null]]]"#), all], r#"[["ash",3,2000]]"#);
    for everything in ["DELETE null", r#"DELETE """#, "DELETE []", r#"DELETE [["zone",null]]"#] {
        table_is(&[("", everything), all], "[]");
    }
    table_fails(&[("", r#"DELETE "ash""#)], BAD);
    let slice = ("", r#"[[["zone",[["in",1],["ex",5]]]]]"#);
    table_fails(&[slice, ("", r#"[["ash"],[1,1]]"#)], BAD);
    table_fails(&[slice, ("", r#"DELETE ["ash"]"#)], BAD);
    table_fails(&[slice, ("", r#"[null,{"zone":1}]"#)], BAD);
}

#[test]
fn values_of_one_column_or_none() {
    let i32 = "/state/scalar/value/number/int/32";
    let check = |values: &str, steps: &[Step<'_>], expected: &str| {
        let schema = format!(r#"[[[["k","{i32}"]],{values}],[]]"#);
        assert_eq!(run(Kind::Table, &schema, "[]", steps).as_deref(), Ok(expected), "{steps:?}");
    };
    let v = format!(r#"[["v","{i32}"]]"#);
    check(&v, &[("", "[[1],7]"), ("", "[[1]]")], "[1,7]");
    check(&v, &[("", "[[1],[7]]"), ("", "[[1]]")], "[1,7]");
    check("[]", &[("", "[[1],[]]"), ("", "[[1]]")], "[1]");
    check("[]", &[("", "[[1],null]"), ("", "[[1]]")], "[1]");
    let id = r#"[["v","/state/scalar/value/id",20]]"#;
    check(id, &[("", r#"[[1],{"zone":[]}]"#), ("", "[[1]]")], r#"[1,{"zone":[]}]"#);
    let complex = r#"[["v","/state/scalar/value/number/complex"]]"#;
    let expected = r#"[1,{"/state/scalar/value/number/complex/32":[1.0,2.0]}]"#;
    check(complex, &[("", "[[1],[1.0,2.0]]"), ("", "[[1]]")], expected);
    let failed = run(Kind::Table, &format!(r#"[[[["k","{i32}"]],{v}],[]]"#), "[]", &[("", "[[1],[7,8]]")]);
    assert_eq!(failed.map_err(|error| error.kind()), Err(BAD));
}

#[test]
fn keys_of_several_columns() {
    let i32 = "/state/scalar/value/number/int/32";
    let schema = format!(r#"[[[["a","{i32}"],["b","{i32}"]],[["v","{i32}"]]],[["by_v",["v"]]]]"#);
    let check = |steps: &[Step<'_>], expected: &str| {
        let found = run(Kind::Table, &schema, "[[1,1,10],[1,2,20],[2,1,5]]", steps);
        assert_eq!(found.as_deref(), Ok(expected), "{steps:?}");
    };
    let count = ("count", "[null]");
    check(&[("", "[[1,2]]")], "[1,2,20]");
    check(&[("", r#"[[["a",1]]]"#), count], "2");
    check(&[("", r#"[[["b",1]]]"#)], "[[1,1,10],[2,1,5]]");
    check(&[("", r#"[[["v",10],["a",1]]]"#), count], "1");
    check(&[("", r#"[[["a",1],["b",2],["v",20]]]"#), count], "1");
}

#[test]
fn a_column_may_be_named_like_a_parameter() {
    let schema = r#"[[[["bounds","/state/scalar/value/number/int"]],[]],[]]"#;
    let found = run(Kind::Table, schema, "[[1],[2]]", &[("", r#"{"bounds":2}"#)]);
    assert_eq!(found.as_deref(), Ok("[[2]]"));
}

#[test]
fn actions_say_whether_they_write() {
    let tree = sample::collection(Kind::BTree, BS);
    let is_write = |request| planned(&tree, ("", request)).unwrap().is_write();
    assert!(is_write("DELETE null"));
    assert!(is_write(r#"[null,[5,"nut"]]"#));
    assert!(!is_write("[null]"));
    assert_eq!(tree.class(), Class::BTree);
    assert_eq!(planned(&tree, ("hash", "[null]")), Ok(Action::Hash(tree.clone())));
    assert_eq!(planned(&tree, ("copy", "[null]")), copy(&tree).map(Action::Copy));
}
