//! Which device each operation of a model gets: a silent retreat to the processor
//! is the usual reason for a slow one.

use std::fmt;

/// A device that Core ML chooses for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each variant is the device of that name")]
pub enum Unit {
    Cpu,
    Gpu,
    NeuralEngine,
}

impl Unit {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Gpu, Self::NeuralEngine];

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Gpu => "GPU",
            Self::NeuralEngine => "Neural Engine",
        }
    }
}

/// One operation. Constants have no device, and are not listed.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// The operation's type, such as `conv`.
    pub operation: String,
    /// The name of its first result.
    pub result: String,
    /// The device that Core ML prefers.
    pub unit: Unit,
    /// Its part of the model's whole cost, 0 to 1, where Core ML estimates one.
    pub cost: Option<f64>,
}

/// The operations of a function in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placement(pub Vec<Placed>);

impl Placement {
    /// Operations on a device.
    pub fn count(&self, unit: Unit) -> usize {
        self.0.iter().filter(|placed| placed.unit == unit).count()
    }
}

/// Operations on each device, such as "CPU 2, GPU 40".
impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = Unit::ALL.map(|unit| (self.count(unit), unit.name()));
        let used = counts.into_iter().filter(|&(count, _)| count > 0);
        let parts: Vec<_> = used.map(|(count, name)| format!("{name} {count}")).collect();
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placements_are_told_in_one_line() {
        let placed =
            |unit| Placed { operation: "conv".into(), result: "y".into(), unit, cost: None };
        let placement = Placement(vec![placed(Unit::Gpu), placed(Unit::Cpu), placed(Unit::Gpu)]);
        assert_eq!(placement.to_string(), "CPU 1, GPU 2");
    }
}
