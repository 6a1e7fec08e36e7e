//! What classes the parameters of ops seem to have, from what the ops do with them.
//!
//! Definitions do not declare classes. But what is added to a number is one, what is a key of a chain has the class of
//! the key's column, and what is given to another op of the same version has the class that its parameter there seems to
//! have. A guess that is wrong costs nothing but an example that does not work.

mod methods;
mod result;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::walk::Walk;
use crate::chain::{ChainDef, Subject};
use crate::cluster::{Definition, Member};
use crate::value::object::{Attribute, ClassDef};
use crate::value::{self, Class, Id, Link, OpDef, Schema, State};

/// How often guesses are made again with what was guessed of other ops before.
const ROUNDS: usize = 3;

/// How much a guess is worth; the last the most.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Trust {
    /// Several classes can do that.
    Shared,
    /// Only one class can do that.
    Own,
    /// Somebody says so.
    Declared,
}

/// A class that something seems to have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Guess {
    class: Class,
    trust: Trust,
}

impl Guess {
    fn declared(class: Class) -> Self {
        Self { class, trust: Trust::Declared }
    }
}

/// The names that were seen, with the best guesses.
#[derive(Clone, Debug, Default)]
struct Guesses(BTreeMap<Id, Option<Guess>>);

impl Guesses {
    fn note(&mut self, name: &Id, guess: Option<Guess>) {
        let best = self.0.entry(name.clone()).or_default();
        if guess.map(|guess| guess.trust) > best.map(|best| best.trust) {
            *best = guess;
        }
    }

    fn get(&self, name: &Id) -> Option<Guess> {
        self.0.get(name).copied().flatten()
    }
}

/// Ops that know each other by `$self` or by their paths, and what their parameters seem to be.
pub(super) struct Ops<'a> {
    /// What their paths begin with.
    link: &'a Link,
    ops: BTreeMap<&'a Id, &'a Arc<OpDef>>,
    chains: BTreeMap<&'a Id, &'a Arc<ChainDef>>,
    /// Of the parameters of each op, by its name.
    params: BTreeMap<&'a Id, Guesses>,
    /// Of what `$self` has beside ops and chains.
    members: Guesses,
}

impl<'a> Ops<'a> {
    /// The ops of a library or service.
    pub fn of_version(definition: &'a Definition) -> Self {
        let ops = definition.members.iter().filter_map(|(name, member)| match member {
            Member::Attribute(attribute) => Some((name, op_of(attribute)?)),
            _ => None,
        });
        Self::new(&definition.link, ops.collect(), definition.chains().collect())
    }

    /// The ops of a class, given with those that it extends, nearest first.
    pub fn of_class(lineage: &[&'a ClassDef]) -> Option<Self> {
        let attributes = lineage.iter().rev().flat_map(|class| class.attributes.iter());
        let ops = attributes.filter_map(|(name, attribute)| Some((name, op_of(attribute)?)));
        Some(Self::new(&lineage.first()?.link, ops.collect(), BTreeMap::new()))
    }

    fn new(link: &'a Link, ops: BTreeMap<&'a Id, &'a Arc<OpDef>>, chains: BTreeMap<&'a Id, &'a Arc<ChainDef>>) -> Self {
        let mut known = Self { link, ops, chains, params: BTreeMap::new(), members: Guesses::default() };
        for _ in 0..ROUNDS {
            let mut members = Guesses::default();
            let mut params = BTreeMap::new();
            for (name, op) in &known.ops {
                let mut walk = Walk::new(&known, &mut members);
                op.steps.iter().for_each(|step| walk.visit(&step.expr, None));
                params.insert(*name, walk.names);
            }
            (known.params, known.members) = (params, members);
        }
        known
    }

    /// The class that a parameter of an op seems to have.
    pub fn param(&self, op: &Id, name: &Id) -> Option<Class> {
        Some(self.params.get(op)?.get(name)?.class)
    }

    /// What is used of `$self` beside ops and chains, in the order of the names, with the class that it seems to have.
    pub fn members(&self) -> impl Iterator<Item = (&Id, Option<Class>)> {
        self.members.0.iter().map(|(name, guess)| (name, guess.map(|guess| guess.class)))
    }

    /// The class that `$self` itself seems to have.
    pub fn itself(&self) -> Option<Class> {
        let own = Id::from(Id::SELF);
        self.params
            .values()
            .filter_map(|names| names.get(&own))
            .max_by_key(|guess| guess.trust)
            .map(|guess| guess.class)
    }

    /// What a subject names of these ops and of what is beside them.
    fn own<'b>(&self, subject: &'b value::Subject) -> Option<&'b [Id]> {
        match subject {
            value::Subject::Name(name, path) if name.as_str() == Id::SELF => Some(&**path),
            value::Subject::Link(link) => link.path().strip_prefix(self.link.path()),
            _ => None,
        }
    }

    /// The collection that a chain of this name records.
    fn schema(&self, chain: &Id) -> Option<&'a Schema> {
        match &self.chains.get(chain)?.subject {
            Subject::Collection(schema) => Some(schema),
            Subject::Value(_) => None,
        }
    }

    /// The value that a chain of this name records at first.
    fn initial(&self, chain: &Id) -> Option<&'a State> {
        match &self.chains.get(chain)?.subject {
            Subject::Value(state) => Some(state),
            Subject::Collection(_) => None,
        }
    }
}

