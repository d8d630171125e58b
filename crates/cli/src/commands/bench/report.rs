//! What was measured, as text and as JSON.

use std::time::Duration;

use laterna_diffusion::session::Size;
use serde_json::{Value, json};

use super::frame::Bench;
use crate::size;
use crate::table::{Align, gflop, mib, table};

/// A finished measurement.
pub struct Report<'a> {
    /// What the user called the model.
    pub model: &'a str,
    /// What computed.
    pub backend: &'a str,
    /// The picture's size.
    pub size: Size,
    /// From the command's start to the first frame.
    pub load_s: f64,
    /// What the arithmetic units can do at most.
    pub ceiling_gflops: Option<f64>,
    /// The most memory that the process held, if the system tells.
    pub peak_bytes: Option<u64>,
    /// The frames.
    pub bench: &'a Bench,
}

/// The parts of a frame by the prefix of their nodes' names.
const STAGES: &[(&str, &str)] =
    &[("encode", "vae.encoder"), ("unet", "unet"), ("decode", "vae.decoder")];

/// Median and 95th percentile, and the operations behind them.
struct Row {
    name: String,
    median_ms: f64,
    p95_ms: f64,
    flops: u64,
}

impl Row {
    fn of(name: &str, times: impl Iterator<Item = Duration>, flops: u64) -> Self {
        let mut sorted: Vec<_> = times.collect();
        sorted.sort();
        let (median_ms, p95_ms) = (percentile_ms(&sorted, 0.5), percentile_ms(&sorted, 0.95));
        Self { name: name.to_owned(), median_ms, p95_ms, flops }
    }

    /// None where no time was measured: a device may tell only the whole's.
    fn gflops(&self) -> Option<f64> {
        (self.median_ms > 0.0 && self.flops > 0).then(|| self.flops as f64 / 1e6 / self.median_ms)
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "median_ms": self.median_ms,
            "p95_ms": self.p95_ms,
            "gflop": self.flops as f64 / 1e9,
            "gflops": self.gflops(),
        })
    }
}

