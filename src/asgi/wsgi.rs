//! `wsgi.py`: WSGI applications, through the Python package a2wsgi.

use std::ffi::CString;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::connection::ClientDisconnected;
use crate::error::HandlerError;
use crate::python::exception;

static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

fn module(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    let make = || -> PyResult<Py<PyModule>> {
        let code = CString::new(include_str!("wsgi.py"))?;
        let module = PyModule::from_code(py, &code, c"python_node/wsgi.py", c"_python_node_wsgi")?;
        module.setattr("ClientDisconnected", py.get_type::<ClientDisconnected>())?;
        Ok(module.unbind())
    };
    Ok(MODULE.get_or_try_init(py, make)?.bind(py))
}

/// An ASGI 3 application that runs a WSGI one.
///
/// # Errors
/// [`HandlerError::Wsgi`]: a2wsgi is not installed.
pub(super) fn adapt<'py>(
    py: Python<'py>,
    application: &Bound<'py, PyAny>,
) -> Result<Bound<'py, PyAny>, HandlerError> {
    module(py)
        .and_then(|module| module.getattr("WSGIMiddleware")?.call1((application,)))
        .map_err(|error| HandlerError::Wsgi(exception::describe(py, &error).message))
}

/// Looks after the threads of an application that has imported a2wsgi itself.
///
/// # Errors
/// A Python exception; none is expected.
pub(super) fn look_after(py: Python<'_>) -> PyResult<()> {
    if py.import("sys")?.getattr("modules")?.contains("a2wsgi.wsgi")? {
        module(py)?;
    }
    Ok(())
}
