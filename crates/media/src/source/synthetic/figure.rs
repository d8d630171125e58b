//! A figure that juggles three balls, and shifts from one foot to the other.

use super::canvas::{Canvas, Point, Rgb};

const SKIN: Rgb = [224.0, 164.0, 132.0];
const SHIRT: Rgb = [196.0, 66.0, 70.0];
const SHIRT_SHADE: Rgb = [142.0, 46.0, 66.0];
const TROUSERS: Rgb = [52.0, 58.0, 92.0];
const HAIR: Rgb = [64.0, 42.0, 40.0];
const BALLS: [Rgb; 3] = [[255.0, 214.0, 84.0], [92.0, 190.0, 214.0], [250.0, 244.0, 236.0]];

/// Seconds from one throw of a hand to its next.
const PERIOD: f32 = 1.1;
/// Part of a ball's time that it lies in a hand: half the hand's period.
const DWELL: f32 = 1.0 / 3.0;
/// How far from the middle a hand catches and throws, and how high it is then.
const CATCH: f32 = 0.092;
const THROW: f32 = 0.056;
const HOLD: f32 = 0.222;
/// A ball's middle above the hand's.
const LIFT: f32 = 0.018;

/// Draws the figure with its feet at `foot`.
pub(super) fn draw(canvas: &mut Canvas<'_>, foot: Point, time: f32) {
    let sway = 0.008 * (time * std::f32::consts::TAU / PERIOD / 2.0).sin();
    let bounce = 0.004 * (time * std::f32::consts::TAU / PERIOD * 2.0).sin();
    let at = |[right, up]: Point| -> Point { [foot[0] + right, foot[1] - up] };
    let body = |[right, up]: Point| at([right + sway, up + bounce]);
    // The shadow falls towards the viewer.
    canvas.capsule(at([-0.055, -0.012]), at([0.04, -0.014]), 0.012, 0.008, [42.0, 54.0, 44.0]);
    for side in [-1.0, 1.0] {
        let (hip, knee) =
            (body([side * 0.018, 0.155]), at([side * 0.03 + sway * 1.6, 0.08 + bounce]));
        let ankle = at([side * 0.036, 0.006]);
        canvas.capsule(hip, knee, 0.019, 0.015, TROUSERS);
        canvas.capsule(knee, ankle, 0.014, 0.010, TROUSERS);
        canvas.capsule(ankle, at([side * 0.036 + 0.02, 0.0]), 0.009, 0.007, HAIR);
    }
    canvas.capsule(body([0.0, 0.165]), body([0.0, 0.255]), 0.032, 0.036, SHIRT);
    canvas.capsule(body([-0.016, 0.165]), body([-0.02, 0.25]), 0.016, 0.015, SHIRT_SHADE);
    canvas.capsule(body([0.0, 0.28]), body([0.0, 0.305]), 0.012, 0.012, SKIN);
    canvas.disc(body([0.004, 0.333]), 0.031, SKIN);
    canvas.capsule(body([-0.012, 0.345]), body([0.014, 0.356]), 0.023, 0.016, HAIR);
    for (index, side) in [-1.0, 1.0].into_iter().enumerate() {
        arm(canvas, body([side * 0.036, 0.262]), body(hand(index, time)), side);
    }
    for (ball, colour) in BALLS.into_iter().enumerate() {
        let centre = body(place(ball, time));
        canvas.disc(centre, 0.0165, colour);
        canvas.disc([centre[0] + 0.005, centre[1] - 0.005], 0.005, [255.0, 252.0, 240.0]);
    }
}

fn arm(canvas: &mut Canvas<'_>, shoulder: Point, hand: Point, side: f32) {
    let elbow = [(shoulder[0] + hand[0]) / 2.0 + side * 0.026, shoulder[1].max(hand[1]) + 0.012];
    canvas.capsule(shoulder, elbow, 0.015, 0.012, SHIRT);
    canvas.capsule(elbow, hand, 0.010, 0.008, SKIN);
    canvas.disc(hand, 0.0115, SKIN);
}

/// Where a hand is: it scoops from where it catches, outside, to where it throws,
/// inside, and goes back.
fn hand(index: usize, time: f32) -> Point {
    let turn = (time / PERIOD + 0.5 * index as f32) * std::f32::consts::TAU;
    let side = if index == 0 { -1.0 } else { 1.0 };
    let (middle, half) = ((CATCH + THROW) / 2.0, (CATCH - THROW) / 2.0);
    [side * (middle + half * turn.cos()), HOLD - 0.02 * turn.sin()]
}

/// Where a ball is: in a hand for a while, then in flight to the other one. Hands
/// throw in turn, so that a ball is thrown again after a period and a half.
fn place(ball: usize, time: f32) -> Point {
    let turn = time / (1.5 * PERIOD) - ball as f32 / 3.0;
    let throws = turn.floor() as i64 + ball as i64;
    let index = throws.rem_euclid(2) as usize;
    let part = turn - turn.floor();
    if part < DWELL {
        let [x, y] = hand(index, time);
        return [x, y + LIFT];
    }
    let side = if index == 0 { -1.0 } else { 1.0 };
    let flight = (part - DWELL) / (1.0 - DWELL);
    let rise = 4.0 * flight * (1.0 - flight);
    [side * (THROW + (-CATCH - THROW) * flight), HOLD + LIFT + 0.27 * rise]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balls_move_without_jumps_and_visit_both_hands() {
        for ball in 0..3 {
            let places: Vec<Point> = (0..4000).map(|ms| place(ball, ms as f32 / 1000.0)).collect();
            for pair in places.windows(2) {
                let way = (pair[0][0] - pair[1][0]).hypot(pair[0][1] - pair[1][1]);
                assert!(way < 0.004, "{pair:?}");
            }
            let low = |side: f32| places.iter().any(|p| p[0] * side > 0.07 && p[1] < 0.24);
            assert!(low(-1.0) && low(1.0));
        }
    }

    #[test]
    fn no_two_balls_are_in_one_hand() {
        for ms in 0..4000 {
            let places: [Point; 3] = std::array::from_fn(|ball| place(ball, ms as f32 / 1000.0));
            for (a, b) in [(0, 1), (0, 2), (1, 2)] {
                let way = (places[a][0] - places[b][0]).hypot(places[a][1] - places[b][1]);
                assert!(way > 0.02, "{ms} ms: {places:?}");
            }
        }
    }
}
