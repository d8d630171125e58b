//! Reading scheduler_config.json with the semantics of diffusers' `from_config`:
//! a field that is absent, null or listed in `_use_default_values` takes the
//! default of the scheduler being built, whichever class wrote the file.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use super::error::{Problem, SchedulerError};

/// Every field that diffusers' interchangeable schedulers define. A scheduler
/// reads its own and passes over the others', so that a configuration written
/// for one scheduler can build another.
const KNOWN_FIELDS: &[&str] = &[
    "algorithm_type",
    "beta_end",
    "beta_schedule",
    "beta_start",
    "clip_sample",
    "clip_sample_range",
    "disable_corrector",
    "dynamic_thresholding_ratio",
    "euler_at_final",
    "final_sigmas_type",
    "flow_shift",
    "interpolation_type",
    "lambda_min_clipped",
    "lower_order_final",
    "num_train_timesteps",
    "original_inference_steps",
    "predict_x0",
    "prediction_type",
    "rescale_betas_zero_snr",
    "rho",
    "sample_max_value",
    "set_alpha_to_one",
    "shift_terminal",
    "sigma_data",
    "sigma_max",
    "sigma_min",
    "sigma_schedule",
    "skip_prk_steps",
    "solver_order",
    "solver_p",
    "solver_type",
    "steps_offset",
    "thresholding",
    "time_shift_type",
    "timestep_scaling",
    "timestep_spacing",
    "timestep_type",
    "trained_betas",
    "use_beta_sigmas",
    "use_dynamic_shifting",
    "use_exponential_sigmas",
    "use_flow_sigmas",
    "use_karras_sigmas",
    "use_lu_lambdas",
    "variance_type",
];

/// The contents of one scheduler_config.json.
#[derive(Clone, Debug)]
pub struct Config {
    file: String,
    class: String,
    fields: Map<String, Value>,
}

impl Config {
    /// Reads a scheduler_config.json.
    ///
    /// # Errors
    /// If it cannot be read, is not a JSON object or has an unknown field.
    pub fn load(path: &Path) -> Result<Self, SchedulerError> {
        let file = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&file, &text),
            Err(source) => Err(SchedulerError::Read { file, source }),
        }
    }

    /// Reads the text of a scheduler_config.json; `file` names it in errors.
    ///
    /// # Errors
    /// If it is not a JSON object or has an unknown field.
    pub fn parse(file: &str, text: &str) -> Result<Self, SchedulerError> {
        let config = |problem| SchedulerError::Config { file: file.to_owned(), problem };
        let (class, fields) = parse_fields(text).map_err(config)?;
        Ok(Self { file: file.to_owned(), class, fields })
    }

    /// The scheduler class that the file names (`_class_name`), or "".
    pub fn class(&self) -> &str {
        &self.class
    }

    pub(super) fn error(&self, problem: Problem) -> SchedulerError {
        SchedulerError::Config { file: self.file.clone(), problem }
    }

    pub(super) fn number(&self, field: &'static str, default: f64) -> Result<f64, Problem> {
        Ok(self.optional_number(field)?.unwrap_or(default))
    }

    pub(super) fn optional_number(&self, field: &'static str) -> Result<Option<f64>, Problem> {
        self.read(field, "a number", |value| match value.as_str() {
            Some("-Infinity") => Some(f64::NEG_INFINITY),
            Some("Infinity") => Some(f64::INFINITY),
            _ => value.as_f64(),
        })
    }

    pub(super) fn numbers(&self, field: &'static str) -> Result<Option<Vec<f64>>, Problem> {
        self.read(field, "an array of numbers", |value| {
            value.as_array()?.iter().map(Value::as_f64).collect()
        })
    }

    pub(super) fn count(&self, field: &'static str, default: usize) -> Result<usize, Problem> {
        let count = self.read(field, "a whole number", |value| {
            value.as_u64().and_then(|n| usize::try_from(n).ok())
        })?;
        Ok(count.unwrap_or(default))
    }

    pub(super) fn flag(&self, field: &'static str, default: bool) -> Result<bool, Problem> {
        Ok(self.read(field, "true or false", Value::as_bool)?.unwrap_or(default))
    }

    /// The meaning of a field that holds one of a few names.
    pub(super) fn choice<T: Copy>(
        &self,
        field: &'static str,
        default: T,
        choices: &[(&str, T)],
    ) -> Result<T, Problem> {
        let Some(name) = self.read(field, "a string", |v| v.as_str().map(str::to_owned))? else {
            return Ok(default);
        };
        match choices.iter().find(|(choice, _)| *choice == name) {
            Some((_, meaning)) => Ok(*meaning),
            None => {
                let names: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
                Err(unsupported(field, format!("{name:?}"), names.join(", ")))
            }
        }
    }

    /// Refuses a feature that is not implemented: `field` must be false.
    pub(super) fn refuse(&self, field: &'static str) -> Result<(), Problem> {
        match self.flag(field, false)? {
            true => Err(unsupported(field, "true", "false")),
            false => Ok(()),
        }
    }

    fn read<T>(
        &self,
        field: &'static str,
        expected: &'static str,
        as_type: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        debug_assert!(KNOWN_FIELDS.contains(&field), "{field} is missing from KNOWN_FIELDS");
        match self.fields.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match as_type(value) {
                Some(read) => Ok(Some(read)),
                None => Err(Problem::Type { field, expected, found: value.to_string() }),
            },
        }
    }
}

