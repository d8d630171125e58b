//! The window on a real X server, a virtual one: what it shows is grabbed from
//! the screen. Each case is this program again, as the window's, so that it has
//! the main thread and a display of its own.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use laterna_media::sink::Filter;
use laterna_media::sink::window::{Key, Options, Then, WindowSink, pair, run};
use laterna_pipeline::frame::Frame;
use laterna_pipeline::port::{Kind, PortError, Shown, Sink};
use laterna_pipeline::{Image, Size};

const SCREEN: Size = Size::new(640, 480);

/// The window's, wider than the picture.
const WINDOW: Size = Size::new(400, 200);

const TITLE: &str = "laterna test";

const PICTURE: Size = Size::new(40, 40);

/// Of the picture's quarters, from the top left.
const COLOURS: [[u8; 3]; 4] = [[250, 10, 20], [30, 240, 40], [50, 60, 230], [200, 210, 5]];

/// How long anything here may take.
const LIMIT: Duration = Duration::from_secs(20);

fn main() {
    // What the harness asks of a program that it does not know, to list it.
    if env::args().any(|argument| argument == "--list") {
        return;
    }
    match env::var("LATERNA_TEST_WINDOW") {
        Ok(_) => be_the_window(),
        Err(_) => test(),
    }
}

fn test() {
    no_display_is_an_error();
    let Some(server) = Server::start() else { return };
    pictures_are_shown_and_letterboxed(&server);
    the_program_can_close_it(&server);
    if has("xdotool", "version") {
        keys_reach_the_program(&server);
    }
}

/// Opens the window, shows what standard input says, and says what happens.
fn be_the_window() {
    let (sink, feed) = pair();
    let exit = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&exit);
    let shower = thread::spawn(move || show_what_is_asked(sink, &asked));
    let options =
        Options { title: TITLE.into(), size: WINDOW, filter: Filter::Nearest, full_screen: false };
    let on_key = |key| {
        say(&format!("key {key:?}"));
        if key == Key::Char('q') { Then::Close } else { Then::Stay }
    };
    let ended = run(options, feed, on_key, || exit.load(Ordering::SeqCst));
    say(&match ended {
        Ok(()) => "closed".to_owned(),
        Err(error) => format!("{error}; {:?}", error.hint().is_some()),
    });
    drop(shower);
}

fn show_what_is_asked(mut sink: WindowSink, exit: &AtomicBool) {
    for line in io::stdin().lines() {
        match line.unwrap().as_str() {
            "exit" => exit.store(true, Ordering::SeqCst),
            turns => {
                let picture = quarters(turns.parse().unwrap());
                let ended = show(&mut sink, &picture).err();
                say(&ended.map_or("shown".to_owned(), |error| error.to_string()));
            }
        }
    }
}

fn show(sink: &mut WindowSink, image: &Image) -> Result<(), PortError> {
    let frame = Arc::new(Frame::default());
    sink.show(&Shown { frame: &frame, image, kind: Kind::Unique })
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

/// A picture of four colours, turned so many times.
fn quarters(turns: usize) -> Image {
    let mut image = Image::new(PICTURE);
    for (i, pixel) in image.rgb_mut().as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = (i % PICTURE.width, i / PICTURE.width);
        let quarter = usize::from(x >= 20) + 2 * usize::from(y >= 20);
        *pixel = COLOURS[(quarter + turns) % 4];
    }
    image
}

fn no_display_is_an_error() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let mut window = Program::start(None);
    let said = window.line();
    assert_eq!(
        said,
        "no window can be opened: neither WAYLAND_DISPLAY nor WAYLAND_SOCKET nor DISPLAY is set.; true"
    );
    let mut window = Program::start(Some(":987"));
    let said = window.line();
    assert!(said.starts_with("no window can be opened: "), "{said}");
}

fn pictures_are_shown_and_letterboxed(server: &Server) {
    let mut window = Program::start(Some(&server.display));
    for turns in [0, 1, 2] {
        window.ask(&turns.to_string());
        assert_eq!(window.line(), "shown");
        let picture = quarters(turns);
        server.expect(|screen| matches(screen, &picture));
    }
}

