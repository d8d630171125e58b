//! Writes a package, has it checked and run, and compares.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use laterna_conformance::compare;
use laterna_coreml::emit::{self, EmitError, Entry, Options, Package, Summary};
use laterna_graph::{Graph, WeightSource};
use laterna_tensor::{DType, Shape, Tensor};
use laterna_weights::write_safetensors;
use safetensors::{Dtype, SafeTensors};

/// Largest error of fp16 weights, relative to the largest magnitude of the
/// interpreter's result: each product's operands are within 2^-11.
pub const TOLERANCE: f32 = 5e-3;

/// Keeps one interpreter busy: starting it takes longer than most checks. Each
/// line in is the arguments of `verify.py`; each line out its exit status and,
/// quoted, what it said.
const DRIVER: &str = r#"
import contextlib, io, sys
sys.path.insert(0, sys.argv[1])
import verify
for line in sys.stdin:
    sys.argv = ["verify.py", *line.rstrip("\n").split("\t")]
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            status = verify.main()
        except SystemExit as exit:
            status = exit.code
        except Exception as error:
            status = f"{type(error).__name__}: {error}"
    print(f"{status} {said.getvalue()!r}", flush=True)
"#;

/// The Python side: one of the interpreters that no test uses, or a new one.
pub struct Checker(Option<Interpreter>);

/// Ends when its standard input is closed, at the latest with the tests.
struct Interpreter {
    process: Child,
    from: BufReader<ChildStdout>,
}

static IDLE: Mutex<Vec<Interpreter>> = Mutex::new(Vec::new());

impl Drop for Checker {
    fn drop(&mut self) {
        // What is left of an answer would be taken for the next one.
        if !std::thread::panicking() {
            IDLE.lock().unwrap().extend(self.0.take());
        }
    }
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

impl Interpreter {
    /// None, with a line that says why, where it is not installed.
    fn start() -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reference/coreml");
        let own = folder.join(".venv/bin/python");
        let python = std::env::var_os("LATERNA_COREML_PYTHON").map_or(own, PathBuf::from);
        if !python.is_file() || !folder.join("verify.py").is_file() {
            eprintln!("skipped: packages are not checked without reference/coreml's Python");
            return None;
        }
        let mut command = Command::new(&python);
        // The tests run beside each other, and their matrices are small.
        command.env("OPENBLAS_NUM_THREADS", "1");
        command.args(["-c", DRIVER]).arg(&folder).stderr(Stdio::null());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let from = BufReader::new(process.stdout.take().unwrap());
        Some(Self { process, from })
    }

    /// A line's answer.
    fn ask(&mut self, line: &str) -> String {
        writeln!(self.process.stdin.as_ref().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        self.from.read_line(&mut answer).unwrap();
        answer
    }
}

impl Checker {
    /// None, with a line that says why, where Python is not installed.
    pub fn find() -> Option<Self> {
        let idle = IDLE.lock().unwrap().pop();
        idle.or_else(Interpreter::start).map(|interpreter| Self(Some(interpreter)))
    }

    /// Checks a package, and runs one of its functions.
    pub fn run(
        &mut self,
        package: &Path,
        arguments: &[&str],
        inputs: &BTreeMap<String, Tensor>,
    ) -> Result<BTreeMap<String, Tensor>, String> {
        let folder = tempfile::tempdir().unwrap();
        let [given, made] = ["inputs", "outputs"].map(|name| folder.path().join(name));
        let views: Vec<_> = inputs.iter().map(|(name, x)| (name.as_str(), x.view())).collect();
        write_safetensors(&given, &views).unwrap();
        let [given, made, package] = [&given, &made, package].map(|path| path.to_str().unwrap());
        let mut all = vec![package, "--inputs", given, "--outputs", made];
        all.extend(arguments);
        let interpreter = self.0.as_mut().expect("taken away only when it is dropped");
        let answer = interpreter.ask(&all.join("\t"));
        match answer.strip_prefix("0 ") {
            Some(_) => Ok(read(&std::fs::read(made).unwrap())),
            None => Err(answer),
        }
    }

    /// Writes a graph as a package of one function; gives what it computes, in
    /// the order of the graph's outputs.
    pub fn execute(
        &mut self,
        graph: &Graph,
        weights: &dyn WeightSource,
        inputs: &[Tensor],
        options: &Options,
    ) -> Result<Vec<Tensor>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.mlpackage");
        let entries = [Entry::new("main", graph)];
        let summary =
            write(&path, &entries, weights, options).map_err(|error| error.to_string())?;
        let function = &summary.functions[0];
        let given = graph.inputs().iter().zip(inputs);
        let read =
            given.filter(|(id, _)| !function.unread.contains(&graph.value(**id).name.to_string()));
        let named = function.inputs.iter().zip(read);
        let named = named.map(|(input, (_, x))| (input.value.name.to_string(), as_f32(x)));
        let mut made = self.run(&path, &[], &named.collect())?;
        let names = function.outputs.iter().map(|output| &*output.value.name);
        names.map(|name| made.remove(name).ok_or(format!("no output {name}"))).collect()
    }
}

/// Writes functions as a package.
pub fn write(
    path: &Path,
    entries: &[Entry<'_>],
    weights: &dyn WeightSource,
    options: &Options,
) -> Result<Summary, EmitError> {
    let package = Package { description: "a test", entries };
    emit::write(path, &package, weights, options, &mut |_| {})
}

/// A file's tensors, all as f32.
fn read(bytes: &[u8]) -> BTreeMap<String, Tensor> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let tensor = |name: &str| {
        let view = file.tensor(name).unwrap();
        let (quads, _) = view.data().as_chunks::<4>();
        let number = |&quad: &[u8; 4]| match view.dtype() {
            Dtype::I32 => i32::from_le_bytes(quad) as f32,
            _ => f32::from_le_bytes(quad),
        };
        Tensor::from_f32(Shape::new(view.shape()), quads.iter().map(number).collect()).unwrap()
    };
    file.names().into_iter().map(|name| (name.to_owned(), tensor(name))).collect()
}

/// Whole numbers as fractions: the checker's files hold nothing else.
pub fn as_f32(x: &Tensor) -> Tensor {
    match x.dtype() {
        DType::I64 => {
            let values = x.as_i64().unwrap().iter().map(|&v| v as f32).collect();
            Tensor::from_f32(x.shape(), values).unwrap()
        }
        _ => x.clone(),
    }
}

/// Compares results with what was expected.
pub fn differences(
    graph: &Graph,
    expected: &[Tensor],
    found: &[Tensor],
    tolerance: f32,
) -> Result<(), String> {
    for ((name, _), (expected, found)) in graph.outputs().iter().zip(expected.iter().zip(found)) {
        compare(&as_f32(expected), &as_f32(found), tolerance)
            .map_err(|difference| format!("output {name}: {difference}"))?;
    }
    Ok(())
}
