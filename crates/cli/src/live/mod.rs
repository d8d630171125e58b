//! What the live commands share: the model as a stage of the pipeline, the
//! session's ports, and the session as the page sees it.

mod app;
mod controls;
mod loading;
mod ports;
mod stage;

pub use app::Page;
pub use controls::ControlArgs;
pub use ports::{AUTO, BROWSER, Folder, LivePorts, recorder};
pub use stage::painter;
