//! What is measured, one function for each.

use std::thread;
use std::time::{Duration, Instant};

use laterna_media::source::counter;
use serde_json::{Value, json};

use crate::Scale;
use crate::camera::{Camera, TICK};
use crate::command::{Holdings, Live, bench_ms};
use crate::figures::{median, round, summary};
use crate::page::Page;

/// Left out at the beginning, when caches are cold.
const WARM_UP: Duration = Duration::from_secs(2);

/// Frames of one run of `laterna bench`.
const BENCH_FRAMES: usize = 20;

/// Glass to glass, and what of it is not the frame's own inference: a camera draws
/// the time into its pictures, a page reads it from the paintings. The latency is of
/// one clock, and takes nothing from the session's own stamps. The strength is low,
/// so that the digits survive; the work is the same at any.
///
/// At 60 pictures a second, and at 30, where one is up to 33 ms old when the model
/// is free for it.
pub fn latency(scale: Scale) -> Value {
    [60, 30].map(|fps| glass_to_glass(scale, fps)).into()
}

fn glass_to_glass(scale: Scale, camera_fps: u32) -> Value {
    let still = ["--strength", "0.1", "--smoothing", "0", "--feedback", "0"];
    let live = Live::start(scale.size, &[&["--input", "browser"], &still[..]].concat());
    let start = Instant::now();
    let _camera = Camera::start(&live.host, start, scale.size, camera_fps);
    let mut page = Page::viewing(&live.host);
    let (mut latencies, mut beyond, mut infer) = (Vec::new(), Vec::new(), Vec::new());
    let (mut unread, mut sequence) = (0, 0);
    let end = start + WARM_UP + scale.length;
    while let Some(picture) = page.picture(end) {
        let shown = start.elapsed();
        page.acknowledge(&picture);
        assert!(picture.sequence >= sequence, "pictures came out of order");
        sequence = picture.sequence;
        let Some(image) = picture.painting.filter(|_| picture.is_unique) else { continue };
        match counter::read(&image) {
            Some(ticks) if shown > WARM_UP => {
                let captured = f64::from(ticks) * TICK.as_secs_f64();
                let latency = (shown.as_secs_f64() - captured) * 1e3;
                latencies.push(latency);
                beyond.push(latency - picture.infer_ms);
                infer.push(picture.infer_ms);
            }
            Some(_) => {}
            None => unread += 1,
        }
    }
    assert!(latencies.len() > 3 * unread && !latencies.is_empty(), "the digits are not legible");
    assert!(latencies.iter().all(|&ms| ms > 0.0), "a picture came before it was captured");
    json!({
        "camera_fps": camera_fps,
        "camera_to_page_ms": summary(&latencies),
        "beyond_its_inference_ms": summary(&beyond),
        "infer_ms": summary(&infer),
        "unread": unread,
    })
}

/// From the synthetic scene to the session's own sink, with no page open.
pub fn source(scale: Scale) -> Value {
    let live = Live::start(scale.size, &["--input", "synthetic"]);
    thread::sleep(WARM_UP + scale.length);
    let statistics = live.statistics();
    let infer = &statistics["infer"]["recent"];
    let [infer, infer_p95] = ["p50_ms", "p95_ms"].map(|part| infer[part].as_f64().unwrap());
    let latency = &statistics["sinks"][0]["latency"]["recent"];
    let p95 = latency["p95_ms"].as_f64().unwrap();
    assert!(p95 >= infer, "latency holds the time of painting");
    json!({
        "latency_ms": latency,
        "infer_ms": round(infer),
        "infer_p95_ms": round(infer_p95),
        "p95_by_infer": round(p95 / infer),
    })
}

/// Unique frames a second with a page open, beside `laterna bench`, alternating in
/// short turns: a machine that others use is not as fast at each moment. Of both the
/// median frame counts; the mean rate of the session stands beside it.
pub fn rate(scale: Scale) -> Value {
    let (mut live_fps, mut mean_fps, mut bench_fps) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..4 * scale.rounds {
        // Faster than the model, so that the camera is no limit.
        let live = Live::start(scale.size, &["--input", "synthetic:60"]);
        let mut page = Page::viewing(&live.host);
        take(&mut page, WARM_UP);
        let taken = take(&mut page, scale.length / 4);
        live_fps.push(1e3 / median(&taken.gaps_ms));
        mean_fps.push(taken.fps());
        drop(live);
        bench_fps.push(1e3 / bench_ms(scale.size, BENCH_FRAMES));
    }
    let pairs = live_fps.iter().zip(&bench_fps).map(|(live, bench)| live / bench);
    let ratio = median(&pairs.collect::<Vec<_>>());
    json!({
        "live_fps": rounded(&live_fps),
        "live_mean_fps": rounded(&mean_fps),
        "bench_fps": rounded(&bench_fps),
        "median_ratio": round(ratio),
    })
}

fn rounded(samples: &[f64]) -> Vec<f64> {
    samples.iter().copied().map(round).collect()
}

