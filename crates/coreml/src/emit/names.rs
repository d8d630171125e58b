//! Identifiers: Core ML takes letters, digits and underscores, and each name
//! once in a function.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Words that MIL's own text form gives a meaning.
const RESERVED: &[&str] = &[
    "any", "bool", "dict", "false", "func", "list", "program", "state", "string", "tensor", "true",
    "tuple",
];

/// The names of a function.
#[derive(Debug, Default)]
pub(super) struct Names {
    used: HashSet<Arc<str>>,
    next: HashMap<Arc<str>, usize>,
}

impl Names {
    /// A name like `hint` that is not taken, which it then is.
    pub fn unique(&mut self, hint: &str) -> Arc<str> {
        let base: Arc<str> = identifier(hint).into();
        let mut name = base.clone();
        while self.used.contains(&name) {
            let next = self.next.entry(base.clone()).or_insert(0);
            name = format!("{base}_{next}").into();
            *next += 1;
        }
        self.used.insert(name.clone());
        name
    }
}

/// `text` as an identifier.
pub(super) fn identifier(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = text.chars().map(allowed).collect();
    let starts_well = name.chars().next().is_some_and(|c| !c.is_ascii_digit());
    if starts_well && !RESERVED.contains(&name.as_str()) { name } else { format!("_{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_identifiers_and_unique() {
        let mut names = Names::default();
        let hints =
            ["unet.conv_in", "unet conv_in", "unet.conv_in_0", "unet.conv_in", "1x", "", "true"];
        let made: Vec<_> = hints.map(|hint| names.unique(hint).to_string()).into();
        let expected = [
            "unet_conv_in",
            "unet_conv_in_0",
            "unet_conv_in_0_0",
            "unet_conv_in_1",
            "_1x",
            "_",
            "_true",
        ];
        assert_eq!(made, expected);
    }
}
