//! `laterna fetch`: downloads a model into the Hugging Face cache.

use laterna_weights::{Hub, HubName, ModelName, Precision};

use crate::console::{Console, print};
use crate::error::{During, Failure};
use crate::model::{STARTER, hub_name};

/// Download a model into the Hugging Face cache and print its folder.
///
/// What is in the cache is not downloaded again, and an interrupted download
/// continues where it stopped.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  laterna fetch sdxs-512-0.9
  laterna fetch stabilityai/sd-turbo --half
  laterna fetch owner/name --revision v1.0

Environment: HF_HOME and HF_HUB_CACHE (where), HF_ENDPOINT (from where), HF_TOKEN
(for private models), HF_HUB_OFFLINE=1 (only look into the cache).")]
pub struct Args {
    /// A preset such as sdxs-512-0.9, or a name on the hub: owner/name.
    name: String,
    /// A branch, a tag or a commit [default: main].
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// Prefer 16-bit weights: half the bytes to download.
    #[arg(long)]
    half: bool,
}

/// Runs the command.
///
/// # Errors
/// If there is no such model or it cannot be downloaded.
pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    let what = format!("cannot fetch {}", args.name);
    if args.name == STARTER {
        return Err(Failure::input(what, "it is built into laterna")
            .hint("it is used wherever no --model is given"));
    }
    let hub = Hub::from_env().during("cannot find the cache")?;
    let name = match ModelName::parse(hub_name(&args.name)).during(&what)? {
        ModelName::Folder(path) => {
            let why = format!("{} is a folder on this machine", path.display());
            return Err(Failure::input(what, why));
        }
        ModelName::Hub(name) => at_revision(&name, args.revision.as_deref(), &what)?,
    };
    let precision = if args.half { Precision::Half } else { Precision::Full };
    let folder = hub.fetch(&name, precision, &mut console.download()).during(what)?;
    print(folder.display())
}

fn at_revision(name: &HubName, revision: Option<&str>, what: &str) -> Result<HubName, Failure> {
    let Some(revision) = revision else { return Ok(name.clone()) };
    HubName::parse(&format!("{}@{revision}", name.repository()))
        .ok_or_else(|| Failure::input(what, format!("{revision:?} is no revision's name")))
}
