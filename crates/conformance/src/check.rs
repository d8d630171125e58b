//! Runs a backend on cases and collects what differs from the reference.

use std::any::Any;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};

use laterna_graph::backend::support;
use laterna_graph::{
    Backend, CompileError, CompileOptions, Graph, Op, RunError, Support, reference,
};
use laterna_tensor::{DType, Tensor};
use thiserror::Error;

use crate::{Case, Difference, cases, compare, random_case};

/// Random graphs that a backend must run.
const RANDOM_GRAPHS: u64 = 64;

/// A case that a backend does not pass.
#[derive(Debug)]
pub struct Failure {
    /// The case.
    pub case: String,
    /// What went wrong.
    pub problem: Problem,
}

/// What went wrong.
#[derive(Debug, Error)]
pub enum Problem {
    /// The backend does not compile the graph.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The backend does not run the program.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The backend panics.
    #[error("panics: {0}")]
    Panic(String),
    /// The result differs.
    #[error("output {output}: {difference}")]
    Result {
        /// The output.
        output: String,
        /// How it differs.
        difference: Difference,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.case, self.problem)
    }
}

/// All cases that a backend does not pass.
#[derive(Debug, Error)]
pub struct Failures(pub Vec<Failure>);

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cases fail", self.0.len())?;
        self.0.iter().try_for_each(|failure| write!(f, "\n{failure}"))
    }
}

/// Runs every case, and random graphs.
///
/// # Errors
/// All that fail.
pub fn check(backend: &dyn Backend) -> Result<(), Failures> {
    check_within(backend, 0.0)
}

/// As [`check`], for a device that rounds on the way: where a case's tolerance is smaller, errors may
/// be as large as `tolerance`, see [`compare`].
///
/// # Errors
/// All that fail.
pub fn check_within(backend: &dyn Backend, tolerance: f32) -> Result<(), Failures> {
    let all = cases().into_iter().chain((0..RANDOM_GRAPHS).map(random_case));
    let applicable = all
        .filter(|case| converts_types(backend, &case.graph))
        .map(|case| Case { tolerance: case.tolerance.max(tolerance), ..case });
    let failures: Vec<_> = applicable.filter_map(|case| failure(backend, case)).collect();
    if failures.is_empty() { Ok(()) } else { Err(Failures(failures)) }
}

/// Which element types a device converts is its own choice, and it says so;
/// everything else it must support.
fn converts_types(backend: &dyn Backend, graph: &Graph) -> bool {
    let mut casts = graph.nodes().iter().filter(|node| matches!(node.op, Op::Cast { .. }));
    casts.all(|node| support(backend, graph, node) == Support::Yes)
}

fn failure(backend: &dyn Backend, case: Case) -> Option<Failure> {
    let attempt = || check_case(backend, &case);
    // One panic must not hide what fails behind it.
    let result = panic::catch_unwind(AssertUnwindSafe(attempt));
    let problem = result.unwrap_or_else(|panic| Err(Problem::Panic(message(&*panic)))).err()?;
    Some(Failure { case: case.name, problem })
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message").to_owned()
}

/// Compiles the case's graph and runs it twice: an instance must not carry
/// anything from one run into the next.
fn check_case(backend: &dyn Backend, case: &Case) -> Result<(), Problem> {
    let expected = reference::run(&case.graph, &case.weights, &case.inputs)
        .expect("the reference runs every case");
    let program = backend.compile(&case.graph, &case.weights, &CompileOptions::default())?;
    let mut instance = program.spawn()?;
    let inputs: Vec<_> = case.inputs.iter().map(Tensor::view).collect();
    for _ in 0..2 {
        let mut outputs: Vec<_> = expected.iter().map(unwritten).collect();
        let mut views: Vec<_> = outputs.iter_mut().map(Tensor::view_mut).collect();
        instance.run(&inputs, &mut views)?;
        check_outputs(case, &expected, &outputs)?;
    }
    Ok(())
}

fn check_outputs(case: &Case, expected: &[Tensor], found: &[Tensor]) -> Result<(), Problem> {
    for ((name, _), (expected, found)) in
        case.graph.outputs().iter().zip(expected.iter().zip(found))
    {
        compare(expected, found, case.tolerance)
            .map_err(|difference| Problem::Result { output: name.to_string(), difference })?;
    }
    Ok(())
}

/// A tensor like `expected` of numbers that no case computes.
fn unwritten(expected: &Tensor) -> Tensor {
    let shape = expected.shape();
    let tensor = match expected.dtype() {
        DType::I64 => Tensor::from_i64(shape, vec![i64::MIN; shape.elements()]),
        _ => Tensor::from_f32(shape, vec![f32::NAN; shape.elements()]),
    };
    tensor.expect("as many elements as the shape")
}
