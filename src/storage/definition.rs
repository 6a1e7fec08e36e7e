//! Definitions of tables as JSON, which is how the catalog keeps them.
//!
//! The format, version 1:
//! ```json
//! {"format": 1, "kind": "table", "rows": 4, "next_slot": 2, "key_len": 1,
//!  "columns": [{"name": "city", "class": "/state/scalar/value/string", "type": "string", "max_len": 60, "slot": 0,
//!               "ordinal": 0}, …],
//!  "indexes": [{"name": "by_zone", "columns": [1], "unique": true, "tree": 5}]}
//! ```
//! `kind` is `table` or `btree`; `rows` and `tree` are ids of trees. A column may have `"nullable": true`, `"precision"` and
//! `"scale"` if it is decimal, and a `default`, which is the text that a column of any value holds for it (see
//! [`super::codec`]), such as `"7"` or `"{\"/state/scalar/value/number/int/32\":7}"`.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array as _, AsArray as _, StringViewArray};
use serde_json::{Map, Value as Json, json};

use super::catalog::Definition;
use super::codec::{RowBuilder, cell};
use crate::error::{Error, Result};
use crate::value::schema::{Column, ColumnType, Index, Kind, Schema, Table, TreeId};
use crate::value::tensor::{Layout, Shape, TensorSchema};
use crate::value::{Class, NumberClass, State};

/// The version of the format that this release writes, and the only one that it reads.
const FORMAT: u64 = 1;

/// A column of any value.
static ANY: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    let column = Column {
        name: "value".into(),
        class: Class::Value,
        ty: ColumnType::Any,
        max_len: None,
        nullable: false,
        slot: 0,
        ordinal: 0,
        default: State::NONE,
    };
    Arc::new(Schema { kind: Kind::Table, columns: vec![column], key_len: 0, indexes: vec![] })
});

/// The definition as JSON.
///
/// # Errors
/// `Internal` if the default of a column is no value.
pub(super) fn encode(definition: &Definition) -> Result<Json> {
    let table = &definition.table;
    let schema = &table.schema;
    let indexes: Vec<Json> =
        schema.indexes.iter().zip(&table.indexes).map(|(i, tree)| encode_index(i, *tree)).collect();
    Ok(json!({
        "format": FORMAT,
        "kind": encode_kind(&schema.kind),
        "rows": table.rows.0,
        "next_slot": definition.next_slot,
        "key_len": schema.key_len,
        "columns": schema.columns.iter().map(encode_column).collect::<Result<Vec<Json>>>()?,
        "indexes": indexes,
    }))
}

/// The definition of the table at `path` that `text` is.
///
/// # Errors
/// `Internal` if this release cannot read it, naming the path and what is wrong.
pub(super) fn decode(path: &str, text: &str) -> Result<Definition> {
    let explain = |error: Error| Error::internal(format!("cannot read the definition of {path}: {}", error.message()));
    let json: Json = serde_json::from_str(text).map_err(|error| explain(Error::internal(error.to_string())))?;
    decode_definition(path, &json).map_err(explain)
}

/// The name of a kind; for a tensor, what there is to know of it.
fn encode_kind(kind: &Kind) -> Json {
    match kind {
        Kind::BTree => "btree".into(),
        Kind::Table => "table".into(),
        Kind::Tensor(TensorSchema { layout, dtype, shape }) => json!({
            "tensor": match layout { Layout::Dense => "dense", Layout::Sparse => "sparse" },
            "dtype": Class::from(*dtype).short(),
            "shape": shape.dims(),
        }),
    }
}

fn decode_kind(json: &Json) -> Result<Kind> {
    match json.as_str() {
        Some("btree") => return Ok(Kind::BTree),
        Some("table") => return Ok(Kind::Table),
        Some(kind) => return Err(Error::internal(format!("there is no kind {kind:?}"))),
        None => {}
    }
    let layout = match text(json, "tensor")? {
        "dense" => Layout::Dense,
        "sparse" => Layout::Sparse,
        layout => return Err(Error::internal(format!("there are no {layout:?} tensors"))),
    };
    let dims = list(json, "shape")?.iter().map(|dim| to_number(dim, "shape")).collect::<Result<Vec<u64>>>()?;
    let dtype = number_class(text(json, "dtype")?).ok_or_else(|| Error::internal("a tensor is not of numbers"))?;
    Ok(Kind::Tensor(TensorSchema { layout, dtype, shape: Shape::try_new(dims)? }))
}

/// The class of numbers whose path ends so.
fn number_class(name: &str) -> Option<NumberClass> {
    NumberClass::ALL.into_iter().find(|class| Class::from(*class).short() == name)
}

