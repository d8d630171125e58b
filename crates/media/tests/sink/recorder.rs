//! Recordings: times, pictures, cut files, names, sizes.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use laterna_media::sink::recorder::{Mark, Options, Rate, RecordError, Summary, Writer};
use laterna_pipeline::{Image, Size};
use tempfile::TempDir;

use crate::boxes::{self, Movie};
use crate::support::{MS, crop, decode, psnr, scene};

const SIZE: Size = Size::new(160, 112);

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    (folder, path)
}

fn load(path: &Path) -> Movie {
    boxes::read(&fs::read(path).unwrap()).unwrap()
}

/// When the picture of a number is shown: about 15 a second, never evenly, from
/// a minute on.
fn time(number: usize) -> Duration {
    Duration::from_micros(60_000_000 + 66_700 * number as u64 + [0, 7_001, 23_456][number % 3])
}

fn tick(number: usize) -> u64 {
    ((time(number) - time(0)).as_secs_f64() * 90_000.0).round() as u64
}

/// Records so many pictures, the last of which is shown for 50 ms.
fn record(path: &Path, count: usize, options: Options) -> Summary {
    let mut writer = Writer::new(path, SIZE, options).unwrap();
    (0..count).for_each(|i| writer.write(&scene(SIZE, i), time(i)).unwrap());
    writer.finish(time(count - 1) + 50 * MS).unwrap()
}

#[test]
fn pictures_and_times_come_back() {
    let (_folder, path) = place();
    let count = 70;
    let summary = record(&path, count, Options::default());
    let movie = load(&path);

    let times: Vec<u64> = (0..count).map(tick).collect();
    assert_eq!(movie.times(), times);
    let end = tick(count - 1) + 4500;
    let ends = times[1..].iter().chain([&end]);
    for (sample, end) in movie.samples.iter().zip(ends) {
        assert_eq!(sample.time + u64::from(sample.duration), *end);
    }
    assert_eq!(movie.length, Some(end));
    assert_eq!((summary.pictures, summary.length.as_micros()), (70, end as u128 * 100 / 9));

    assert_eq!((movie.size, &movie.colour[..]), ((160, 112), &[1, 13, 1, 0][..]));
    let pictures = decode(&movie);
    assert_eq!(pictures.len(), count);
    for (i, picture) in pictures.iter().enumerate() {
        let psnr = psnr(picture, &scene(SIZE, i));
        assert!(psnr >= 36.0, "picture {i}: {psnr:.1} dB");
    }
}

#[test]
fn fragments_are_short_and_players_can_seek() {
    let (_folder, path) = place();
    record(&path, 70, Options::default());
    let movie = load(&path);
    let mut begin = 0;
    for &count in &movie.fragments {
        let samples = &movie.samples[begin..begin + count];
        let length: u32 = samples.iter().map(|sample| sample.duration).sum();
        assert!(length <= 90_000, "{length}");
        assert!(samples[1..].iter().all(|sample| !sample.sync));
        begin += count;
    }
    let sync: Vec<u64> =
        movie.samples.iter().filter(|sample| sample.sync).map(|sample| sample.time).collect();
    assert_eq!(sync[0], 0);
    assert!(sync.len() >= 3 && sync.is_sorted_by(|a, b| b - a <= 2 * 90_000 + 8_000), "{sync:?}");
}

#[test]
fn a_file_cut_anywhere_plays_up_to_there() {
    let (_folder, path) = place();
    record(&path, 48, Options::default());
    let file = fs::read(&path).unwrap();
    let (whole, all) = (boxes::read(&file).unwrap(), decode(&boxes::read(&file).unwrap()));
    let ends = [1, 2, 7, 8, 9, 600].map(|from_end| file.len() - from_end);
    let cuts = (0..file.len()).step_by(file.len() / 23).chain(ends);
    let mut seen = Vec::new();
    for cut in cuts {
        let Some(movie) = boxes::read(&file[..cut]) else {
            assert!(cut < 1000, "no header in {cut} bytes");
            continue;
        };
        let pictures = decode(&movie);
        assert_eq!(pictures.len(), movie.samples.len(), "{cut}");
        assert_eq!(pictures, all[..pictures.len()], "{cut}");
        assert_eq!(movie.fragments, whole.fragments[..movie.fragments.len()]);
        seen.push(movie.fragments.len());
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, (0..whole.fragments.len()).collect::<Vec<_>>());
}

