//! A tree that sways in the wind.

use super::canvas::{Canvas, Point, Rgb, mix};
use super::noise::hash;

/// Tufts of leaves.
const LEAVES: usize = 420;

const BARK: Rgb = [74.0, 52.0, 48.0];

/// Where the crown's parts are, from the foot: right, up, radius.
const CROWN: [[f32; 3]; 6] = [
    [0.0, 0.47, 0.13],
    [-0.13, 0.40, 0.11],
    [0.14, 0.41, 0.11],
    [-0.07, 0.53, 0.09],
    [0.08, 0.55, 0.09],
    [0.02, 0.36, 0.10],
];

pub(super) struct Tree {
    leaves: Vec<Leaf>,
}

/// A tuft of leaves.
struct Leaf {
    /// From the foot: right, up.
    place: Point,
    radius: f32,
    colour: Rgb,
    phase: f32,
}

impl Tree {
    pub(super) fn new() -> Self {
        let mut leaves: Vec<Leaf> = (0..LEAVES as u32).map(Leaf::new).collect();
        // The dark ones inside come first.
        leaves.sort_by(|a, b| a.colour[1].total_cmp(&b.colour[1]));
        Self { leaves }
    }

    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, foot: Point, time: f32) {
        let at = |[right, up]: Point| -> Point {
            let bend = wind(time) * up * up;
            [foot[0] + right + bend, foot[1] - up]
        };
        canvas.capsule(at([0.0, -0.03]), at([0.0, 0.2]), 0.026, 0.018, BARK);
        canvas.capsule(at([0.0, 0.18]), at([0.01, 0.44]), 0.018, 0.008, BARK);
        for [right, up, _] in CROWN {
            canvas.capsule(at([0.0, 0.2]), at([right * 0.8, up]), 0.011, 0.004, BARK);
        }
        // The side that the sun shines on.
        canvas.capsule(at([0.012, 0.0]), at([0.01, 0.22]), 0.006, 0.004, [158.0, 104.0, 76.0]);
        for leaf in &self.leaves {
            let flutter = 0.004 * (time * 2.6 + leaf.phase).sin();
            let [x, y] = at(leaf.place);
            canvas.disc([x + flutter, y + 0.5 * flutter], leaf.radius, leaf.colour);
        }
    }
}

/// How far the wind bends what is one height tall.
pub(super) fn wind(time: f32) -> f32 {
    0.09 * (time * 0.8).sin() + 0.035 * (time * 1.9 + 1.0).sin()
}

impl Leaf {
    fn new(index: u32) -> Self {
        let random = |which: u32| hash(5000 + index * 8 + which);
        let [right, up, radius] = CROWN[index as usize % CROWN.len()];
        let (angle, out) = (random(0) * std::f32::consts::TAU, random(1).sqrt());
        let place = [right + radius * out * angle.cos(), up + radius * out * angle.sin() * 0.8];
        // Lit from the right and above.
        let light = (0.5 + 0.5 * out * (angle - 0.6).cos() + 1.6 * place[0]).clamp(0.0, 1.0);
        let light = (light * 0.8 + 0.35 * (random(2) - 0.4)).clamp(0.0, 1.0);
        let colour = match light {
            low if low < 0.6 => mix([34.0, 56.0, 46.0], [92.0, 116.0, 58.0], low / 0.6),
            high => mix([92.0, 116.0, 58.0], [224.0, 190.0, 96.0], (high - 0.6) / 0.4),
        };
        Self { place, radius: 0.011 + 0.014 * random(3), colour, phase: random(4) * 6.3 }
    }
}
