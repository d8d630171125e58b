//! What can be asked of a live session. As JSON a command is its name, such as
//! `"snapshot"`, or an object of its name and what it needs, such as
//! `{"set": {"strength": 0.6}}`.

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::controls::Invalid;

/// Longest name of a source, a model or a LoRA in bytes.
const LONGEST_NAME_BYTES: usize = 4096;

/// Most LoRAs that are merged.
const MOST_LORAS: usize = 16;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Changes controls, from the next frame on.
    Set(Change),
    /// The next prompt of the gallery.
    NextPrompt,
    /// The previous prompt of the gallery.
    PreviousPrompt,
    /// The prompt of the gallery at this index, from 0.
    ChoosePrompt(usize),
    /// Takes pictures from elsewhere: what `--input` takes, or `browser`.
    Source(String),
    /// Loads another model beside the running one, then switches.
    Model(ModelChoice),
    /// Looks again for sources and models, such as a camera that was plugged in.
    Look,
    /// Forgets earlier frames.
    Reset,
    /// Saves the picture that is shown.
    Snapshot,
    /// Starts or ends a recording.
    Record(bool),
    /// Ends the program.
    Quit,
}

/// A model and what is merged into it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelChoice {
    /// What `--model` takes.
    pub name: String,
    /// LoRAs that are merged into its weights.
    #[serde(default)]
    pub loras: Vec<Lora>,
}

/// A LoRA file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lora {
    /// The file.
    pub path: String,
    /// What its changes are multiplied by.
    #[serde(default = "one")]
    pub scale: f32,
}

fn one() -> f32 {
    1.0
}

impl Command {
    /// Whether what it holds may be looked at at all; whether it can be done is
    /// seen when it is done.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), Invalid> {
        match self {
            Self::Source(text) => check_name("source", text),
            Self::Model(model) => model.check(),
            _ => Ok(()),
        }
    }
}

impl ModelChoice {
    fn check(&self) -> Result<(), Invalid> {
        check_name("model", &self.name)?;
        if self.loras.len() > MOST_LORAS {
            let why = format!("there are {}: {MOST_LORAS} is the limit", self.loras.len());
            return Err(Invalid::Text { name: "loras", why });
        }
        self.loras.iter().try_for_each(|lora| {
            check_name("lora", &lora.path)?;
            if lora.scale.is_finite() {
                return Ok(());
            }
            Err(Invalid::Text { name: "lora", why: "its scale is no finite number".to_owned() })
        })
    }
}

fn check_name(name: &'static str, text: &str) -> Result<(), Invalid> {
    let why = if text.is_empty() {
        "it is empty".to_owned()
    } else if text.len() > LONGEST_NAME_BYTES {
        format!("it has {} bytes: {LONGEST_NAME_BYTES} is the limit", text.len())
    } else if text.contains('\0') {
        "it has a zero byte".to_owned()
    } else {
        return Ok(());
    };
    Err(Invalid::Text { name, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_short_json() {
        let set = Command::Set(Change { strength: Some(0.5), ..Change::default() });
        for (command, json) in [
            (set, r#"{"set":{"strength":0.5}}"#),
            (Command::Snapshot, r#""snapshot""#),
            (Command::Look, r#""look""#),
            (Command::Record(true), r#"{"record":true}"#),
            (Command::Source("camera:1".into()), r#"{"source":"camera:1"}"#),
        ] {
            assert_eq!(serde_json::to_string(&command).unwrap(), json);
            assert_eq!(serde_json::from_str::<Command>(json).unwrap(), command);
        }
        let model: Command = serde_json::from_str(r#"{"model":{"name":"sdxs"}}"#).unwrap();
        assert_eq!(model, Command::Model(ModelChoice { name: "sdxs".into(), loras: vec![] }));
    }

    #[test]
    fn names_are_bounded() {
        assert!(Command::Source(String::new()).check().is_err());
        assert!(Command::Source("a".repeat(5000)).check().is_err());
        assert!(Command::Source("a\0b".into()).check().is_err());
        assert!(Command::Source("camera".into()).check().is_ok());
        let lora = Lora { path: "a".into(), scale: f32::NAN };
        let model = ModelChoice { name: "m".into(), loras: vec![lora] };
        assert!(Command::Model(model).check().is_err());
    }
}