#[test]
fn a_recording_that_is_killed_lacks_no_more_than_a_second() {
    let (_folder, path) = place();
    let mut writer = Writer::new(&path, SIZE, Options::default()).unwrap();
    for i in 0..48 {
        writer.write(&scene(SIZE, i), time(i)).unwrap();
        let movie = load(&path);
        let written = movie.samples.last().map_or(0, |s| s.time + u64::from(s.duration));
        assert!(tick(i) - written <= 90_000, "picture {i}");
        assert_eq!(movie.length, None);
    }
    // As a kill does: nothing more is written.
    std::mem::forget(writer);
    assert_eq!(decode(&load(&path)).len(), load(&path).samples.len());
}

#[test]
fn the_same_pictures_give_the_same_bytes() {
    let ((_a, first), (_b, second)) = (place(), place());
    for rate in [Options::default().rate, Rate::Bits { per_second: 300_000 }] {
        let options = Options { rate, overwrite: true, ..Options::default() };
        record(&first, 20, options);
        record(&second, 20, options);
        assert!(fs::read(&first).unwrap() == fs::read(&second).unwrap(), "{rate:?}");
    }
}

#[test]
fn quality_and_bits_are_kept_to() {
    let (_folder, path) = place();
    let bytes = |rate| {
        let options = Options { rate, overwrite: true, ..Options::default() };
        let summary = record(&path, 90, options);
        assert_eq!((summary.pictures, summary.left_out), (90, 0));
        let movie = load(&path);
        let pictures = decode(&movie);
        let psnr = (0..90).map(|i| psnr(&pictures[i], &scene(SIZE, i))).sum::<f64>() / 90.0;
        (movie.samples.iter().map(|sample| sample.bytes.len()).sum::<usize>(), psnr)
    };
    let [best, good, poor] = [12, 24, 40].map(|quantizer| bytes(Rate::Quality { quantizer }));
    assert!(best.0 > good.0 && good.0 > poor.0, "{best:?} {good:?} {poor:?}");
    assert!(best.1 > good.1 && good.1 > poor.1 && good.1 > 35.0, "{best:?} {good:?} {poor:?}");
    let seconds = tick(90) as f64 / 90_000.0;
    for per_second in [100_000, 400_000] {
        let bits = 8.0 * bytes(Rate::Bits { per_second }).0 as f64 / seconds;
        let ratio = bits / f64::from(per_second);
        assert!((0.3..1.1).contains(&ratio), "{bits:.0} of {per_second} bits a second");
    }
}

#[test]
fn what_does_not_fit_is_left_out_and_the_picture_before_stays() {
    let (_folder, path) = place();
    let rate = Rate::Bits { per_second: 10_000 };
    let mut writer = Writer::new(&path, SIZE, Options { rate, ..Options::default() }).unwrap();
    for i in 0..60_u32 {
        let noise = (0..3 * SIZE.area() as u32).map(|x| ((x + i).wrapping_pow(3) >> 3) as u8);
        let mut image = Image::default();
        image.swap(SIZE, &mut noise.collect()).unwrap();
        writer.write(&image, i * 20 * MS).unwrap();
    }
    let Summary { pictures, left_out, length } = writer.finish(1200 * MS).unwrap();
    assert_eq!((pictures + left_out, length), (60, 1200 * MS));
    assert!(left_out > 30, "{left_out}");
    let movie = load(&path);
    assert!(movie.samples.len() as u64 >= pictures);
    let shown: u64 = movie.samples.iter().map(|sample| u64::from(sample.duration)).sum();
    assert_eq!((shown, movie.length), (108_000, Some(108_000)));
    assert_eq!(decode(&movie).len(), movie.samples.len());
}

