//! Turns the plan's places into slices while a program runs.
//!
//! This is where the plan's promise is cashed in: no region that a kernel writes
//! overlaps one that it reads. All of the crate's unsafe code is here.

use laterna_graph::plan::{Place, Region};
use laterna_graph::{RunError, TensorType};
use laterna_kernels::AlignedBuffer;
use laterna_tensor::{DType, Data, TensorView, TensorViewMut};

use crate::program::OutputCopy;

/// Bytes of an arena element.
pub const ELEMENT_BYTES: usize = size_of::<f32>();

/// Where one operand of a kernel lies.
#[derive(Clone, Copy, Debug)]
pub struct Operand {
    place: Place,
    /// Index into the program's constants, for a constant.
    constant: usize,
    elements: usize,
    dtype: DType,
}

impl Operand {
    /// An operand that is not a constant.
    pub fn new(place: Place, ty: TensorType) -> Self {
        Self { place, constant: 0, elements: ty.shape.elements(), dtype: ty.dtype }
    }

    /// The program's constant of this index.
    pub fn constant(index: usize, ty: TensorType) -> Self {
        Self { constant: index, ..Self::new(Place::Constant, ty) }
    }
}

/// The memory of one run: the arena and what the caller lent.
pub struct Memory<'r> {
    arena: *mut f32,
    arena_elements: usize,
    constants: &'r [Box<[f32]>],
    inputs: &'r [TensorView<'r>],
    outputs: &'r [OutputSlot],
}

/// A caller's output, borrowed for the length of a run.
#[derive(Clone, Copy, Debug)]
pub struct OutputSlot {
    start: *mut f32,
    elements: usize,
}

// SAFETY: a slot is only read while the run that filled it holds the exclusive
// borrow it was made from; between runs it is dead weight.
unsafe impl Send for OutputSlot {}

impl OutputSlot {
    /// A slot that points nowhere.
    pub const EMPTY: Self = Self { start: std::ptr::null_mut(), elements: 0 };

    /// The slot of an f32 output.
    pub fn of(view: &mut TensorViewMut<'_>) -> Result<Self, RunError> {
        let data = view.as_f32_mut()?;
        Ok(Self { start: data.as_mut_ptr(), elements: data.len() })
    }
}

impl<'r> Memory<'r> {
    /// The memory of a run. `outputs` must hold the slots of views that stay
    /// exclusively borrowed for `'r`.
    pub fn new(
        arena: &'r mut AlignedBuffer,
        constants: &'r [Box<[f32]>],
        inputs: &'r [TensorView<'r>],
        outputs: &'r [OutputSlot],
    ) -> Self {
        let arena_elements = arena.len();
        Self { arena: arena.as_mut_ptr(), arena_elements, constants, inputs, outputs }
    }

    /// The operands of one step.
    pub fn step<'m>(&'m self, step: &'m StepOperands) -> Operands<'m> {
        Operands { memory: self, step }
    }

    /// Copies a value to an output that no step could write in place.
    pub fn copy_out(&self, copy: &OutputCopy) {
        let from = self.read(&copy.from);
        let slot = self.outputs[copy.plan.output];
        assert_eq!(from.len(), slot.elements, "the output has the value's type");
        // SAFETY: the slot is a live exclusive borrow of that many floats, and no
        // step wrote it: `from` lies in the arena, a constant, an input or
        // another output.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), slot.start, from.len()) }
    }

    fn arena_range(&self, region: Region) -> (*mut f32, usize) {
        let (start, len) = (region.offset / ELEMENT_BYTES, region.bytes / ELEMENT_BYTES);
        assert!(start + len <= self.arena_elements, "the plan fits the arena");
        // SAFETY: the assertion keeps the offset inside the allocation.
        (unsafe { self.arena.add(start) }, len)
    }

    fn pointer(&self, operand: &Operand) -> (*mut f32, usize) {
        match operand.place {
            Place::Arena(region) => self.arena_range(region),
            Place::Output(index) => (self.outputs[index].start, self.outputs[index].elements),
            Place::Constant | Place::Input(_) | Place::Nowhere => {
                unreachable!("only computed values lie in memory that is written")
            }
        }
    }

    fn read(&self, operand: &Operand) -> &[f32] {
        assert_eq!(operand.dtype, DType::F32, "kernels read f32");
        let elements = match operand.place {
            Place::Constant => &*self.constants[operand.constant],
            Place::Input(index) => match self.inputs[index].data() {
                Data::F32(data) => data,
                _ => unreachable!("ports were checked"),
            },
            Place::Arena(_) | Place::Output(_) => {
                let (start, len) = self.pointer(operand);
                // SAFETY: the pointer covers `len` floats of the arena or of the
                // caller's output. The plan gives no value that is written by the
                // running step a place that overlaps one it reads (tested in
                // `laterna_graph::plan`), so no `&mut` to these floats exists.
                unsafe { std::slice::from_raw_parts(start, len) }
            }
            Place::Nowhere => unreachable!("a value that is read has a place"),
        };
        &elements[..operand.elements]
    }
}

/// The operands of one step of a program.
#[derive(Clone, Debug)]
pub struct StepOperands {
    /// In the node's order.
    pub inputs: Box<[Operand]>,
    /// What the step writes.
    pub output: Operand,
    /// Memory for the step's own use.
    pub scratch: Region,
}

/// The slices of one step while it runs.
pub struct Operands<'m> {
    memory: &'m Memory<'m>,
    step: &'m StepOperands,
}

impl<'m> Operands<'m> {
    /// An f32 input.
    pub fn input(&self, index: usize) -> &'m [f32] {
        self.memory.read(&self.step.inputs[index])
    }

    /// An f32 input that may be absent.
    pub fn optional(&self, index: Option<usize>) -> Option<&'m [f32]> {
        index.map(|index| self.input(index))
    }

    /// An i64 input; the compiler admits only the caller's own.
    pub fn indices(&self, index: usize) -> &'m [i64] {
        match self.step.inputs[index].place {
            Place::Input(input) => match self.memory.inputs[input].data() {
                Data::I64(data) => data,
                _ => unreachable!("ports were checked"),
            },
            _ => unreachable!("the compiler admits only graph inputs as indices"),
        }
    }

    /// The output and the scratch memory.
    pub fn write(&mut self) -> (&mut [f32], &mut [f32]) {
        let (start, len) = self.memory.pointer(&self.step.output);
        let (scratch, scratch_len) = self.memory.arena_range(self.step.scratch);
        debug_assert!(self.step.output.elements <= len);
        // SAFETY: both ranges lie inside live allocations. The plan keeps them
        // apart from each other and from everything that this step reads, steps
        // run one after another, and `&mut self` keeps this from being called
        // again while the slices live.
        unsafe {
            (
                std::slice::from_raw_parts_mut(start, self.step.output.elements),
                std::slice::from_raw_parts_mut(scratch, scratch_len),
            )
        }
    }
}
