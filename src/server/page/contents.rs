//! What a version has, in the order in which it is shown.

mod chain;
mod class;

use serde_json::Value;

use super::call::{Body, Call, Param};
use super::curl;
use super::guess::{Ops, op_of};
use crate::cluster::{Definition, Member};
use crate::value::encode::{expr_to_json, to_json_within};
use crate::value::object::Attribute;
use crate::value::{Id, OpDef, OpKind, Schema, Verb};

/// Bytes of a constant that are shown.
const CONSTANT_BYTES_MAX: usize = 4096;
/// The order of methods: what others read is written first, and deleted last.
const VERBS: [Verb; 4] = [Verb::Put, Verb::Get, Verb::Post, Verb::Delete];

/// Members of one kind.
pub(super) struct Section<'a> {
    pub title: &'static str,
    pub entries: Vec<Entry<'a>>,
}

/// A member of a version, or a method of a class.
pub(super) struct Entry<'a> {
    pub name: String,
    /// Some sentences.
    pub about: String,
    /// Where there is more about it: a label and a path.
    pub link: Option<(String, String)>,
    /// The columns, if it is a collection.
    pub schema: Option<&'a Schema>,
    /// The value, if it is a constant.
    pub json: Option<String>,
    pub calls: Vec<Call>,
    pub parts: Vec<Entry<'a>>,
}

impl Entry<'_> {
    fn new(name: impl Into<String>, about: impl Into<String>, calls: Vec<Call>) -> Self {
        let (name, about) = (name.into(), about.into());
        Self { name, about, link: None, schema: None, json: None, calls, parts: vec![] }
    }
}

/// The sections of a version that have something in them.
pub(super) fn sections(definition: &Definition) -> Vec<Section<'_>> {
    let ops = Ops::of_version(definition);
    let base = curl::path(&definition.link);
    let (mut methods, mut data, mut constants, mut classes) = (vec![], vec![], vec![], vec![]);
    for (name, member) in &definition.members {
        let path = format!("{base}/{}", curl::segment(name));
        match member {
            Member::Attribute(attribute) => match op_of(attribute) {
                Some(op) => methods.push((op.kind.verb(), method(name, op, path, &ops))),
                None => constants.push(constant(name, attribute, path)),
            },
            Member::Chain(chain) => data.push(chain::entry(name, chain, &path)),
            Member::Class(class) => classes.push(class::entry(definition, name, class, path)),
        }
    }
    methods.sort_by_key(|(verb, _)| VERBS.iter().position(|other| other == verb));
    let methods = methods.into_iter().map(|(_, entry)| entry).collect();
    let sections = [("Classes", classes), ("Methods", methods), ("Data", data), ("Constants", constants)];
    let sections = sections.into_iter().map(|(title, entries)| Section { title, entries });
    sections.filter(|section| !section.entries.is_empty()).collect()
}

fn method(name: &Id, op: &OpDef, path: String, ops: &Ops<'_>) -> Entry<'static> {
    let call = Call { result: ops.result(name), ..Call::new(op.kind.verb(), path, name.as_str()) };
    Entry::new(name.as_str(), "", vec![with_params(call, name, op, ops)])
}

/// The same call with the parameters of an op.
fn with_params(call: Call, name: &Id, op: &OpDef, ops: &Ops<'_>) -> Call {
    let param = |param: &Id| Param::of_class(param.as_str(), ops.param(name, param));
    match &op.kind {
        OpKind::Get { key } | OpKind::Delete { key } => call.with_key(param(key)),
        OpKind::Put { key, value } => call.with_key(param(key)).with_body(Body::Value(param(value))),
        OpKind::Post => {
            let params = op.free_names().into_iter().map(param).collect();
            call.with_body(Body::Named { params, required: true })
        }
    }
}

fn constant(name: &Id, attribute: &Attribute, path: String) -> Entry<'static> {
    let (about, json) = match attribute {
        Attribute::State(state) => ("", to_json_within(state, CONSTANT_BYTES_MAX)),
        Attribute::Reference(op) => {
            let json = op.steps.last().map(|step| expr_to_json(&step.expr));
            ("Computed each time that it is asked for.", json.unwrap_or_default())
        }
    };
    let call = Call::new(Verb::Get, path, name.as_str());
    Entry { json: Some(shortened(json)), ..Entry::new(name.as_str(), about, vec![call]) }
}

/// The beginning of a text that is too long to be shown.
fn shortened(mut text: String) -> String {
    if text.len() > CONSTANT_BYTES_MAX {
        let end = (0..=CONSTANT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A key that is a list of one example.
fn first(param: &Param) -> Value {
    Value::Array(param.example.as_array().and_then(|cells| cells.first()).cloned().into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::page::sample;

    fn titles(definition: &Definition) -> Vec<(&'static str, Vec<String>)> {
        let sections = sections(definition).into_iter();
        sections.map(|s| (s.title, s.entries.into_iter().map(|entry| entry.name).collect())).collect()
    }

    #[test]
    fn every_member_is_in_one_section() {
        for definition in [sample::library(), sample::service(), sample::classes()] {
            let mut names: Vec<String> = titles(&definition).into_iter().flat_map(|(_, names)| names).collect();
            names.sort();
            assert_eq!(names, definition.members.keys().map(Id::to_string).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_writes_comes_before_what_reads() {
        let service = sample::service();
        let (title, names) = titles(&service).remove(0);
        assert_eq!(title, "Methods");
        assert_eq!(names, ["become", "restock", "has", "scarce", "size", "log_one", "take", "drop"]);
    }

    #[test]
    fn a_post_method_has_the_names_that_it_uses() {
        let service = sample::service();
        let sections = sections(&service);
        let take = sections[0].entries.iter().find(|entry| entry.name == "take").unwrap();
        assert_eq!(take.calls[0].body.example(), serde_json::json!({"sku": "a", "qty": 1}));
    }

    #[test]
    fn a_long_constant_is_cut_between_characters() {
        let text = shortened("é".repeat(CONSTANT_BYTES_MAX));
        assert!(text.ends_with("é…") && text.len() <= CONSTANT_BYTES_MAX + '…'.len_utf8());
        assert_eq!(shortened("é".into()), "é");
    }
}
