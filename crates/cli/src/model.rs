//! From what the user calls a model to its configurations, its weights and
//! what a session needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use laterna_control::ModelOffer;
use laterna_diffusion::scheduler::Config;
use laterna_diffusion::session::{Parts, Size, TextPart};
use laterna_graph::WeightSource;
use laterna_models::folder::{check_weights, non_finite_weights};
use laterna_models::presets::{self, Preset};
use laterna_models::{TextEncoder, UnetConfig, VaeConfig, Weights};
use laterna_weights::{BuiltIn, Hub, HubName, Lora, ModelFolder, Precision, Progress};

use crate::console::Console;
use crate::digest::Digest;
use crate::error::{During, Failure};
use crate::networks;

/// Which model.
#[derive(Args, Clone, Debug)]
pub struct ModelArgs {
    /// A folder in diffusers' layout, a preset's name, or a name on the hub (owner/name);
    /// `starter` is built in.
    #[arg(long, value_name = "DIR_OR_NAME", default_value = STARTER)]
    pub model: String,
}

/// The name of the model that is used unless another is asked for. It never
/// means a folder, so that the same command does the same everywhere: a folder
/// of this name is `./starter`.
pub const STARTER: &str = "starter";

/// The built-in model.
static BUILT_IN: BuiltIn = BuiltIn { root: "built-in starter", files: laterna_starter::FILES };

/// The bytes of the built-in model's files.
pub fn built_in_bytes() -> u64 {
    BUILT_IN.files.iter().map(|(_, bytes)| bytes.len() as u64).sum()
}

impl ModelArgs {
    /// The model, downloaded if it is not here.
    ///
    /// # Errors
    /// If there is no such model.
    pub fn open(&self, console: &Console) -> Result<Model, Failure> {
        self.open_telling(&mut console.download())
    }

    /// The model, downloaded if it is not here; `progress` hears of that.
    ///
    /// # Errors
    /// If there is no such model.
    pub fn open_telling(&self, progress: &mut dyn Progress) -> Result<Model, Failure> {
        let what = format!("cannot open the model {}", self.model);
        let folder = match &*self.model {
            STARTER => ModelFolder::built_in(&BUILT_IN),
            _ => ModelFolder::open(&self.locate(&what, progress)?).during(&what)?,
        };
        let preset = preset_of(&self.model);
        let folder = laterna_models::Model::of(folder, Precision::Full).during(what)?;
        Ok(Model { folder, preset })
    }

    /// The model's folder on disk.
    fn locate(&self, what: &str, progress: &mut dyn Progress) -> Result<PathBuf, Failure> {
        let folder = PathBuf::from(&self.model);
        if folder.is_dir() {
            return Ok(folder);
        }
        let hub = Hub::from_env().during(what)?;
        let name = hub_name(&self.model);
        hub.locate(name, Precision::Full, progress).during(what)
    }
}

/// Models to choose from while a picture is live: the built-in one, those in the
/// hub's cache, and the presets that paint in one step and would be downloaded.
pub fn offers() -> Vec<ModelOffer> {
    let cached = Hub::from_env().map(|hub| hub.cached_models()).unwrap_or_default();
    let named = |name: &HubName| {
        let name = name.to_string();
        presets::find(&name).map_or(name, |preset| preset.name.to_owned())
    };
    let mut here = vec![STARTER.to_owned()];
    here.extend(cached.iter().map(named));
    let presets = presets::PRESETS.iter().filter(|preset| preset.steps == 1);
    let others = presets.map(|preset| preset.name.to_owned()).filter(|name| !here.contains(name));
    let others: Vec<_> = others.map(|name| ModelOffer { name, here: false }).collect();
    let here = here.into_iter().map(|name| ModelOffer { name, here: true });
    here.chain(others).collect()
}

/// The preset of this name; a folder that is called like a preset is taken to
/// hold it.
fn preset_of(name: &str) -> Option<&'static Preset> {
    let folder = Path::new(name).file_name().and_then(|name| name.to_str());
    presets::find(name).or_else(|| presets::find(folder?))
}

/// The name on the hub that a preset stands for; any other text is itself.
pub fn hub_name(text: &str) -> &str {
    let autoencoder = || presets::find_vae(text).map(|preset| preset.hub);
    presets::find(text).and_then(|preset| preset.hub).or_else(autoencoder).unwrap_or(text)
}

/// A model on disk, or the built-in one.
#[derive(Debug)]
pub struct Model {
    folder: laterna_models::Model,
    preset: Option<&'static Preset>,
}

/// The text encoders and their tokenizers, in the order in which a UNet reads
/// them.
const TEXTS: &[(&str, &str)] = &[("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2")];

/// The side of the picture that a latent of unknown size stands for.
const DEFAULT_SIDE: usize = 512;

const WEIGHTS: &str = "cannot open the weights";
const CONFIG: &str = "cannot read the configuration";

impl Model {
    /// Its folder; that of the built-in one is nowhere on the disk.
    pub fn root(&self) -> &Path {
        self.folder.root()
    }

