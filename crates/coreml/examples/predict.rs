//! Compiles and loads a foreign package on a Mac and runs it on zeros: whether Core
//! ML takes it, where its operations run, how long a prediction takes.
//!
//! `cargo run --release -p laterna-coreml --example predict -- PACKAGE UNITS
//! in:x=1x3x512x512 out:y=1x3x512x512` (fp16; `i32:ids=1x77` for integers)

#[cfg(target_os = "macos")]
fn main() -> std::process::ExitCode {
    macos::main()
}

#[cfg(not(target_os = "macos"))]
fn main() -> std::process::ExitCode {
    eprintln!("Core ML: is on macOS alone");
    std::process::ExitCode::FAILURE
}

#[cfg(target_os = "macos")]
mod macos {
    use std::path::Path;
    use std::process::ExitCode;
    use std::time::Instant;

    use laterna_coreml::run::{
        ComputeUnits, Device, Element, Feature, Interface, Options, Predictor, RunError, System,
    };

    const USAGE: &str = "usage: predict PACKAGE UNITS in:NAME=1x2x3 .. out:NAME=1x2x3 ..";
    /// Predictions that are timed.
    const ROUNDS: u32 = 20;

    pub fn main() -> ExitCode {
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let [package, units, features @ ..] = arguments.as_slice() else {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        };
        let (Some(units), Some(interface)) = (ComputeUnits::named(units), interface(features))
        else {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        };
        match run(Path::new(package), Options { units, ..Options::default() }, &interface) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }

    fn interface(arguments: &[&str]) -> Option<Interface> {
        let mut interface = Interface::default();
        for argument in arguments {
            let (kind, rest) = argument.split_once(':')?;
            let (name, shape) = rest.split_once('=')?;
            let shape =
                shape.split('x').map(|extent| extent.parse().ok()).collect::<Option<_>>()?;
            let element = if kind == "i32" { Element::I32 } else { Element::F16 };
            let feature = Feature { name: name.to_owned(), shape, element };
            match kind {
                "out" => interface.outputs.push(feature),
                "in" | "i32" => interface.inputs.push(feature),
                _ => return None,
            }
        }
        Some(interface)
    }

    fn run(package: &Path, options: Options, interface: &Interface) -> Result<(), RunError> {
        let compiled = System.compile(package)?;
        let mut model = System.open(&compiled, interface, &options)?.predictor()?;
        println!("{}", System.placement(&compiled, &options)?);
        zeros(&mut *model, interface)?;
        model.predict()?;
        let start = Instant::now();
        for _ in 0..ROUNDS {
            model.predict()?;
        }
        println!("{:.2} ms a prediction", start.elapsed().as_secs_f64() * 1e3 / f64::from(ROUNDS));
        outputs(&mut *model, interface)
    }

    fn zeros(model: &mut dyn Predictor, interface: &Interface) -> Result<(), RunError> {
        for (index, input) in interface.inputs.iter().enumerate() {
            match input.element {
                Element::I32 => model.write_i64(index, &vec![0; input.count()])?,
                _ => model.write_f32(index, &vec![0.0; input.count()])?,
            }
        }
        Ok(())
    }

    fn outputs(model: &mut dyn Predictor, interface: &Interface) -> Result<(), RunError> {
        for (index, output) in interface.outputs.iter().enumerate() {
            let mut values = vec![0.0; output.count()];
            model.read_f32(index, &mut values)?;
            let largest = values.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
            println!("{} {:?} max |y| {largest}", output.name, output.shape);
        }
        Ok(())
    }
}
