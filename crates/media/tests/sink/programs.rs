//! What other programs make of our files. A test that needs one which is not
//! installed says so and does nothing.

use std::io::Write;
use std::process::{Command, Stdio};

/// Whether a program can be started; says that the test is skipped if not.
pub fn has(program: &str, test: &str) -> bool {
    let found = Command::new(program).arg("-version").stdout(Stdio::null()).status().is_ok();
    if !found {
        let _ = writeln!(std::io::stderr(), "skipped: {test}: {program} is not installed");
    }
    found
}

/// What a program writes, given `input`; its own errors fail the test.
pub fn output(program: &str, arguments: &[&str], input: Option<Vec<u8>>) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().unwrap();
    let feeder = input.map(|input| {
        let mut stdin = child.stdin.take().unwrap();
        std::thread::spawn(move || stdin.write_all(&input).unwrap())
    });
    let done = child.wait_with_output().unwrap();
    feeder.into_iter().for_each(|feeder| feeder.join().unwrap());
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && errors.is_empty(), "{program}: {errors}");
    done.stdout
}

mod ffmpeg {
    use std::fs;
    use std::path::Path;

    use laterna_media::sink::recorder::{Options, Writer};
    use laterna_media::sink::stream::{Format, FrameRate, Stream};
    use laterna_pipeline::{Image, Size};

    use super::{has, output};
    use crate::support::{MS, psnr, scene};

    const SIZE: Size = Size::new(160, 112);

    /// Times that are whole milliseconds, unevenly apart.
    const TIMES: [u32; 6] = [0, 40, 110, 1500, 1533, 3700];

    fn record(path: &Path) {
        let mut writer = Writer::new(path, SIZE, Options::default()).unwrap();
        for (i, ms) in TIMES.into_iter().enumerate() {
            writer.write(&scene(SIZE, i), ms * MS).unwrap();
        }
        writer.finish(4000 * MS).unwrap();
    }

    #[test]
    fn reads_the_recordings_fields_and_times() {
        if !has("ffprobe", "reads_the_recordings_fields_and_times") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        record(&path);
        let fields = "stream=codec_name,width,height,pix_fmt,color_range,color_space,\
                      color_transfer,color_primaries,time_base:format=duration:\
                      packet=pts,duration,flags";
        let name = path.to_str().unwrap();
        let arguments = ["-v", "error", "-show_entries", fields, "-of", "default=nw=1", name];
        let said = String::from_utf8(output("ffprobe", &arguments, None)).unwrap();
        for line in [
            "codec_name=h264",
            "width=160",
            "height=112",
            "pix_fmt=yuv420p",
            "color_range=tv",
            "color_space=bt709",
            "color_transfer=iec61966-2-1",
            "color_primaries=bt709",
            "time_base=1/90000",
            "duration=4.000000",
        ] {
            assert!(said.lines().any(|said| said == line), "no {line} in {said}");
        }
        let times: Vec<u32> = said
            .lines()
            .filter_map(|line| line.strip_prefix("pts="))
            .map(|pts| pts.parse().unwrap())
            .collect();
        assert_eq!(times, TIMES.map(|ms| 90 * ms));
    }

    #[test]
    fn decodes_whole_and_cut_recordings() {
        if !has("ffmpeg", "decodes_whole_and_cut_recordings") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        record(&path);
        assert_eq!(decode(&path), TIMES.len());
        let file = fs::read(&path).unwrap();
        let mdat = file.windows(4).position(|window| window == b"mdat").unwrap();
        let length = u32::from_be_bytes(file[mdat - 4..mdat].try_into().unwrap()) as usize;
        let one_fragment = mdat - 4 + length;
        fs::write(&path, &file[..one_fragment]).unwrap();
        assert_eq!(decode(&path), 2);
    }

    /// Compares each frame and says how many there were.
    fn decode(path: &Path) -> usize {
        let name = path.to_str().unwrap();
        let arguments = ["-v", "error", "-i", name, "-fps_mode", "passthrough"];
        let sink =
            ["-vf", "scale=in_color_matrix=bt709", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"];
        let bytes = output("ffmpeg", &[&arguments[..], &sink[..]].concat(), None);
        let frames = bytes.chunks_exact(3 * SIZE.area());
        for (i, frame) in frames.clone().enumerate() {
            let mut decoded = Image::default();
            decoded.swap(SIZE, &mut frame.to_vec()).unwrap();
            let psnr = psnr(&decoded, &scene(SIZE, i));
            assert!(psnr > 34.0, "frame {i}: {psnr:.1} dB");
        }
        frames.len()
    }

    #[test]
    fn reads_a_y4m_stream_with_its_colours() {
        if !has("ffmpeg", "reads_a_y4m_stream_with_its_colours") {
            return;
        }
        let size = Size::new(101, 67);
        let (mut bytes, rate) = (Vec::new(), FrameRate { frames: 25, seconds: 1 });
        let mut stream = Stream::new(&mut bytes, Format::Y4m, rate).unwrap();
        (0..3).for_each(|i| stream.write(&scene(size, i as usize), i * 40 * MS).unwrap());
        stream.finish().unwrap();
        let arguments = ["-v", "error", "-f", "yuv4mpegpipe", "-i", "-"];
        let sink = ["-sws_flags", "accurate_rnd+full_chroma_int", "-f", "rawvideo"];
        let all = [&arguments[..], &sink[..], &["-pix_fmt", "rgb24", "-"]].concat();
        let frames = output("ffmpeg", &all, Some(bytes));
        assert_eq!(frames.len(), 3 * 3 * size.area());
        for (i, frame) in frames.chunks_exact(3 * size.area()).enumerate() {
            let mut decoded = Image::default();
            decoded.swap(size, &mut frame.to_vec()).unwrap();
            let psnr = psnr(&decoded, &scene(size, i));
            assert!(psnr > 38.0, "frame {i}: {psnr:.1} dB");
        }
    }
}
