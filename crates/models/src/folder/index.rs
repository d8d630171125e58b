//! model_index.json: which components a pipeline has and of which class each is.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::{ConfigError, Fields, Fixed};

/// What a pipeline does with its components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipelineKind {
    /// Stable Diffusion 1 and 2, and their distillations.
    StableDiffusion,
    /// Stable Diffusion XL and its distillations.
    StableDiffusionXl,
    /// Editing by instruction: the UNet also reads the clean picture's latent
    /// (Brooks et al. 2023, arXiv 2211.09800).
    InstructPix2Pix,
}

/// The pipelines of diffusers that are understood, by class.
const PIPELINES: &[(&str, PipelineKind)] = &[
    ("StableDiffusionPipeline", PipelineKind::StableDiffusion),
    ("StableDiffusionImg2ImgPipeline", PipelineKind::StableDiffusion),
    ("LatentConsistencyModelPipeline", PipelineKind::StableDiffusion),
    ("LatentConsistencyModelImg2ImgPipeline", PipelineKind::StableDiffusion),
    ("StableDiffusionXLPipeline", PipelineKind::StableDiffusionXl),
    ("StableDiffusionXLImg2ImgPipeline", PipelineKind::StableDiffusionXl),
    ("StableDiffusionInstructPix2PixPipeline", PipelineKind::InstructPix2Pix),
];

/// The components that are read, with the classes that are understood;
/// schedulers are the business of whoever runs them.
const COMPONENTS: &[(&str, &[&str])] = &[
    ("unet", &["UNet2DConditionModel"]),
    ("vae", &["AutoencoderTiny", "AutoencoderKL"]),
    ("text_encoder", &["CLIPTextModel", "CLIPTextModelWithProjection"]),
    ("text_encoder_2", &["CLIPTextModel", "CLIPTextModelWithProjection"]),
    ("tokenizer", &["CLIPTokenizer", "CLIPTokenizerFast"]),
    ("tokenizer_2", &["CLIPTokenizer", "CLIPTokenizerFast"]),
    ("scheduler", &[]),
];

const CHECKER: &str = "judges finished pictures, does not make them";

/// Entries that cannot change the picture, with the reason.
const IGNORED: &[(&str, &str)] = &[
    ("safety_checker", CHECKER),
    ("feature_extractor", CHECKER),
    ("requires_safety_checker", CHECKER),
    ("add_watermarker", "marks finished pictures"),
    ("image_encoder", "reads picture prompts alone"),
];

/// Entries of which one value alone is implemented.
const FIXED: &[(&str, Fixed)] = &[("requires_aesthetics_score", Fixed::False)];

/// A pipeline's components.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelIndex {
    /// What the pipeline does; plain Stable Diffusion if the file does not say.
    pub pipeline: PipelineKind,
    /// Class of each component by the component's name.
    pub classes: BTreeMap<String, String>,
    /// SDXL: without a negative prompt the unconditional embedding is zeros,
    /// not the embedding of an empty text.
    pub zeros_for_empty_prompt: bool,
}

impl ModelIndex {
    /// Reads a model_index.json; `file` is named in errors.
    ///
    /// # Errors
    /// If the pipeline, a component or a component's class is unknown.
    pub fn parse(file: &str, json: &str) -> Result<Self, ConfigError> {
        let mut f = Fields::parse(file, json)?;
        f.ignore(IGNORED);
        f.fixed(FIXED)?;
        let pipeline = pipeline(&mut f)?;
        let mut classes = BTreeMap::new();
        for &(component, known) in COMPONENTS {
            if let Some(class) = class(&mut f, component, known)? {
                classes.insert(component.to_owned(), class);
            }
        }
        let xl = pipeline == PipelineKind::StableDiffusionXl;
        let zeros_for_empty_prompt = f.flag("force_zeros_for_empty_prompt", xl)?;
        f.finish()?;
        Ok(Self { pipeline, classes, zeros_for_empty_prompt })
    }
}

fn pipeline(f: &mut Fields) -> Result<PipelineKind, ConfigError> {
    let field = "_class_name";
    let Some(name) = f.optional_text(field)? else { return Ok(PipelineKind::StableDiffusion) };
    let row = PIPELINES.iter().find(|(class, _)| *class == name);
    let supported = || PIPELINES.iter().map(|(class, _)| *class).collect::<Vec<_>>().join(", ");
    row.map(|&(_, kind)| kind).ok_or_else(|| f.unsupported(field, &name.into(), &supported()))
}

/// The class of a component, from `[library, class]`; nulls mean it is absent.
fn class(f: &mut Fields, component: &str, known: &[&str]) -> Result<Option<String>, ConfigError> {
    let read = |value: &Value| match value.as_array()?.as_slice() {
        [_, Value::Null] => Some(None),
        [_, Value::String(class)] => Some(Some(class.clone())),
        _ => None,
    };
    let class = f.read(component, None, read, "[library, class]")?;
    match class {
        Some(class) if !known.is_empty() && !known.contains(&class.as_str()) => {
            Err(f.unsupported(component, &class.into(), &known.join(", ")))
        }
        class => Ok(class),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_classes_are_errors() {
        for (json, expected) in [
            (r#"{"_class_name": "FluxPipeline"}"#, "i: _class_name: \"FluxPipeline\" is not"),
            (r#"{"vae": ["diffusers", "AutoencoderDC"]}"#, "i: vae: \"AutoencoderDC\" is not"),
            (r#"{"controlnet": ["diffusers", "X"]}"#, "i: controlnet: unknown field"),
            (r#"{"unet": "UNet2DConditionModel"}"#, "i: unet: \"UNet2DConditionModel\" is not"),
        ] {
            let error = ModelIndex::parse("i", json).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn absent_components_are_null() {
        let json = r#"{"_class_name": "StableDiffusionXLPipeline", "vae": [null, null],
            "unet": ["diffusers", "UNet2DConditionModel"], "safety_checker": [null, null]}"#;
        let index = ModelIndex::parse("i", json).unwrap();
        assert_eq!(index.pipeline, PipelineKind::StableDiffusionXl);
        assert!(index.zeros_for_empty_prompt);
        assert_eq!(index.classes.keys().collect::<Vec<_>>(), ["unet"]);
    }
}