#[test]
fn a_still_picture_costs_next_to_nothing() {
    let (_folder, path) = place();
    let mut writer = Writer::new(&path, SIZE, Options::default()).unwrap();
    let image = scene(SIZE, 0);
    writer.hold(Duration::ZERO).unwrap();
    writer.write(&image, MS).unwrap();
    (0..600).for_each(|i| writer.hold(MS + i * 10 * MS).unwrap());
    let summary = writer.finish(6001 * MS).unwrap();
    assert_eq!(summary, Summary { pictures: 1, left_out: 0, length: Duration::from_secs(6) });
    let movie = load(&path);
    assert_eq!(movie.times(), [0, 1, 2, 3, 4, 5].map(|second| second * 90_000));
    assert_eq!(movie.length, Some(6 * 90_000));
    let first = movie.samples[0].bytes.len();
    let (_, rest): (Vec<_>, Vec<_>) = movie.samples.iter().partition(|sample| sample.sync);
    assert!(rest.len() >= 3 && rest.iter().all(|sample| sample.bytes.len() * 20 < first));
    assert!(decode(&movie).iter().all(|picture| psnr(picture, &image) > 36.0));
}

#[test]
fn times_that_stand_still_or_go_back_stay_in_order() {
    let (_folder, path) = place();
    let mut writer = Writer::new(&path, SIZE, Options::default()).unwrap();
    for ms in [500, 500, 100, 533] {
        writer.write(&scene(SIZE, 0), ms * MS).unwrap();
    }
    writer.finish(Duration::ZERO).unwrap();
    assert_eq!(load(&path).times(), [0, 1, 2, 2970]);
    assert_eq!(load(&path).length, Some(2971));
}

#[test]
fn every_picture_has_the_first_ones_size() {
    let (_folder, path) = place();
    let size = Size::new(161, 113);
    let mut writer = Writer::new(&path, size, Options::default()).unwrap();
    writer.write(&scene(size, 0), Duration::ZERO).unwrap();
    let mut wide = Image::new(Size::new(90, 30));
    wide.rgb_mut().fill(220);
    writer.write(&wide, 40 * MS).unwrap();
    writer.write(&Image::default(), 80 * MS).unwrap();
    writer.finish(120 * MS).unwrap();

    let movie = load(&path);
    assert_eq!(movie.size, (162, 114));
    let pictures: Vec<_> = decode(&movie).iter().map(|picture| crop(picture, size)).collect();
    assert!(psnr(&pictures[0], &scene(size, 0)) > 36.0);
    // 161 columns at three to one leave bars of 30 rows.
    let mut boxed = Image::new(size);
    boxed.rgb_mut()[3 * 161 * 29..3 * 161 * 83].fill(220);
    assert!(psnr(&pictures[1], &boxed) > 30.0, "{:.1}", psnr(&pictures[1], &boxed));
    assert!(psnr(&pictures[2], &Image::new(size)) > 36.0);
}

