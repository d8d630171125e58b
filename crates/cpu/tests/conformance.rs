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
/// adds to that.
const BF16_TOLERANCE: f32 = 2e-2;

#[test]
fn every_case_passes_in_bf16() {
    for isa in Isa::available() {
        let options = CpuOptions {
            threads: Some(2),
            isa: Some(isa),
            convolutions: Some(Convolutions::Direct),
            precision: Precision::Bf16,
        };
        let backend = CpuBackend::new(options).unwrap();
        if let Err(failures) = laterna_conformance::check_within(&backend, BF16_TOLERANCE) {
            panic!("{isa}:\n{failures}");
        }
    }
}
