//! How a live session goes, in a line, and how it went.

use laterna_pipeline::stats::{Durations, Snapshot};

/// One line: the rate of new paintings over the last seconds, the time of one,
/// and the latency to each place where they go.
pub fn status(now: &Snapshot) -> String {
    let infer = now.infer.recent;
    let rate = if infer.p50_ms > 0.0 { 1e3 / infer.p50_ms } else { 0.0 };
    let mut line = format!("{rate:.1} paintings/s at most ({:.0} ms each)", infer.p50_ms);
    for sink in &now.sinks {
        let latency = sink.latency.recent;
        line += &format!(", {} {:.0}/{:.0} ms late", sink.name, latency.p50_ms, latency.p95_ms);
    }
    line
}

/// The whole session.
pub fn lines(last: &Snapshot) -> Vec<String> {
    let frames = last.frames;
    let mut lines = vec![format!(
        "{} frames captured, {} painted, {} dropped for newer ones, {} skipped, {} failed",
        frames.captured, frames.generated, frames.dropped, frames.skipped, frames.failed
    )];
    lines.push(format!(
        "prepare {}, paint {}, finish {}",
        times(&last.prepare),
        times(&last.infer),
        times(&last.finish)
    ));
    for sink in &last.sinks {
        lines.push(format!(
            "{}: {} unique, {} repeated, {} interpolated, {} missed; from capture to there {}",
            sink.name,
            sink.shown.unique,
            sink.shown.repeated,
            sink.shown.interpolated,
            sink.shown.missed,
            times(&sink.latency)
        ));
    }
    lines
}

/// Median, 95th and 99th percentile.
fn times(durations: &Durations) -> String {
    let total = durations.total;
    format!("{:.1}/{:.1}/{:.1} ms", total.p50_ms, total.p95_ms, total.p99_ms)
}
