//! What a node of an op is in every row, and how it fails.

use std::sync::Arc;

use super::compile::Builder;
use super::kernels::number_column;
use super::program::{Shape, Source, Step};
use crate::value::number::NumberKind;
use crate::value::schema::Column;
use crate::value::{Id, NumberClass, State, cast};

/// What a node is in every row.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// A column of the source.
    Column(usize),
    /// A column that is computed, or a number that is the same in every row.
    Cells(Source, NumberClass),
    /// The same in every row.
    Const(State),
    Tuple(Vec<Item>),
    Map(Arc<[Id]>, Vec<Item>),
    /// An error in every row.
    Failed,
}

impl Item {
    /// How many parts this has, itself included.
    pub(super) fn parts(&self) -> usize {
        match self {
            Item::Tuple(items) | Item::Map(_, items) => 1 + items.iter().map(Item::parts).sum::<usize>(),
            Item::Column(_) | Item::Cells(..) | Item::Const(_) | Item::Failed => 1,
        }
    }
}

impl Builder<'_> {
    pub(super) fn branch(&mut self, cond: &Item, then: &Item, or_else: &Item) -> Option<Item> {
        match cond {
            Item::Failed => return Some(Item::Failed),
            Item::Const(state) => {
                let chosen = cast::to_bool(state).map(|truth| if truth { then } else { or_else });
                return Some(chosen.map_or(Item::Failed, Item::clone));
            }
            _ => {}
        }
        let Item::Cells(cond, NumberClass::Bool) = self.used(cond)? else { return None };
        self.select(&cond, then, or_else)
    }

    /// One item or the other. Both have the same parts.
    fn select(&mut self, cond: &Source, then: &Item, or_else: &Item) -> Option<Item> {
        let mut all = |then: &[Item], or_else: &[Item]| -> Option<Vec<Item>> {
            then.iter().zip(or_else).map(|(then, or_else)| self.select(cond, then, or_else)).collect()
        };
        match (then, or_else) {
            (Item::Failed, Item::Failed) => return Some(Item::Failed),
            // Nothing would be left that fails where the condition does.
            (Item::Tuple(items) | Item::Map(_, items), _) | (_, Item::Tuple(items) | Item::Map(_, items))
                if items.is_empty() =>
            {
                return None;
            }
            (Item::Tuple(l), Item::Tuple(r)) if l.len() == r.len() => return Some(Item::Tuple(all(l, r)?)),
            (Item::Tuple(l), Item::Failed) => return Some(Item::Tuple(all(l, &vec![Item::Failed; l.len()])?)),
            (Item::Failed, Item::Tuple(r)) => return Some(Item::Tuple(all(&vec![Item::Failed; r.len()], r)?)),
            (Item::Map(names, l), Item::Map(others, r)) if names == others => {
                return Some(Item::Map(Arc::clone(names), all(l, r)?));
            }
            (Item::Map(names, l), Item::Failed) => {
                return Some(Item::Map(Arc::clone(names), all(l, &vec![Item::Failed; l.len()])?));
            }
            (Item::Failed, Item::Map(names, r)) => {
                return Some(Item::Map(Arc::clone(names), all(&vec![Item::Failed; r.len()], r)?));
            }
            _ => {}
        }
        let (then, or_else, class) = match (self.branch_cells(then)?, self.branch_cells(or_else)?) {
            ((l, Some(class)), (r, Some(other))) if class == other => (l, r, class),
            ((l, Some(class)), (r, None)) | ((l, None), (r, Some(class))) => (l, r, class),
            // The class would differ from row to row.
            _ => return None,
        };
        Some(Item::Cells(self.push(Step::Select { cond: cond.clone(), then, or_else, class })?, class))
    }

    fn branch_cells(&mut self, item: &Item) -> Option<(Source, Option<NumberClass>)> {
        match item {
            Item::Failed => Some((Source::Failed, None)),
            item => match self.used(item)? {
                Item::Cells(source, class) => Some((source, Some(class))),
                _ => None,
            },
        }
    }

    /// What can fail in an item; none if it has failed for certain.
    pub(super) fn can_fail(&self, item: &Item) -> Option<Vec<Source>> {
        let mut guards = vec![];
        self.guards(item, &mut guards).then_some(guards)
    }

    /// A part of an item, or what comes after it, which has failed where any part of the item has.
    pub(super) fn taken(&mut self, whole: &Item, part: &Item) -> Option<Item> {
        match self.can_fail(whole) {
            Some(guards) => self.guarded(part, &guards),
            None => Some(Item::Failed),
        }
    }

    /// Adds what can fail in an item; whether it has not failed for certain.
    fn guards(&self, item: &Item, guards: &mut Vec<Source>) -> bool {
        match item {
            Item::Failed => false,
            Item::Cells(source @ Source::Step(_), _) => {
                if !guards.contains(source) {
                    guards.push(source.clone());
                }
                true
            }
            Item::Cells(Source::Failed, _) => false,
            Item::Tuple(items) | Item::Map(_, items) => items.iter().all(|item| self.guards(item, guards)),
            Item::Column(_) | Item::Const(_) | Item::Cells(..) => true,
        }
    }

    /// An item that has failed where one of the guards has.
    fn guarded(&mut self, item: &Item, guards: &[Source]) -> Option<Item> {
        let mut all = |items: &[Item]| items.iter().map(|item| self.guarded(item, guards)).collect::<Option<Vec<_>>>();
        match item {
            item if guards.is_empty() => return Some(item.clone()),
            Item::Cells(source, _) if guards == std::slice::from_ref(source) => return Some(item.clone()),
            Item::Failed => return Some(Item::Failed),
            Item::Tuple(items) if !items.is_empty() => return Some(Item::Tuple(all(items)?)),
            Item::Map(names, items) if !items.is_empty() => return Some(Item::Map(Arc::clone(names), all(items)?)),
            _ => {}
        }
        let Item::Cells(source, class) = self.used(item)? else { return None };
        let value = (source, number_column(class));
        Some(Item::Cells(self.push(Step::Guard { value, guards: guards.to_vec() })?, class))
    }

    /// How an item is made, and the columns that it is made of.
    pub(super) fn shape(&mut self, item: &Item, leaves: &mut Vec<(Source, Column)>) -> Option<Shape> {
        let mut all = |items: &[Item], builder: &mut Self| {
            items.iter().map(|item| builder.shape(item, leaves)).collect::<Option<Vec<_>>>()
        };
        match item {
            Item::Tuple(items) => return all(items, self).map(Shape::Tuple),
            Item::Map(names, items) => return Some(Shape::Map(Arc::clone(names), all(items, self)?)),
            Item::Const(state) => return Some(Shape::Const(state.clone())),
            Item::Failed => leaves.push((Source::Failed, number_column(NumberClass::Bool))),
            Item::Column(position) => leaves.push((self.input(*position), self.columns[*position].clone())),
            Item::Cells(source, class) => leaves.push((source.clone(), number_column(*class))),
        }
        Some(Shape::Leaf(leaves.len() - 1))
    }
}

/// Whether an item can be a key.
pub(super) fn is_value(item: &Item) -> bool {
    match item {
        Item::Column(_) | Item::Cells(..) | Item::Failed => true,
        Item::Const(state) => state.is_value(),
        Item::Tuple(items) => items.iter().all(is_value),
        Item::Map(..) => false,
    }
}

pub(super) fn is_real(class: NumberClass) -> bool {
    class.kind() != NumberKind::Complex
}