fn encode_index(index: &Index, tree: TreeId) -> Json {
    json!({"name": index.name.as_str(), "columns": index.columns, "unique": index.unique, "tree": tree.0})
}

fn encode_column(column: &Column) -> Result<Json> {
    let mut json = Map::new();
    json.insert("name".into(), column.name.as_str().into());
    json.insert("class".into(), column.class.path().into());
    json.insert("type".into(), type_name(column.ty).into());
    if let ColumnType::Decimal { precision, scale } = column.ty {
        json.insert("precision".into(), precision.into());
        json.insert("scale".into(), scale.into());
    }
    if let Some(max_len) = column.max_len {
        json.insert("max_len".into(), max_len.into());
    }
    if column.nullable {
        json.insert("nullable".into(), true.into());
    }
    json.insert("slot".into(), column.slot.into());
    json.insert("ordinal".into(), column.ordinal.into());
    if column.default != State::NONE {
        json.insert("default".into(), encode_value(&column.default)?.into());
    }
    Ok(json.into())
}

const TYPES: &[(ColumnType, &str)] = &[
    (ColumnType::String, "string"),
    (ColumnType::Bytes, "bytes"),
    (ColumnType::Id, "id"),
    (ColumnType::Link, "link"),
    (ColumnType::Email, "email"),
    (ColumnType::Version, "version"),
    (ColumnType::Any, "any"),
    (ColumnType::Date, "date"),
    (ColumnType::Timestamp, "timestamp"),
];

/// The name of a type, without its parameters. That of a class of numbers is the end of its path.
fn type_name(ty: ColumnType) -> &'static str {
    match ty {
        ColumnType::Number(class) => Class::from(class).short(),
        ColumnType::Decimal { .. } => "decimal",
        _ => TYPES.iter().find(|(known, _)| *known == ty).map_or("", |(_, name)| name),
    }
}

fn decode_type(json: &Json) -> Result<ColumnType> {
    let name = text(json, "type")?;
    if name == "decimal" {
        return Ok(ColumnType::Decimal { precision: number(json, "precision")?, scale: number(json, "scale")? });
    }
    let number = number_class(name);
    let other = || TYPES.iter().find(|(_, known)| *known == name).map(|(ty, _)| *ty);
    number.map(ColumnType::Number).or_else(other).ok_or_else(|| Error::internal(format!("there is no type {name:?}")))
}

fn decode_definition(path: &str, json: &Json) -> Result<Definition> {
    let format: u64 = number(json, "format")?;
    if format != FORMAT {
        return Err(Error::internal(format!("its format is {format}, and this release reads format {FORMAT}")));
    }
    let kind = decode_kind(field(json, "kind")?)?;
    let columns = list(json, "columns")?.iter().map(decode_column).collect::<Result<Vec<_>>>()?;
    let key_len: usize = number(json, "key_len")?;
    if key_len > columns.len() {
        return Err(Error::internal(format!("its key has {key_len} columns, but it has only {}", columns.len())));
    }
    let indexes = list(json, "indexes")?.iter().map(|index| decode_index(index, columns.len()));
    let (indexes, trees) = indexes.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    let schema = Schema { kind, columns, key_len, indexes };
    let rows = TreeId(number(json, "rows")?);
    let table = Table { name: path.into(), schema: Arc::new(schema), rows, indexes: trees };
    Ok(Definition { table: Arc::new(table), next_slot: number(json, "next_slot")? })
}

fn decode_index(json: &Json, columns_len: usize) -> Result<(Index, TreeId)> {
    let columns = list(json, "columns")?.iter().map(|column| to_number(column, "columns"));
    let columns = columns.collect::<Result<Vec<usize>>>()?;
    if let Some(column) = columns.iter().find(|column| **column >= columns_len) {
        return Err(Error::internal(format!("an index names column {column} of {columns_len}")));
    }
    let unique = field(json, "unique")?.as_bool().unwrap_or_default();
    Ok((Index { name: text(json, "name")?.parse()?, columns, unique }, TreeId(number(json, "tree")?)))
}

fn decode_column(json: &Json) -> Result<Column> {
    let path = text(json, "class")?;
    Ok(Column {
        name: text(json, "name")?.parse()?,
        class: Class::at(path).ok_or_else(|| Error::internal(format!("there is no class {path:?}")))?,
        ty: decode_type(json)?,
        max_len: json.get("max_len").map(|max_len| to_number(max_len, "max_len")).transpose()?,
        nullable: json.get("nullable").and_then(Json::as_bool).unwrap_or_default(),
        slot: number(json, "slot")?,
        ordinal: number(json, "ordinal")?,
        default: match json.get("default") {
            None => State::NONE,
            Some(_) => decode_value(text(json, "default")?)?,
        },
    })
}

