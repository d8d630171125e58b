//! The gallery of prompts that a session begins with: the study's ten styles.

use serde::Serialize;

/// A style with a name to show and the prompt that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Style {
    /// Name.
    pub name: &'static str,
    /// Prompt.
    pub prompt: &'static str,
}

/// The ten styles.
pub const STYLES: [Style; 10] = [
    Style { name: "Oil", prompt: "oil painting, thick brush strokes" },
    Style { name: "Watercolour", prompt: "watercolour painting on paper" },
    Style { name: "Pencil", prompt: "pencil sketch" },
    Style { name: "Neon", prompt: "cyberpunk neon city at night" },
    Style { name: "Anime", prompt: "anime film still" },
    Style { name: "HDR", prompt: "HDR photograph" },
    Style { name: "Impressionist", prompt: "impressionist painting" },
    Style { name: "Dark fantasy", prompt: "dark fantasy painting" },
    Style { name: "Ukiyo-e", prompt: "ukiyo-e woodblock print" },
    Style { name: "Pop art", prompt: "pop art" },
];

/// The index after or before that of `prompt` in the gallery, around its ends;
/// the first for a prompt that is not in it.
pub fn neighbour(prompt: &str, forward: bool) -> usize {
    match STYLES.iter().position(|style| style.prompt == prompt) {
        Some(index) if forward => (index + 1) % STYLES.len(),
        Some(index) => (index + STYLES.len() - 1) % STYLES.len(),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_go_around() {
        assert_eq!(neighbour(STYLES[9].prompt, true), 0);
        assert_eq!(neighbour(STYLES[0].prompt, false), 9);
        assert_eq!(neighbour("a cat", true), 0);
    }
}
