//! What the addresses mean.

use laterna_control::{Change, Command, Controls, Fit, MOST_PROMPTS, Prompt, Size};
use thiserror::Error;

use super::packet::{Argument, Message};

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum AddressError {
    #[error("there is no such address")]
    Unknown,
    #[error("its arguments are missing or of another kind")]
    Arguments,
}

type Meaning = Result<Command, AddressError>;

/// The command of a message; none for a button that is let go.
pub(super) fn command(
    message: &Message<'_>,
    controls: &Controls,
) -> Result<Option<Command>, AddressError> {
    let name = message.address.strip_prefix("/laterna/").ok_or(AddressError::Unknown)?;
    let button = match name {
        "prompt/next" => Some(Command::NextPrompt),
        "prompt/previous" => Some(Command::PreviousPrompt),
        "snapshot" => Some(Command::Snapshot),
        "reset" => Some(Command::Reset),
        _ => None,
    };
    match button {
        Some(command) => Ok(is_pressed(&message.arguments).then_some(command)),
        None => valued(name, &message.arguments, controls).map(Some),
    }
}

/// Buttons of control surfaces send 1 when pressed and 0 when let go; programs
/// send nothing.
fn is_pressed(arguments: &[Argument<'_>]) -> bool {
    arguments.is_empty() || switch(arguments).unwrap_or(true)
}

fn valued(name: &str, arguments: &[Argument<'_>], controls: &Controls) -> Meaning {
    let share = || number(arguments).map(|value| value as f32);
    let mut change = Change::default();
    match name {
        "strength" => change.strength = Some(share()?),
        "feedback" => change.feedback = Some(share()?),
        "smoothing" => change.smoothing = Some(share()?),
        "camera" => change.camera = Some(share()?),
        "guidance" => change.guidance = Some(share()?),
        "glide" => change.glide_s = Some(share()?),
        "skip" => change.skip = Some(share()?),
        "refresh" => change.refresh_s = Some(share()?),
        "cut" => change.cut = Some(share()?),
        "fps" => change.target_fps = Some(share()?),
        "seed" => change.seed = Some(whole(arguments)?),
        "mirror" => change.mirror = Some(switch(arguments)?),
        "fit" => change.fit = Some(fit(arguments)?),
        "size" => change.size = Some(size(arguments)?),
        "prompt" => change.prompts = Some(vec![Prompt::new(words(arguments)?)]),
        "prompt/choose" => return Ok(Command::ChoosePrompt(whole(arguments)?)),
        "source" => return Ok(Command::Source(words(arguments)?.to_owned())),
        "record" => return Ok(Command::Record(switch(arguments)?)),
        _ => change.prompts = Some(mixed(name, arguments, controls)?),
    }
    Ok(Command::Set(change))
}

/// `prompt/N` and `prompt/N/weight`, from 1 to one more than there are.
fn mixed(
    name: &str,
    arguments: &[Argument<'_>],
    controls: &Controls,
) -> Result<Vec<Prompt>, AddressError> {
    let place = name.strip_prefix("prompt/").ok_or(AddressError::Unknown)?;
    let (place, is_weight) = match place.strip_suffix("/weight") {
        Some(place) => (place, true),
        None => (place, false),
    };
    let place: usize = place.parse().map_err(|_| AddressError::Unknown)?;
    let mut prompts = controls.prompts.clone();
    if place == prompts.len() + 1 && place <= MOST_PROMPTS && !is_weight {
        prompts.push(Prompt::new(""));
    }
    let prompt = place.checked_sub(1).and_then(|index| prompts.get_mut(index));
    let prompt = prompt.ok_or(AddressError::Unknown)?;
    if is_weight {
        prompt.weight = number(arguments)? as f32;
    } else {
        prompt.text = words(arguments)?.to_owned();
    }
    Ok(prompts)
}

fn number(arguments: &[Argument<'_>]) -> Result<f64, AddressError> {
    match *arguments.first().ok_or(AddressError::Arguments)? {
        Argument::Float(value) => Ok(value),
        Argument::Int(value) => Ok(value as f64),
        _ => Err(AddressError::Arguments),
    }
}

/// A number without a sign or a fraction, which surfaces send as a float too.
fn whole<T: TryFrom<u64>>(arguments: &[Argument<'_>]) -> Result<T, AddressError> {
    let value = match *arguments.first().ok_or(AddressError::Arguments)? {
        Argument::Int(value) => u64::try_from(value).ok(),
        Argument::Float(value) if (0.0..9e15).contains(&value) => Some(value.round() as u64),
        _ => None,
    };
    value.and_then(|value| T::try_from(value).ok()).ok_or(AddressError::Arguments)
}

fn switch(arguments: &[Argument<'_>]) -> Result<bool, AddressError> {
    match *arguments.first().ok_or(AddressError::Arguments)? {
        Argument::Bool(value) => Ok(value),
        Argument::Int(value) => Ok(value != 0),
        Argument::Float(value) => Ok(value >= 0.5),
        _ => Err(AddressError::Arguments),
    }
}

fn words<'a>(arguments: &[Argument<'a>]) -> Result<&'a str, AddressError> {
    match *arguments.first().ok_or(AddressError::Arguments)? {
        Argument::Text(text) => Ok(text),
        _ => Err(AddressError::Arguments),
    }
}

fn fit(arguments: &[Argument<'_>]) -> Result<Fit, AddressError> {
    match words(arguments)? {
        "crop" => Ok(Fit::Crop),
        "letterbox" => Ok(Fit::Letterbox),
        _ => Err(AddressError::Arguments),
    }
}

fn size(arguments: &[Argument<'_>]) -> Result<Size, AddressError> {
    let height = arguments.get(1..).filter(|rest| !rest.is_empty()).unwrap_or(arguments);
    Ok(Size { width: whole(arguments)?, height: whole(height)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(address: &str, arguments: &[Argument<'_>]) -> Result<Option<Command>, AddressError> {
        let message = Message { address, arguments: arguments.to_vec() };
        command(&message, &Controls::default())
    }

    fn set(address: &str, arguments: &[Argument<'_>]) -> Controls {
        let Ok(Some(Command::Set(change))) = meaning(address, arguments) else {
            panic!("{address}")
        };
        change.applied(&Controls::default()).unwrap()
    }

    #[test]
    fn values_are_set() {
        use Argument::{Bool, Float, Int, Text};
        assert_eq!(set("/laterna/strength", &[Float(0.25)]).strength, 0.25);
        assert_eq!(set("/laterna/strength", &[Int(1)]).strength, 1.0);
        assert_eq!(set("/laterna/seed", &[Float(12.0)]).seed, 12);
        assert_eq!(set("/laterna/fit", &[Text("letterbox")]).fit, Fit::Letterbox);
        assert!(set("/laterna/mirror", &[Bool(true)]).mirror);
        assert_eq!(set("/laterna/size", &[Int(256)]).size, Size { width: 256, height: 256 });
        let size = set("/laterna/size", &[Int(256), Int(384)]).size;
        assert_eq!(size, Size { width: 256, height: 384 });
    }

    #[test]
    fn prompts_are_replaced_added_and_weighed() {
        use Argument::{Float, Text};
        assert_eq!(set("/laterna/prompt", &[Text("ink")]).prompts, [Prompt::new("ink")]);
        let mixed = set("/laterna/prompt/2", &[Text("ink")]).prompts;
        assert_eq!((mixed.len(), mixed[1].text.as_str()), (2, "ink"));
        assert_eq!(set("/laterna/prompt/1/weight", &[Float(3.0)]).prompts[0].weight, 3.0);
        for address in ["prompt/0", "prompt/3", "prompt/2/weight", "prompt/x", "prompt/-1"] {
            let meaning = meaning(&format!("/laterna/{address}"), &[Text("a")]);
            assert_eq!(meaning, Err(AddressError::Unknown), "{address}");
        }
    }

    #[test]
    fn a_button_counts_when_it_is_pressed() {
        use Argument::{Float, Int};
        let next = |arguments: &[_]| meaning("/laterna/prompt/next", arguments).unwrap();
        assert_eq!(next(&[]), Some(Command::NextPrompt));
        assert_eq!(next(&[Float(1.0)]), Some(Command::NextPrompt));
        assert_eq!(next(&[Int(0)]), None);
        assert_eq!(meaning("/laterna/record", &[Int(0)]), Ok(Some(Command::Record(false))));
    }

    #[test]
    fn what_means_nothing_is_an_error() {
        use Argument::{Float, Int, Other, Text};
        assert_eq!(meaning("/other/strength", &[Float(1.0)]), Err(AddressError::Unknown));
        assert_eq!(meaning("/laterna/strenght", &[Float(1.0)]), Err(AddressError::Unknown));
        for (address, argument) in [
            ("strength", Text("1")),
            ("seed", Int(-1)),
            ("seed", Float(f64::NAN)),
            ("prompt", Other),
        ] {
            let meaning = meaning(&format!("/laterna/{address}"), &[argument]);
            assert_eq!(meaning, Err(AddressError::Arguments), "{address}");
        }
        assert_eq!(meaning("/laterna/strength", &[]), Err(AddressError::Arguments));
    }
}
