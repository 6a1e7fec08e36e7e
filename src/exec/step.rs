//! Runs straight-line code: the inner loop of the executor.

use super::unit::{Instr, Register, Source, Unit};
use crate::compiler::methods::{Bound, Receiver};
use crate::error::{Error, Result};
use crate::value::{Closure, Map, State, Tuple, cast, equal, text};

/// What a register holds.
#[derive(Clone, Debug, Default)]
pub(super) enum Slot {
    #[default]
    Empty,
    /// Its region is being computed.
    Running,
    Done(State),
}

/// Why straight-line code stopped.
pub(super) enum Control {
    /// The region is computed.
    End,
    /// The instruction before the program counter needs the machine.
    Slow,
    /// The fuel is used up.
    Fuel,
}

/// The state that an operand has.
pub(super) fn read<'a>(unit: &'a Unit, slots: &'a [Slot], source: Source) -> Result<&'a State> {
    match source {
        Source::Const(index) => Ok(&unit.consts[index as usize]),
        Source::Register(register) => match &slots[register as usize] {
            Slot::Done(state) => Ok(state),
            _ => Err(missing(unit, register)),
        },
    }
}

#[cold]
fn missing(unit: &Unit, register: Register) -> Error {
    match unit.inputs().get(register as usize) {
        Some(name) => Error::not_found(format!("state with ID {name}")),
        None => Error::internal(format!("register {register} was read before it was written")),
    }
}

/// Runs instructions from `pc` on until one needs the machine, an instruction fails, or the fuel is used up. Afterwards
/// `pc` is that of the next instruction.
pub(super) fn run(unit: &Unit, slots: &mut [Slot], pc: &mut u32, fuel: &mut u32) -> Result<Control> {
    loop {
        if *fuel == 0 {
            return Ok(Control::Fuel);
        }
        *fuel -= 1;
        let instr = &unit.code[*pc as usize];
        *pc += 1;
        let (dst, state) = match instr {
            Instr::Unary { dst, body, source } => (*dst, body(read(unit, slots, *source)?)?),
            Instr::Binary { dst, body, l, r } => (*dst, body(read(unit, slots, *l)?, read(unit, slots, *r)?)?),
            Instr::Call { dst, site, subject, args } => {
                let subject = read(unit, slots, *subject)?;
                let receiver = Receiver::of(subject);
                let is_simple = site.path.len() == 1 && !matches!(receiver, Receiver::Map | Receiver::Tuple);
                if !is_simple {
                    return Ok(Control::Slow);
                }
                match site.method(receiver) {
                    Ok(Bound::Unary(body)) => (*dst, body(subject)?),
                    Ok(Bound::Binary(body, index)) => (*dst, body(subject, read(unit, slots, args[*index])?)?),
                    Ok(Bound::Loop(..)) => return Ok(Control::Slow),
                    Ok(bound) => (*dst, bound.call(subject, &read_all(unit, slots, args)?)?),
                    // An argument may have to be read in another way.
                    Err(_) => return Ok(Control::Slow),
                }
            }
            Instr::Method { dst, bound, subject, args } => {
                (*dst, bound.call(read(unit, slots, *subject)?, &read_all(unit, slots, args)?)?)
            }
            Instr::Cast { dst, class, key } => (*dst, cast::cast(read(unit, slots, *key)?, *class)?),
            Instr::Tuple { dst, items } => (*dst, Tuple::try_new(copy_all(unit, slots, items)?)?.into()),
            Instr::Map { dst, names, values } => {
                let values: Box<[State]> = copy_all(unit, slots, values)?.into();
                (*dst, Map::from_sorted(names.clone(), values)?.into())
            }
            Instr::With { dst, names, sources } => (*dst, close(unit, slots, names, sources)?),
            Instr::Key { dst, source } => {
                let key = read(unit, slots, *source)?;
                if !key.is_value() {
                    return Err(not_a_key(key));
                }
                (*dst, key.clone())
            }
            Instr::Copy { dst, source } => (*dst, read(unit, slots, *source)?.clone()),
            Instr::Branch { cond, otherwise } => {
                if !cast::to_bool(read(unit, slots, *cond)?)? {
                    *pc = *otherwise;
                }
                continue;
            }
            Instr::Match { l, r, otherwise } => {
                let (l, r) = (read(unit, slots, *l)?, read(unit, slots, *r)?);
                if let Some(state) = [l, r].into_iter().find(|state| !state.is_value()) {
                    return Err(Error::bad_request(format!("a case compares values, not a {}", state.class())));
                }
                if !equal::equal(l, r) {
                    *pc = *otherwise;
                }
                continue;
            }
            Instr::Jump { to } => {
                *pc = *to;
                continue;
            }
            Instr::Force { head, .. } | Instr::Start { head, .. } => match slots[*head as usize] {
                Slot::Done(_) => continue,
                _ => return Ok(Control::Slow),
            },
            Instr::Remote { .. } | Instr::Loop { .. } | Instr::While { .. } => return Ok(Control::Slow),
            Instr::Raise { kind, message, stack } => {
                let message = message_text(read(unit, slots, *message)?);
                let stack = match stack {
                    Some(stack) => stack_texts(read(unit, slots, *stack)?),
                    None => vec![],
                };
                return Err(Error::new(*kind, message).with_stack(stack));
            }
            Instr::Fail { error } => return Err(error.as_ref().clone()),
            Instr::End => return Ok(Control::End),
        };
        slots[dst as usize] = Slot::Done(state);
    }
}

pub(super) fn not_a_key(key: &State) -> Error {
    Error::bad_request(format!("a key must be a value, not a {}", key.class()))
}

fn read_all<'a>(unit: &'a Unit, slots: &'a [Slot], sources: &[Source]) -> Result<smallvec::SmallVec<[&'a State; 3]>> {
    sources.iter().map(|source| read(unit, slots, *source)).collect()
}

/// The states that operands have, to keep.
pub(super) fn copy_all(unit: &Unit, slots: &[Slot], sources: &[Source]) -> Result<Vec<State>> {
    let mut states = Vec::with_capacity(sources.len());
    for source in sources {
        states.push(read(unit, slots, *source)?.clone());
    }
    Ok(states)
}

fn close(unit: &Unit, slots: &[Slot], names: &std::sync::Arc<[crate::value::Id]>, sources: &[Source]) -> Result<State> {
    let mut states = copy_all(unit, slots, sources)?;
    let (op, context) = match states.pop() {
        Some(State::Op(op)) => (op, Map::from_sorted(names.clone(), states.into())?),
        // A closure of a closure: what was captured first stays, unless it is captured again.
        Some(State::Closure(inner)) => {
            let inner_entries = inner.context.iter().map(|(name, state)| (name.clone(), state.clone()));
            let entries = inner_entries.chain(names.iter().cloned().zip(states));
            (inner.op.clone(), Map::try_new(entries)?)
        }
        other => {
            let class = other.map_or(crate::value::Class::None, |state| state.class());
            return Err(Error::bad_request(format!("a closure needs an op, not a {class}")));
        }
    };
    Ok(State::Closure(std::sync::Arc::new(Closure { context, op })))
}

/// The message of an error that a program raises.
fn message_text(state: &State) -> String {
    match state {
        state if state.is_none() => String::new(),
        state => text::text(state).unwrap_or_else(|| crate::value::encode::to_json(state)),
    }
}

fn stack_texts(state: &State) -> Vec<String> {
    match state {
        State::Tuple(items) => items.items().iter().map(message_text).collect(),
        state if state.is_none() => vec![],
        state => vec![message_text(state)],
    }
}
