//! Instruction sets: the choice made at run time ([`Isa`]) and the vectors of each ([`Simd`]).
//! A kernel is written once as a [`SimdOp`], generic over `Simd`, and compiled for every set.
//!
//! A type that implements `Simd` is a witness: a value of it exists only on a CPU that has the
//! instructions, so holding one is what makes the vector operations sound.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod simd;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::{Avx512, Avx512Bf16, Avx512Vnni};
#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
pub use portable::Portable;
pub use simd::{Simd, SimdOp, run};

use std::fmt;
use std::str::FromStr;

/// Environment variable that overrides the choice of [`Isa::detect`].
pub const ISA_VARIABLE: &str = "LATERNA_ISA";

/// Rows of the tallest micro-kernel tile of any instruction set.
pub const MAX_TILE_ROWS: usize = 6;

/// Vectors in a row of the widest micro-kernel tile of any instruction set.
pub const MAX_TILE_VECTORS: usize = 4;

/// Lanes of the widest vector of any instruction set.
pub const MAX_LANES: usize = 16;

/// The instruction sets that kernels are compiled for, best first.
///
/// All names exist on every platform; [`Isa::is_available`] says which ones this CPU runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// x86-64 AVX-512 F: 16 lanes.
    Avx512,
    /// x86-64 AVX2 and FMA: 8 lanes.
    Avx2,
    /// AArch64 NEON: 4 lanes.
    Neon,
    /// Plain Rust, 4 lanes: runs everywhere.
    Portable,
}

/// Why the instruction set that was asked for cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    /// No instruction set has this name.
    #[error("unknown instruction set `{0}`: known are avx512, avx2, neon, portable")]
    Unknown(String),
    /// The instruction set exists, but not on this CPU.
    #[error("instruction set `{0}` is not available on this CPU")]
    Unavailable(Isa),
}

impl Isa {
    /// Every instruction set, best first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// The best available set, or the one that the environment variable [`ISA_VARIABLE`] names.
    pub fn detect() -> Result<Self, IsaError> {
        match std::env::var(ISA_VARIABLE) {
            Ok(name) if !name.is_empty() => name.parse::<Self>()?.require(),
            _ => Ok(Self::best()),
        }
    }

    /// The best set that this CPU has.
    pub fn best() -> Self {
        Self::available().next().unwrap_or(Self::Portable)
    }

    /// The sets that this CPU has, best first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|isa| isa.is_available())
    }

    /// Whether this CPU has the set.
    pub fn is_available(self) -> bool {
        SIZES.iter().any(|row| row.isa == self && (row.run)().is_some())
    }

    /// This set, or an error when the CPU does not have it.
    pub fn require(self) -> Result<Self, IsaError> {
        if self.is_available() { Ok(self) } else { Err(IsaError::Unavailable(self)) }
    }

    /// The name used on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }

    /// Whether this CPU has an instruction for [`Simd::dot_pairs`] of this set's vectors.
    pub fn has_bf16_products(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self == Self::Avx512 && Avx512Bf16::detect().is_some();
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Whether this CPU has an instruction for [`Simd::dot_quads`] of this set's vectors.
    pub fn has_int8_products(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self == Self::Avx512 && Avx512Vnni::detect().is_some();
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// f32 lanes of one vector.
    pub fn lanes(self) -> usize {
        pick(SIZES, self)().expect("an Isa in use is available").lanes
    }

    /// Rows of the micro-kernel's tile.
    pub fn tile_rows(self) -> usize {
        pick(SIZES, self)().expect("an Isa in use is available").tile_rows
    }

    /// Vectors in a row of the micro-kernel's tile.
    pub fn tile_vectors(self) -> usize {
        pick(SIZES, self)().expect("an Isa in use is available").tile_vectors
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = IsaError;

    fn from_str(name: &str) -> Result<Self, IsaError> {
        Self::ALL
            .into_iter()
            .find(|isa| isa.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| IsaError::Unknown(name.to_owned()))
    }
}

/// One row of a kernel's table: the function compiled for one instruction set.
#[derive(Clone, Copy)]
pub struct Variant<F> {
    /// The instruction set that `run` needs.
    pub isa: Isa,
    /// The kernel's entry for that set.
    pub run: F,
}

/// The row of `table` for `isa`; panics when the platform has no such row.
pub fn pick<F: Copy>(table: &[Variant<F>], isa: Isa) -> F {
    let row = table.iter().find(|row| row.isa == isa);
    row.expect("every table has a row for each available Isa").run
}

/// The table of one kernel: `variants!(entry: FnType)` lists `entry::<S>` for every set `S` of the
/// platform. Dispatch, tests and benches all read such tables.
macro_rules! variants {
    ($entry:ident : $function:ty) => {{
        const TABLE: &[$crate::isa::Variant<$function>] = &[
            #[cfg(target_arch = "x86_64")]
            $crate::isa::Variant {
                isa: $crate::isa::Isa::Avx512,
                run: $entry::<$crate::isa::Avx512>,
            },
            #[cfg(target_arch = "x86_64")]
            $crate::isa::Variant { isa: $crate::isa::Isa::Avx2, run: $entry::<$crate::isa::Avx2> },
            #[cfg(target_arch = "aarch64")]
            $crate::isa::Variant { isa: $crate::isa::Isa::Neon, run: $entry::<$crate::isa::Neon> },
            $crate::isa::Variant {
                isa: $crate::isa::Isa::Portable,
                run: $entry::<$crate::isa::Portable>,
            },
        ];
        TABLE
    }};
}
pub(crate) use variants;

/// The entry for `isa` of a kernel: with the instruction of `$witness` where the CPU `$has` it.
macro_rules! pick_with {
    ($isa:expr, $has:ident, $witness:ident, $entry:ident : $function:ty) => {{
        let isa: $crate::isa::Isa = $isa;
        #[cfg(target_arch = "x86_64")]
        let fast: Option<$function> =
            isa.$has().then_some($entry::<$crate::isa::$witness> as $function);
        #[cfg(not(target_arch = "x86_64"))]
        let fast: Option<$function> = None;
        fast.unwrap_or_else(|| $crate::isa::pick($crate::isa::variants!($entry: $function), isa))
    }};
}
pub(crate) use pick_with;

/// `pick_bf16!(isa, entry: FnType)`, of a kernel of bf16 products.
macro_rules! pick_bf16 {
    ($isa:expr, $entry:ident : $function:ty) => {
        $crate::isa::pick_with!($isa, has_bf16_products, Avx512Bf16, $entry: $function)
    };
}
pub(crate) use pick_bf16;

/// `pick_int8!(isa, entry: FnType)`, of a kernel of int8 products.
macro_rules! pick_int8 {
    ($isa:expr, $entry:ident : $function:ty) => {
        $crate::isa::pick_with!($isa, has_int8_products, Avx512Vnni, $entry: $function)
    };
}
pub(crate) use pick_int8;

struct Sizes {
    lanes: usize,
    tile_rows: usize,
    tile_vectors: usize,
}

type SizesFn = fn() -> Option<Sizes>;

static SIZES: &[Variant<SizesFn>] = variants!(sizes: SizesFn);

fn sizes<S: Simd>() -> Option<Sizes> {
    S::detect().map(|_| Sizes {
        lanes: S::LANES,
        tile_rows: S::TILE_ROWS,
        tile_vectors: S::TILE_VECTORS,
    })
}

#[cfg(test)]
mod tests;
