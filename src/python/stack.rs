//! What the Python thread is doing, seen from another thread: for the warning that it is stuck.

use pyo3::prelude::*;

use super::exit;

/// Reads the Python thread's stack on a thread of its own, which waits for the GIL; `tell` is called there. While C
/// code holds the GIL it is not called: then there is nothing to be read.
pub(crate) fn read(tell: impl FnOnce(String) + Send + 'static) {
    let read = move || {
        let stack = Python::try_attach(|py| format(py).unwrap_or_else(|error| error.to_string()));
        if let Some(stack) = stack {
            tell(stack);
        }
    };
    if exit::has_begun() {
        return;
    }
    let spawned = std::thread::Builder::new().name("python-stack".to_owned()).spawn(read);
    if let Err(error) = spawned {
        log::error!("cannot read the stack of the Python thread: {error}");
    }
}

fn format(py: Python<'_>) -> PyResult<String> {
    let main = py.import("threading")?.call_method0("main_thread")?.getattr("ident")?;
    let frame = py.import("sys")?.call_method0("_current_frames")?.call_method1("get", (main,))?;
    if frame.is_none() {
        return Ok("no Python code runs on it".to_owned());
    }
    let lines: Vec<String> = py.import("traceback")?.call_method1("format_stack", (frame,))?.extract()?;
    Ok(lines.concat())
}
