//! Configurations that several checkpoints share.

use super::{Text, Vae};

/// TAESD: all of diffusers' defaults.
pub(super) const TAESD: Vae = Vae::Tiny("{}");

/// The autoencoder of Stable Diffusion 1 and 2.
pub(super) const SD_VAE: Vae = Vae::Kl(
    r#"{
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D",
        "DownEncoderBlock2D"],
    "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D",
        "UpDecoderBlock2D"],
    "layers_per_block": 2
}"#,
);

/// The autoencoder of Stable Diffusion XL.
pub(super) const SDXL_VAE: Vae = Vae::Kl(
    r#"{
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D",
        "DownEncoderBlock2D"],
    "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D",
        "UpDecoderBlock2D"],
    "layers_per_block": 2,
    "scaling_factor": 0.13025
}"#,
);

/// The UNet of Stable Diffusion XL.
pub(super) const SDXL_UNET: &str = r#"{
    "sample_size": 128,
    "block_out_channels": [320, 640, 1280],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "attention_head_dim": [5, 10, 20],
    "transformer_layers_per_block": [1, 2, 10],
    "cross_attention_dim": 2048,
    "use_linear_projection": true,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816
}"#;

/// CLIP ViT-L/14's text side.
pub(super) const CLIP_L: Text = Text::Plain(
    r#"{
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "projection_dim": 768,
    "eos_token_id": 2
}"#,
);

/// OpenCLIP ViT-H/14's text side without its last layer.
pub(super) const OPEN_CLIP_H: Text = Text::Plain(
    r#"{
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 23,
    "hidden_act": "gelu",
    "eos_token_id": 2
}"#,
);

/// OpenCLIP ViT-bigG/14's text side.
pub(super) const OPEN_CLIP_G: Text = Text::Projected(
    r#"{
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_attention_heads": 20,
    "num_hidden_layers": 32,
    "hidden_act": "gelu",
    "projection_dim": 1280,
    "eos_token_id": 2
}"#,
);
