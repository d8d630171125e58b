//! Samples and what is said of them.

use serde_json::{Value, json};

/// The value that this share of the samples does not exceed.
pub fn percentile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
}

pub fn median(samples: &[f64]) -> f64 {
    percentile(samples, 0.5)
}

pub fn summary(samples: &[f64]) -> Value {
    let at = |share| round(percentile(samples, share));
    json!({ "count": samples.len(), "p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1.0) })
}

/// To a hundredth.
pub fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
