//! Keys as the program knows them: what they write, or where they point.

use winit::keyboard::{Key as Logical, NamedKey};

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A key that writes, small letters unless shift is held; space too.
    Char(char),
    /// Arrow to the left.
    Left,
    /// Arrow to the right.
    Right,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Return or enter.
    Enter,
    /// Tab.
    Tab,
    /// Delete to the left.
    Backspace,
    /// Escape, unless it has left full screen.
    Escape,
}

impl Key {
    /// The key of winit's, if it is one of these.
    pub(super) fn of(key: &Logical) -> Option<Self> {
        match key {
            Logical::Character(text) => only(text.chars()).map(Self::Char),
            Logical::Named(named) => Self::named(*named),
            _ => None,
        }
    }

    fn named(key: NamedKey) -> Option<Self> {
        Some(match key {
            NamedKey::Space => Self::Char(' '),
            NamedKey::ArrowLeft => Self::Left,
            NamedKey::ArrowRight => Self::Right,
            NamedKey::ArrowUp => Self::Up,
            NamedKey::ArrowDown => Self::Down,
            NamedKey::Enter => Self::Enter,
            NamedKey::Tab => Self::Tab,
            NamedKey::Backspace => Self::Backspace,
            NamedKey::Escape => Self::Escape,
            _ => return None,
        })
    }

    /// Whether holding it is pressing it again and again: those that change
    /// something by steps, not those that switch.
    pub(super) fn repeats(self) -> bool {
        match self {
            Self::Left | Self::Right | Self::Up | Self::Down | Self::Backspace => true,
            Self::Char(char) => "+-=_".contains(char),
            _ => false,
        }
    }
}

fn only(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_they_write_or_where_they_point() {
        let of = |text: &str| Key::of(&Logical::Character(text.into()));
        assert_eq!((of("q"), of("+"), of("Ä")), tuple(['q', '+', 'Ä']));
        assert_eq!((of("ab"), of("")), (None, None));
        assert_eq!(Key::of(&Logical::Named(NamedKey::Space)), Some(Key::Char(' ')));
        assert_eq!(Key::of(&Logical::Named(NamedKey::ArrowUp)), Some(Key::Up));
        assert_eq!(Key::of(&Logical::Named(NamedKey::Shift)), None);
        assert!(Key::Up.repeats() && Key::Char('+').repeats() && !Key::Char('q').repeats());
    }

    fn tuple([a, b, c]: [char; 3]) -> (Option<Key>, Option<Key>, Option<Key>) {
        (Some(Key::Char(a)), Some(Key::Char(b)), Some(Key::Char(c)))
    }
}
