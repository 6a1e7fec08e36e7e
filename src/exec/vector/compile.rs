//! The ops of a stream as a [`Program`].
//!
//! The graph of each op is walked once, and each node becomes an [`Item`]: what it is in every row. Numbers are columns;
//! tuples and maps of them fall apart into their parts. A node that is more than that (it waits, loops, has a class that
//! differs from row to row) ends the walk: the stages from that op on are left to the machine.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::kernels::{Arithmetic, Comparison, Kernel, Logic, number_column};
use super::program::{Program, Shape, Source, Step};
use crate::compiler::methods::{self, Bound, Receiver};
use crate::compiler::{NodeId, Op, OpGraph, Target};
use crate::error::Result;
use crate::exec::unit::Unit;
use crate::value::number::promote::{promote, result_class};
use crate::value::number::{self, NumberKind, compare};
use crate::value::schema::{Column, ColumnType, Schema};
use crate::value::stream::Stage;
use crate::value::{Class, Id, Map, Number, NumberClass, OpDef, OpKind, State, Value, Verb, cast};

/// Steps of one program: each has a column of a batch in memory until the batch is done.
const STEPS_MAX: usize = 128;
/// Parts of one item. The machine shares parts that are used twice, here they are there twice.
const PARTS_MAX: usize = 512;
/// Parts of all items of a program.
const ALL_PARTS_MAX: usize = 1 << 16;

/// What a node is in every row.
#[derive(Clone, Debug)]
enum Item {
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

struct Builder<'a> {
    columns: &'a [Column],
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

    fn push(&mut self, step: Step) -> Option<Source> {
        if self.steps.len() >= STEPS_MAX {
            return None;
        }
        self.steps.push(step);
        Some(Source::Step(self.steps.len() - 1))
    }

