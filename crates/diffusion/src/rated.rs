//! A graph compiled as two programs: one that runs when the prompt changes and
//! one that runs for every step or frame, fed with what the first computed.

use std::sync::Arc;

use laterna_graph::{
    Backend, CompileError, CompileOptions, Graph, Instance, PatchError, Port, Program, RunError,
    WeightSource, rates,
};
use laterna_tensor::{Shape, Tensor, TensorView, TensorViewMut};
use thiserror::Error;

/// Why the two programs could not be made.
#[derive(Debug, Error)]
pub enum RatedError {
    /// The graph could not be split: a mistake in the graph.
    #[error(transparent)]
    Split(#[from] PatchError),
    /// One half could not be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

/// The two programs.
pub struct RatedProgram {
    prompt: Arc<dyn Program>,
    frame: Arc<dyn Program>,
}

impl RatedProgram {
    /// Splits and compiles a graph.
    ///
    /// # Errors
    /// If either half cannot be compiled.
    pub fn compile(
        backend: &dyn Backend,
        graph: &Graph,
        weights: &dyn WeightSource,
        options: &CompileOptions<'_>,
    ) -> Result<Self, RatedError> {
        let halves = rates::split(graph)?;
        let prompt = backend.compile(&halves.prompt, weights, options)?;
        let frame = backend.compile(&halves.frame, weights, options)?;
        Ok(Self { prompt, frame })
    }

    /// The program that runs when the prompt changes.
    pub fn prompt(&self) -> &dyn Program {
        &*self.prompt
    }

    /// The program that runs for every frame.
    pub fn frame(&self) -> &dyn Program {
        &*self.frame
    }

    /// A running copy of both.
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub fn spawn(&self) -> Result<RatedInstance, RunError> {
        let own_inputs = self.frame.inputs().len() - self.prompt.outputs().len();
        Ok(RatedInstance {
            prompt: self.prompt.spawn()?,
            frame: self.frame.spawn()?,
            state_ports: self.prompt.outputs().to_vec(),
            own_inputs,
            output_shape: self.frame.outputs()[0].ty.shape,
        })
    }
}

/// What the prompt program computed for one prompt.
#[derive(Clone, Debug, Default)]
pub struct PromptState {
    values: Vec<Tensor>,
}

/// A running copy of both programs.
pub struct RatedInstance {
    prompt: Box<dyn Instance>,
    frame: Box<dyn Instance>,
    state_ports: Vec<Port>,
    own_inputs: usize,
    output_shape: Shape,
}

impl RatedInstance {
    /// Runs the prompt program on the graph's prompt inputs, in their order.
    ///
    /// # Errors
    /// If an input does not fit.
    pub fn prepare(&mut self, inputs: &[TensorView<'_>]) -> Result<PromptState, RunError> {
        let mut state = self.new_state();
        self.prepare_into(inputs, &mut state)?;
        Ok(state)
    }

    /// What [`RatedInstance::prepare_into`] fills.
    pub fn new_state(&self) -> PromptState {
        let zeros = |port: &Port| Tensor::zeros(port.ty.shape);
        PromptState { values: self.state_ports.iter().map(zeros).collect() }
    }

    /// Runs the prompt program into a state of [`RatedInstance::new_state`].
    ///
    /// # Errors
    /// If an input does not fit.
    pub fn prepare_into(
        &mut self,
        inputs: &[TensorView<'_>],
        state: &mut PromptState,
    ) -> Result<(), RunError> {
        let mut views: Vec<_> = state.values.iter_mut().map(Tensor::view_mut).collect();
        self.prompt.run(inputs, &mut views)
    }

    /// The shape of the frame program's first output.
    pub fn output_shape(&self) -> Shape {
        self.output_shape
    }

    /// Runs the frame program on the graph's frame inputs, in their order.
    ///
    /// # Errors
    /// If an input does not fit.
    ///
    /// # Panics
    /// If `inputs` is not as long as the graph's frame inputs are many.
    pub fn run(
        &mut self,
        inputs: &[TensorView<'_>],
        state: &PromptState,
        outputs: &mut [TensorViewMut<'_>],
    ) -> Result<(), RunError> {
        self.frame.run(&self.with_state(inputs, state), outputs)
    }

    /// Runs the frame program and adds each node's time to `times`.
    ///
    /// # Errors
    /// If an input does not fit.
    ///
    /// # Panics
    /// As [`RatedInstance::run`].
    pub fn run_timed(
        &mut self,
        inputs: &[TensorView<'_>],
        state: &PromptState,
        outputs: &mut [TensorViewMut<'_>],
        times: &mut [std::time::Duration],
    ) -> Result<(), RunError> {
        self.frame.run_timed(&self.with_state(inputs, state), outputs, times)
    }

    fn with_state<'a>(
        &self,
        inputs: &[TensorView<'a>],
        state: &'a PromptState,
    ) -> Vec<TensorView<'a>> {
        assert_eq!(inputs.len(), self.own_inputs, "the graph's frame inputs");
        inputs.iter().copied().chain(state.values.iter().map(Tensor::view)).collect()
    }
}
