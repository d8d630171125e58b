//! The fields of one config.json: each is taken once, and what is left at the
//! end is unknown.

use laterna_graph::op::Activation;
use serde_json::{Map, Value};

use super::error::{ConfigError, show};

/// No layer of any published network comes near this extent; beyond it,
/// products of extents could overflow.
const MAX_EXTENT: usize = 1 << 20;

/// Entries of a list that has one entry a level.
const MAX_LEVELS: usize = 16;

/// The activations of diffusers that the graph has, by name.
const ACTIVATIONS: &[(&str, Activation)] = &[
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("gelu", Activation::Gelu),
    ("relu", Activation::Relu),
];

/// The only value of a field that is implemented.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fixed {
    Null,
    False,
    One,
    Text(&'static str),
}

impl Fixed {
    fn accepts(self, value: &Value) -> bool {
        match self {
            Self::Null => value.is_null(),
            Self::False => value.is_null() || *value == Value::Bool(false),
            Self::One => value.as_f64() == Some(1.0),
            Self::Text(text) => value.as_str() == Some(text),
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::False => "false".into(),
            Self::One => "1".into(),
            Self::Text(text) => format!("{text:?}"),
        }
    }
}

/// The fields of one configuration that nobody has asked for yet.
#[derive(Debug)]
pub(crate) struct Fields {
    file: String,
    rest: Map<String, Value>,
}

type Read<T> = Result<T, ConfigError>;

impl Fields {
    /// Parses `json`; `file` is named in errors.
    pub(crate) fn parse(file: &str, json: &str) -> Read<Self> {
        let not_an_object = |reason: String| ConfigError::Json { file: file.to_owned(), reason };
        match serde_json::from_str(json) {
            Ok(Value::Object(rest)) => Ok(Self { file: file.to_owned(), rest }),
            Ok(other) => Err(not_an_object(format!("found {}", show(&other)))),
            Err(error) => Err(not_an_object(error.to_string())),
        }
    }

    /// The field's value, `None` if it is absent.
    pub(crate) fn take(&mut self, field: &str) -> Option<Value> {
        self.rest.remove(field)
    }

    /// An extent: a whole number from 1.
    pub(crate) fn extent(&mut self, field: &str, default: usize) -> Read<usize> {
        self.read(field, default, extent, "a whole number from 1 to 1048576")
    }

    /// An extent; `None` if the field is absent or null.
    pub(crate) fn optional_extent(&mut self, field: &str) -> Read<Option<usize>> {
        let read = |value: &Value| match value {
            Value::Null => Some(None),
            value => extent(value).map(Some),
        };
        self.read(field, None, read, "a whole number from 1 to 1048576 or null")
    }

    /// A whole number of at most `max`.
    pub(crate) fn whole(&mut self, field: &str, default: usize, max: usize) -> Read<usize> {
        self.read(field, default, |v| whole(v, max), &format!("a whole number up to {max}"))
    }

    /// A number that f32 can hold.
    pub(crate) fn number(&mut self, field: &str, default: f32) -> Read<f32> {
        self.read(field, default, number, "a number")
    }

    /// A number; `None` if the field is absent or null.
    pub(crate) fn optional_number(&mut self, field: &str) -> Read<Option<f32>> {
        let read = |value: &Value| match value {
            Value::Null => Some(None),
            value => number(value).map(Some),
        };
        self.read(field, None, read, "a number or null")
    }

    /// A number above zero, such as what is added to a variance.
    pub(crate) fn positive(&mut self, field: &str, default: f32) -> Read<f32> {
        let read = |value: &Value| number(value).filter(|&n| n > 0.0);
        self.read(field, default, read, "a number above 0")
    }

    /// True or false; null is false, as Python has it.
    pub(crate) fn flag(&mut self, field: &str, default: bool) -> Read<bool> {
        let read = |value: &Value| match value {
            Value::Null => Some(false),
            value => value.as_bool(),
        };
        self.read(field, default, read, "true or false")
    }

    /// A string; `None` if the field is absent or null.
    pub(crate) fn optional_text(&mut self, field: &str) -> Read<Option<String>> {
        let read = |value: &Value| match value {
            Value::Null => Some(None),
            value => value.as_str().map(|text| Some(text.to_owned())),
        };
        self.read(field, None, read, "a string or null")
    }

    /// A list of strings, one a level.
    pub(crate) fn texts(&mut self, field: &str, default: &[&str]) -> Read<Vec<String>> {
        let default = default.iter().map(|&text| text.to_owned()).collect();
        let one = |value: &Value| value.as_str().map(str::to_owned);
        self.read(field, default, |v| list(v, one), "a list of strings")
    }

    /// A list of extents, one a level.
    pub(crate) fn extents(&mut self, field: &str, default: &[usize]) -> Read<Vec<usize>> {
        self.read(field, default.to_vec(), |v| list(v, extent), "a list of whole numbers from 1")
    }

    /// A list of whole numbers of at most `max`, one a level.
    pub(crate) fn wholes(
        &mut self,
        field: &str,
        default: &[usize],
        max: usize,
    ) -> Read<Vec<usize>> {
        let expected = format!("a list of whole numbers up to {max}");
        self.read(field, default.to_vec(), |v| list(v, |n| whole(n, max)), &expected)
    }

    /// One value for every level, or a list with one value a level.
    pub(crate) fn per_level<T: Clone>(
        &mut self,
        field: &str,
        default: T,
        levels: usize,
        one: impl Fn(&Value) -> Option<T>,
        expected: &str,
    ) -> Read<Vec<T>> {
        let read = |value: &Value| match one(value) {
            Some(same) => Some(vec![same; levels]),
            None => list(value, &one).filter(|values| values.len() == levels),
        };
        let expected = format!("{expected}, or a list of {levels} of them");
        self.read(field, vec![default; levels], read, &expected)
    }