    /// The place of a column of the source among those that are read.
    fn input(&mut self, position: usize) -> Source {
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
    fn used(&mut self, item: &Item) -> Option<Item> {
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

    /// A call of an item, through the entries that the path names.
    fn call(&mut self, subject: &Item, path: &[Id], shape: &methods::Shape, args: &[&Item]) -> Option<Item> {
        let (whole, mut subject) = (subject, subject);
        let mut rest = path;
        while let Some((segment, further)) = rest.split_first() {
            let next = match subject {
                Item::Map(names, items) => names.binary_search(segment).ok().map(|at| &items[at]),
                Item::Tuple(items) => segment.as_index().and_then(|index| items.get(index)),
                _ => None,
            };
            let Some(next) = next else { break };
            (subject, rest) = (next, further);
        }
        let taken = match rest.len() == path.len() {
            true => subject.clone(),
            false => self.taken(whole, subject)?,
        };
        match (rest, &taken) {
            (_, Item::Failed) => Some(Item::Failed),
            // What is captured may be called, or have entries with the names of methods.
            (_, Item::Const(State::Op(_) | State::Closure(_) | State::Tuple(_) | State::Map(_))) => None,
            ([], subject) => {
                let item = itself(subject, shape, args)?;
                match item.parts() < subject.parts() {
                    true => self.taken(subject, &item),
                    false => Some(item),
                }
            }
            ([name], subject) => self.method(subject, name, shape, args),
            _ => None,
        }
    }

    fn method(&mut self, subject: &Item, name: &Id, shape: &methods::Shape, args: &[&Item]) -> Option<Item> {
        let receiver = match subject {
            Item::Column(position) => receiver_of(self.columns[*position].ty)?,
            Item::Cells(..) => Receiver::Number,
            Item::Const(state) => Receiver::of(state),
            _ => return None,
        };
        let method = methods::find(receiver, name.as_str())?;
        match methods::bind(method, shape).ok()? {
            Bound::Unary(body) => self.unary(method.name, body, subject),
            Bound::UnaryWithoutKey(body, _) if matches!(args, [Item::Const(key)] if key.is_none()) => {
                self.unary(method.name, body, subject)
            }
            Bound::Binary(body, at) => self.binary(receiver, method.name, body, subject, args[at]),
            _ => None,
        }
    }

    fn unary(&mut self, name: &str, body: fn(&State) -> Result<State>, operand: &Item) -> Option<Item> {
        if let Item::Const(state) = operand {
            return Some(body(state).map_or(Item::Failed, Item::Const));
        }
        let operand = self.operand(operand)?;
        let (kernel, class) = match (name, operand.1.ty) {
            ("not", ColumnType::Number(NumberClass::Bool)) => (Kernel::Logic(Logic::Not), NumberClass::Bool),
            _ => (Kernel::Unary(body), number_class(&body(&sample(&operand)?).ok()?)?),
        };
        self.apply(kernel, vec![operand], class)
    }

    fn binary(
        &mut self,
        receiver: Receiver,
        name: &str,
        body: fn(&State, &State) -> Result<State>,
        l: &Item,
        r: &Item,
    ) -> Option<Item> {
        match (l, r) {
            (Item::Failed, _) | (_, Item::Failed) => return Some(Item::Failed),
            (Item::Const(l), Item::Const(r)) => return Some(body(l, r).map_or(Item::Failed, Item::Const)),
            _ => {}
        }
        if receiver == Receiver::Number
            && let (Some(Item::Cells(l, l_class)), Some(Item::Cells(r, r_class))) = (self.used(l), self.used(r))
        {
            let typed = match kernel_of(name) {
                Some(Kernel::Arithmetic(op)) => self.arithmetic(op, (&l, l_class), (&r, r_class)),
                Some(Kernel::Comparison(op)) => self.comparison(op, (&l, l_class), (&r, r_class)),
                Some(Kernel::Logic(op)) if (l_class, r_class) == (NumberClass::Bool, NumberClass::Bool) => {
                    let operands = vec![(l, number_column(l_class)), (r, number_column(r_class))];
                    self.apply(Kernel::Logic(op), operands, NumberClass::Bool)
                }
                _ => None,
            };
            if typed.is_some() {
                return typed;
            }
        }
        let (l, r) = (self.operand(l)?, self.operand(r)?);
        let class = number_class(&body(&sample(&l)?, &sample(&r)?).ok()?)?;
        self.apply(Kernel::Binary(body), vec![l, r], class)
    }

    /// An item as an operand of a method, with the column that its cells are of.
    fn operand(&mut self, item: &Item) -> Option<(Source, Column)> {
        match item {
            Item::Column(position) => Some((self.input(*position), self.columns[*position].clone())),
            item => match self.used(item)? {
                Item::Cells(source, class) => Some((source, number_column(class))),
                _ => None,
            },
        }
    }

    fn apply(&mut self, kernel: Kernel, operands: Vec<(Source, Column)>, class: NumberClass) -> Option<Item> {
        if !is_real(class) {
            return None;
        }
        Some(Item::Cells(self.push(Step::Apply { kernel, operands, class })?, class))
    }

    fn arithmetic(
        &mut self,
        op: Arithmetic,
        (l, l_class): (&Source, NumberClass),
        (r, r_class): (&Source, NumberClass),
    ) -> Option<Item> {
        let class = result_class(l_class, r_class);
        if class.kind() == NumberKind::Bool {
            return None;
        }
        let l = self.promoted(l, l_class, class)?;
        let r = self.promoted(r, r_class, class)?;
        self.apply(Kernel::Arithmetic(op), vec![(l, number_column(class)), (r, number_column(class))], class)
    }

    /// Cells of a class as those of one that they are promoted to.
    fn promoted(&mut self, source: &Source, from: NumberClass, to: NumberClass) -> Option<Source> {
        match source {
            source if from == to => Some(source.clone()),
            Source::One(number) => Some(match promote(one(to), *number) {
                Ok((_, number)) => Source::One(number),
                Err(_) => Source::Failed,
            }),
            source => {
                let operands = vec![(source.clone(), number_column(from))];
                self.push(Step::Apply { kernel: Kernel::Promote, operands, class: to })
            }
        }
    }

    /// A comparison in one class, if that is exact.
    fn comparison(
        &mut self,
        op: Comparison,
        (l, l_class): (&Source, NumberClass),
        (r, r_class): (&Source, NumberClass),
    ) -> Option<Item> {
        let class = common_class((l, l_class), (r, r_class))?;
        let is_mixed =
            matches!((l_class, r_class), (NumberClass::F32, NumberClass::F64) | (NumberClass::F64, NumberClass::F32));
        // These are equal if they are in single precision.
        if is_mixed && class == NumberClass::F64 && matches!(op, Comparison::Eq | Comparison::Ne) {
            return None;
        }
        let side = |source: &Source, from: NumberClass, builder: &mut Self| match source {
            Source::One(number) => Some(Source::One(number::cast::cast(*number, class))),
            source => builder.promoted(source, from, class),
        };
        let (l, r) = (side(l, l_class, self)?, side(r, r_class, self)?);
        let operands = vec![(l, number_column(class)), (r, number_column(class))];
        self.apply(Kernel::Comparison(op), operands, NumberClass::Bool)
    }

    fn cast(&mut self, operand: &Item, class: Class) -> Option<Item> {
        if let Item::Const(state) = operand {
            return Some(cast::cast(state, class).map_or(Item::Failed, Item::Const));
        }
        let Item::Cells(source, from) = self.used(operand)? else { return None };
        let to = number_class(&cast::cast(&one(from).into(), class).ok()?)?;
        match from == to {
            true => Some(Item::Cells(source, from)),
            false => self.apply(Kernel::Cast, vec![(source, number_column(from))], to),
        }
    }

    fn branch(&mut self, cond: &Item, then: &Item, or_else: &Item) -> Option<Item> {
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
    fn can_fail(&self, item: &Item) -> Option<Vec<Source>> {
        let mut guards = vec![];
        self.guards(item, &mut guards).then_some(guards)
    }

    /// A part of an item, or what comes after it, which has failed where any part of the item has.
    fn taken(&mut self, whole: &Item, part: &Item) -> Option<Item> {
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
    fn shape(&mut self, item: &Item, leaves: &mut Vec<(Source, Column)>) -> Option<Shape> {
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

/// What a call of an item that names no method yields.
fn itself(subject: &Item, shape: &methods::Shape, args: &[&Item]) -> Option<Item> {
    let key = match (shape, args) {
        (methods::Shape::Post(names), _) if names.is_empty() => return Some(subject.clone()),
        (methods::Shape::Get, [Item::Const(key)]) => key,
        _ => return None,
    };
    match (subject, key) {
        (_, State::Value(Value::None)) => Some(subject.clone()),
        (Item::Tuple(items), State::Value(Value::Number(_))) => {
            let index = cast::to_index(key).ok()?;
            let position = if index < 0 { index + items.len() as i64 } else { index };
            let item = usize::try_from(position).ok().and_then(|position| items.get(position));
            Some(item.cloned().unwrap_or(Item::Failed))
        }
        (Item::Map(names, items), key) => {
            let name = cast::to_id(key).ok()?;
            Some(names.binary_search(&name).map_or(Item::Failed, |at| items[at].clone()))
        }
        _ => None,
    }
}

impl Item {
    /// How many parts this has, itself included.
    fn parts(&self) -> usize {
        match self {
            Item::Tuple(items) | Item::Map(_, items) => 1 + items.iter().map(Item::parts).sum::<usize>(),
            Item::Column(_) | Item::Cells(..) | Item::Const(_) | Item::Failed => 1,
        }
    }
}

/// Whether an item can be a key.
fn is_value(item: &Item) -> bool {
    match item {
        Item::Column(_) | Item::Cells(..) | Item::Failed => true,
        Item::Const(state) => state.is_value(),
        Item::Tuple(items) => items.iter().all(is_value),
        Item::Map(..) => false,
    }
}

fn is_real(class: NumberClass) -> bool {
    class.kind() != NumberKind::Complex
}

/// The kernels of methods of numbers, for operands of one class.
fn kernel_of(method: &str) -> Option<Kernel> {
    Some(match method {
        "add" => Kernel::Arithmetic(Arithmetic::Add),
        "sub" => Kernel::Arithmetic(Arithmetic::Sub),
        "mul" => Kernel::Arithmetic(Arithmetic::Mul),
        "div" => Kernel::Arithmetic(Arithmetic::Div),
        "mod" => Kernel::Arithmetic(Arithmetic::Rem),
        "eq" => Kernel::Comparison(Comparison::Eq),
        "ne" => Kernel::Comparison(Comparison::Ne),
        "lt" => Kernel::Comparison(Comparison::Lt),
        "le" => Kernel::Comparison(Comparison::Le),
        "gt" => Kernel::Comparison(Comparison::Gt),
        "ge" => Kernel::Comparison(Comparison::Ge),
        "and" => Kernel::Logic(Logic::And),
        "or" => Kernel::Logic(Logic::Or),
        "xor" => Kernel::Logic(Logic::Xor),
        _ => return None,
    })
}

/// The class in which two operands compare as they do exactly; none if there is none, or if it is Bool.
fn common_class((l, l_class): (&Source, NumberClass), (r, r_class): (&Source, NumberClass)) -> Option<NumberClass> {
    let holds = |class: NumberClass, number: Number| {
        let same = compare::partial_compare(number::cast::cast(number, class), number);
        same == Some(std::cmp::Ordering::Equal)
    };
    let class = match (l, r) {
        _ if l_class == r_class => l_class,
        (_, Source::One(number)) if holds(l_class, *number) => l_class,
        (Source::One(number), _) if holds(r_class, *number) => r_class,
        _ => {
            let is_integer = |class: NumberClass| matches!(class.kind(), NumberKind::UInt | NumberKind::Int);
            let class = result_class(l_class, r_class);
            let fits = |from: NumberClass| from != NumberClass::U64 || class == NumberClass::U64;
            if !(is_integer(class) && fits(l_class) && fits(r_class)) {
                return None;
            }
            class
        }
    };
    (class != NumberClass::Bool).then_some(class)
}

/// What the methods of the cells of a column are looked up by.
fn receiver_of(ty: ColumnType) -> Option<Receiver> {
    match ty {
        ColumnType::Number(class) if is_real(class) => Some(Receiver::Number),
        ColumnType::String => Some(Receiver::String),
        _ => None,
    }
}

/// A cell as an operand may be, by which the class of a result is found out.
fn sample((source, column): &(Source, Column)) -> Option<State> {
    match (source, column.ty) {
        (Source::One(number), _) => Some((*number).into()),
        (_, ColumnType::Number(class)) => Some(one(class).into()),
        (_, ColumnType::String) => Some("".into()),
        _ => None,
    }
}

fn one(class: NumberClass) -> Number {
    number::cast::cast(Number::Bool(true), class)
}

fn number_class(state: &State) -> Option<NumberClass> {
    match state {
        State::Value(Value::Number(number)) => Some(number.class()),
        _ => None,
    }
}
