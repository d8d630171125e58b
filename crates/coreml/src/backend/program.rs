//! A compiled graph, and its running copies: numbers go into the model's arrays,
//! are computed, and come out again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use laterna_graph::backend::check_ports;
use laterna_graph::{Instance, Port, Program, ProgramSummary, RunError};
use laterna_tensor::{DType, Data, TensorError, TensorView, TensorViewMut};

use super::error::failed;
use super::ports::{Given, OutputSource, Ports};
use crate::run::{Opened, Predictor};

/// A program of the Core ML backend.
pub(super) struct CoreMlProgram(Arc<Shared>);

struct Shared {
    ports: Ports,
    /// None where nothing is computed.
    model: Option<Box<dyn Opened>>,
    summary: ProgramSummary,
}

impl CoreMlProgram {
    pub fn new(ports: Ports, model: Box<dyn Opened>, summary: ProgramSummary) -> Self {
        Self(Arc::new(Shared { ports, model: Some(model), summary }))
    }

    /// A program whose outputs are inputs and constants.
    pub fn without_model(ports: Ports) -> Self {
        Self(Arc::new(Shared { ports, model: None, summary: ProgramSummary::default() }))
    }
}

impl Program for CoreMlProgram {
    fn inputs(&self) -> &[Port] {
        &self.0.ports.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.0.ports.outputs
    }

    fn spawn(&self) -> Result<Box<dyn Instance>, RunError> {
        let predictor = self.0.model.as_ref().map(|model| model.predictor()).transpose();
        let predictor = predictor.map_err(|error| failed(&error))?;
        Ok(Box::new(CoreMlInstance { program: Self(self.0.clone()), predictor, shares: true }))
    }

    fn summary(&self) -> &ProgramSummary {
        &self.0.summary
    }

    fn reads_surface(&self, input: usize) -> bool {
        self.0.ports.given.iter().any(|given| given.position == input && given.is_picture)
    }
}

/// A running copy. Its own part of a run allocates nothing; Core ML's does.
struct CoreMlInstance {
    program: CoreMlProgram,
    predictor: Option<Box<dyn Predictor>>,
    /// Pictures are read where they are: until a prediction fails that reads one so.
    shares: bool,
}

impl Instance for CoreMlInstance {
    fn run(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
    ) -> Result<(), RunError> {
        check_ports(&self.program, inputs, outputs)?;
        let ports = &self.program.0.ports;
        if let Some(predictor) = &mut self.predictor {
            predict(&mut **predictor, &ports.given, inputs, &mut self.shares)?;
        }
        for (source, output) in ports.sources.iter().zip(outputs) {
            match (source, &mut self.predictor) {
                (OutputSource::Input(position), _) => copy(&inputs[*position], output)?,
                (OutputSource::Constant(tensor), _) => copy(&tensor.view(), output)?,
                (OutputSource::Model(index), Some(predictor)) => {
                    read(&mut **predictor, *index, output)?;
                }
                (OutputSource::Model(_), None) => {
                    unreachable!("a program without a model computes nothing")
                }
            }
        }
        Ok(())
    }

    /// Core ML tells no operation's time: the last entry, which stands for the whole
    /// prediction, gets all of it, copies of the numbers included.
    fn run_timed(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
        times: &mut [Duration],
    ) -> Result<(), RunError> {
        let start = Instant::now();
        self.run(inputs, outputs)?;
        if let Some(prediction) = times.last_mut() {
            *prediction += start.elapsed();
        }
        Ok(())
    }
}

/// One prediction. If it fails on a picture that is read where it is, another one on the
/// same picture's numbers, and no more is read so.
fn predict(
    predictor: &mut dyn Predictor,
    given: &[Given],
    inputs: &[TensorView<'_>],
    shares: &mut bool,
) -> Result<(), RunError> {
    let mut shared = false;
    for (index, given) in given.iter().enumerate() {
        let view = &inputs[given.position];
        let surface = view.surface().filter(|_| *shares && given.is_picture);
        let is_there = match surface {
            Some(surface) => predictor.share(index, surface).map_err(|error| failed(&error))?,
            None => false,
        };
        if !is_there {
            write(predictor, index, given, view)?;
        }
        shared |= is_there;
    }
    let Err(error) = predictor.predict() else { return Ok(()) };
    if !shared {
        return Err(failed(&error));
    }
    *shares = false;
    predict(predictor, given, inputs, shares)
}

fn write(
    predictor: &mut dyn Predictor,
    index: usize,
    given: &Given,
    view: &TensorView<'_>,
) -> Result<(), RunError> {
    let written = match view.dtype() {
        DType::I64 => {
            let indices = view.as_i64()?;
            check_indices(given, indices)?;
            predictor.write_i64(index, indices)
        }
        _ => predictor.write_f32(index, view.as_f32()?),
    };
    written.map_err(|error| failed(&error))
}

fn check_indices(given: &Given, indices: &[i64]) -> Result<(), RunError> {
    for (node, rows) in &given.tables {
        let inside = |index: i64| usize::try_from(index).is_ok_and(|index| index < *rows);
        if let Some(&index) = indices.iter().find(|&&index| !inside(index)) {
            return Err(RunError::Index { node: node.clone(), index, rows: *rows });
        }
    }
    Ok(())
}

fn read(
    predictor: &mut dyn Predictor,
    index: usize,
    output: &mut TensorViewMut<'_>,
) -> Result<(), RunError> {
    let read = match output.dtype() {
        DType::I64 => predictor.read_i64(index, output.as_i64_mut()?),
        _ => predictor.read_f32(index, output.as_f32_mut()?),
    };
    read.map_err(|error| failed(&error))
}

/// The ports have equal types.
fn copy(from: &TensorView<'_>, to: &mut TensorViewMut<'_>) -> Result<(), TensorError> {
    match from.data() {
        Data::F32(values) => to.as_f32_mut()?.copy_from_slice(values),
        _ => to.as_i64_mut()?.copy_from_slice(from.as_i64()?),
    }
    Ok(())
}
