//! Calls of items: methods become kernels, entries of tuples and maps their parts.

use super::compile::Builder;
use super::item::{Item, is_real};
use super::kernels::{Arithmetic, Comparison, Kernel, Logic, number_column};
use super::program::{Source, Step};
use crate::compiler::methods::{self, Bound, Receiver};
use crate::error::Result;
use crate::value::number::promote::{promote, result_class};
use crate::value::number::{self, NumberKind, compare};
use crate::value::schema::{Column, ColumnType};
use crate::value::{Class, Id, Number, NumberClass, State, Value, cast};

impl Builder<'_> {
    /// A call of an item, through the entries that the path names.
    pub(super) fn call(&mut self, subject: &Item, path: &[Id], shape: &methods::Shape, args: &[&Item]) -> Option<Item> {
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

    pub(super) fn cast(&mut self, operand: &Item, class: Class) -> Option<Item> {
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