    /// What tells it from other models, and from itself before a file changed.
    pub fn fingerprint(&self) -> String {
        let mut digest = Digest::default();
        let mut folders = vec![self.root().to_owned()];
        while let Some(folder) = folders.pop() {
            let mut entries: Vec<_> =
                fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
            entries.sort();
            for path in entries {
                // Followed: the hub's cache holds links.
                let Ok(about) = fs::metadata(&path) else { continue };
                let changed = about.modified().map(|time| format!("{time:?}")).unwrap_or_default();
                digest.update(format!("{} {} {changed}", path.display(), about.len()).into_bytes());
                // Folders in folders of a model hold none of its weights.
                if about.is_dir() && folder == self.root() {
                    folders.push(path);
                }
            }
        }
        format!("{} {:016x}", self.root().display(), digest.value())
    }

    /// Whether the model has this component.
    pub fn has(&self, component: &str) -> bool {
        self.folder.has(component)
    }

    /// The text encoders that it has, by component.
    ///
    /// # Errors
    /// If one is not supported.
    pub fn text_encoders(&self) -> Result<Vec<TextEncoder>, Failure> {
        let present = TEXTS.iter().filter(|(component, _)| self.has(component));
        present.map(|(component, _)| self.text_encoder(component)).collect()
    }

    /// The UNet's configuration.
    ///
    /// # Errors
    /// If there is none, or it is not supported.
    pub fn unet(&self) -> Result<UnetConfig, Failure> {
        self.folder.unet().during(CONFIG)
    }

    /// The autoencoder's configuration.
    ///
    /// # Errors
    /// If there is none, or it is not supported.
    pub fn vae(&self) -> Result<VaeConfig, Failure> {
        self.folder.vae().during(CONFIG)
    }

    /// A text encoder's configuration.
    ///
    /// # Errors
    /// If there is none, or it is not supported.
    pub fn text_encoder(&self, component: &str) -> Result<TextEncoder, Failure> {
        self.folder.text_encoder(component).during(CONFIG)
    }

    /// The text encoders with their tokenizers. Warns of texts that are longer
    /// than a tokenizer allows.
    ///
    /// # Errors
    /// If there is none, or one is not supported.
    pub fn texts(
        &self,
        given: &[Option<&String>],
        console: &Console,
    ) -> Result<Vec<TextPart>, Failure> {
        let mut texts = Vec::new();
        for &(component, tokenizer) in TEXTS.iter().filter(|(component, _)| self.has(component)) {
            let TextEncoder { config, projection } = self.text_encoder(component)?;
            let tokenizer = self.folder.tokenizer(tokenizer).during("cannot read the tokenizer")?;
            texts.push(TextPart {
                prefix: component.to_owned(),
                config,
                projects: projection,
                tokenizer,
            });
        }
        let Some(first) = texts.first() else {
            let why = format!("{}: there is no text encoder", self.folder.root().display());
            return Err(Failure::input("cannot read the prompt", why)
                .hint("give it encoded, with --prompt-embeds FILE"));
        };
        for text in given.iter().flatten() {
            warn_of_length(&first.tokenizer, text, console)?;
        }
        Ok(texts)
    }

    /// The weights of some components, checked against their configurations.
    /// Warns of weights that nothing reads and of values that are not finite.
    ///
    /// # Errors
    /// If a component or its weights are missing or unsound.
    pub fn weights(&self, components: &[&str], console: &Console) -> Result<Weights, Failure> {
        let start = Instant::now();
        components.iter().try_for_each(|component| self.check(component, console))?;
        let seconds = start.elapsed().as_secs_f32();
        console.detail(format_args!("checked {} in {seconds:.1} s", components.join(", ")));
        self.folder.weights(components).during(WEIGHTS)
    }

    fn check(&self, component: &str, console: &Console) -> Result<(), Failure> {
        let weights = self.folder.weights(&[component]).during(WEIGHTS)?;
        let file = weights.parts().next().map(|(_, checkpoint)| checkpoint.path().to_owned());
        let file = file.unwrap_or_default();
        let graphs = networks::whole(self, component)?;
        let graphs: Vec<_> = graphs.iter().collect();
        let unread = check_weights(&graphs, &weights)
            .during(format_args!("cannot use the weights {}", file.display()))?;
        for name in unread {
            console.warn(format_args!("{}: {name}: no layer reads it", file.display()));
        }
        for name in non_finite_weights(&weights) {
            console.warn(format_args!("{}: {name}: has NaN or infinity", file.display()));
        }
        Ok(())
    }

