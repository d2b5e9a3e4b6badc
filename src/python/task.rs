//! Runs an application's coroutine as a real `asyncio.Task`, whose first step is taken at once.
//!
//! A task of its own gives the request its own context and a `current_task()`, which anyio and
//! `asyncio.timeout` need. On 3.12 and later `eager_start=True` takes the first step; before, the step
//! that the new task hands to `loop.call_soon` is caught and run here.

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// Makes tasks for one event loop.
pub(crate) struct TaskStarter {
    class: Py<PyAny>,
    options: Py<PyDict>,
    /// Before 3.12: the loop whose `call_soon` is shadowed, and the catcher.
    catcher: Option<Catcher>,
}

/// What catches a new task's first step.
struct Catcher {
    event_loop: Py<PyAny>,
    first_step: Py<FirstStep>,
}

/// Stands in for `loop.call_soon` while a task is made, and keeps what it is given: the task's first step, and perhaps what
/// finalizers call that the garbage collector runs meanwhile.
#[pyclass(frozen, module = "python_node")]
struct FirstStep(Mutex<Vec<Call>>);

/// What is to be called, with what, and in which context.
struct Call {
    callback: Py<PyAny>,
    arguments: Py<PyTuple>,
    context: Option<Py<PyAny>>,
}

impl Call {
    /// Whether it is a step of `task`. A task written in Python hands over a bound method, one in C an object that has
    /// `__self__` as well.
    fn is_of(&self, task: &Bound<'_, PyAny>) -> bool {
        let owner = self.callback.bind(task.py()).getattr(intern!(task.py(), "__self__"));
        owner.is_ok_and(|owner| owner.is(task))
    }
}

#[pymethods]
impl FirstStep {
    #[pyo3(signature = (callback, *arguments, context = None))]
    fn __call__(&self, callback: Py<PyAny>, arguments: Py<PyTuple>, context: Option<Py<PyAny>>) {
        self.0.lock().push(Call { callback, arguments, context });
    }
}

/// A task that was started.
pub(crate) enum Started {
    /// It runs, or has ended with its first step; its context where it cannot be asked for that (before 3.12).
    Task(Py<PyAny>, Option<Py<PyAny>>),
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
                first_step: Py::new(py, FirstStep(Mutex::default()))?,
            })
        };
        Ok(Self {
            class: py.import("asyncio")?.getattr("Task")?.unbind(),
            options: options.unbind(),
            catcher,
        })
    }

    /// Starts a task for the application's coroutine.
    ///
    /// # Errors
    /// What making a task raises; none is expected.
    pub(crate) fn start(&self, py: Python<'_>, coroutine: Bound<'_, PyAny>) -> PyResult<Started> {
        let Some(Catcher { event_loop, first_step }) = &self.catcher else {
            return match self.class.bind(py).call((coroutine,), Some(self.options.bind(py))) {
                Ok(task) => Ok(Started::Task(task.unbind(), None)),
                Err(error) => Ok(Started::Raised(error)),
            };
        };
        let event_loop = event_loop.bind(py);
        // Put back as an attribute of the loop itself: adding and removing one each time would make its dict anew.
        let call_soon = event_loop.getattr(intern!(py, "call_soon"))?;
        event_loop.setattr(intern!(py, "call_soon"), first_step)?;
        let task = self.class.bind(py).call((coroutine,), Some(self.options.bind(py)));
        event_loop.setattr(intern!(py, "call_soon"), &call_soon)?;
        let task = task?;
        let mut caught = std::mem::take(&mut *first_step.get().0.lock());
        let first = match caught.len() {
            1 => caught.pop(),
            _ => {
                let first = caught.iter().position(|call| call.is_of(&task)).map(|at| caught.remove(at));
                for Call { callback, arguments, context } in caught {
                    Self::call_soon(&call_soon, callback, arguments.bind(py), context)?;
                }
                first
            }
        };
        let Some(Call { callback, context, .. }) = first else {
            return Ok(Started::Task(task.unbind(), None));
        };
        let stepped = match &context {
            Some(context) => context.bind(py).call_method1(intern!(py, "run"), (callback,)),
            None => callback.bind(py).call0(),
        };
        match stepped {
            Ok(_) => Ok(Started::Task(task.unbind(), context)),
            Err(error) => {
                // The task holds the same exception: mark it as seen, so that asyncio does not report it again.
                let _ = task.call_method0(intern!(py, "exception"));
                Ok(Started::Raised(error))
            }
        }
    }

    /// What somebody else wanted to be called soon.
    fn call_soon(
        call_soon: &Bound<'_, PyAny>,
        callback: Py<PyAny>,
        arguments: &Bound<'_, PyTuple>,
        context: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let py = call_soon.py();
        let all = PyTuple::new(
            py,
            std::iter::once(callback.into_bound(py)).chain(arguments.iter()).collect::<Vec<_>>(),
        )?;
        let options = PyDict::new(py);
        if let Some(context) = context {
            options.set_item(intern!(py, "context"), context)?;
        }
        call_soon.call(all, Some(&options)).map(drop)
    }
}
