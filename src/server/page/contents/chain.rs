//! Chains, with what they record and how that is read and written.

use serde_json::json;

use super::{Entry, first};
use crate::chain::policy::{Compliant, Owner};
use crate::chain::{ChainDef, Kind, Subject};
use crate::server::page::call::{Body, Call, Param};
use crate::value::schema;
use crate::value::tensor::{Layout, TensorSchema};
use crate::value::{Class, Id, NumberClass, Schema, State, Verb};

/// What the id of a transaction looks like.
const TXN_EXAMPLE: &str = "1700000000000000000-0";

pub(super) fn entry<'a>(name: &Id, chain: &'a ChainDef, path: &str) -> Entry<'a> {
    let (what, schema, mut calls): (String, _, _) = match &chain.subject {
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
    // What deletes comes last.
    let last = calls.len().saturating_sub(1);
    drop(calls.splice(last..last, history(chain, &format!("{path}/chain"))));
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
    let call = Call::new(Verb::Get, format!("{path}/count"), "Count the rows");
    returning(Class::Exactly(NumberClass::U64), call)
}

/// The chain itself, whose path is `path`.
fn history(chain: &ChainDef, path: &str) -> Vec<Call> {
    let get = |name: &str, summary: &str| Call::new(Verb::Get, format!("{path}{name}"), summary);
    let mut calls = vec![
        get("", "Show the chain, with what it records"),
        returning(Class::Map, get("/info", "Say what kind of chain this is, and what it has recorded")),
    ];
    if chain.kind.has_records() {
        let truth = Class::Exactly(NumberClass::Bool);
        calls.extend([
            returning(
                Class::Tuple,
                get("/blocks", "Show a block; without a key, all of them").with_key(number("block")),
            ),
            get("/records", "Read the records of a block as a table; without a key, all records")
                .with_key(number("block")),
            get("/at", "Read what was recorded as it was after a transaction").with_key(transaction("txn")),
            returning(truth, get("/verify", "Check that nobody has changed what was recorded")),
        ]);
    }
    calls.extend(policy(chain, path));
    calls
}

/// What only chains of some kinds are asked for.
fn policy(chain: &ChainDef, path: &str) -> Vec<Call> {
    let get = |name: &str, summary: &str| Call::new(Verb::Get, format!("{path}/{name}"), summary);
    let post = |name: &str, summary: &str, params: Vec<Param>, required: bool| {
        let call = Call::new(Verb::Post, format!("{path}/{name}"), summary);
        returning(Class::Map, call.with_body(Body::Named { params, required }))
    };
    match &chain.kind {
        Kind::Sync | Kind::Block => vec![],
        Kind::Backup(_) => {
            let params = vec![transaction("before")];
            vec![post("compact", "Delete the blocks that are old, or only those before a transaction", params, false)]
        }
        Kind::Compliant(compliant) => {
            let held = get("owner", "Count what is held about a user").with_key(owner(chain, compliant));
            vec![
                returning(Class::Map, held),
                post("purge", "Delete all that is held about a user", vec![owner(chain, compliant)], true),
                returning(Class::Tuple, get("purges", "Say what was purged, and whether files are rid of it")),
            ]
        }
        Kind::Reduce(_) => vec![
            post("reduce", "Reduce what is old", vec![], false),
            returning(Class::Tuple, get("level", "Show the windows of a level").with_key(number("level"))),
        ],
    }
}

fn returning(class: Class, call: Call) -> Call {
    Call { result: Some(class), ..call }
}

/// A number that is counted from 0.
fn number(name: &str) -> Param {
    Param { example: json!(0), ..Param::of_class(name, Some(Class::Exactly(NumberClass::U64))) }
}

fn transaction(name: &str) -> Param {
    Param { example: json!(TXN_EXAMPLE), ..Param::of_class(name, Some(Class::String)) }
}

