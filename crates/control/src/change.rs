//! A change of some controls; those that it leaves out stay.

use serde::{Deserialize, Serialize};

use crate::controls::{Controls, Fit, Invalid, Prompt, Size};

macro_rules! change {
    ($($field:ident: $type:ty),* $(,)?) => {
        /// New values of some controls. See [`Controls`] for their meaning and range.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Change {
            $(
                #[doc = concat!("See [`Controls::", stringify!($field), "`].")]
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<$type>,
            )*
        }

        impl Change {
            /// The controls after this change.
            ///
            /// # Errors
            /// If a value is out of its range; the change is made whole or not at all.
            pub fn applied(&self, controls: &Controls) -> Result<Controls, Invalid> {
                let mut changed = controls.clone();
                $(if let Some(value) = &self.$field { changed.$field = value.clone(); })*
                changed.check().map(|()| changed)
            }

            /// The change that sets every control, whatever it was before.
            pub fn all(controls: &Controls) -> Self {
                Self { $($field: Some(controls.$field.clone()),)* }
            }

            /// The change from one set of controls to another.
            pub fn between(before: &Controls, after: &Controls) -> Self {
                Self {
                    $($field: (before.$field != after.$field).then(|| after.$field.clone()),)*
                }
            }

            /// Adds a later change, whose values win.
            pub fn merge(&mut self, later: Self) {
                $(if later.$field.is_some() { self.$field = later.$field; })*
            }
        }
    };
}

change! {
    prompts: Vec<Prompt>,
    glide_s: f32,
    strength: f32,
    feedback: f32,
    seed: u64,
    guidance: f32,
    smoothing: f32,
    camera: f32,
    fit: Fit,
    mirror: bool,
    skip: f32,
    refresh_s: f32,
    cut: f32,
    target_fps: f32,
    size: Size,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_made_whole_or_not_at_all() {
        let controls = Controls::default();
        let change: Change = serde_json::from_str(r#"{"strength": 0.3, "seed": 7}"#).unwrap();
        let changed = change.applied(&controls).unwrap();
        assert_eq!((changed.strength, changed.seed), (0.3, 7));
        assert_eq!(changed, Controls { strength: 0.3, seed: 7, ..controls.clone() });
        let bad: Change = serde_json::from_str(r#"{"strength": 0.3, "feedback": 2}"#).unwrap();
        assert!(bad.applied(&controls).is_err());
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(serde_json::from_str::<Change>(r#"{"strenght": 0.3}"#).is_err());
    }

    #[test]
    fn the_change_between_two_leads_from_one_to_the_other() {
        let before = Controls::default();
        let after = Controls { seed: 3, mirror: true, ..before.clone() };
        let change = Change::between(&before, &after);
        assert_eq!(serde_json::to_string(&change).unwrap(), r#"{"seed":3,"mirror":true}"#);
        assert_eq!(change.applied(&before).unwrap(), after);
    }

    #[test]
    fn of_two_changes_the_later_wins() {
        let mut first = Change { seed: Some(1), camera: Some(0.5), ..Change::default() };
        first.merge(Change { seed: Some(2), ..Change::default() });
        assert_eq!(first, Change { seed: Some(2), camera: Some(0.5), ..Change::default() });
    }
}
