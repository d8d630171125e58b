//! The order of file names that people expect: `frame2` before `frame10`.

use std::cmp::Ordering;

/// Compares runs of digits by their value and everything else by character,
/// without regard to case; names that are then equal, byte by byte.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while !left.is_empty() && !right.is_empty() {
        let (first, second);
        (first, left) = split_part(left);
        (second, right) = split_part(right);
        let order = compare_parts(first, second);
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// The digits or the one character that a name begins with, and the rest.
fn split_part(name: &str) -> (&str, &str) {
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    let end = if digits > 0 { digits } else { name.chars().next().map_or(0, char::len_utf8) };
    name.split_at(end)
}

fn compare_parts(a: &str, b: &str) -> Ordering {
    let is_number = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
    if is_number(a) && is_number(b) {
        let [a, b] = [a, b].map(|number| number.trim_start_matches('0'));
        return a.len().cmp(&b.len()).then_with(|| a.cmp(b));
    }
    a.chars().flat_map(char::to_lowercase).cmp(b.chars().flat_map(char::to_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        let mut names =
            ["b10", "b9", "B1", "b010", "a", "b9a", "b", "ä2", "b99999999999999999999", ""];
        names.sort_by(|a, b| compare(a, b));
        assert_eq!(
            names,
            ["", "a", "b", "B1", "b9", "b9a", "b010", "b10", "b99999999999999999999", "ä2"]
        );
    }

    #[test]
    fn different_names_are_never_equal() {
        let names = ["a1", "A1", "a01", "a001", "1a", "01a", "1", "01"];
        for (i, a) in names.iter().enumerate() {
            for (j, b) in names.iter().enumerate() {
                assert_eq!(compare(a, b).is_eq(), i == j, "{a} {b}");
                assert_eq!(compare(a, b), compare(b, a).reverse());
            }
        }
    }
}