#[test]
fn sizes_that_the_encoder_refuses_leave_no_file() {
    let (folder, path) = place();
    for (width, height) in [(0, 0), (8, 64), (64, 14), (3842, 64), (2400, 2400)] {
        let made = Writer::new(&path, Size::new(width, height), Options::default());
        assert!(matches!(made, Err(RecordError::Size { .. })), "{width}x{height}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    for (width, height) in [(15, 16), (2160, 3840)] {
        let size = Size::new(width, height);
        let mut writer =
            Writer::new(&path, size, Options { overwrite: true, ..Options::default() }).unwrap();
        writer.write(&scene(size, 0), MS).unwrap();
        writer.finish(2 * MS).unwrap();
        assert_eq!(load(&path).samples.len(), 1);
    }
}

#[test]
fn a_file_is_replaced_only_if_asked() {
    let (_folder, path) = place();
    fs::write(&path, "precious").unwrap();
    let made = Writer::new(&path, SIZE, Options::default());
    let error = made.err().unwrap();
    assert!(matches!(error, RecordError::Exists(_)));
    assert!(error.to_string().ends_with("a.mp4: there is a file of this name"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    record(&path, 1, Options { overwrite: true, ..Options::default() });
    assert_eq!(load(&path).samples.len(), 1);
}

#[test]
fn a_dropped_writer_ends_its_file_and_an_empty_one_is_removed() {
    let (_folder, path) = place();
    let mut writer = Writer::new(&path, SIZE, Options::default()).unwrap();
    writer.write(&scene(SIZE, 0), MS).unwrap();
    writer.write(&scene(SIZE, 1), 41 * MS).unwrap();
    drop(writer);
    assert_eq!(load(&path).length, Some(7200));
    fs::remove_file(&path).unwrap();
    let empty = Writer::new(&path, SIZE, Options::default()).unwrap();
    assert!(path.exists());
    assert_eq!(empty.finish(MS).unwrap(), Summary::default());
    assert!(!path.exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_named_and_ends_the_recording() {
    let options = Options { overwrite: true, ..Options::default() };
    let mut writer = Writer::new(Path::new("/dev/full"), SIZE, options).unwrap();
    let error = writer.write(&scene(SIZE, 0), MS).unwrap_err().to_string();
    assert!(error.starts_with("/dev/full: No space left on device"), "{error}");
    let again = writer.write(&scene(SIZE, 0), 2 * MS).unwrap_err();
    assert!(matches!(again, RecordError::Ended(_)), "{again}");
}

/// Records so many pictures, marked before every eighth, and gives the marks; left
/// without an end if it is not to `finish`.
fn record_marked(path: &Path, count: usize, finish: bool) -> Vec<Mark> {
    let options = Options { overwrite: true, ..Options::default() };
    let mut writer = Writer::new(path, SIZE, options).unwrap();
    assert_eq!(writer.mark(time(0)).unwrap(), None, "there is nothing to go on with");
    let marks = write_marked(&mut writer, 0..count);
    if finish {
        writer.finish(time(count - 1) + 50 * MS).unwrap();
    } else {
        drop(writer);
    }
    marks
}

fn write_marked(writer: &mut Writer, numbers: Range<usize>) -> Vec<Mark> {
    let mut marks = Vec::new();
    for i in numbers {
        if i > 0 && i % 8 == 0 {
            marks.extend(writer.mark(time(i)).unwrap());
        }
        writer.write(&scene(SIZE, i), time(i)).unwrap();
    }
    marks
}

#[test]
fn what_is_resumed_at_a_mark_has_the_bytes_of_one_run() {
    let (_folder, path) = place();
    let count = 29;
    let marks = record_marked(&path, count, true);
    let whole = fs::read(&path).unwrap();
    assert_eq!(decode(&boxes::read(&whole).unwrap()).len(), count);
    assert_eq!(marks.iter().map(|mark| mark.pictures).collect::<Vec<_>>(), [8, 16, 24]);
    for (mark, stopped) in marks.iter().zip([9, 24, count]) {
        // Also of a file that has got its end since.
        let found = record_marked(&path, stopped, stopped == count);
        assert_eq!(found, marks[..found.len()]);
        let mut writer = Writer::resume(&path, SIZE, Options::default(), mark).unwrap();
        write_marked(&mut writer, mark.pictures as usize..count);
        let summary = writer.finish(time(count - 1) + 50 * MS).unwrap();
        assert_eq!(summary.pictures, count as u64);
        assert!(fs::read(&path).unwrap() == whole, "resumed after {} pictures", mark.pictures);
    }
}

#[test]
fn a_mark_of_another_file_is_refused() {
    let (_folder, path) = place();
    let marks = record_marked(&path, 17, true);
    fs::write(&path, &fs::read(&path).unwrap()[..marks[1].length_bytes as usize - 1]).unwrap();
    let resume = |mark: &Mark| Writer::resume(&path, SIZE, Options::default(), mark);
    let error = resume(&marks[1]).err().unwrap().to_string();
    assert!(error.ends_with("it is shorter than when it was left"), "{error}");
    assert!(resume(&Mark { duration_at_bytes: u64::MAX, ..marks[0] }).is_err());
    assert!(resume(&marks[0]).is_ok());
    fs::remove_file(&path).unwrap();
    assert!(resume(&marks[0]).is_err() && !path.exists());
}
