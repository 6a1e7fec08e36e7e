//! Documents, built by hand and written.

use tinychain::server::codec::Encoding;
use tinychain::server::codec::tbon::TbonEncoder;
use tinychain::value::encode::{Encoder, Json};
use tinychain::value::{Doc, Number};

pub fn text(text: &str) -> Doc {
    Doc::String(text.into())
}

pub fn int(number: i64) -> Doc {
    Doc::Number(Number::I64(number))
}

pub fn float(number: f64) -> Doc {
    Doc::Number(Number::F64(number))
}

pub fn truth(truth: bool) -> Doc {
    Doc::Number(Number::Bool(truth))
}

pub fn list(items: impl Into<Vec<Doc>>) -> Doc {
    Doc::List(items.into())
}

/// `[]`: no arguments.
pub fn nothing() -> Doc {
    Doc::List(Vec::new())
}

pub fn entry(key: &str, value: Doc) -> Doc {
    Doc::Map(vec![(key.into(), value)])
}

pub fn map<const N: usize>(entries: [(&str, Doc); N]) -> Doc {
    Doc::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

/// A typed value, or a cast to `class`.
pub fn typed(class: &str, doc: Doc) -> Doc {
    entry(&format!("/state/scalar/value/{class}"), doc)
}

/// `if`, `case`, `op/get` …
pub fn flow(kind: &str, doc: Doc) -> Doc {
    entry(&format!("/state/scalar/ref/{kind}"), doc)
}

/// An op definition.
pub fn op(verb: &str, doc: Doc) -> Doc {
    entry(&format!("/state/scalar/op/{verb}"), doc)
}

/// A GET op with one step.
pub fn get_op(param: &str, result: Doc) -> Doc {
    op("get", list([text(param), list([step("_return", result)])]))
}

/// A POST op with one step.
pub fn post_op(result: Doc) -> Doc {
    op("post", list([step("_return", result)]))
}

pub fn step(name: &str, doc: Doc) -> Doc {
    list([text(name), doc])
}

/// The value of a step or parameter.
pub fn named(name: &str) -> Doc {
    call(name, "", nothing())
}

/// `{"$<name><path>": args}`; a path begins with a slash.
pub fn call(name: &str, path: &str, args: Doc) -> Doc {
    entry(&format!("${name}{path}"), args)
}

/// Writes a document in whichever encoding.
fn write(doc: &Doc, out: &mut impl Encoder) {
    match doc {
        Doc::Null => out.null(),
        Doc::Number(number) => out.number(*number),
        Doc::String(text) => out.string(text),
        Doc::Bytes(bytes) => out.bytes(bytes),
        Doc::List(items) => {
            out.begin_list();
            for item in items {
                out.item();
                write(item, out);
            }
            out.end_list();
        }
        Doc::Map(entries) => {
            out.begin_map();
            for (key, value) in entries {
                out.key(key);
                write(value, out);
            }
            out.end_map();
        }
    }
}

pub fn to_bytes(doc: &Doc, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Json => {
            let mut out = Json::default();
            write(doc, &mut out);
            out.into_bytes()
        }
        Encoding::Tbon => {
            let mut out = TbonEncoder::default();
            write(doc, &mut out);
            out.into_bytes()
        }
    }
}

pub fn to_json(doc: &Doc) -> String {
    String::from_utf8_lossy(&to_bytes(doc, Encoding::Json)).into_owned()
}
