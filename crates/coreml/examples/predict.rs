//! Loads a package on a Mac and runs it on zeros: whether Core ML takes it, where
//! its operations run, how long a prediction takes.
//!
//! `cargo run --release -p laterna-coreml --example predict -- PACKAGE CACHE UNITS
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
    use std::path::{Path, PathBuf};
    use std::process::{Command, ExitCode};
    use std::time::Instant;

    use laterna_coreml::run::{
        ComputeUnits, Element, Feature, Interface, Loading, Model, Options, RunError, load,
        placement, probe,
    };

    const USAGE: &str = "usage: predict PACKAGE CACHE UNITS in:NAME=1x2x3 .. out:NAME=1x2x3 ..";
    /// Predictions that are timed.
    const ROUNDS: u32 = 20;

    pub fn main() -> ExitCode {
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let result = match arguments.as_slice() {
            ["--probe", model, units] => {
                options(units).map(|options| probe(Path::new(model), &options))
            }
            [package, cache, units, features @ ..] => options(units)
                .zip(interface(features))
                .map(|(options, interface)| run(package, cache, options, interface)),
            _ => None,
        };
        match result {
            Some(Ok(())) => ExitCode::SUCCESS,
            Some(Err(error)) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
            None => {
                eprintln!("{USAGE}");
                ExitCode::from(2)
            }
        }
    }

    fn options(units: &str) -> Option<Options> {
        Some(Options { units: ComputeUnits::named(units)?, ..Options::default() })
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

    fn run(
        package: &str,
        cache: &str,
        options: Options,
        interface: Interface,
    ) -> Result<(), RunError> {
        let (package, cache) = (PathBuf::from(package), PathBuf::from(cache));
        let loading = load(
            package,
            cache,
            interface.clone(),
            options.clone(),
            Some(Box::new(|model, options| {
                let mut command = Command::new(std::env::current_exe().unwrap_or_default());
                command.arg("--probe").arg(model).arg(options.units.name());
                command
            })),
        );
        let mut model = finish(loading)?;
        println!("{:?}", placement(model.path(), &options)?);
        zeros(&mut model, &interface)?;
        model.predict()?;
        let start = Instant::now();
        for _ in 0..ROUNDS {
            model.predict()?;
        }
        println!("{:.2} ms a prediction", start.elapsed().as_secs_f64() * 1e3 / f64::from(ROUNDS));
        outputs(&mut model, &interface)
    }

    fn finish(loading: Loading) -> Result<Model, RunError> {
        while let Some(stage) = loading.next_stage() {
            println!("{stage:?}");
        }
        loading.finish()
    }

    fn zeros(model: &mut Model, interface: &Interface) -> Result<(), RunError> {
        for (index, input) in interface.inputs.iter().enumerate() {
            match input.element {
                Element::I32 => model.write_i32(index, &vec![0; input.count()])?,
                _ => model.write_f32(index, &vec![0.0; input.count()])?,
            }
        }
        Ok(())
    }

    fn outputs(model: &mut Model, interface: &Interface) -> Result<(), RunError> {
        for (index, output) in interface.outputs.iter().enumerate() {
            let mut values = vec![0.0; output.count()];
            model.read_f32(index, &mut values)?;
            let largest = values.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
            println!("{} {:?} max |y| {largest}", output.name, output.shape);
        }
        Ok(())
    }
}
