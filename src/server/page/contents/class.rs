//! Classes, with their methods and how instances are made.

use serde_json::{Value, json};

use super::{Entry, constant, with_params};
use crate::cluster::{Definition, Member};
use crate::server::page::call::{Body, Call, Param};
use crate::server::page::curl;
use crate::server::page::guess::{Ops, op_of};
use crate::value::object::ClassDef;
use crate::value::{Class, Id, Link, OpDef, Root, Verb};

/// How many classes are shown that one extends, one after the other.
const ANCESTORS_MAX: usize = 64;

pub(super) fn entry<'a>(definition: &'a Definition, name: &Id, class: &'a ClassDef, path: String) -> Entry<'a> {
    let lineage = lineage(definition, class);
    let Some(ops) = Ops::of_class(&lineage) else { return Entry::new(name.as_str(), "", vec![]) };
    let make = construction(&lineage, &ops, &path);
    let instance = instance(class, &make);
    let parts = class.attributes.iter().map(|(attr, attribute)| match op_of(attribute) {
        Some(op) => Entry::new(format!("{name}/{attr}"), "", vec![method(attr, op, &ops, &instance)]),
        None => {
            let entry = constant(attr, attribute, format!("{path}/{}", curl::segment(attr)));
            Entry { name: format!("{name}/{attr}"), ..entry }
        }
    });
    let parts = parts.collect();
    let about = match class.native().is_some() {
        true => "A class that extends a native one.",
        false if class.parent.path().len() > 1 => "A class that extends another, and has the methods of that too.",
        false => "A class.",
    };
    Entry { parts, link: Some(parent(&class.parent)), ..Entry::new(name.as_str(), about, vec![make]) }
}

/// The class, and those of the same set that it extends, nearest first.
fn lineage<'a>(definition: &'a Definition, class: &'a ClassDef) -> Vec<&'a ClassDef> {
    let mut lineage = vec![class];
    let mut parent = &class.parent;
    while let Some([name]) = parent.path().strip_prefix(definition.link.path())
        && let Some(Member::Class(next)) = definition.members.get(name)
        && lineage.len() <= ANCESTORS_MAX
    {
        lineage.push(next);
        parent = &next.parent;
    }
    lineage
}

/// What a class extends, and where that is described.
fn parent(link: &Link) -> (String, String) {
    let path = match link.version_at() {
        Some(at) if link.root() == Some(Root::Class) && link.path().len() == at + 2 => {
            let version = Link::local(&link.path()[..=at]);
            format!("{}#{}", curl::path(&version), curl::segment(&link.path()[at + 1]))
        }
        _ => curl::path(link),
    };
    (format!("Extends {link}"), path)
}

/// The call that makes an instance.
fn construction(lineage: &[&ClassDef], ops: &Ops<'_>, path: &str) -> Call {
    let native = lineage.last().and_then(|root| root.native());
    let (verb, summary) = match native {
        Some(_) => (Verb::Get, "Make an instance of a value"),
        None => (Verb::Post, "Make an instance with these members"),
    };
    let call = Call::new(verb, path.to_string(), summary);
    match native {
        Some(native) => {
            let class = if native == Class::State { ops.itself() } else { Some(native) };
            call.with_key(Param::of_class("key", class))
        }
        None => {
            // Attributes come from the class.
            let is_attribute = |name: &Id| lineage.iter().any(|class| class.attributes.contains_key(name));
            let members = ops.members().filter(|(name, _)| !is_attribute(name));
            let params = members.map(|(name, class)| Param::of_class(name.as_str(), class)).collect();
            call.with_body(Body::Named { params, required: false })
        }
    }
}

/// The expression that makes an instance in a program.
fn instance(class: &ClassDef, make: &Call) -> Value {
    let argument = match &make.key {
        Some(key) => json!([key.example]),
        None => make.body.example(),
    };
    json!({class.link.to_string(): argument})
}

/// A call of a method of an instance, in a program that makes the instance.
fn method(name: &Id, op: &OpDef, ops: &Ops<'_>, instance: &Value) -> Call {
    let summary = format!("{} {name} of an instance", op.kind.verb().http());
    let call = Call::new(Verb::Post, "/transact/hypothetical".into(), summary);
    let call = with_params(Call { result: ops.result(name), ..call }, name, op, ops);
    let key = call.key.as_ref().map(|key| key.example.clone()).unwrap_or_default();
    let subject = format!("$i/{name}");
    let step = match op.kind.verb() {
        Verb::Get => json!({subject: [key]}),
        Verb::Put => json!({subject: [key, call.body.example()]}),
        Verb::Post => json!({subject: call.body.example()}),
        Verb::Delete => json!({"/state/scalar/ref/op/delete": [subject, key]}),
    };
    let program = json!({"op": [["i", instance], ["r", step]]});
    let params = call.key.iter().chain(call.body.params()).cloned().collect();
    Call { key: None, body: Body::Program { program, params }, ..call }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::page::curl::command;
    use crate::server::page::sample;

    fn commands(name: &str) -> Vec<String> {
        let classes = sample::classes();
        let (name, member) = classes.members.get_key_value(name).unwrap();
        let Member::Class(class) = member else { panic!("no class") };
        let entry = entry(&classes, name, class, "/x".into());
        let parts = entry.parts.iter().flat_map(|part| &part.calls);
        entry.calls.iter().chain(parts).map(|call| command("", call)).collect()
    }

    #[test]
    fn an_instance_is_made_of_the_members_that_methods_use() {
        let item = r#"{"price":1,"title":"a"}"#;
        let program = |step: &str| {
            let make = format!(r#"{{"/class/a/things/1.0.0/Item":{item}}}"#);
            format!(r#"curl /transact/hypothetical -d '{{"op":[["i",{make}],["r",{step}]]}}'"#)
        };
        assert_eq!(
            commands("Item"),
            [
                format!("curl /x -d '{item}'"),
                "curl /x/NAME".to_string(),
                program(r#"{"$i/label":[null]}"#),
                program(r#"{"$i/total":{"qty":1}}"#),
            ]
        );
        assert_eq!(commands("Sale")[0], format!("curl /x -d '{item}'"));
    }

    #[test]
    fn an_instance_of_a_native_class_is_made_of_a_value() {
        let commands = commands("Meters");
        assert_eq!(commands[0], "curl -G /x --data-urlencode key=1");
        assert!(commands[1].contains(r#"["i",{"/class/a/things/1.0.0/Meters":[1]}]"#), "{}", commands[1]);
    }

    #[test]
    fn a_parent_is_described_in_its_version() {
        let link = |text: &str| parent(&text.parse().unwrap()).1;
        assert_eq!(link("/class/a/things/1.0.0/Item"), "/class/a/things/1.0.0#Item");
        assert_eq!(link("/state/scalar/value/number"), "/state/scalar/value/number");
    }
}
