//! A Python exception as plain data, fit to leave the Python thread.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::error::PythonException;

/// Reads class, message and traceback. Never fails: what cannot be read is left out.
pub(crate) fn describe(py: Python<'_>, error: &PyErr) -> PythonException {
    let class = error.get_type(py);
    let name = class.qualname().map_or_else(|_| "Exception".to_owned(), |name| name.to_string());
    let type_name = match class.module() {
        Ok(module) if module != "builtins" => format!("{module}.{name}"),
        _ => name,
    };
    let value = error.value(py);
    let message = value.str().map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned());
    let traceback = format(py, error).unwrap_or_else(|_| format!("{type_name}: {message}\n"));
    PythonException { type_name, message, traceback }
}

fn format(py: Python<'_>, error: &PyErr) -> PyResult<String> {
    let lines = py
        .import("traceback")?
        .call_method1("format_exception", (error.get_type(py), error.value(py), error.traceback(py)))?;
    let lines = lines.cast_into::<PyList>()?;
    let mut text = String::new();
    for line in lines {
        text.push_str(&line.str()?.to_string_lossy());
    }
    Ok(text)
}

/// Reports an exception that no caller can be told of (after the response, or nobody waits) where a
/// Python user looks: the logger `python_node`, which prints to stderr unless configured otherwise.
pub(crate) fn log(py: Python<'_>, message: &str, error: &PyErr) {
    log_in(py, None, message, error);
}

/// The same in the context of a task: what its middleware has set there, a request's id for one, is seen by filters.
pub(crate) fn log_in(py: Python<'_>, context: Option<&Bound<'_, PyAny>>, message: &str, error: &PyErr) {
    let report = || -> PyResult<()> {
        let log = py.import("logging")?.call_method1("getLogger", ("python_node",))?.getattr("error")?;
        let options = PyDict::new(py);
        options.set_item("exc_info", (error.get_type(py), error.value(py), error.traceback(py)))?;
        match context {
            Some(context) => context.call_method("run", (log, message), Some(&options))?,
            None => log.call((message,), Some(&options))?,
        };
        Ok(())
    };
    if let Err(failure) = report() {
        ::log::error!("cannot log an exception of the application: {failure}");
    }
}

/// The same for a message without an exception.
pub(crate) fn log_message(py: Python<'_>, message: &str) {
    let report = || -> PyResult<()> {
        py.import("logging")?
            .call_method1("getLogger", ("python_node",))?
            .call_method1("error", ("%s", message))?;
        Ok(())
    };
    if let Err(failure) = report() {
        ::log::error!("cannot log: {message}: {failure}");
    }
}
