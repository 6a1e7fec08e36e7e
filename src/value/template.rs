//! Templates: Handlebars, rendered under bounds.
//!
//! A template is user input, so it gets no partials (they can recurse) and no more work than [`STEPS_MAX`]: nested
//! blocks multiply, so the bound is computed from the template and the data before anything is rendered.

use std::io;

use handlebars::template::{Parameter, TemplateElement};
use handlebars::{Context, Handlebars, Helper, HelperDef, RenderContext, RenderError, ScopedJson, Template};
use serde_json::Value as Json;

use super::encode::to_json;
use super::{Number, State, Value, text};
use crate::error::{Error, Result};

/// Bytes of a template.
const TEMPLATE_BYTES_MAX: usize = 1 << 20;
/// Blocks within blocks; the renderer recurses.
const BLOCK_DEPTH_MAX: usize = 64;
/// Renderings of a template's text, counting each item of each list that a block may run over.
const STEPS_MAX: u64 = 10_000_000;
/// Bytes of what a template renders to.
const OUTPUT_BYTES_MAX: usize = 16 << 20;

/// Renders `template` with `data`, which are parameters, or a value.
///
/// # Errors
/// `BadRequest` for a syntax error, or if rendering could take more than the bounds allow.
pub fn render(template: &str, data: &State, are_parameters: bool) -> Result<String> {
    check(template, data)?;
    let failed = |error: &dyn std::fmt::Display| Error::bad_request(format!("cannot render the template: {error}"));
    let mut compiled = Template::compile(template).map_err(|error| failed(&error))?;
    insert_maps_as_json(&mut compiled);
    let mut handlebars = Handlebars::new();
    handlebars.register_template(NAME, compiled);
    handlebars.register_helper(INSERT, Box::new(Insert));
    let mut output = Bounded::default();
    handlebars.render_to_write(NAME, &to_data(data, are_parameters), &mut output).map_err(|error| failed(&error))?;
    String::from_utf8(output.0).map_err(|error| failed(&error))
}

/// A writer that fails past [`OUTPUT_BYTES_MAX`].
#[derive(Default)]
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_BYTES_MAX {
            return Err(io::Error::other(format!("the result is larger than {} MiB", OUTPUT_BYTES_MAX >> 20)));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The name under which the one template is rendered.
const NAME: &str = "template";
/// The name of the helper that inserts a value.
const INSERT: &str = "tc insert";

/// Makes every plain `{{name}}` a call of [`Insert`].
fn insert_maps_as_json(template: &mut Template) {
    for element in &mut template.elements {
        match element {
            TemplateElement::Expression(expression) | TemplateElement::HtmlExpression(expression) => {
                let is_plain = expression.params.is_empty() && expression.hash.is_empty();
                if is_plain && matches!(expression.name, Parameter::Path(_)) {
                    let name = std::mem::replace(&mut expression.name, Parameter::Name(INSERT.into()));
                    expression.params.push(name);
                }
            }
            TemplateElement::HelperBlock(block) => {
                block.template.as_mut().into_iter().chain(&mut block.inverse).for_each(insert_maps_as_json);
            }
            _ => {}
        }
    }
}

/// Inserts a value: a map as its JSON, anything else as the library does it.
struct Insert;

impl HelperDef for Insert {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> std::result::Result<ScopedJson<'rc>, RenderError> {
        let value = helper.param(0).map_or(&Json::Null, |param| param.value());
        Ok(ScopedJson::Derived(if value.is_object() { Json::String(value.to_string()) } else { value.clone() }))
    }
}

