//! The awaitable that is ready: what `send` returns when there is nothing to wait for.
//!
//! It has the whole surface of a coroutine, so that `asyncio.create_task(send(…))`, `ensure_future`,
//! `wait_for` and `inspect.isawaitable` take it as they take the coroutine of an `async def`.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;

/// Awaiting it gives `None` at once. One object serves all requests.
#[pyclass(frozen, module = "python_node")]
pub(crate) struct Done;

#[pymethods]
impl Done {
    fn __await__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __next__(&self) -> Option<()> {
        None
    }

    fn send(&self, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyStopIteration::new_err(()))
    }

    #[pyo3(signature = (kind, value = None, _traceback = None))]
    fn throw(
        &self,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        Err(thrown(kind, value))
    }

    fn close(&self) {}
}

/// Awaiting it lets the loop take one turn: for a sender that has nothing to wait for, and must not keep the loop.
#[pyclass(frozen, module = "python_node")]
pub(crate) struct Turn(AtomicBool);

impl Turn {
    /// One turn.
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// A bare yield of a coroutine: asyncio takes its next step in the next turn.
    fn step(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if self.0.swap(true, Ordering::Relaxed) { Err(PyStopIteration::new_err(())) } else { Ok(py.None()) }
    }
}

#[pymethods]
impl Turn {
    fn __await__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.step(py)
    }

    fn send(&self, py: Python<'_>, _value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.step(py)
    }

    #[pyo3(signature = (kind, value = None, _traceback = None))]
    fn throw(
        &self,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        Err(thrown(kind, value))
    }

    fn close(&self) {}
}

/// The error that `throw(kind, value)` of the generator protocol raises: `kind` is a class or an instance.
pub(crate) fn thrown(kind: &Bound<'_, PyAny>, value: Option<&Bound<'_, PyAny>>) -> PyErr {
    if let Some(value) = value.filter(|value| value.is_instance_of::<pyo3::exceptions::PyBaseException>()) {
        return PyErr::from_value(value.clone());
    }
    match kind.cast::<pyo3::types::PyType>() {
        Ok(class) => match class.call0() {
            Ok(instance) => PyErr::from_value(instance),
            Err(error) => error,
        },
        Err(_) => PyErr::from_value(kind.clone()),
    }
}
