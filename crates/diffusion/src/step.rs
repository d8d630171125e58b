//! The one step of a frame, as the numbers that a frame's graph takes.

use laterna_models::frame::Step;

use crate::scheduler::{self, Config, Mix, Noising, SchedulerError};

/// The step that a schedule of one step takes at `strength`, above 0 and up to 1.
///
/// # Errors
/// If the configuration is not supported, or there is no such strength.
pub fn one_step(
    config: &Config,
    name: Option<&str>,
    strength: f32,
) -> Result<Step, SchedulerError> {
    let (schedule, i) = scheduler::build_img2img(config, name, 1, f64::from(strength))?;
    let Noising { signal, noise } = schedule.noising(i);
    let Mix { sample, output } = schedule.lone_step(i).unwrap_or_else(|| schedule.x0(i));
    let (timestep, input_divisor) = (schedule.timesteps()[i], schedule.input_divisor(i));
    Ok(Step { timestep, signal, noise, input_divisor, sample, output })
}
