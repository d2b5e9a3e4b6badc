//! Runs an application's coroutine as a real `asyncio.Task`, whose first step is taken at once.
//!
//! A task of its own gives the request its own context and a `current_task()`, which anyio and
//! `asyncio.timeout` need. On 3.12 and later `eager_start=True` takes the first step; before, the step
//! that the new task hands to `loop.call_soon` is caught and run here.

use std::ffi::CStr;

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// Awaits what is no coroutine, for `asyncio.Task` takes only coroutines.
const WRAP: &CStr = c"async def wrap(awaitable):\n    return await awaitable\n";

/// Makes tasks for one event loop.
pub(crate) struct TaskStarter {
    class: Py<PyAny>,
    options: Py<PyDict>,
    wrap: Py<PyAny>,
    coroutine_class: Py<PyAny>,
    /// Before 3.12: the loop whose `call_soon` is shadowed, and the catcher.
    catcher: Option<Catcher>,
}

/// What catches a new task's first step.
struct Catcher {
    event_loop: Py<PyAny>,
    first_step: Py<FirstStep>,
}

/// Stands in for `loop.call_soon` while a task is made, and keeps what it is given.
#[pyclass(frozen, module = "python_node")]
struct FirstStep(Mutex<Option<Step>>);

/// What is to be called, and in which context.
type Step = (Py<PyAny>, Option<Py<PyAny>>);

#[pymethods]
impl FirstStep {
    #[pyo3(signature = (step, *_arguments, context = None))]
    fn __call__(&self, step: Py<PyAny>, _arguments: &Bound<'_, PyTuple>, context: Option<Py<PyAny>>) {
        let earlier = self.0.lock().replace((step, context));
        drop(earlier);
    }
}

/// A task that was started.
pub(crate) enum Started {
    /// It runs, or has ended with its first step.
    Task(Py<PyAny>),
    /// It raised what asyncio passes through (`SystemExit`, `KeyboardInterrupt`) in its first step.
    Raised(PyErr),
}

impl TaskStarter {
    /// A starter for `event_loop`.
    ///
    /// # Errors
    /// What importing asyncio raises.
    pub(crate) fn new(py: Python<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let options = PyDict::new(py);
        options.set_item("loop", event_loop)?;
        let eager = py.version_info() >= (3, 12);
        let catcher = if eager {
            options.set_item("eager_start", true)?;
            None
        } else {
            // Without a name each task formats one of its own, used or not; later versions do so when it is asked for.
            options.set_item("name", "python-node")?;
            Some(Catcher {
                event_loop: event_loop.clone().unbind(),
                first_step: Py::new(py, FirstStep(Mutex::new(None)))?,
            })
        };
        let names = PyDict::new(py);
        py.run(WRAP, Some(&names), None)?;
        let wrap = names.get_item("wrap")?.map(Bound::unbind).unwrap_or_else(|| py.None());
        Ok(Self {
            class: py.import("asyncio")?.getattr("Task")?.unbind(),
            options: options.unbind(),
            wrap,
            coroutine_class: py.import("types")?.getattr("CoroutineType")?.unbind(),
            catcher,
        })
    }

    /// Whether `awaitable` is the coroutine of an `async def`.
    pub(crate) fn is_coroutine(&self, awaitable: &Bound<'_, PyAny>) -> bool {
        awaitable.get_type().is(self.coroutine_class.bind(awaitable.py()))
    }

    /// Starts a task for what the application returned.
    ///
    /// # Errors
    /// What making a task raises: `TypeError` if `awaitable` cannot be awaited.
    pub(crate) fn start(&self, py: Python<'_>, awaitable: Bound<'_, PyAny>) -> PyResult<Started> {
        let coroutine =
            if self.is_coroutine(&awaitable) { awaitable } else { self.wrap.bind(py).call1((awaitable,))? };
        let Some(Catcher { event_loop, first_step }) = &self.catcher else {
            return match self.class.bind(py).call((coroutine,), Some(self.options.bind(py))) {
                Ok(task) => Ok(Started::Task(task.unbind())),
                Err(error) => Ok(Started::Raised(error)),
            };
        };
        let event_loop = event_loop.bind(py);
        // Put back as an attribute of the loop itself: adding and removing one each time would make its dict anew.
        let call_soon = event_loop.getattr(intern!(py, "call_soon"))?;
        event_loop.setattr(intern!(py, "call_soon"), first_step)?;
        let task = self.class.bind(py).call((coroutine,), Some(self.options.bind(py)));
        event_loop.setattr(intern!(py, "call_soon"), call_soon)?;
        let task = task?;
        let caught = first_step.get().0.lock().take();
        let stepped = match caught {
            Some((step, Some(context))) => context.bind(py).call_method1(intern!(py, "run"), (step,)),
            Some((step, None)) => step.bind(py).call0(),
            None => return Ok(Started::Task(task.unbind())),
        };
        match stepped {
            Ok(_) => Ok(Started::Task(task.unbind())),
            Err(error) => {
                // The task holds the same exception: mark it as seen, so that asyncio does not report it again.
                let _ = task.call_method0(intern!(py, "exception"));
                Ok(Started::Raised(error))
            }
        }
    }
}
