//! A sailing boat on the sea, and gulls above it.

use super::backdrop::HORIZON;
use super::canvas::{Canvas, Point, Rgb};

const HULL: Rgb = [112.0, 52.0, 44.0];
const SAIL: Rgb = [255.0, 240.0, 214.0];
const SHADE: Rgb = [226.0, 178.0, 158.0];
const MAST: Rgb = [70.0, 46.0, 42.0];

/// Heights of the picture that the boat sails in a second.
const SPEED: f32 = 0.022;

/// The boat sails from left to right, leaves the picture and comes again.
pub(super) fn draw(canvas: &mut Canvas<'_>, time: f32) {
    let way = canvas.aspect() + 0.4;
    let x = (0.55 + SPEED * time).rem_euclid(way) - 0.2;
    let water = HORIZON + 0.095 + 0.004 * (time * 1.3).sin();
    let (sine, cosine) = (0.05 * (time * 1.1).sin() - 0.03).sin_cos();
    let at = |[right, up]: Point| -> Point {
        [x + right * cosine + up * sine, water + right * sine - up * cosine]
    };
    reflect(canvas, [x, water], time);
    canvas.polygon([at([0.004, 0.215]), at([0.098, 0.034]), at([0.004, 0.034])], SAIL);
    canvas.polygon([at([-0.004, 0.195]), at([-0.004, 0.034]), at([-0.075, 0.034])], SHADE);
    canvas.capsule(at([0.0, 0.015]), at([0.0, 0.225]), 0.0034, 0.002, MAST);
    canvas.capsule(at([-0.08, 0.03]), at([0.1, 0.03]), 0.0026, 0.002, MAST);
    canvas.polygon(
        [at([-0.1, 0.026]), at([0.125, 0.03]), at([0.088, -0.012]), at([-0.078, -0.012])],
        HULL,
    );
    canvas.polygon(
        [at([-0.1, 0.027]), at([0.125, 0.031]), at([0.12, 0.022]), at([-0.096, 0.018])],
        [236.0, 196.0, 150.0],
    );
    let flap = 0.006 * (time * 7.0).sin();
    canvas.polygon(
        [at([0.0, 0.246]), at([0.0, 0.226]), at([-0.034, 0.236 + flap])],
        [206.0, 64.0, 56.0],
    );
}

/// The hull and the sails in the water, in strips that waver.
fn reflect(canvas: &mut Canvas<'_>, [x, water]: Point, time: f32) {
    for strip in 0..9_u8 {
        let down = 0.016 + f32::from(strip) * 0.0115;
        let waver = 0.012 * (time * 2.4 + f32::from(strip) * 1.7).sin() * (1.0 + down * 8.0);
        let half = 0.085 - f32::from(strip) * 0.0085;
        let colour = if strip < 2 { [92.0, 66.0, 76.0] } else { [222.0, 190.0, 178.0] };
        let (left, right) = ([x - half + waver, water + down], [x + half + waver, water + down]);
        canvas.capsule(left, right, 0.003, 0.003, colour);
    }
}

/// Three gulls that circle and beat their wings.
pub(super) fn draw_gulls(canvas: &mut Canvas<'_>, time: f32) {
    for gull in 0..3_u8 {
        let gull = f32::from(gull);
        let angle = time * (0.22 + 0.05 * gull) + 2.1 * gull;
        let centre = [canvas.aspect() * (0.36 + 0.1 * gull), 0.25 + 0.05 * gull];
        let body = [centre[0] + 0.16 * angle.cos(), centre[1] + 0.045 * (2.0 * angle).sin()];
        let lift = 0.02 * (time * (5.0 + gull) + gull).sin();
        for side in [-1.0, 1.0] {
            let elbow = [body[0] + side * 0.02, body[1] - 0.012 - 0.5 * lift];
            let tip = [body[0] + side * 0.046, body[1] - 0.006 - 1.4 * lift];
            canvas.capsule(body, elbow, 0.0036, 0.0028, [74.0, 66.0, 90.0]);
            canvas.capsule(elbow, tip, 0.0028, 0.001, [74.0, 66.0, 90.0]);
        }
    }
}