/// The op that an attribute is.
pub(super) fn op_of(attribute: &Attribute) -> Option<&Arc<OpDef>> {
    match attribute {
        Attribute::State(State::Op(op)) => Some(op),
        Attribute::State(State::Closure(closure)) => Some(&closure.op),
        Attribute::State(_) | Attribute::Reference(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::page::sample;

    #[track_caller]
    fn check(ops: &Ops<'_>, op: &'static str, param: &'static str, class: &str) {
        let found = ops.param(&Id::from(op), &Id::from(param)).map(|class| class.to_string());
        assert_eq!(found.as_deref().unwrap_or("any"), class, "{param} of {op}");
    }

    #[test]
    fn parameters_are_what_is_done_with_them() {
        let library = sample::library();
        let ops = Ops::of_version(&library);
        check(&ops, "double", "n", "number");
        check(&ops, "quad", "n", "number");
        check(&ops, "area", "w", "number");
        check(&ops, "area", "h", "number");
        check(&ops, "greet", "name", "string");
        check(&ops, "pick", "cond", "bool");
        check(&ops, "pick", "x", "any");
    }

    #[test]
    fn what_is_written_to_a_chain_has_the_class_of_the_column() {
        let service = sample::service();
        let ops = Ops::of_version(&service);
        check(&ops, "restock", "key", "string");
        check(&ops, "restock", "value", "uint/64");
        check(&ops, "drop", "key", "string");
        check(&ops, "has", "key", "string");
        check(&ops, "scarce", "limit", "uint/64");
        check(&ops, "take", "sku", "string");
        check(&ops, "take", "qty", "uint/64");
        check(&ops, "log_one", "n", "uint/64");
        check(&ops, "become", "value", "int/64");
    }

    #[test]
    fn results_are_guessed_from_the_last_step() {
        let (library, service) = (sample::library(), sample::service());
        let result = |definition: &Definition, op: &'static str| {
            let ops = Ops::of_version(definition);
            ops.result(&Id::from(op)).map(|class| class.to_string())
        };
        assert_eq!(result(&library, "double").as_deref(), Some("number"));
        assert_eq!(result(&library, "quad").as_deref(), Some("number"));
        assert_eq!(result(&library, "greet").as_deref(), Some("string"));
        assert_eq!(result(&service, "size").as_deref(), Some("uint/64"));
        assert_eq!(result(&library, "pick"), None);
    }

    #[test]
    fn members_of_an_instance_are_guessed_too() {
        let classes = sample::classes();
        let Some(Member::Class(item)) = classes.members.get("Item") else { panic!("no class") };
        let ops = Ops::of_class(&[item]).unwrap();
        let members: Vec<_> = ops.members().map(|(name, class)| (name.as_str(), class)).collect();
        assert_eq!(members, [("price", Some(Class::Number)), ("title", Some(Class::String))]);
        let Some(Member::Class(meters)) = classes.members.get("Meters") else { panic!("no class") };
        assert_eq!(Ops::of_class(&[meters]).unwrap().itself(), Some(Class::Number));
    }
}
