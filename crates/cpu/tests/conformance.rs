//! Every operation and every fusion, on every instruction set that this CPU has.

use laterna_cpu::{CpuBackend, CpuOptions};
use laterna_kernels::{Convolutions, Isa, Precision};

#[test]
fn every_case_passes_on_every_instruction_set() {
    for isa in Isa::available() {
        for threads in [1, 3] {
            let options =
                CpuOptions { threads: Some(threads), isa: Some(isa), ..CpuOptions::default() };
            let backend = CpuBackend::new(options).unwrap();
            if let Err(failures) = laterna_conformance::check(&backend) {
                panic!("{isa}, {threads} threads:\n{failures}");
            }
        }
    }
}

/// An operand is rounded by at most a 256th of itself; what a case sums and then multiplies again
/// adds to that, and so do the transforms of minimal filtering.
const BF16_TOLERANCES: [(Convolutions, f32); 5] = [
    (Convolutions::Direct, 2e-2),
    (Convolutions::Winograd2, 2e-2),
    (Convolutions::Winograd4, 1e-1),
    (Convolutions::Auto, 1e-1),
    (Convolutions::Measured, 1e-1),
];

#[test]
fn every_case_passes_in_bf16() {
    for isa in Isa::available() {
        for (convolutions, tolerance) in BF16_TOLERANCES {
            let options = CpuOptions {
                threads: Some(2),
                isa: Some(isa),
                convolutions: Some(convolutions),
                precision: Precision::Bf16,
                choices: None,
            };
            let backend = CpuBackend::new(options).unwrap();
            if let Err(failures) = laterna_conformance::check_within(&backend, tolerance) {
                panic!("{isa}, {convolutions}:\n{failures}");
            }
        }
    }
}

/// An operand is rounded by at most half of a 127th of the largest in its row.
const INT8_TOLERANCE: f32 = 1e-1;

#[test]
fn every_case_passes_in_int8() {
    for isa in Isa::available() {
        let options = CpuOptions {
            threads: Some(2),
            isa: Some(isa),
            precision: Precision::Int8,
            ..CpuOptions::default()
        };
        let backend = CpuBackend::new(options).unwrap();
        if let Err(failures) = laterna_conformance::check_within(&backend, INT8_TOLERANCE) {
            panic!("{isa}:\n{failures}");
        }
    }
}