    /// Merges LoRAs into the weights of the components that they are for.
    ///
    /// # Errors
    /// If a file is unsound or fits none of the components.
    pub fn merge(
        &self,
        weights: &mut Weights,
        loras: &[LoraArg],
        console: &Console,
    ) -> Result<(), Failure> {
        for LoraArg { path, scale } in loras {
            let what = format!("cannot merge the LoRA {}", path.display());
            let lora = Arc::new(Lora::open(path).during(&what)?);
            let components: Vec<_> = weights.parts().map(|(name, _)| name.to_owned()).collect();
            let wanted = components.iter().filter(|component| lora.is_for(component));
            let mut merged = 0;
            for component in wanted {
                let Some(checkpoint) = weights.checkpoint_mut(component) else { continue };
                let report = checkpoint.merge(&lora, component, *scale).during(&what)?;
                merged += report.merged;
                for key in report.unmatched {
                    console.warn(format_args!("{}: {key}: no such layer", path.display()));
                }
            }
            if merged == 0 {
                return Err(Failure::input(what, "it changes no component of this model"));
            }
        }
        Ok(())
    }

    /// What a session needs.
    ///
    /// # Errors
    /// If a component is missing or not supported.
    pub fn parts<'a>(
        &self,
        texts: Vec<TextPart>,
        weights: &'a dyn WeightSource,
    ) -> Result<Parts<'a>, Failure> {
        let index = self.folder.index();
        Ok(Parts {
            unet: self.unet()?,
            vae: self.vae()?,
            texts,
            scheduler: self.scheduler()?,
            zeros_for_empty_prompt: index.is_some_and(|index| index.zeros_for_empty_prompt),
            weights,
        })
    }

    /// The scheduler's configuration.
    ///
    /// # Errors
    /// If there is none, or it is not supported.
    pub fn scheduler(&self) -> Result<Config, Failure> {
        let (path, json) = self.folder.json("scheduler", "scheduler_config.json").during(CONFIG)?;
        Config::parse(&path.display().to_string(), &json).during(CONFIG)
    }

    /// The picture size that the model was made for.
    ///
    /// # Errors
    /// If a component is missing or not supported.
    pub fn default_size(&self) -> Result<Size, Failure> {
        if let Some(Preset { size, .. }) = self.preset {
            return Ok(Size { width: *size, height: *size });
        }
        let factor = self.vae()?.encoder_factor();
        Ok(match self.unet()?.sample_size {
            Some([height, width]) => Size { width: width * factor, height: height * factor },
            None => Size { width: DEFAULT_SIDE, height: DEFAULT_SIDE },
        })
    }

    /// How pictures are made unless the user says otherwise.
    pub fn defaults(&self) -> Defaults {
        self.preset.map_or(DIFFUSERS, |preset| Defaults {
            steps: preset.steps,
            guidance: preset.guidance,
            strength: preset.strength,
            scheduler: preset.scheduler,
        })
    }
}

fn warn_of_length(
    tokenizer: &laterna_models::ClipTokenizer,
    text: &str,
    console: &Console,
) -> Result<(), Failure> {
    let (found, most) =
        (tokenizer.encode(text).during("cannot read the prompt")?.len(), tokenizer.max_length());
    if found > most {
        console.warn(format_args!("the text has {found} tokens; those past {most} are not read"));
    }
    Ok(())
}

/// How pictures are made unless the user says otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Defaults {
    /// Steps of the schedule.
    pub steps: usize,
    /// Classifier-free guidance.
    pub guidance: f32,
    /// How far to go from a picture, if that does not follow from the model's
    /// class.
    pub strength: Option<f32>,
    /// The scheduler, if not the checkpoint's own.
    pub scheduler: Option<&'static str>,
}

/// The defaults of diffusers' pipelines.
const DIFFUSERS: Defaults = Defaults { steps: 50, guidance: 7.5, strength: None, scheduler: None };

/// A LoRA file and its scale.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraArg {
    /// The file.
    pub path: PathBuf,
    /// What its changes are multiplied by.
    pub scale: f32,
}

impl FromStr for LoraArg {
    type Err = String;

    /// Reads `FILE` or `FILE:SCALE`; what follows the last colon is a scale if
    /// it is a number.
    fn from_str(text: &str) -> Result<Self, String> {
        let scaled = text.rsplit_once(':').and_then(|(path, scale)| {
            let scale: f32 = scale.parse().ok()?;
            Some((path, scale))
        });
        let (path, scale) = scaled.unwrap_or((text, 1.0));
        if path.is_empty() || !scale.is_finite() {
            return Err("a LoRA is FILE or FILE:SCALE, such as style.safetensors:0.8".to_owned());
        }
        Ok(Self { path: path.into(), scale })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lora_may_have_a_scale() {
        let parsed = |text: &str| text.parse::<LoraArg>().map(|lora| (lora.path, lora.scale));
        assert_eq!(parsed("a.safetensors"), Ok(("a.safetensors".into(), 1.0)));
        assert_eq!(parsed("a.safetensors:-0.5"), Ok(("a.safetensors".into(), -0.5)));
        assert_eq!(parsed("C:\\a.safetensors"), Ok(("C:\\a.safetensors".into(), 1.0)));
        assert!(parsed(":0.5").is_err() && parsed("a:inf").is_err());
    }
}
