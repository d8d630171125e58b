//! Every weight format, as the command and as the library call it.

use laterna_coreml::emit::{Options, Target, WeightFormat};

/// The oldest system of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    MacOs14,
    MacOs15,
}

impl System {
    pub fn name(self) -> &'static str {
        match self {
            Self::MacOs14 => "14",
            Self::MacOs15 => "15",
        }
    }
}

/// A format that weights are stored in.
pub struct Format {
    pub name: &'static str,
    pub arguments: &'static [&'static str],
    pub weights: WeightFormat,
    /// Whether macOS 14 lacks it.
    new_only: bool,
}

const fn old(
    name: &'static str,
    arguments: &'static [&'static str],
    weights: WeightFormat,
) -> Format {
    Format { name, arguments, weights, new_only: false }
}

const fn new(
    name: &'static str,
    arguments: &'static [&'static str],
    weights: WeightFormat,
) -> Format {
    Format { new_only: true, ..old(name, arguments, weights) }
}

const fn palette(bits: u8, group: Option<usize>) -> WeightFormat {
    WeightFormat::Palette { bits, group }
}

const ALL: &[Format] = &[
    old("fp16", &["--weights", "fp16"], WeightFormat::Fp16),
    old("int8", &["--weights", "int8"], WeightFormat::Int8 { symmetric: true }),
    old("int8-offset", &["--weights", "int8-offset"], WeightFormat::Int8 { symmetric: false }),
    old("pal8", &["--weights", "pal8"], palette(8, None)),
    old("pal6", &["--weights", "pal6"], palette(6, None)),
    old("pal4", &["--weights", "pal4"], palette(4, None)),
    old("pal2", &["--weights", "pal2"], palette(2, None)),
    old("pal1", &["--weights", "pal1"], palette(1, None)),
    old("sparse", &["--weights", "sparse"], WeightFormat::Sparse { density: 0.5 }),
    new("pal3", &["--weights", "pal3"], palette(3, None)),
    new("pal8-16", &["--weights", "pal8", "--group", "16"], palette(8, Some(16))),
    new("pal6-16", &["--weights", "pal6", "--group", "16"], palette(6, Some(16))),
    new("pal4-16", &["--weights", "pal4", "--group", "16"], palette(4, Some(16))),
    new("pal3-16", &["--weights", "pal3", "--group", "16"], palette(3, Some(16))),
    new("pal2-16", &["--weights", "pal2", "--group", "16"], palette(2, Some(16))),
    new("pal1-16", &["--weights", "pal1", "--group", "16"], palette(1, Some(16))),
    new("int4", &["--weights", "int4"], WeightFormat::Int4 { block: 32 }),
];

/// Those that `LATERNA_FORMATS` names, or all.
pub fn chosen() -> Vec<&'static Format> {
    let Ok(names) = std::env::var("LATERNA_FORMATS") else { return ALL.iter().collect() };
    let find = |name| ALL.iter().find(|format| format.name == name);
    names.split(',').map(|name| find(name).unwrap_or_else(|| panic!("no format {name}"))).collect()
}

impl Format {
    pub fn systems(&self) -> &'static [System] {
        match self.new_only {
            true => &[System::MacOs15],
            false => &[System::MacOs14, System::MacOs15],
        }
    }

    /// For what does not depend on the system.
    pub fn options(&self) -> Options {
        Options { weights: self.weights, ..Options::new(Target::MacOs15) }
    }
}
