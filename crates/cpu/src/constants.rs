//! What a program keeps of the checkpoint: weights packed for the product
//! kernels, and plain tables for everything else, each read once.

use std::collections::HashMap;
use std::sync::Arc;

use laterna_graph::{CompileError, Constant, Graph, ValueId, WeightSource};
use laterna_kernels::{
    ConvShape, Convolutions, Isa, PackedWeights, Precision, ReadWeights, WeightShape, Winograd,
    WinogradWeights,
};
use laterna_tensor::{RawTensor, Tensor};

use crate::choices::fastest;
use crate::program::Machine;

/// Collects a program's constants while it is lowered.
pub struct Constants<'a> {
    graph: &'a Graph,
    weights: &'a dyn WeightSource,
    machine: &'a Machine,
    tables: Vec<Box<[f32]>>,
    table_of: HashMap<ValueId, usize>,
    packed: HashMap<(ValueId, bool), Arc<PackedWeights>>,
    filters: HashMap<(ValueId, Winograd), Arc<WinogradWeights>>,
}

/// The stored elements of a constant.
enum Stored<'a> {
    Raw(RawTensor<'a>),
    Data(&'a Tensor),
}

impl Stored<'_> {
    /// Decodes from element `start` on.
    fn read(&self, start: usize, out: &mut [f32]) {
        match self {
            Self::Raw(raw) => raw.read_f32(start, out),
            Self::Data(tensor) => {
                let data = tensor.as_f32().expect("constants of the graph are f32: it is verified");
                out.copy_from_slice(&data[start..start + out.len()]);
            }
        }
    }
}

impl<'a> Constants<'a> {
    /// No constants yet.
    pub fn new(graph: &'a Graph, weights: &'a dyn WeightSource, machine: &'a Machine) -> Self {
        let (table_of, packed, filters) = Default::default();
        Self { graph, weights, machine, tables: Vec::new(), table_of, packed, filters }
    }

    /// The instruction set that weights are packed for.
    pub fn isa(&self) -> Isa {
        self.machine.isa
    }

    /// How the operands of a product from so many channels to so many are rounded. Pixels and
    /// latents have few, cost little, and every error in them is seen.
    pub fn precision(&self, channels: [usize; 2]) -> Precision {
        const FEW: usize = 16;
        if channels.into_iter().any(|channels| channels < FEW) {
            return Precision::F32;
        }
        self.machine.precision
    }

    /// How the operands of attention are rounded: it has no weights, so that only a faster
    /// instruction is worth it.
    pub fn attention_precision(&self) -> Precision {
        let Machine { isa, precision, .. } = *self.machine;
        let rounded = precision.without_int8(isa);
        if rounded.has_products(isa) { rounded } else { Precision::F32 }
    }

    /// The minimal filtering that computes a convolution, or `None` for the direct kernel.
    pub fn winograd(&self, shape: &ConvShape) -> Option<Winograd> {
        let Machine { isa, pool, convolutions, choices, .. } = self.machine;
        let precision = self.precision([shape.in_channels, shape.out_channels]);
        let is_choice = Winograd::ALL.iter().any(|kind| kind.computes(shape));
        match convolutions {
            Convolutions::Measured if is_choice => {
                fastest(&**choices, *isa, pool, precision, shape)
            }
            other => other.choose(*isa, precision, shape),
        }
    }

    /// The number of threads that kernels run on.
    pub fn threads(&self) -> usize {
        self.machine.pool.threads()
    }

    /// The index of the plain table of a constant, decoding it at the first call.
    ///
    /// # Errors
    /// If the weight cannot be read.
    pub fn table(&mut self, id: ValueId) -> Result<usize, CompileError> {
        if let Some(&index) = self.table_of.get(&id) {
            return Ok(index);
        }
        let mut table = vec![0.0; self.graph.shape(id).elements()].into_boxed_slice();
        self.with_stored(id, |stored| stored.read(0, &mut table))?;
        self.tables.push(table);
        self.table_of.insert(id, self.tables.len() - 1);
        Ok(self.tables.len() - 1)
    }

    /// A constant packed for the product kernels, packing it at the first call.
    ///
    /// # Errors
    /// If the weight cannot be read.
    pub fn packed(
        &mut self,
        id: ValueId,
        shape: WeightShape,
        gated: bool,
    ) -> Result<Arc<PackedWeights>, CompileError> {
        if let Some(packed) = self.packed.get(&(id, gated)) {
            return Ok(packed.clone());
        }
        let Machine { isa, pool, .. } = self.machine;
        let mut precision = self.precision([shape.inputs, shape.outputs]);
        if shape.taps > 1 {
            // The rows of a window would each need a scale of their own.
            precision = precision.without_int8(*isa);
        }
        let packed = self.with_stored(id, |stored| {
            let read: ReadWeights<'_> = &|start, out| stored.read(start, out);
            PackedWeights::pack(*isa, pool, precision, shape, gated, read)
        })?;
        let packed = Arc::new(packed);
        self.packed.insert((id, gated), packed.clone());
        Ok(packed)
    }

    /// The filters of a 3x3 convolution, `[outputs, inputs, 3, 3]`, transformed and packed at the
    /// first call.
    ///
    /// # Errors
    /// If the weight cannot be read.
    pub fn filters(
        &mut self,
        id: ValueId,
        kind: Winograd,
    ) -> Result<Arc<WinogradWeights>, CompileError> {
        if let Some(filters) = self.filters.get(&(id, kind)) {
            return Ok(filters.clone());
        }
        let machine = self.machine;
        let shape = self.graph.shape(id);
        let channels = [shape[0], shape[1]];
        let precision = self.precision(channels);
        let filters = self.with_stored(id, |stored| {
            let read: ReadWeights<'_> = &|start, out| stored.read(start, out);
            WinogradWeights::pack(machine.isa, &machine.pool, kind, precision, channels, read)
        })?;
        let filters = Arc::new(filters);
        self.filters.insert((id, kind), filters.clone());
        Ok(filters)
    }

    /// Bytes held so far.
    pub fn size_bytes(&self) -> usize {
        let tables: usize = self.tables.iter().map(|table| size_of_val(&**table)).sum();
        let packed: usize = self.packed.values().map(|packed| packed.size_bytes()).sum();
        let filters: usize = self.filters.values().map(|filters| filters.size_bytes()).sum();
        tables + packed + filters
    }

    /// The plain tables, by index.
    pub fn into_tables(self) -> Vec<Box<[f32]>> {
        self.tables
    }

    fn with_stored<T>(
        &self,
        id: ValueId,
        use_it: impl FnOnce(&Stored<'_>) -> T,
    ) -> Result<T, CompileError> {
        match self.graph.constant(id) {
            Some(Constant::Weight(name)) => {
                let result = use_it(&Stored::Raw(self.weights.read(name)?));
                self.weights.release(name);
                Ok(result)
            }
            Some(Constant::Data(tensor)) => Ok(use_it(&Stored::Data(tensor))),
            None => unreachable!("callers ask only for constants"),
        }
    }
}
