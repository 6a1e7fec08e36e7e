//! The ops of a stream as a [`Program`].
//!
//! The graph of each op is walked once, and each node becomes an [`Item`]: what it is in every row. Numbers are columns;
//! tuples and maps of them fall apart into their parts. A node that is more than that (it waits, loops, has a class that
//! differs from row to row) ends the walk: the stages from that op on are left to the machine.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::item::{Item, is_real, is_value};
use super::program::{Program, Shape, Source, Step};
use crate::compiler::methods;
use crate::compiler::{NodeId, Op, OpGraph, Target};
use crate::error::Result;
use crate::exec::unit::Unit;
use crate::value::schema::{Column, ColumnType, Schema};
use crate::value::stream::Stage;
use crate::value::{Id, Map, NumberClass, OpDef, OpKind, State, Value, Verb};

/// Steps of one program: each has a column of a batch in memory until the batch is done.
const STEPS_MAX: usize = 128;
/// Parts of one item. The machine shares parts that are used twice, here they are there twice.
const PARTS_MAX: usize = 512;
/// Parts of all items of a program.
const ALL_PARTS_MAX: usize = 1 << 16;

/// The program that does the first stages of a stream over rows of `schema`; none if the machine has to do even the
/// first. `unit` compiles ops. If only the number of items is wanted, rows that pass through are not read.
pub(crate) fn compile(
    schema: &Schema,
    stages: &[Stage],
    only_counts: bool,
    unit: &mut dyn FnMut(&Arc<OpDef>) -> Result<Arc<Unit>>,
) -> Option<Program> {
    let mut builder = Builder { columns: &schema.columns, inputs: vec![], steps: vec![], parts: 0 };
    let row = Item::Tuple((0..schema.columns.len()).map(Item::Column).collect());
    let mut current = Current { item: row, is_row: true };
    let mut done = 0;
    for stage in stages {
        let (inputs, steps) = (builder.inputs.len(), builder.steps.len());
        match builder.stage(stage, &current, unit) {
            Some(next) => current = next,
            None => {
                builder.inputs.truncate(inputs);
                builder.steps.truncate(steps);
                break;
            }
        }
        done += 1;
    }
    if done == 0 {
        return None;
    }
    let mut leaves = vec![];
    let shape = match current.is_row && only_counts && done == stages.len() {
        true => Shape::Tuple(vec![]),
        false => builder.shape(&current.item, &mut leaves)?,
    };
    Some(Program { inputs: builder.inputs, stages: done, steps: builder.steps, leaves, shape })
}

/// The columns of a source that are needed where ops are run row by row, by their positions. `stages` ends with an op that
/// takes all items, if there is one.
pub(crate) fn needed_columns(
    schema: &Schema,
    stages: &[Stage],
    unit: &mut dyn FnMut(&Arc<OpDef>) -> Result<Arc<Unit>>,
) -> Vec<usize> {
    by_name(schema, stages, unit).unwrap_or_else(|| schema.primary_columns())
}

/// The columns that ops take by name, if nothing else is done with rows.
fn by_name(
    schema: &Schema,
    stages: &[Stage],
    unit: &mut dyn FnMut(&Arc<OpDef>) -> Result<Arc<Unit>>,
) -> Option<Vec<usize>> {
    let mut columns = BTreeSet::new();
    for stage in stages {
        let op = match stage {
            Stage::Map(op) | Stage::Filter(op) => op,
            Stage::Distinct => return None,
        };
        let op = match op {
            State::Op(op) => op,
            State::Closure(closure) => &closure.op,
            _ => return None,
        };
        if op.kind.verb() != Verb::Post {
            return None;
        }
        let unit = unit(op).ok()?;
        columns.extend(unit.inputs().iter().filter_map(|name| schema.position(name.as_str())));
        if matches!(stage, Stage::Map(_)) {
            return Some(columns.into_iter().collect());
        }
    }
    None
}

/// What an item is between two stages.
struct Current {
    item: Item,
    /// Whether it is a row of the source, whose cells have names.
    is_row: bool,
}

pub(super) struct Builder<'a> {
    pub(super) columns: &'a [Column],
    inputs: Vec<usize>,
    steps: Vec<Step>,
    /// Parts of all items so far.
    parts: usize,
}