fn check(template: &str, data: &State) -> Result<()> {
    if template.len() > TEMPLATE_BYTES_MAX {
        return Err(Error::bad_request(format!("a template may have {TEMPLATE_BYTES_MAX} bytes")));
    }
    let (mut depth, mut deepest) = (0usize, 0usize);
    let mut rest = template;
    while let Some(at) = rest.find("{{") {
        rest = rest[at + 2..].trim_start_matches(['{', '~', '&', ' ', '\t', '\r', '\n']);
        match rest.bytes().next() {
            Some(b'#') if rest[1..].trim_start().starts_with(['>', '*']) => return Err(no_partials()),
            Some(b'>' | b'*') => return Err(no_partials()),
            Some(b'#' | b'^') => depth += 1,
            Some(b'/') => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    let nested = rest_depth(template);
    if deepest > BLOCK_DEPTH_MAX || nested > BLOCK_DEPTH_MAX {
        return Err(Error::bad_request(format!("a template nests more than {BLOCK_DEPTH_MAX} blocks")));
    }
    let per_block = longest(data).max(1);
    let steps = (0..deepest).fold(template.len() as u64, |steps, _| steps.saturating_mul(per_block));
    if steps > STEPS_MAX {
        return Err(Error::bad_request(format!(
            "{deepest} nested blocks over {per_block} items are too much to render"
        )));
    }
    Ok(())
}

fn no_partials() -> Error {
    Error::bad_request("a template may not have partials or decorators")
}

/// How deep subexpressions nest; the parser recurses.
fn rest_depth(template: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    for byte in template.bytes() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The length of the longest list in `data`.
fn longest(data: &State) -> u64 {
    let (own, items): (usize, &[State]) = match data {
        State::Tuple(tuple) => (tuple.items().len(), tuple.items()),
        State::Map(map) => (map.len(), map.values()),
        _ => (0, &[]),
    };
    items.iter().map(longest).max().unwrap_or(0).max(own as u64)
}

/// Data keeps its structure, so that paths, lists and conditions work; other values are inserted as their text. Floats are
/// texts where they are parameters, without the `.0` of a whole number, and numbers where they are data.
fn to_data(state: &State, is_parameter: bool) -> Json {
    match state {
        State::Value(Value::None) => Json::Null,
        State::Value(Value::Number(Number::Bool(value))) => Json::Bool(*value),
        State::Value(Value::Number(Number::I64(n))) => Json::from(*n),
        State::Value(Value::Number(Number::F64(n))) if !is_parameter => Json::from(*n),
        State::Value(_) => Json::String(text::text(state).unwrap_or_default()),
        State::Tuple(tuple) => Json::Array(tuple.items().iter().map(|item| to_data(item, false)).collect()),
        State::Map(map) => {
            Json::Object(map.iter().map(|(name, value)| (name.to_string(), to_data(value, is_parameter))).collect())
        }
        State::Op(_)
        | State::Closure(_)
        | State::Collection(_)
        | State::Tensor(_)
        | State::Stream(_)
        | State::Object(_) => Json::String(to_json(state)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Map, Tuple};

    fn data(entries: &[(&'static str, State)]) -> State {
        Map::try_new(entries.iter().map(|(name, state)| ((*name).into(), state.clone()))).unwrap().into()
    }

    #[test]
    fn values_are_escaped_unless_they_are_asked_for_raw() {
        let data = data(&[("a", "<b>&\"'`=/".into())]);
        assert_eq!(render("{{a}} {{{a}}}", &data, true).unwrap(), "&lt;b&gt;&amp;&quot;&#x27;&#x60;&#x3D;/ <b>&\"'`=/");
    }

    #[test]
    fn structure_is_kept() {
        let list = State::from(Tuple::try_new([1i64.into(), 2i64.into()]).unwrap());
        let data = data(&[("a", list), ("no", false.into()), ("x", 1.0.into())]);
        assert_eq!(
            render("{{#each a}}{{this}},{{/each}}{{#if no}}y{{else}}n{{/if}}{{x}}{{none}}", &data, true).unwrap(),
            "1,2,n1"
        );
    }

    #[test]
    fn hostile_templates_are_refused() {
        let list = State::from(Tuple::try_new(vec![State::from(1i64); 1000]).unwrap());
        let data = data(&[("a", list)]);
        let nested = "{{#each a}}".repeat(4) + &"{{/each}}".repeat(4);
        assert!(render(&nested, &data, true).is_err());
        for template in ["{{> x}}", "{{#*inline \"x\"}}{{/inline}}", "{{#> x}}{{/x}}", "{{", "{{#if}}"] {
            assert!(render(template, &data, true).is_err(), "{template}");
        }
        let large = State::from("x".repeat(1 << 20));
        assert!(render(&"{{this}}".repeat(100), &large, false).is_err());
        let deep = format!("{{{{a {}", "(".repeat(10_000));
        assert!(render(&deep, &data, true).is_err());
    }
}
