//! How far a result is from the reference.

use std::fmt;

use laterna_tensor::{Tensor, TensorData};

/// How a result differs from what was expected.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// Another shape or element type.
    Type {
        /// The reference's.
        expected: String,
        /// The result's.
        found: String,
    },
    /// Largest difference over largest expected magnitude.
    Relative(f32),
    /// The first position where one is not finite and the other differs, or
    /// where whole numbers differ.
    At {
        /// Position, row-major.
        index: usize,
        /// The reference's number.
        expected: f64,
        /// The result's number.
        found: f64,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::Relative(error) => write!(f, "max |error| / max |reference| is {error:.2e}"),
            Self::At { index, expected, found } => {
                write!(f, "element {index} is {found}, not {expected}")
            }
        }
    }
}

/// Compares a result with the reference: `max |error| / max |reference|` must
/// not exceed `tolerance`; infinities and whole numbers must be equal.
///
/// # Errors
/// The difference, if it is larger.
pub fn compare(expected: &Tensor, found: &Tensor, tolerance: f32) -> Result<(), Difference> {
    if expected.shape() != found.shape() || expected.dtype() != found.dtype() {
        let ty = |t: &Tensor| format!("{}{}", t.dtype(), t.shape());
        return Err(Difference::Type { expected: ty(expected), found: ty(found) });
    }
    match (expected.data(), found.data()) {
        (TensorData::F32(expected), TensorData::F32(found)) => floats(expected, found, tolerance),
        (TensorData::I64(expected), TensorData::I64(found)) => {
            first_unequal(expected.iter().zip(found).map(|(&a, &b)| (a as f64, b as f64)))
        }
        _ => Err(Difference::Type {
            expected: "f32 or i64".into(),
            found: expected.dtype().to_string(),
        }),
    }
}

fn floats(expected: &[f32], found: &[f32], tolerance: f32) -> Result<(), Difference> {
    let pairs = || expected.iter().zip(found).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    let odd = |(a, b): &(f64, f64)| !a.is_finite() || !b.is_finite();
    let special = pairs().map(|pair| if odd(&pair) { pair } else { (0.0, 0.0) });
    first_unequal(special)?;
    let finite = || pairs().filter(|pair| !odd(pair));
    let largest = finite().fold(0.0, |m: f64, (a, _)| m.max(a.abs()));
    let difference = finite().fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
    // Where everything expected is 0, only 0 is right.
    let error = if difference == 0.0 { 0.0 } else { (difference / largest) as f32 };
    if error <= tolerance { Ok(()) } else { Err(Difference::Relative(error)) }
}

fn first_unequal(pairs: impl Iterator<Item = (f64, f64)>) -> Result<(), Difference> {
    let unequal = pairs.enumerate().find(|(_, (expected, found))| expected != found);
    unequal
        .map_or(Ok(()), |(index, (expected, found))| Err(Difference::At { index, expected, found }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(expected: &[f32], found: &[f32]) -> Result<(), Difference> {
        let tensor = |data: &[f32]| Tensor::from_f32([data.len()], data.to_vec()).unwrap();
        compare(&tensor(expected), &tensor(found), 1e-3)
    }

    #[test]
    fn nothing_slips_through() {
        const INFINITY: f32 = f32::INFINITY;
        assert_eq!(compared(&[1.0, -100.0], &[1.05, -100.0]), Ok(()));
        assert!(matches!(compared(&[1.0, 2.0], &[1.0, 2.1]), Err(Difference::Relative(_))));
        assert!(matches!(compared(&[0.0], &[1e-30]), Err(Difference::Relative(_))));
        assert!(matches!(compared(&[1.0], &[f32::NAN]), Err(Difference::At { .. })));
        assert!(matches!(compared(&[f32::NAN], &[f32::NAN]), Err(Difference::At { .. })));
        assert!(matches!(compared(&[1.0, INFINITY], &[1.0, 9.0]), Err(Difference::At { .. })));
        assert_eq!(compared(&[1.0, -INFINITY], &[1.0, -INFINITY]), Ok(()));
        assert!(matches!(compared(&[1.0], &[1.0, 2.0]), Err(Difference::Type { .. })));
    }
}
