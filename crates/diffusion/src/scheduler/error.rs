//! What can be wrong with a scheduler's configuration or with what is asked of
//! a scheduler. Every message names the file, the field or the number.

use std::io;

use thiserror::Error;

/// Why there is no scheduler.
#[derive(Debug, Error)]
pub enum SchedulerError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    Read {
        /// The scheduler_config.json.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// The file's contents cannot be used.
    #[error("{file}: {problem}")]
    Config {
        /// The scheduler_config.json.
        file: String,
        /// What is wrong with it.
        #[source]
        problem: Problem,
    },
    /// No scheduler has this name.
    #[error("unknown scheduler {name:?} (known: {known})")]
    Name {
        /// The name asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// The scheduler cannot be run with this many steps.
    #[error("{scheduler} cannot run {steps} steps: this model takes 1 to {most}")]
    Steps {
        /// The scheduler's name.
        scheduler: &'static str,
        /// The number of steps asked for.
        steps: usize,
        /// The largest number that works.
        most: usize,
    },
    /// The strength is not a number from 0 to 1.
    #[error("strength {0} is not between 0 and 1")]
    Strength(f64),
    /// The strength leaves no step to run.
    #[error(
        "strength {strength} of {steps} steps leaves no step to run: steps x strength must reach 1"
    )]
    NoStep {
        /// The strength asked for.
        strength: f64,
        /// The number of steps asked for.
        steps: usize,
    },
}

/// What is wrong inside a scheduler_config.json.
#[derive(Debug, Error)]
pub enum Problem {
    /// The text is not JSON.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The top level is not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// A field has the wrong type.
    #[error("field {field}: expected {expected}, found {found}")]
    Type {
        /// The field's name.
        field: &'static str,
        /// What it should hold.
        expected: &'static str,
        /// What it holds.
        found: String,
    },
    /// A field has a value that this scheduler does not implement.
    #[error("field {field}: {value} is not supported ({supported})")]
    Unsupported {
        /// The field's name.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is supported instead.
        supported: String,
    },
    /// The field belongs to no scheduler that this crate knows.
    #[error("unknown field {0:?}")]
    UnknownField(String),
    /// The class is not implemented.
    #[error("_class_name {class:?} is not supported: choose one of {known} by name")]
    UnknownClass {
        /// The class named by the file.
        class: String,
        /// The scheduler names that exist.
        known: String,
    },
}
