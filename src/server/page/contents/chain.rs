//! Chains, with what they record and how that is read and written.

use super::{Entry, first};
use crate::chain::{ChainDef, Kind, Subject};
use crate::server::page::call::{Body, Call, Param};
use crate::value::schema;
use crate::value::tensor::{Layout, TensorSchema};
use crate::value::{Class, Id, NumberClass, Schema, State, Verb};

pub(super) fn entry<'a>(name: &Id, chain: &'a ChainDef, path: &str) -> Entry<'a> {
    let (what, schema, calls): (String, _, _) = match &chain.subject {
        Subject::Collection(schema) => {
            let (what, calls) = match &schema.kind {
                schema::Kind::Table => ("a table".into(), table(schema, path)),
                schema::Kind::BTree => ("a B-tree, whose rows are their own keys".into(), btree(schema, path)),
                schema::Kind::Tensor(schema) => (described(schema), tensor(schema, path)),
            };
            (what, Some(schema).filter(|schema| !matches!(schema.kind, schema::Kind::Tensor(_))), calls)
        }
        Subject::Value(initial) => ("a value".into(), None, value(initial, path)),
    };
    let about = format!("A {} of {what}. {}", class_of(&chain.kind), keeps(&chain.kind));
    Entry { schema, ..Entry::new(name.as_str(), about, calls) }
}

fn class_of(kind: &Kind) -> &'static str {
    match kind {
        Kind::Sync => "SyncChain",
        Kind::Block => "BlockChain",
        Kind::Backup(_) => "BackupChain",
        Kind::Compliant(_) => "CompliantChain",
        Kind::Reduce(_) => "ReduceChain",
    }
}

fn keeps(kind: &Kind) -> &'static str {
    match kind {
        Kind::Sync => "It keeps what recovery needs.",
        Kind::Block => "It keeps every mutation.",
        Kind::Backup(_) => "It keeps recent mutations, and a copy of what was before.",
        Kind::Compliant(_) => "It keeps every mutation, but for the data of users who were purged.",
        Kind::Reduce(_) => "It keeps recent mutations, and a summary of older ones.",
    }
}

fn count(path: &str) -> Call {
    let result = Some(Class::Exactly(NumberClass::U64));
    Call { result, ..Call::new(Verb::Get, format!("{path}/count"), "Count the rows") }
}

fn info(path: &str) -> Call {
    let summary = "Say what kind of chain this is, and what it has recorded";
    Call { result: Some(Class::Map), ..Call::new(Verb::Get, format!("{path}/chain/info"), summary) }
}

fn table(schema: &Schema, path: &str) -> Vec<Call> {
    let key = || Param::of_columns("key", schema.key());
    let call = |verb, summary| Call::new(verb, path.to_string(), summary);
    let cells = schema.columns.iter().map(Param::of_column).collect();
    vec![
        call(Verb::Put, "Write a row: its key, and its values")
            .with_key(key())
            .with_body(Body::Value(Param::of_columns("values", schema.values()))),
        call(Verb::Get, "Read a row by its key; without a key, read all").with_key(key()),
        call(Verb::Post, "Find the rows that have some of these values")
            .with_body(Body::Named { params: cells, required: false }),
        count(path),
        info(path),
        call(Verb::Delete, "Delete a row by its key; without a key, delete all").with_key(key()),
    ]
}

fn btree(schema: &Schema, path: &str) -> Vec<Call> {
    let row = || Param::of_columns("row", &schema.columns);
    let prefix = || {
        let example = first(&row());
        Param { name: "key".into(), schema: serde_json::json!({"type": "array"}), example, ..row() }
    };
    let call = |verb, summary| Call::new(verb, path.to_string(), summary);
    vec![
        call(Verb::Put, "Write a row").with_body(Body::Value(row())),
        call(Verb::Get, "Read the rows that begin with these cells; without a key, read all").with_key(prefix()),
        count(path),
        info(path),
        call(Verb::Delete, "Delete the rows that begin with these cells; without a key, delete all").with_key(prefix()),
    ]
}

/// What a tensor looks like, in words.
fn described(schema: &TensorSchema) -> String {
    let layout = match schema.layout {
        Layout::Dense => "dense",
        Layout::Sparse => "sparse",
    };
    format!("a {layout} tensor of {} with the shape {}", Class::from(schema.dtype), schema.shape)
}

fn tensor(schema: &TensorSchema, path: &str) -> Vec<Call> {
    let first = vec![0; schema.shape.ndim()];
    let bounds = || Param {
        name: "key".into(),
        schema: serde_json::json!({"type": "array"}),
        example: serde_json::json!(first),
        ..Param::of_class("key", Some(Class::Tuple))
    };
    let element = || Param::of_class("value", Some(schema.dtype.into()));
    let call = |verb, summary| Call::new(verb, path.to_string(), summary);
    let sum = Call { result: Some(Class::Number), ..Call::new(Verb::Get, format!("{path}/sum"), "Add up all elements") };
    vec![
        call(Verb::Put, "Write a number or a tensor to the elements that the key says; without a key, to all")
            .with_key(bounds())
            .with_body(Body::Value(element())),
        call(Verb::Get, "Read the elements that the key says, a position or a range for each axis; without a key, all")
            .with_key(bounds()),
        sum,
        info(path),
    ]
}

fn value(initial: &State, path: &str) -> Vec<Call> {
    // A value that is none at first may become any.
    let class = match initial.class() {
        Class::None => Class::Value,
        class => class,
    };
    let call = |verb, summary| Call::new(verb, path.to_string(), summary);
    vec![
        call(Verb::Put, "Set the value").with_body(Body::Value(Param::of_class("value", Some(class)))),
        Call { result: Some(class), ..call(Verb::Get, "Read the value") },
        info(path),
        call(Verb::Delete, "Make the value null"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::page::curl::command;
    use crate::server::page::sample;

    fn commands(name: &str) -> Vec<String> {
        let service = sample::service();
        let (name, chain) = service.chains().find(|(other, _)| other.as_str() == name).unwrap();
        entry(name, chain, "/x").calls.iter().map(|call| command("http://h", call)).collect()
    }

    #[test]
    fn a_table_is_read_and_written_by_its_key() {
        assert_eq!(
            commands("items"),
            [
                "curl -X PUT 'http://h/x?key=%5B%22a%22%5D' -d '[1]'",
                "curl -G http://h/x --data-urlencode 'key=[\"a\"]'",
                "curl http://h/x -d '{\"qty\":1,\"sku\":\"a\"}'",
                "curl http://h/x/count",
                "curl http://h/x/chain/info",
                "curl -X DELETE -G http://h/x --data-urlencode 'key=[\"a\"]'",
            ]
        );
    }

    #[test]
    fn a_row_of_a_btree_is_a_body_and_its_beginning_a_key() {
        let commands = commands("log");
        assert_eq!(commands[0], "curl -X PUT http://h/x -d '[1,\"a\"]'");
        assert_eq!(commands[1], "curl -G http://h/x --data-urlencode 'key=[1]'");
    }

    #[test]
    fn a_value_has_no_key() {
        assert_eq!(commands("sold")[..2], ["curl -X PUT http://h/x -d 1", "curl http://h/x"]);
    }
}
