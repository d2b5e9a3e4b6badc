//! What `receive` and `send` return.
//!
//! One class with the whole surface of a coroutine, so that `asyncio.create_task(send(…))`, `ensure_future`, `wait_for`
//! and `inspect.isawaitable` take it as they take the coroutine of an `async def`. What it waits for is its [`Resume`].

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyType;

pyo3::create_exception!(
    python_node,
    NotAwaitable,
    PyTypeError,
    "An application gave something that cannot be awaited: its class's name."
);

/// What happens each time the task that awaits goes on.
pub(crate) trait Resume: Send + Sync {
    /// Looks whether there is still something to wait for.
    ///
    /// # Errors
    /// What awaiting it raises.
    fn resume(&self, py: Python<'_>) -> PyResult<Progress>;

    /// The task waits no more: it was cancelled.
    fn leave(&self) {}
}

/// How far an awaitable is.
pub(crate) enum Progress {
    /// It gives `None`.
    Done,
    /// It gives this.
    Value(Py<PyAny>),
    /// The task is suspended on this future, which is marked as `Future.__await__` marks it; on `None`, for one turn.
    Wait(Py<PyAny>),
}

/// See the module.
#[pyclass(frozen, module = "python_node")]
pub(crate) struct Awaitable(Box<dyn Resume>);

impl Awaitable {
    /// One that waits for `what`.
    pub(crate) fn new(what: impl Resume + 'static) -> Self {
        Self(Box::new(what))
    }
}

#[pymethods]
impl Awaitable {
    fn __await__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        match self.0.resume(py)? {
            Progress::Done => Ok(None),
            // Raised with the value itself as its argument: a message is a dict, no tuple, so it stays whole.
            Progress::Value(value) => Err(PyStopIteration::new_err(value)),
            Progress::Wait(future) => Ok(Some(future)),
        }
    }

    fn send(&self, py: Python<'_>, _value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.__next__(py)?.ok_or_else(|| PyStopIteration::new_err(()))
    }

    #[pyo3(signature = (kind, value = None, _traceback = None))]
    fn throw(
        &self,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.0.leave();
        Err(thrown(kind, value))
    }

    fn close(&self) {
        self.0.leave();
    }
}

/// `inspect.iscoroutinefunction` and asyncio's own are true for the instances of `class`, whose calls give awaitables, as for the
/// functions of other servers.
///
/// # Errors
/// A Python exception; none is expected.
pub(crate) fn look_like_coroutine_function(class: &Bound<'_, PyType>) -> PyResult<()> {
    for (module, name) in [("asyncio.coroutines", "_is_coroutine"), ("inspect", "_is_coroutine_mark")] {
        // Each is there in some versions only.
        if let Ok(mark) = class.py().import(module).and_then(|module| module.getattr(name)) {
            class.setattr(name, mark)?;
        }
    }
    Ok(())
}

/// Nothing to wait for. One awaitable serves all requests.
pub(crate) struct Done;

impl Resume for Done {
    fn resume(&self, _py: Python<'_>) -> PyResult<Progress> {
        Ok(Progress::Done)
    }
}

/// Lets the loop take one turn: for a sender that has nothing to wait for, and must not keep the loop.
#[derive(Default)]
pub(crate) struct Turn(AtomicBool);

impl Resume for Turn {
    /// A bare yield of a coroutine: asyncio takes its next step in the next turn.
    fn resume(&self, py: Python<'_>) -> PyResult<Progress> {
        Ok(if self.0.swap(true, Ordering::Relaxed) { Progress::Done } else { Progress::Wait(py.None()) })
    }
}

/// The error that `throw(kind, value)` of the generator protocol raises: `kind` is a class or an instance.
fn thrown(kind: &Bound<'_, PyAny>, value: Option<&Bound<'_, PyAny>>) -> PyErr {
    if let Some(value) = value.filter(|value| value.is_instance_of::<pyo3::exceptions::PyBaseException>()) {
        return PyErr::from_value(value.clone());
    }
    match kind.cast::<PyType>() {
        Ok(class) => match class.call0() {
            Ok(instance) => PyErr::from_value(instance),
            Err(error) => error,
        },
        Err(_) => PyErr::from_value(kind.clone()),
    }
}
