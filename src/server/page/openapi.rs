//! A version as an OpenAPI 3.1 description.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::call::{Body, Call, Param, schema};
use super::contents::{Entry, sections};
use super::curl;
use crate::cluster::Definition;
use crate::server::openapi::{document, parameter, responses};

/// The description of a version of the host at `host`.
pub(super) fn version(definition: &Definition, host: &str) -> Value {
    let path = definition.link.path_text();
    let (item, version) = path.rsplit_once('/').unwrap_or_default();
    let mut paths = Paths { base: curl::path(&definition.link).len(), ..Paths::default() };
    for section in sections(definition) {
        section.entries.iter().for_each(|entry| paths.add(entry, section.title));
    }
    let description = "Classes of parameters and results are guessed from what the methods do.";
    let info = json!({"title": item, "version": version, "description": description});
    let mut document = document(info, paths.paths);
    document["servers"] = json!([{"url": host}]);
    document
}

#[derive(Default)]
struct Paths {
    /// The length of what all paths begin with.
    base: usize,
    paths: Map<String, Value>,
    /// The ids of operations, no two of which are the same.
    ids: HashSet<String>,
}

impl Paths {
    fn add(&mut self, entry: &Entry<'_>, tag: &str) {
        for call in entry.calls.iter().filter(|call| call.is_direct()) {
            let id = self.id(call);
            let operations = self.paths.entry(call.path.clone()).or_insert_with(|| json!({}));
            operations[call.verb.name()] = operation(entry, call, tag, id);
        }
        entry.parts.iter().for_each(|part| self.add(part, tag));
    }

    fn id(&mut self, call: &Call) -> String {
        let below = call.path.get(self.base..).unwrap_or_default().replace('/', "_");
        let mut id = format!("{}{below}", call.verb.name());
        while !self.ids.insert(id.clone()) {
            id.push('_');
        }
        id
    }
}

fn operation(entry: &Entry<'_>, call: &Call, tag: &str, id: String) -> Value {
    let mut operation = json!({
        "operationId": id,
        "summary": call.summary,
        "tags": [tag],
        "responses": responses("application/json"),
    });
    if !entry.about.is_empty() {
        operation["description"] = json!(entry.about);
    }
    if let Some(class) = call.result {
        operation["responses"]["200"]["content"]["application/json"] = json!({"schema": schema(class)});
    }
    let parameters = call.key.iter().map(key).chain([parameter("txn_id")]);
    operation["parameters"] = parameters.collect();
    if let Some(body) = body(&call.body) {
        operation["requestBody"] = body;
    }
    operation
}

/// The key, which is JSON in the query.
fn key(param: &Param) -> Value {
    json!({
        "name": "key",
        "in": "query",
        "required": false,
        "description": format!("{} ({}), as JSON text.", param.name, param.class),
        "content": content(&param.schema, &param.example),
    })
}

fn body(body: &Body) -> Option<Value> {
    let example = body.example();
    let (schema, required) = match body {
        Body::None | Body::Program { .. } => return None,
        Body::Value(param) => (param.schema.clone(), true),
        Body::Named { params, required } => (object(params, *required), *required),
    };
    Some(json!({"required": required, "content": content(&schema, &example)}))
}

fn content(schema: &Value, example: &Value) -> Value {
    json!({"application/json": {"schema": schema, "example": example}})
}

fn object(params: &[Param], required: bool) -> Value {
    let properties: Map<String, Value> =
        params.iter().map(|param| (param.name.clone(), param.schema.clone())).collect();
    let mut schema = json!({"type": "object", "properties": properties});
    if required && !params.is_empty() {
        schema["required"] = params.iter().map(|param| param.name.as_str()).collect();
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::page::sample;

    const HOST: &str = "http://h";

    #[test]
    fn a_document_has_what_the_specification_asks_for() {
        for definition in [sample::library(), sample::service(), sample::classes()] {
            let document = version(&definition, HOST);
            assert_eq!(document["openapi"], "3.1.0");
            assert_eq!(document["info"]["version"], "1.0.0");
            assert_eq!(document["servers"][0]["url"], HOST);
            assert!(document["components"]["schemas"]["Error"].is_object());
            let mut ids = HashSet::new();
            for (path, operations) in document["paths"].as_object().unwrap() {
                assert!(path.starts_with(&definition.link.path_text()), "{path}");
                for (verb, operation) in operations.as_object().unwrap() {
                    assert!(ids.insert(operation["operationId"].to_string()), "{verb} {path}");
                    assert!(operation["responses"]["200"]["description"].is_string());
                    assert!(operation["responses"]["default"].is_object());
                    for parameter in operation["parameters"].as_array().unwrap() {
                        assert!(parameter["name"].is_string() && parameter["in"] == "query");
                        assert!(parameter["schema"].is_object() != parameter["content"].is_object());
                    }
                    let has_body = operation["requestBody"]["content"]["application/json"]["schema"].is_object();
                    assert_eq!(has_body, matches!(verb.as_str(), "put" | "post"), "{verb} {path}");
                }
            }
        }
    }

    #[test]
    fn every_member_has_a_path() {
        for definition in [sample::library(), sample::service(), sample::classes()] {
            let document = version(&definition, HOST);
            for name in definition.members.keys() {
                assert!(document["paths"][definition.subject_path(name)].is_object(), "{name}");
            }
        }
    }

    #[test]
    fn an_operation_is_that_of_the_kind_of_the_op() {
        let document = version(&sample::service(), HOST);
        let verbs = |name: &str| {
            let path = format!("/service/a/stock/1.0.0/{name}");
            document["paths"][path].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(verbs("restock"), ["put"]);
        assert_eq!(verbs("take"), ["post"]);
        let mut of_table = verbs("items");
        of_table.sort();
        assert_eq!(of_table, ["delete", "get", "post", "put"]);
        let take = &document["paths"]["/service/a/stock/1.0.0/take"]["post"]["requestBody"];
        let schema = &take["content"]["application/json"]["schema"];
        assert_eq!(schema["required"], json!(["sku", "qty"]));
        assert_eq!(schema["properties"]["sku"], json!({"type": "string"}));
        assert_eq!(take["required"], true);
    }
}