/// The nearest-rank percentile of sorted times.
fn percentile_ms(sorted: &[Duration], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

impl Report<'_> {
    /// For people.
    pub fn text(&self) -> String {
        let frame = self.frame();
        let rows = [&frame]
            .into_iter()
            .chain(&self.stages())
            .map(|row| self.cells(row))
            .collect::<Vec<_>>();
        let head = [
            ("stage", Align::Left),
            ("median ms", Align::Right),
            ("p95 ms", Align::Right),
            ("GFLOP", Align::Right),
            ("GFLOP/s", Align::Right),
            ("of ceiling", Align::Right),
        ];
        let summary = self.bench.summary();
        let peak = self.peak_bytes.map_or_else(|| "unknown".to_owned(), mib);
        let facts = [
            format!(
                "{}, {}, {} frames on {}",
                self.model,
                size::shown(&self.size),
                self.bench.frames.len(),
                self.backend
            ),
            format!("prompt        synthetic embedding\nload          {:.2} s", self.load_s),
            format!("ceiling       {}", self.ceiling()),
            format!("peak memory   {peak}"),
            format!("weights       {} packed", mib(summary.weight_bytes as u64)),
            format!("arena         {}", mib(summary.arena_bytes as u64)),
            format!("output hash   {:016x}", self.bench.output_hash()),
        ];
        format!("{}\n\n{}", facts.join("\n"), table(&head, &rows))
    }

    /// Every layer's time.
    pub fn layers(&self) -> String {
        let rows = self.layer_rows().map(|(row, node)| {
            vec![
                format!("{:.3}", row.median_ms),
                Self::rate(&row),
                self.percent_of_ceiling(&row),
                node.op.to_owned(),
                node.kernel.clone(),
                node.shape.to_string(),
                row.name,
            ]
        });
        let head = [
            ("median ms", Align::Right),
            ("GFLOP/s", Align::Right),
            ("of ceiling", Align::Right),
            ("op", Align::Left),
            ("kernel", Align::Left),
            ("output", Align::Left),
            ("node", Align::Left),
        ];
        table(&head, &rows.collect::<Vec<_>>())
    }

    /// For machines.
    pub fn json(&self, per_layer: bool) -> Value {
        let summary = self.bench.summary();
        let frame = self.frame();
        let mut value = json!({
            "model": self.model,
            "backend": self.backend,
            "width": self.size.width,
            "height": self.size.height,
            "frames": self.bench.frames.len(),
            "prompt": "synthetic embedding",
            "load_s": self.load_s,
            "frame": frame.json(),
            "stages": self.stages().iter().map(Row::json).collect::<Vec<_>>(),
            "ceiling_gflops": self.ceiling_gflops,
            "share_of_ceiling": self.share_of_ceiling(&frame),
            "peak_bytes": self.peak_bytes,
            "weight_bytes": summary.weight_bytes,
            "arena_bytes": summary.arena_bytes,
            "output_hash": format!("{:016x}", self.bench.output_hash()),
        });
        if per_layer {
            let layer = |(row, node): (Row, &laterna_graph::NodeSummary)| {
                let mut layer = row.json();
                layer["share_of_ceiling"] = json!(self.share_of_ceiling(&row));
                layer["op"] = json!(node.op);
                layer["kernel"] = json!(node.kernel);
                layer["output"] = json!(node.shape.to_string());
                layer
            };
            value["layers"] = self.layer_rows().map(layer).collect();
        }
        value
    }

    fn ceiling(&self) -> String {
        let measured = |gflops| format!("{gflops:.1} GFLOP/s, measured");
        self.ceiling_gflops.map_or_else(|| "unknown".to_owned(), measured)
    }

    /// Of the direct form's operations by the ceiling of f32: minimal filtering takes fewer, and bf16
    /// may be faster, so that it may exceed 1.
    fn share_of_ceiling(&self, row: &Row) -> Option<f64> {
        Some(row.gflops()? / self.ceiling_gflops?)
    }

    fn cells(&self, row: &Row) -> Vec<String> {
        vec![
            row.name.clone(),
            format!("{:.2}", row.median_ms),
            format!("{:.2}", row.p95_ms),
            gflop(row.flops),
            Self::rate(row),
            self.percent_of_ceiling(row),
        ]
    }

    /// In GFLOP/s; empty for what takes no products.
    fn rate(row: &Row) -> String {
        row.gflops().map_or_else(String::new, |rate| format!("{rate:.1}"))
    }

    fn percent_of_ceiling(&self, row: &Row) -> String {
        let share = self.share_of_ceiling(row);
        share.map_or_else(String::new, |share| format!("{:.0} %", 100.0 * share))
    }

    fn frame(&self) -> Row {
        Row::of("frame", self.bench.frames.iter().copied(), self.bench.summary().flops())
    }

    /// The stages, and what belongs to none.
    fn stages(&self) -> Vec<Row> {
        let named = STAGES.iter().map(|&(name, _)| self.stage(name));
        named.chain([self.stage("other")]).collect()
    }

    fn stage(&self, name: &str) -> Row {
        let nodes = &self.bench.summary().nodes;
        let belongs: Vec<_> = nodes.iter().map(|node| stage_of(&node.name) == name).collect();
        let of_stage = |times: &Vec<Duration>| {
            times.iter().zip(&belongs).filter(|(_, belongs)| **belongs).map(|(time, _)| *time).sum()
        };
        let flops = nodes.iter().filter(|node| stage_of(&node.name) == name);
        let flops = flops.map(|node| node.flops).sum();
        Row::of(name, self.bench.nodes.iter().map(of_stage), flops)
    }

    fn layer_rows(&self) -> impl Iterator<Item = (Row, &laterna_graph::NodeSummary)> {
        self.bench.summary().nodes.iter().enumerate().map(|(index, node)| {
            let times = self.bench.nodes.iter().map(move |times| times[index]);
            (Row::of(&node.name, times, node.flops), node)
        })
    }
}

fn stage_of(node: &str) -> &'static str {
    let stage = STAGES.iter().find(|(_, prefix)| node.starts_with(prefix));
    stage.map_or("other", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let times: Vec<_> = (1..=20).map(Duration::from_millis).collect();
        assert_eq!(percentile_ms(&times, 0.5), 10.0);
        assert_eq!(percentile_ms(&times, 0.95), 19.0);
        assert_eq!(percentile_ms(&times[..1], 0.95), 1.0);
        assert_eq!(percentile_ms(&[], 0.5), 0.0);
    }

    #[test]
    fn nodes_belong_to_stages() {
        assert_eq!(stage_of("vae.encoder.layers.0"), "encode");
        assert_eq!(stage_of("unet.conv_in"), "unet");
        assert_eq!(stage_of("timestep"), "other");
    }
}
