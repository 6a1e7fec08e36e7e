//! Columns from columns: what the ops of a stream compute, for a batch of rows at a time.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch, new_null_array};
use datafusion::arrow::compute::FilterBuilder;

use super::kernels::{Cells, Kernel, array, failed_where, select};
use crate::error::{Error, Result};
use crate::storage::codec::{cell, data_type};
use crate::value::schema::{Column, ColumnType};
use crate::value::{Id, Map, Number, NumberClass, State, Tuple};

/// Where an operand comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// A column of the batch, by its place in [`Program::inputs`].
    Input(usize),
    Step(usize),
    One(Number),
    Failed,
}

/// One computation.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Apply {
        kernel: Kernel,
        operands: Vec<(Source, Column)>,
        class: NumberClass,
    },
    /// Cells of one operand or the other, by a column of Bool.
    Select {
        cond: Source,
        then: Source,
        or_else: Source,
        class: NumberClass,
    },
    /// The value, which has failed where one of the guards has.
    Guard {
        value: (Source, Column),
        guards: Vec<Source>,
    },
    /// None of these has failed for a row.
    Check {
        sources: Vec<Source>,
    },
    /// From here on, only rows for which this is true.
    Keep {
        mask: Source,
    },
}

/// How an item is made of computed columns.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// A cell of a column, by its place in [`Program::leaves`].
    Leaf(usize),
    Const(State),
    Tuple(Vec<Shape>),
    Map(Arc<[Id]>, Vec<Shape>),
}

/// What the first stages of a stream make of rows.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The columns that are read, by their positions in the schema of the stream's source.
    pub(crate) inputs: Vec<usize>,
    /// How many stages this does.
    pub(crate) stages: usize,
    pub(super) steps: Vec<Step>,
    pub(super) leaves: Vec<(Source, Column)>,
    pub(super) shape: Shape,
}

/// The columns of the items of a batch.
struct Evaluated {
    leaves: Vec<ArrayRef>,
    rows: usize,
}

/// What was computed so far for a batch.
struct Registers {
    inputs: Vec<ArrayRef>,
    steps: Vec<Option<ArrayRef>>,
    rows: usize,
}

impl Program {
    /// The number of kernels, for EXPLAIN.
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// The class of the items, if each is a number.
    pub(super) fn number_class(&self) -> Option<NumberClass> {
        match (&self.shape, self.leaves.first()?.1.ty) {
            (Shape::Leaf(_), ColumnType::Number(class)) => Some(class),
            _ => None,
        }
    }

    /// The items of a batch that has the columns of [`Program::inputs`]; nothing if the batch must be computed otherwise,
    /// because something fails in it, or because it has a cell that is null.
    ///
    /// # Errors
    /// `Internal` if the batch has other columns.
    pub(crate) fn items(&self, batch: &RecordBatch) -> Result<Option<Vec<State>>> {
        let Some(Evaluated { leaves, rows }) = self.evaluate(batch)? else { return Ok(None) };
        let item = |row| self.shape.item(&self.leaves, &leaves, row);
        (0..rows).map(item).collect::<Result<_>>().map(Some)
    }

    /// How many items there are, and the column of them if each is one number; nothing if the batch must be computed
    /// otherwise.
    ///
    /// # Errors
    /// As [`Program::items`].
    pub(super) fn column(&self, batch: &RecordBatch) -> Result<Option<(Option<ArrayRef>, usize)>> {
        let evaluated = self.evaluate(batch)?;
        Ok(evaluated.map(|Evaluated { leaves, rows }| (leaves.into_iter().next(), rows)))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<Option<Evaluated>> {
        let inputs = batch.columns()[..self.inputs.len()].to_vec();
        if inputs.iter().any(|array| array.null_count() > 0) {
            return Ok(None);
        }
        let mut registers = Registers { inputs, steps: Vec::with_capacity(self.steps.len()), rows: batch.num_rows() };
        for step in &self.steps {
            let computed = match step {
                Step::Keep { mask } => {
                    if !registers.keep(mask)? {
                        return Ok(None);
                    }
                    None
                }
                Step::Check { sources } => {
                    if registers.has_failed(sources)? {
                        return Ok(None);
                    }
                    None
                }
                step => Some(registers.compute(step)?),
            };
            registers.steps.push(computed);
        }
        let mut leaves = Vec::with_capacity(self.leaves.len());
        for (source, column) in &self.leaves {
            let leaf = registers.array(source, column)?;
            if leaf.null_count() > 0 {
                return Ok(None);
            }
            leaves.push(leaf);
        }
        Ok(Some(Evaluated { leaves, rows: registers.rows }))
    }
}

impl Registers {
    fn cells(&self, source: &Source) -> Result<Cells> {
        Ok(match source {
            Source::Input(at) => Cells::Array(Arc::clone(&self.inputs[*at])),
            Source::Step(at) => match &self.steps[*at] {
                Some(array) => Cells::Array(Arc::clone(array)),
                None => return Err(Error::internal("a step that computes nothing has no cells")),
            },
            Source::One(number) => Cells::One(*number),
            Source::Failed => Cells::Failed,
        })
    }

