//! One running copy of a program: an arena and the loop over the steps.

use std::sync::Arc;
use std::time::Duration;

use laterna_graph::backend::check_ports;
use laterna_graph::{Instance, RunError};
use laterna_kernels::AlignedBuffer;
use laterna_tensor::{TensorView, TensorViewMut};

use crate::memory::{Memory, OutputSlot};
use crate::program::{CpuProgram, Shared, Step};

/// An instance; its runs allocate nothing.
pub struct CpuInstance {
    program: CpuProgram,
    arena: AlignedBuffer,
    slots: Box<[OutputSlot]>,
}

impl CpuInstance {
    /// An instance with an arena of its own.
    pub fn new(shared: Arc<Shared>) -> Self {
        let arena = AlignedBuffer::zeroed(shared.arena_elements);
        let slots = vec![OutputSlot::EMPTY; shared.outputs.len()].into_boxed_slice();
        Self { program: CpuProgram(shared), arena, slots }
    }

    fn run_steps(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
        mut run: impl FnMut(usize, &Step, &Memory<'_>) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        check_ports(&self.program, inputs, outputs)?;
        for (slot, view) in self.slots.iter_mut().zip(outputs) {
            *slot = OutputSlot::of(view)?;
        }
        let shared = &self.program.0;
        let memory = Memory::new(&mut self.arena, &shared.constants, inputs, &self.slots);
        for (index, step) in shared.steps.iter().enumerate() {
            run(index, step, &memory)?;
        }
        for copy in &shared.copies {
            memory.copy_out(copy);
        }
        Ok(())
    }
}

impl Instance for CpuInstance {
    fn run(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
    ) -> Result<(), RunError> {
        let machine = self.program.0.machine.clone();
        self.run_steps(inputs, outputs, |_, step, memory| {
            step.kernel.run(&machine, &mut memory.step(&step.operands))
        })
    }

    fn run_timed(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
        times: &mut [Duration],
    ) -> Result<(), RunError> {
        let machine = self.program.0.machine.clone();
        self.run_steps(inputs, outputs, |index, step, memory| {
            let start = machine.pool.clock();
            let result = step.kernel.run(&machine, &mut memory.step(&step.operands));
            times[index] += machine.pool.clock() - start;
            result
        })
    }
}