    /// One of diffusers' activations.
    pub(crate) fn activation(&mut self, field: &str, default: Activation) -> Read<Activation> {
        Ok(self.optional_activation(field)?.unwrap_or(default))
    }

    /// One of diffusers' activations; `None` if the field is absent or null.
    pub(crate) fn optional_activation(&mut self, field: &str) -> Read<Option<Activation>> {
        let Some(name) = self.optional_text(field)? else { return Ok(None) };
        let row = ACTIVATIONS.iter().find(|(known, _)| *known == name.to_lowercase());
        let supported = || ACTIVATIONS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        row.map(|&(_, activation)| Some(activation))
            .ok_or_else(|| self.unsupported(field, &Value::String(name), &supported()))
    }

    /// Takes fields of which one value alone is implemented.
    pub(crate) fn fixed(&mut self, table: &[(&str, Fixed)]) -> Read<()> {
        for &(field, fixed) in table {
            if let Some(value) = self.take(field).filter(|value| !fixed.accepts(value)) {
                return Err(self.unsupported(field, &value, &fixed.describe()));
            }
        }
        Ok(())
    }

    /// Drops fields that cannot change the result, each with its reason.
    pub(crate) fn ignore(&mut self, table: &[(&str, &str)]) {
        for (field, _) in table {
            self.rest.remove(*field);
        }
    }

    /// Whoever reads the configuration has asked for all it knows.
    pub(crate) fn finish(self) -> Read<()> {
        let unknown = self.rest.iter().find(|(field, _)| !field.starts_with('_'));
        unknown.map_or(Ok(()), |(field, value)| {
            Err(ConfigError::Unknown {
                file: self.file.clone(),
                field: field.clone(),
                value: show(value),
            })
        })
    }

    /// The error for a legal value that is not implemented.
    pub(crate) fn unsupported(&self, field: &str, value: &Value, supported: &str) -> ConfigError {
        ConfigError::Unsupported {
            file: self.file.clone(),
            field: field.to_owned(),
            value: show(value),
            supported: supported.to_owned(),
        }
    }

    /// The error for an impossible value.
    pub(crate) fn wrong(&self, field: &str, value: &Value, expected: &str) -> ConfigError {
        ConfigError::Value {
            file: self.file.clone(),
            field: field.to_owned(),
            value: show(value),
            expected: expected.to_owned(),
        }
    }

    /// The error for an absent field.
    pub(crate) fn missing(&self, field: &str) -> ConfigError {
        ConfigError::Missing { file: self.file.clone(), field: field.to_owned() }
    }

    /// Takes the field and reads it; an absent one has the default.
    pub(crate) fn read<T>(
        &mut self,
        field: &str,
        default: T,
        read: impl FnOnce(&Value) -> Option<T>,
        expected: &str,
    ) -> Read<T> {
        match self.take(field) {
            None => Ok(default),
            Some(value) => read(&value).ok_or_else(|| self.wrong(field, &value, expected)),
        }
    }
}

/// A whole number from 1 to [`MAX_EXTENT`].
pub(crate) fn extent(value: &Value) -> Option<usize> {
    whole(value, MAX_EXTENT).filter(|&n| n > 0)
}

/// A whole number of at most `max`.
pub(crate) fn whole(value: &Value, max: usize) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok().filter(|&n| n <= max)
}

/// A number that is finite as f32.
fn number(value: &Value) -> Option<f32> {
    let number = value.as_f64()? as f32;
    number.is_finite().then_some(number)
}

/// A list of 1 to [`MAX_LEVELS`] entries.
pub(crate) fn list<T>(value: &Value, one: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    let entries = value.as_array()?;
    let count_fits = (1..=MAX_LEVELS).contains(&entries.len());
    if count_fits { entries.iter().map(one).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asks_for_is_an_error() {
        let mut fields = Fields::parse("config.json", r#"{"a": 3, "b": [1], "_c": 0}"#).unwrap();
        assert_eq!(fields.extent("a", 1), Ok(3));
        assert_eq!(fields.extent("absent", 7), Ok(7));
        let error = fields.finish().unwrap_err().to_string();
        assert_eq!(error, "config.json: b: unknown field (its value is [1])");
    }

    #[test]
    fn foreign_values_are_refused() {
        for (json, expected) in [
            (r#"{"a": -1}"#, "c: a: -1 is not a whole number from 1 to 1048576"),
            (r#"{"a": 1e400}"#, "c: not a JSON object: number out of range at line 1 column 11"),
            (r#"{"a": 99999999999999}"#, "c: a: 99999999999999 is not a whole number from 1"),
            (r#"{"a": "x"}"#, "c: a: \"x\" is not a whole number from 1 to 1048576"),
            ("[]", "c: not a JSON object: found []"),
        ] {
            let read = Fields::parse("c", json).and_then(|mut fields| fields.extent("a", 1));
            let error = read.unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let json = "[".repeat(100_000);
        assert!(matches!(Fields::parse("c", &json), Err(ConfigError::Json { .. })));
    }

    #[test]
    fn only_the_implemented_value_passes() {
        let table = [("a", Fixed::Null), ("b", Fixed::One), ("c", Fixed::Text("x"))];
        let read = |json: &str| Fields::parse("f", json).and_then(|mut f| f.fixed(&table));
        assert_eq!(read(r#"{"a": null, "b": 1.0, "c": "x"}"#), Ok(()));
        let error = read(r#"{"c": "y"}"#).unwrap_err().to_string();
        assert_eq!(error, "f: c: \"y\" is not supported, only \"x\"");
    }
}