/// A user, as a chain names it: by a cell of the subject, or by the issuer and the actor of a token.
fn owner(chain: &ChainDef, compliant: &Compliant) -> Param {
    let column = match (&chain.subject, &compliant.owner) {
        (_, Owner::Token) => {
            let cells = json!([{"type": "string"}, {}]);
            return Param {
                name: "owner".into(),
                class: "[issuer, actor]".into(),
                schema: json!({"type": "array", "minItems": 2, "maxItems": 2, "prefixItems": cells}),
                example: json!(["/user/a", "a"]),
            };
        }
        (Subject::Collection(schema), Owner::Column(name)) => schema.columns.iter().find(|column| column.name == *name),
        (Subject::Value(_), Owner::Column(_)) => None,
    };
    Param::of_class("owner", Some(column.map_or(Class::String, |column| column.class)))
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
        call(Verb::Delete, "Delete a row by its key; without a key, delete all").with_key(key()),
    ]
}

fn btree(schema: &Schema, path: &str) -> Vec<Call> {
    let row = || Param::of_columns("row", &schema.columns);
    let prefix = || {
        let example = first(&row());
        Param { name: "key".into(), schema: json!({"type": "array"}), example, ..row() }
    };
    let call = |verb, summary| Call::new(verb, path.to_string(), summary);
    vec![
        call(Verb::Put, "Write a row").with_body(Body::Value(row())),
        call(Verb::Get, "Read the rows that begin with these cells; without a key, read all").with_key(prefix()),
        count(path),
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
    let sum =
        Call { result: Some(Class::Number), ..Call::new(Verb::Get, format!("{path}/sum"), "Add up all elements") };
    vec![
        call(Verb::Put, "Write a number or a tensor to the elements that the key says; without a key, to all")
            .with_key(bounds())
            .with_body(Body::Value(element())),
        call(Verb::Get, "Read the elements that the key says, a position or a range for each axis; without a key, all")
            .with_key(bounds()),
        sum,
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
        returning(class, call(Verb::Get, "Read the value")),
        call(Verb::Delete, "Make the value null"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::policy::{Backup, Reduce};
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
                "curl http://h/x/chain",
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
    /// What is below the path of a chain over a value, without what every chain with records has.
    #[track_caller]
    fn check_own(kind: Kind, expected: &[&str]) {
        let chain = ChainDef { kind, subject: Subject::Value(State::from(0u64)) };
        let calls = policy(&chain, "/x/chain");
        assert_eq!(calls.iter().map(|call| command("http://h", call)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_kind_of_chain_has_what_is_its_own() {
        check_own(Kind::Block, &[]);
        check_own(
            Kind::Backup(Backup { max_age: 1.0, block_age: 1.0 }),
            &["curl http://h/x/chain/compact -d '{\"before\":\"1700000000000000000-0\"}'"],
        );
        check_own(
            Kind::Compliant(Compliant { owner: Owner::Token, purge_subject: true }),
            &[
                "curl -G http://h/x/chain/owner --data-urlencode 'key=[\"/user/a\",\"a\"]'",
                "curl http://h/x/chain/purge -d '{\"owner\":[\"/user/a\",\"a\"]}'",
                "curl http://h/x/chain/purges",
            ],
        );
        check_own(
            Kind::Reduce(Reduce { op: "f".into(), levels: vec![], apply: false }),
            &["curl http://h/x/chain/reduce -d '{}'", "curl -G http://h/x/chain/level --data-urlencode key=0"],
        );
    }

    #[test]
    fn a_chain_with_records_shows_them() {
        let commands = commands("log");
        let names = ["chain", "chain/info", "chain/blocks", "chain/records", "chain/at", "chain/verify"];
        for name in names {
            let is_its = |command: &&String| command.split(' ').any(|word| word == format!("http://h/x/{name}"));
            assert_eq!(commands.iter().filter(is_its).count(), 1, "{name}");
        }
        assert!(commands.last().is_some_and(|command| command.starts_with("curl -X DELETE")));
    }
}