/// Two pages that take pictures, then a third that takes none beside them.
pub fn clients(scale: Scale) -> Value {
    let live = Live::start(scale.size, &["--input", "synthetic"]);
    let mut pages = [Page::viewing(&live.host), Page::viewing(&live.host)];
    both(&mut pages, WARM_UP);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        alone.extend(both(&mut pages, scale.length / 3));
        // Less than the patience of the session, which then drops it.
        let stalled = Page::viewing(&live.host);
        beside.extend(both(&mut pages, scale.length / 3));
        drop(stalled);
    }
    assert!(beside.iter().all(|&fps| fps > 0.0), "a page got nothing");
    let ratio = median(&beside) / median(&alone);
    json!({ "alone_fps": alone, "beside_a_stalled_one_fps": beside, "ratio": round(ratio) })
}

/// Random changes each second, for long: memory, threads and descriptors stay,
/// and no picture is late.
pub fn soak(scale: Scale) -> Value {
    let live = Live::start(scale.size, &["--input", "synthetic"]);
    let mut page = Page::viewing(&live.host);
    take(&mut page, WARM_UP);
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut holdings, mut gaps, mut pictures) = (Vec::new(), Vec::new(), 0);
    let end = Instant::now() + scale.soak;
    let settled = Instant::now() + scale.soak / 10;
    while Instant::now() < end {
        live.ask("PATCH", "/api/v1/controls", &random.change().to_string());
        let taken = take(&mut page, Duration::from_secs(1));
        pictures += taken.gaps_ms.len();
        gaps.extend(taken.gaps_ms);
        if Instant::now() > settled {
            holdings.push(live.holdings());
        }
    }
    let limit = 3.0 * median(&gaps);
    let failed = live.statistics()["frames"]["failed"].as_u64();
    assert_eq!(failed, Some(0), "no frame fails");
    json!({
        "seconds": scale.soak.as_secs(),
        "pictures": pictures,
        "gap_ms": summary(&gaps),
        "gaps_over_three_medians": gaps.iter().filter(|&&gap| gap > limit).count(),
        "first": holdings.first(),
        "last": holdings.last(),
        "rss_spread": spread(&holdings),
        "threads": range(holdings.iter().map(|held| held.threads)),
        "descriptors": range(holdings.iter().map(|held| held.descriptors)),
    })
}

/// What a page got.
struct Taken {
    unique: usize,
    seconds: f64,
    /// Between the arrivals of unique pictures.
    gaps_ms: Vec<f64>,
}

impl Taken {
    fn fps(&self) -> f64 {
        self.unique as f64 / self.seconds
    }
}

/// Takes pictures for some time.
fn take(page: &mut Page, length: Duration) -> Taken {
    let start = Instant::now();
    let mut came: Vec<Instant> = Vec::new();
    while let Some(picture) = page.picture(start + length) {
        page.acknowledge(&picture);
        if picture.is_unique {
            came.push(picture.came);
        }
    }
    let gap = |pair: &[Instant]| (pair[1] - pair[0]).as_secs_f64() * 1e3;
    let gaps_ms = came.windows(2).map(gap).collect();
    Taken { unique: came.len(), seconds: start.elapsed().as_secs_f64(), gaps_ms }
}

/// The rates of two pages at once.
fn both(pages: &mut [Page; 2], length: Duration) -> Vec<f64> {
    thread::scope(|scope| {
        let taking = pages.each_mut().map(|page| scope.spawn(move || take(page, length).fps()));
        taking.into_iter().map(|taking| taking.join().unwrap()).collect()
    })
}

/// How far memory went from its median, as a share.
fn spread(holdings: &[Holdings]) -> f64 {
    let rss: Vec<f64> = holdings.iter().map(|held| held.rss_kib as f64).collect();
    let middle = median(&rss).max(1.0);
    let farthest = rss.iter().map(|rss| (rss - middle).abs()).fold(0.0, f64::max);
    (farthest / middle * 1e4).round() / 1e4
}

fn range(counts: impl Iterator<Item = usize> + Clone) -> [Option<usize>; 2] {
    [counts.clone().min(), counts.max()]
}

/// The same changes in each run (xorshift64*).
struct Random(u64);

impl Random {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn change(&mut self) -> Value {
        const PROMPTS: [&str; 4] = ["oil painting", "pencil sketch", "pop art", "ink on silk"];
        let value = self.next();
        match (self.next() * 7.0) as usize {
            0 => json!({ "strength": value }),
            1 => json!({ "feedback": value * 0.9 }),
            2 => json!({ "smoothing": value * 0.9 }),
            3 => json!({ "camera": value }),
            4 => json!({ "seed": (value * 1e6) as u64 }),
            5 => json!({ "mirror": value > 0.5 }),
            _ => {
                let text = |share: f64| PROMPTS[(share * PROMPTS.len() as f64) as usize];
                let second = json!({ "text": text(self.next()), "weight": 0.5 });
                json!({ "prompts": [{ "text": text(value) }, second] })
            }
        }
    }
}
