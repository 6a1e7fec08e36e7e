//! Runs straight-line code: the inner loop of the executor.

use std::sync::Arc;

use super::unit::{Instr, Register, Source, Unit};
use crate::compiler::build::unknown;
use crate::compiler::methods::{Bound, Receiver};
use crate::error::{Error, Result};
use crate::value::{Closure, Map, State, Tuple, Value, cast, equal, text};

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
        Some(name) => unknown(name),
        None => Error::internal(format!("register {register} was read before it was written")),
    }
}

/// What running code may still use before the clock is looked at, and what it has taken.
pub(super) struct Budget {
    /// Units of work.
    pub fuel: u32,
    /// Bytes of results.
    pub bytes: u64,
}

/// Bytes of state that cost one unit of fuel: comparing or hashing them takes about as long as an instruction.
const FUEL_BYTES: u64 = 256;

impl Budget {
    /// Notes that an operand was looked at, perhaps all of it.
    pub fn spend(&mut self, state: &State) {
        if !matches!(state, State::Value(Value::Number(_) | Value::None)) {
            self.spend_bytes(state.weight());
        }
    }

    /// Notes that so many bytes of states were copied or looked at.
    pub fn spend_bytes(&mut self, bytes: u64) {
        let cost = u32::try_from(bytes / FUEL_BYTES).unwrap_or(u32::MAX);
        self.fuel = self.fuel.saturating_sub(cost);
    }

    /// Notes a result.
    pub fn keep(&mut self, state: &State) {
        if !matches!(state, State::Value(Value::Number(_) | Value::None)) {
            let bytes = state.weight();
            self.spend_bytes(bytes);
            self.bytes += bytes;
        }
    }
}

/// Runs instructions from `pc` on until one needs the machine, an instruction fails, or the fuel is used up. Afterwards
/// `pc` is that of the next instruction.
pub(super) fn run(unit: &Unit, slots: &mut [Slot], pc: &mut u32, budget: &mut Budget) -> Result<Control> {
    loop {
        if budget.fuel == 0 {
            return Ok(Control::Fuel);
        }
        budget.fuel -= 1;
        let instr = &unit.code[*pc as usize];
        *pc += 1;
        let (dst, state) = match instr {
            Instr::Unary { dst, body, source } => {
                let source = read(unit, slots, *source)?;
                budget.spend(source);
                (*dst, body(source)?)
            }
            Instr::Binary { dst, body, l, r } => {
                let (l, r) = (read(unit, slots, *l)?, read(unit, slots, *r)?);
                budget.spend(l);
                budget.spend(r);
                (*dst, body(l, r)?)
            }
            Instr::Call { dst, site, subject, args } => {
                let subject = read(unit, slots, *subject)?;
                let receiver = Receiver::of(subject);
                let is_simple = site.path.len() == 1 && !matches!(receiver, Receiver::Map | Receiver::Tuple);
                if !is_simple {
                    return Ok(Control::Slow);
                }
                budget.spend(subject);
                match site.method(receiver) {
                    Ok(Bound::Unary(body)) => (*dst, body(subject)?),
                    Ok(Bound::Binary(body, index)) => {
                        let arg = read(unit, slots, args[*index])?;
                        budget.spend(arg);
                        (*dst, body(subject, arg)?)
                    }
                    Ok(Bound::Loop(..) | Bound::Data) => return Ok(Control::Slow),
                    Ok(bound) => {
                        let args = read_all(unit, slots, args)?;
                        args.iter().for_each(|arg| budget.spend(arg));
                        (*dst, bound.call(subject, &args)?)
                    }
                    // An argument may have to be read in another way.
                    Err(_) => return Ok(Control::Slow),
                }
            }
            Instr::Method { dst, bound, subject, args } => {
                let subject = read(unit, slots, *subject)?;
                let args = read_all(unit, slots, args)?;
                [subject].iter().chain(&args).for_each(|state| budget.spend(state));
                (*dst, bound.call(subject, &args)?)
            }
            Instr::Cast { dst, class, key } => {
                let key = read(unit, slots, *key)?;
                budget.spend(key);
                (*dst, cast::cast(key, *class)?)
            }
            Instr::Tuple { dst, items } => (*dst, Tuple::try_new(copy_all(unit, slots, items)?)?.into()),
            Instr::Map { dst, names, values } => {
                let values: Box<[State]> = copy_all(unit, slots, values)?.into();
                (*dst, Map::from_sorted(Arc::clone(names), values)?.into())
            }
            Instr::With { dst, names, sources } => (*dst, close(unit, slots, names, sources)?),
            Instr::Key { dst, source } => {
                let key = read(unit, slots, *source)?;
                budget.spend(key);
                if !key.is_value() {
                    return Err(not_a_key(key));
                }
                (*dst, key.clone())
            }
            Instr::Copy { dst, source } => {
                slots[*dst as usize] = Slot::Done(read(unit, slots, *source)?.clone());
                continue;
            }
            Instr::Branch { cond, otherwise } => {
                if !cast::to_bool(read(unit, slots, *cond)?)? {
                    *pc = *otherwise;
                }
                continue;
            }
            Instr::Match { l, r, otherwise } => {
                let (l, r) = (read(unit, slots, *l)?, read(unit, slots, *r)?);
                budget.spend(l);
                budget.spend(r);
                if !equal::matches(l, r)? {
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
            Instr::Remote { .. }
            | Instr::Data { .. }
            | Instr::WriteAll { .. }
            | Instr::Loop { .. }
            | Instr::While { .. } => return Ok(Control::Slow),
            Instr::Raise { kind, message, stack } => {
                // An error whose message is missing is raised all the same.
                let message = match read(unit, slots, *message) {
                    Ok(message) => message_text(message),
                    Err(error) => error.message().to_string(),
                };
                let stack = match stack {
                    Some(stack) => stack_texts(read(unit, slots, *stack)?),
                    None => vec![],
                };
                return Err(Error::new(*kind, message).with_stack(stack));
            }
            Instr::Fail { error } => return Err(error.as_ref().clone()),
            Instr::End => return Ok(Control::End),
        };
        budget.keep(&state);
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

fn close(unit: &Unit, slots: &[Slot], names: &Arc<[crate::value::Id]>, sources: &[Source]) -> Result<State> {
    let mut states = copy_all(unit, slots, sources)?;
    let (op, context) = match states.pop() {
        Some(State::Op(op)) => (op, Map::from_sorted(Arc::clone(names), states.into())?),
        // A closure of a closure: what was captured first stays, unless it is captured again.
        Some(State::Closure(inner)) => {
            let inner_entries = inner.context.iter().map(|(name, state)| (name.clone(), state.clone()));
            let entries = inner_entries.chain(names.iter().cloned().zip(states));
            (Arc::clone(&inner.op), Map::try_new(entries)?)
        }
        other => {
            let class = other.map_or(crate::value::Class::None, |state| state.class());
            return Err(Error::bad_request(format!("a closure needs an op, not a {class}")));
        }
    };
    Ok(State::Closure(Arc::new(Closure { context, op })))
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