/// Whether the top left of the screen is the window: the picture five times as
/// large in its middle, black beside it.
fn matches(screen: &Image, picture: &Image) -> Result<(), String> {
    for y in 0..WINDOW.height {
        for x in 0..WINDOW.width {
            let inside = (100..300).contains(&x);
            let from = 3 * (y / 5 * PICTURE.width + x.saturating_sub(100) / 5);
            let expected = if inside { &picture.rgb()[from..][..3] } else { &[0; 3][..] };
            let found = &screen.rgb()[3 * (y * SCREEN.width + x)..][..3];
            if found != expected {
                return Err(format!("({x}, {y}) is {found:?}, not {expected:?}"));
            }
        }
    }
    Ok(())
}

fn the_program_can_close_it(server: &Server) {
    let mut window = Program::start(Some(&server.display));
    window.ask("3");
    assert_eq!(window.line(), "shown");
    window.ask("exit");
    assert_eq!(window.line(), "closed");
    assert!(window.child.wait().unwrap().success());
}

fn keys_reach_the_program(server: &Server) {
    let mut window = Program::start(Some(&server.display));
    window.ask("0");
    assert_eq!(window.line(), "shown");
    // There is no window manager that would give it the keyboard.
    server.key(&["search", "--name", TITLE, "windowfocus"]);
    for (key, said) in [
        ("n", "key Char('n')"),
        ("plus", "key Char('+')"),
        ("Left", "key Left"),
        ("space", "key Char(' ')"),
        ("Escape", "key Escape"),
    ] {
        server.key(&["key", key]);
        assert_eq!(window.line(), said);
    }
    // `f` is the window's own.
    server.key(&["key", "f", "key", "q"]);
    assert_eq!(window.line(), "key Char('q')");
    assert_eq!(window.line(), "closed");
    assert!(window.child.wait().unwrap().success());
}

/// This program as the window's, on a display or none.
struct Program {
    child: Child,
    input: ChildStdin,
    output: mpsc::Receiver<String>,
}

impl Program {
    fn start(display: Option<&str>) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.env("LATERNA_TEST_WINDOW", "1");
        for variable in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"] {
            command.env_remove(variable);
        }
        display.map(|display| command.env("DISPLAY", display));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, output) = mpsc::channel();
        // It ends with the program, or when nobody listens any more.
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { child, input, output }
    }

    fn ask(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    fn line(&mut self) -> String {
        self.output.recv_timeout(LIMIT).expect("the window's program says nothing")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A virtual X server.
struct Server {
    child: Child,
    display: String,
}

impl Server {
    fn start() -> Option<Self> {
        if !has("Xvfb", "-help") || !has("ffmpeg", "-version") {
            return None;
        }
        let screen = format!("{}x{}x24", SCREEN.width, SCREEN.height);
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-screen", "0", &screen, "-nolisten", "tcp"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut number = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Some(Self { child, display: format!(":{}", number.trim()) })
    }

    /// What is on the screen, until it is as expected.
    fn expect(&self, check: impl Fn(&Image) -> Result<(), String>) {
        let start = Instant::now();
        while let Err(difference) = check(&self.grab()) {
            assert!(start.elapsed() < LIMIT, "{difference}");
        }
    }

    fn grab(&self) -> Image {
        let size = format!("{}x{}", SCREEN.width, SCREEN.height);
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-f", "x11grab", "-draw_mouse", "0", "-video_size", &size]);
        command.args(["-i", &self.display, "-frames:v", "1", "-f", "rawvideo"]);
        let mut grabbed = command.args(["-pix_fmt", "rgb24", "-"]).output().unwrap();
        let errors = String::from_utf8_lossy(&grabbed.stderr);
        assert!(grabbed.status.success(), "ffmpeg: {errors}");
        let mut image = Image::default();
        image.swap(SCREEN, &mut grabbed.stdout).unwrap();
        image
    }

    fn key(&self, arguments: &[&str]) {
        let mut command = Command::new("xdotool");
        assert!(command.args(arguments).env("DISPLAY", &self.display).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a program can be started; says what is skipped if not.
fn has(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    let quiet = command.arg(argument).stdout(Stdio::null()).stderr(Stdio::null());
    let found = quiet.status().is_ok();
    if !found {
        let _ = writeln!(io::stderr(), "skipped: windows on a screen: {program} is not installed");
    }
    found
}