impl Builder<'_> {
    fn stage(
        &mut self,
        stage: &Stage,
        current: &Current,
        unit: &mut dyn FnMut(&Arc<OpDef>) -> Result<Arc<Unit>>,
    ) -> Option<Current> {
        match stage {
            Stage::Map(op) => {
                let item = self.op(op, current, unit)?;
                // A row for which something fails is an error, also if a later stage does not need what failed.
                let sources = self.can_fail(&item)?;
                if !sources.is_empty() {
                    self.push(Step::Check { sources })?;
                }
                Some(Current { item, is_row: false })
            }
            Stage::Filter(op) => {
                let mask = self.op(op, current, unit)?;
                let Item::Cells(mask, NumberClass::Bool) = self.used(&mask)? else { return None };
                self.push(Step::Keep { mask })?;
                Some(Current { item: current.item.clone(), is_row: current.is_row })
            }
            Stage::Distinct => None,
        }
    }

    /// What an op makes of an item.
    fn op(
        &mut self,
        op: &State,
        current: &Current,
        unit: &mut dyn FnMut(&Arc<OpDef>) -> Result<Arc<Unit>>,
    ) -> Option<Item> {
        let (op, context) = match op {
            State::Op(op) => (op, None),
            State::Closure(closure) => (&closure.op, Some(&closure.context)),
            _ => return None,
        };
        let unit = unit(op).ok()?;
        let graph = unit.graph();
        if graph.has_recalls() {
            return None;
        }
        let inputs = self.bind(op, context, &graph.inputs, current)?;
        let mut items: HashMap<NodeId, Item> = HashMap::new();
        for id in graph.topological() {
            let operands: Vec<&Item> = graph.operands(id).iter().map(|operand| &items[operand]).collect();
            let parts = operands.iter().map(|item| item.parts()).sum::<usize>();
            if parts > PARTS_MAX && !matches!(graph.op(id), Op::Call(..)) {
                return None;
            }
            let item = self.node(graph, id, &inputs, &operands)?;
            self.parts += item.parts();
            if self.parts > ALL_PARTS_MAX {
                return None;
            }
            items.insert(id, item);
        }
        items.remove(&graph.root())
    }

    /// The item of each input of an op.
    fn bind(&self, op: &OpDef, context: Option<&Map>, names: &[Id], current: &Current) -> Option<Vec<Item>> {
        let argument = |name: &Id| match (&op.kind, &current.item) {
            (OpKind::Get { key } | OpKind::Delete { key }, item) => (key == name).then(|| item.clone()),
            (OpKind::Post, _) if current.is_row => {
                self.columns.iter().position(|column| column.name == *name).map(Item::Column)
            }
            (OpKind::Post, Item::Map(names, items)) => names.binary_search(name).ok().map(|at| items[at].clone()),
            _ => None,
        };
        let fits = match (&op.kind, &current.item) {
            // A key is a value.
            (OpKind::Get { .. } | OpKind::Delete { .. }, item) => is_value(item),
            (OpKind::Post, item) => current.is_row || matches!(item, Item::Map(..)),
            (OpKind::Put { .. }, _) => false,
        };
        let constant = |name: &Id| context.and_then(|context| context.get(name.as_str())).cloned().map(Item::Const);
        let input = |name: &Id| argument(name).or_else(|| constant(name)).unwrap_or(Item::Failed);
        fits.then(|| names.iter().map(input).collect())
    }

    fn node(&mut self, graph: &OpGraph, id: NodeId, inputs: &[Item], operands: &[&Item]) -> Option<Item> {
        Some(match graph.op(id) {
            Op::Const(state) => Item::Const(state.clone()),
            Op::Input(index) => inputs.get(*index as usize)?.clone(),
            Op::Tuple => Item::Tuple(operands.iter().map(|item| (*item).clone()).collect()),
            Op::Map(names) => Item::Map(Arc::clone(names), operands.iter().map(|item| (*item).clone()).collect()),
            Op::Key if is_value(operands[0]) => operands[0].clone(),
            Op::Fail(_) => Item::Failed,
            Op::Raise(..) => {
                // Whoever raises it row by row needs the message.
                operands.iter().for_each(|operand| self.read(operand));
                Item::Failed
            }
            Op::If => self.branch(operands[0], operands[1], operands[2])?,
            Op::After => self.taken(operands[0], operands[1])?,
            Op::Call(Target::Value(path), shape) => self.call(operands[0], path, shape, &operands[1..])?,
            Op::Call(Target::Cast(class), methods::Shape::Get) => self.cast(operands[0], *class)?,
            Op::Key | Op::Call(..) | Op::Param(_) | Op::Case(_) | Op::While => return None,
            Op::WriteAll(_) | Op::With(_) | Op::Recall(_) => return None,
        })
    }

    pub(super) fn push(&mut self, step: Step) -> Option<Source> {
        if self.steps.len() >= STEPS_MAX {
            return None;
        }
        self.steps.push(step);
        Some(Source::Step(self.steps.len() - 1))
    }

    /// The place of a column of the source among those that are read.
    pub(super) fn input(&mut self, position: usize) -> Source {
        let at = self.inputs.iter().position(|input| *input == position).unwrap_or_else(|| {
            self.inputs.push(position);
            self.inputs.len() - 1
        });
        Source::Input(at)
    }

    /// Reads the columns that an item is made of.
    fn read(&mut self, item: &Item) {
        match item {
            Item::Column(position) => drop(self.input(*position)),
            Item::Tuple(items) | Item::Map(_, items) => items.iter().for_each(|item| self.read(item)),
            Item::Cells(..) | Item::Const(_) | Item::Failed => {}
        }
    }

    /// An item as cells of real numbers, if it is that.
    pub(super) fn used(&mut self, item: &Item) -> Option<Item> {
        match item {
            Item::Column(position) => match self.columns[*position].ty {
                ColumnType::Number(class) if is_real(class) => Some(Item::Cells(self.input(*position), class)),
                _ => None,
            },
            Item::Const(State::Value(Value::Number(number))) if is_real(number.class()) => {
                Some(Item::Cells(Source::One(*number), number.class()))
            }
            Item::Cells(..) => Some(item.clone()),
            _ => None,
        }
    }
}
