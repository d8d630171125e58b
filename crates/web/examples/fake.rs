//! Serves the page with a session that paints without a model, for tests of the
//! page in a browser and for working on the page.
//!
//! ```text
//! cargo run -p laterna-web --example fake -- [PORT [everywhere]]
//! ```
//!
//! It prints the page's address and ends with the page's `quit` or with its
//! standard input, so that it never outlives who started it.

#[path = "../tests/support/fake.rs"]
mod fake;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use std::{io, process, thread};

use laterna_web::{Options, PORT, Server};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().map_or(Ok(PORT), |port| port.parse());
    let Ok(port) = port else {
        eprintln!("the port is no number");
        process::exit(2);
    };
    let is_open = arguments.next().is_some_and(|word| word == "everywhere");
    let ip = if is_open { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    let app = fake::Fake::start(30, (384, 384));
    let options = Options { address: SocketAddr::new(ip.into(), port), ..Options::default() };
    let server = Server::start(options, Arc::clone(&app) as _).unwrap_or_else(|error| {
        eprintln!("{error}");
        process::exit(1);
    });
    println!("{}", server.url());
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        process::exit(0);
    });
    while !app.has_quit() {
        thread::sleep(Duration::from_millis(50));
    }
    server.stop();
}