    fn array(&self, source: &Source, column: &Column) -> Result<ArrayRef> {
        match (self.cells(source)?, column.ty) {
            (Cells::Array(cells), _) => Ok(cells),
            (cells, ColumnType::Number(class)) => array(class, &cells, self.rows),
            _ => Ok(new_null_array(&data_type(column), self.rows)),
        }
    }

    fn compute(&self, step: &Step) -> Result<ArrayRef> {
        match step {
            Step::Apply { kernel, operands, class } => {
                let operand = |(source, column): &(Source, Column)| Ok((self.cells(source)?, column.clone()));
                let operands = operands.iter().map(operand).collect::<Result<Vec<_>>>()?;
                kernel.run(*class, &operands, self.rows)
            }
            Step::Select { cond, then, or_else, class } => {
                let Cells::Array(cond) = self.cells(cond)? else {
                    return Err(Error::internal("a condition that is known was to be decided before"));
                };
                let cond = cond.as_boolean_opt().ok_or_else(|| Error::internal("a condition is not of Bool"))?;
                select(*class, cond, &self.cells(then)?, &self.cells(or_else)?)
            }
            Step::Guard { value: (source, column), guards } => {
                let mut guarded = self.array(source, column)?;
                for guard in guards {
                    if let Cells::Array(guard) = self.cells(guard)? {
                        guarded = failed_where(&guarded, guard.nulls())?;
                    }
                }
                Ok(guarded)
            }
            Step::Check { .. } | Step::Keep { .. } => Err(Error::internal("a step that computes nothing has no cells")),
        }
    }

    /// Whether one of the operands has failed for a row.
    fn has_failed(&self, sources: &[Source]) -> Result<bool> {
        for source in sources {
            match self.cells(source)? {
                Cells::Array(array) if array.null_count() > 0 => return Ok(self.rows > 0),
                Cells::Failed => return Ok(self.rows > 0),
                Cells::Array(_) | Cells::One(_) => {}
            }
        }
        Ok(false)
    }

    /// Leaves out the rows for which `mask` is false. Whether that was possible: not if it failed for a row.
    fn keep(&mut self, mask: &Source) -> Result<bool> {
        let Cells::Array(mask) = self.cells(mask)? else { return Ok(false) };
        let mask = mask.as_boolean_opt().ok_or_else(|| Error::internal("a filter is not of Bool"))?;
        if mask.null_count() > 0 {
            return Ok(false);
        }
        let kept = mask.true_count();
        if kept == self.rows {
            return Ok(true);
        }
        let filter = FilterBuilder::new(mask).optimize().build();
        for array in self.inputs.iter_mut().chain(self.steps.iter_mut().flatten()) {
            *array = filter.filter(array).map_err(|error| Error::internal(error.to_string()))?;
        }
        self.rows = kept;
        Ok(true)
    }
}

impl Shape {
    fn item(&self, columns: &[(Source, Column)], leaves: &[ArrayRef], row: usize) -> Result<State> {
        let all = |shapes: &[Shape]| {
            shapes.iter().map(|shape| shape.item(columns, leaves, row)).collect::<Result<Vec<State>>>()
        };
        Ok(match self {
            Shape::Leaf(at) => cell(&columns[*at].1, leaves[*at].as_ref(), row)?,
            Shape::Const(state) => state.clone(),
            Shape::Tuple(items) => Tuple::try_new(all(items)?)?.into(),
            Shape::Map(names, values) => Map::from_sorted(Arc::clone(names), all(values)?.into())?.into(),
        })
    }
}