/// The text of a value, from which the same value can be read: that which a column of any value holds.
fn encode_value(value: &State) -> Result<String> {
    let mut builder = RowBuilder::new(&ANY, &[0], 1);
    builder.append_row(std::slice::from_ref(value))?;
    let batch = builder.finish()?;
    let text = batch.column(0).as_string_view_opt().filter(|texts| texts.len() == 1).map(|texts| texts.value(0));
    text.map(str::to_owned).ok_or_else(|| Error::internal(format!("{value:?} cannot be a default")))
}

fn decode_value(text: &str) -> Result<State> {
    cell(&ANY.columns[0], &StringViewArray::from(vec![text]), 0)
}

fn field<'a>(json: &'a Json, name: &str) -> Result<&'a Json> {
    json.get(name).ok_or_else(|| Error::internal(format!("it has no {name:?}")))
}

fn text<'a>(json: &'a Json, name: &str) -> Result<&'a str> {
    let found = field(json, name)?;
    found.as_str().ok_or_else(|| mistyped(name, found))
}

fn list<'a>(json: &'a Json, name: &str) -> Result<&'a Vec<Json>> {
    let found = field(json, name)?;
    found.as_array().ok_or_else(|| mistyped(name, found))
}

fn number<T: TryFrom<i128>>(json: &Json, name: &str) -> Result<T> {
    to_number(field(json, name)?, name)
}

/// An integer of any class.
fn to_number<T: TryFrom<i128>>(json: &Json, name: &str) -> Result<T> {
    let wide = json.as_i64().map(i128::from).or_else(|| json.as_u64().map(i128::from));
    wide.and_then(|n| T::try_from(n).ok()).ok_or_else(|| mistyped(name, json))
}

fn mistyped(name: &str, json: &Json) -> Error {
    Error::internal(format!("{name:?} cannot be {json}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::codec::sample::{any_column, cell_of, column};

    fn definition(columns: Vec<Column>, key_len: usize, indexes: Vec<Index>) -> Definition {
        let trees = (5..).take(indexes.len()).map(TreeId).collect();
        let schema = Arc::new(Schema { kind: Kind::Table, columns, key_len, indexes });
        let table = Table { name: "/service/a".into(), schema, rows: TreeId(4), indexes: trees };
        Definition { table: Arc::new(table), next_slot: 9 }
    }

    #[track_caller]
    fn check(definition: &Definition) {
        let text = encode(definition).unwrap().to_string();
        assert_eq!(&decode("/service/a", &text).unwrap(), definition, "{text}");
    }

    #[test]
    fn an_index_reads_back() {
        let number = ColumnType::Number(NumberClass::U64);
        let mut columns = vec![column("id", number), column("name", ColumnType::String), column("size", number)];
        columns[1].max_len = Some(60);
        columns[2].slot = 7;
        columns[2].ordinal = 3;
        let indexes = vec![
            Index { name: "by_name".into(), columns: vec![1], unique: true },
            Index { name: "by_size".into(), columns: vec![2, 0], unique: false },
        ];
        check(&definition(columns, 1, indexes));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        #[track_caller]
        fn refused(change: impl FnOnce(&mut Json), expected: &str) {
            let index = Index { name: "i".into(), columns: vec![0], unique: false };
            let mut json = encode(&definition(vec![column("id", ColumnType::Id)], 1, vec![index])).unwrap();
            change(&mut json);
            let error = decode("/service/a", &json.to_string()).unwrap_err();
            assert!(error.message().starts_with("cannot read the definition of /service/a"), "{error}");
            assert!(error.message().contains(expected), "{error}");
        }
        refused(|json| json["format"] = 2.into(), "its format is 2");
        refused(|json| json["kind"] = "heap".into(), "there is no kind \"heap\"");
        refused(|json| json["rows"] = (-1).into(), "\"rows\" cannot be -1");
        refused(|json| json["key_len"] = 2.into(), "its key has 2 columns");
        refused(|json| json["columns"][0]["type"] = "blob".into(), "there is no type \"blob\"");
        refused(|json| json["columns"][0]["default"] = "[".into(), "[");
        refused(|json| json["indexes"][0]["columns"][0] = 1.into(), "names column 1 of 1");
        refused(|json| drop(json.as_object_mut().unwrap().remove("next_slot")), "it has no \"next_slot\"");
        assert!(decode("/service/a", "{").is_err());
    }

    proptest! {
        #[test]
        fn any_column_reads_back(
            (column, default) in any_column().prop_flat_map(|column| (Just(column.clone()), cell_of(&column))),
        ) {
            let column = Column { default, ..column };
            check(&definition(vec![column], 0, vec![]));
        }
    }
}
