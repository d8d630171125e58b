//! Every operation and every fusion, on every instruction set that this CPU has.

use laterna_cpu::{CpuBackend, CpuOptions};
use laterna_kernels::Isa;

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
