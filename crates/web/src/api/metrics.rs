//! The statistics in Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::response::Response;
use laterna_pipeline::histogram::Percentiles;
use laterna_pipeline::stats::{Durations, Snapshot};

use crate::reply::typed;
use crate::server::{Count, Shared};

const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let mut text = Text::default();
    text.family("build_info", "gauge", "The program's version");
    text.value("build_info", &[("version", &env!("CARGO_PKG_VERSION"))], 1);
    session(&mut text, &shared.app.statistics());
    server(&mut text, &shared);
    typed(KIND, text.0)
}

fn session(text: &mut Text, now: &Snapshot) {
    let frames = &now.frames;
    text.family("frames_captured_total", "counter", "Frames that the source gave");
    text.value("frames_captured_total", &[], frames.captured);
    text.family("frames_total", "counter", "Captured frames by what became of them");
    for (fate, count) in [
        ("dropped", frames.dropped),
        ("skipped", frames.skipped),
        ("failed", frames.failed),
        ("generated", frames.generated),
    ] {
        text.value("frames_total", &[("fate", &fate)], count);
    }
    text.family("frames_discarded_total", "counter", "Generated frames that were not finished");
    text.value("frames_discarded_total", &[], frames.discarded);
    text.family("frames_in_flight", "gauge", "Frames on their way to the model or in it");
    text.value("frames_in_flight", &[], frames.in_flight);
    text.family("step_seconds", "summary", "How long a step of a frame takes");
    for (step, durations) in
        [("prepare", &now.prepare), ("infer", &now.infer), ("finish", &now.finish)]
    {
        text.summary("step_seconds", &[("step", &step)], durations);
    }
    sinks(text, now);
}

fn sinks(text: &mut Text, now: &Snapshot) {
    text.family("shown_total", "counter", "Pictures that a sink showed or missed");
    for sink in &now.sinks {
        for (kind, count) in [
            ("unique", sink.shown.unique),
            ("repeated", sink.shown.repeated),
            ("interpolated", sink.shown.interpolated),
            ("missed", sink.shown.missed),
        ] {
            let labels: Labels<'_> = &[("sink", &sink.name), ("id", &sink.id), ("kind", &kind)];
            text.value("shown_total", labels, count);
        }
    }
    text.family("latency_seconds", "summary", "From capture until a sink has shown the picture");
    for sink in &now.sinks {
        let labels: Labels<'_> = &[("sink", &sink.name), ("id", &sink.id)];
        text.summary("latency_seconds", labels, &sink.latency);
    }
}

fn server(text: &mut Text, shared: &Shared) {
    text.family("clients", "gauge", "Open connections, and viewers among them");
    for (kind, most, free) in [
        ("connection", shared.limits.connections, shared.connections.available_permits()),
        ("viewer", shared.limits.viewers, shared.viewers.available_permits()),
    ] {
        text.value("clients", &[("kind", &kind)], most.saturating_sub(free));
    }
    text.family("server_total", "counter", "What the server did and what it turned down");
    for (count, name) in Count::ALL {
        let value = shared.counts[count as usize].load(Ordering::Relaxed);
        text.value("server_total", &[("what", &name)], value);
    }
}

type Labels<'a> = &'a [(&'static str, &'a dyn Display)];

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP laterna_{name} {help}."));
        self.line(format_args!("# TYPE laterna_{name} {kind}"));
    }

    fn value(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{key}=\"{}\"", escape(&value.to_string())))
            .collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.line(format_args!("laterna_{name}{labels} {value}"));
    }

    /// Quantiles of the last seconds, sum and count since the start.
    fn summary(&mut self, name: &str, labels: Labels<'_>, durations: &Durations) {
        let Percentiles { p50_ms, p95_ms, p99_ms, .. } = durations.recent;
        for (quantile, ms) in [("0.5", p50_ms), ("0.95", p95_ms), ("0.99", p99_ms)] {
            let all: Vec<(&'static str, &dyn Display)> =
                labels.iter().copied().chain([("quantile", &quantile as &dyn Display)]).collect();
            self.value(name, &all, ms / 1e3);
        }
        let total = &durations.total;
        self.value(&format!("{name}_sum"), labels, total.mean_ms * total.count as f64 / 1e3);
        self.value(&format!("{name}_count"), labels, total.count);
    }

    fn line(&mut self, line: impl Display) {
        // A String takes everything.
        let _ = writeln!(self.0, "{line}");
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        let mut text = Text::default();
        text.value("a", &[("sink", &"x\"y\\z\n"), ("id", &3)], 0.5);
        assert_eq!(text.0, "laterna_a{sink=\"x\\\"y\\\\z\\n\",id=\"3\"} 0.5\n");
    }
}
