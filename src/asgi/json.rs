//! JSON objects of JavaScript's, as dicts: the `state` and `extensions` of requests and handlers.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Imports the reader: before the first application, whose folder may hold a module of the same name.
///
/// # Errors
/// A Python exception; none is expected.
pub(super) fn prepare(py: Python<'_>) -> PyResult<()> {
    LOADS.import(py, "json", "loads").map(|_| ())
}

/// A dict of its own.
///
/// # Errors
/// A Python exception: `text` is no JSON object.
pub(super) fn to_dict<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyDict>> {
    Ok(LOADS.import(py, "json", "loads")?.call1((text,))?.cast_into::<PyDict>()?)
}