/// The error for a value that is not implemented.
pub(super) fn unsupported(
    field: &'static str,
    value: impl Into<String>,
    supported: impl Into<String>,
) -> Problem {
    Problem::Unsupported { field, value: value.into(), supported: supported.into() }
}

/// The class and the fields that are set, without private ones.
fn parse_fields(text: &str) -> Result<(String, Map<String, Value>), Problem> {
    let Value::Object(mut fields) = serde_json::from_str(&quote_infinities(text))? else {
        return Err(Problem::NotAnObject);
    };
    let class = match fields.get("_class_name") {
        Some(Value::String(class)) => class.clone(),
        None => String::new(),
        Some(found) => {
            return Err(Problem::Type {
                field: "_class_name",
                expected: "a string",
                found: found.to_string(),
            });
        }
    };
    if let Some(Value::Array(unset)) = fields.remove("_use_default_values") {
        fields.retain(|name, _| !unset.iter().any(|field| field == name.as_str()));
    }
    fields.retain(|name, _| !name.starts_with('_'));
    match fields.keys().find(|name| !KNOWN_FIELDS.contains(&name.as_str())) {
        Some(name) => Err(Problem::UnknownField(name.clone())),
        None => Ok((class, fields)),
    }
}

/// Python's json writes infinities as bare words, which JSON does not have:
/// diffusers saves `lambda_min_clipped` as -Infinity. They become strings.
fn quote_infinities(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for (i, piece) in split_strings(text).enumerate() {
        if i % 2 == 0 {
            quoted.push_str(&piece.replace("-Infinity", "\"-Infinity\""));
        } else {
            quoted.push_str(piece);
        }
    }
    quoted
}

/// The text cut at the borders of its string literals: pieces 0, 2, 4 ... lie
/// outside strings, pieces 1, 3, 5 ... are the literals with their quotes.
fn split_strings(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    let mut inside = false;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = if inside { literal_end(rest) } else { rest.find('"').unwrap_or(rest.len()) };
        let (piece, after) = rest.split_at(end);
        rest = after;
        inside = !inside;
        Some(piece)
    })
}

/// The length of the string literal that `text` begins with.
fn literal_end(text: &str) -> usize {
    let mut escaped = false;
    for (i, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return i + 1,
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, SchedulerError> {
        Config::parse("scheduler_config.json", text)
    }

    fn message<T: std::fmt::Debug>(result: Result<T, SchedulerError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn absent_null_and_unset_fields_take_the_default() {
        let text = r#"{"beta_end": 0.5, "beta_start": null, "steps_offset": 7,
            "_use_default_values": ["steps_offset"], "_diffusers_version": "0.9"}"#;
        let config = parse(text).unwrap();
        assert_eq!(config.number("beta_end", 0.1).unwrap(), 0.5);
        assert_eq!(config.number("beta_start", 0.1).unwrap(), 0.1);
        assert_eq!(config.count("steps_offset", 1).unwrap(), 1);
        assert!(config.flag("clip_sample", true).unwrap());
    }

    #[test]
    fn infinities_are_read_outside_strings_only() {
        let text = r#"{"lambda_min_clipped":-Infinity, "_note": "a \" -Infinity, \\"}"#;
        let config = parse(text).unwrap();
        assert_eq!(config.number("lambda_min_clipped", 0.0).unwrap(), f64::NEG_INFINITY);
        assert_eq!(quote_infinities(r#""a -Infinity" -Infinity"#), r#""a -Infinity" "-Infinity""#);
    }

    #[test]
    fn errors_name_the_file_the_field_and_the_value() {
        let unknown = message(parse(r#"{"beta_mid": 1}"#));
        assert_eq!(unknown, r#"scheduler_config.json: unknown field "beta_mid""#);
        assert_eq!(message(parse("[]")), "scheduler_config.json: not a JSON object");
        assert!(message(parse("{")).starts_with("scheduler_config.json: not JSON: "));

        let config = parse(r#"{"beta_end": "x", "timestep_spacing": "wide"}"#).unwrap();
        let found = config.number("beta_end", 0.0).unwrap_err().to_string();
        assert_eq!(found, r#"field beta_end: expected a number, found "x""#);
        let found = config.choice("timestep_spacing", 0, &[("leading", 0), ("trailing", 1)]);
        assert_eq!(
            found.unwrap_err().to_string(),
            r#"field timestep_spacing: "wide" is not supported (leading, trailing)"#
        );
    }
}
