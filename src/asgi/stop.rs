//! The end of the loop: says what still runs, and hands it to `stop.py`, whose coroutine is the last on the loop.
//!
//! Called once, on the Python thread, by [`super::event_loop::EventLoop::stop`] when the process ends.

use std::ffi::CString;

use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use super::applications::Applications;
use super::connections::Connections;
use crate::python::{exception, exit};

/// Cancels what runs, lets what has answered and the lifespans end, waits for all within the time that is left, and stops
/// the loop.
///
/// # Errors
/// A Python exception: nothing will stop the loop.
pub(super) fn begin(
    py: Python<'_>,
    event_loop: &Py<PyAny>,
    applications: &Applications,
    connections: &Connections,
) -> PyResult<()> {
    let limit = exit::answered();
    let lifespans = applications.take_lifespans();
    let lifespan_tasks: Vec<Py<PyAny>> = lifespans.iter().filter_map(|lifespan| lifespan.task(py)).collect();
    let shut_down = PyCFunction::new_closure(py, None, None, move |arguments, _| {
        for lifespan in &lifespans {
            lifespan.stop(
                arguments.py(),
                Box::new(|py, result| {
                    if let Err(error) = result {
                        exception::log_message(py, &error.to_string());
                    }
                }),
            );
        }
    })?;
    let (background, unfinished): (Vec<_>, Vec<_>) =
        connections.tasks_of(py, None).into_iter().partition(|(_, connection)| connection.has_answered());
    let tasks = |tasks: Vec<(Py<PyAny>, _)>| tasks.into_iter().map(|(task, _)| task).collect::<Vec<_>>();
    let code = CString::new(include_str!("stop.py"))?;
    let stop = PyModule::from_code(py, &code, c"python_node/stop.py", c"_python_node_stop")?.call_method1(
        "stop",
        (
            event_loop.bind(py),
            limit.as_secs_f64(),
            tasks(unfinished),
            tasks(background),
            lifespan_tasks,
            shut_down,
        ),
    )?;
    event_loop.call_method1(py, "create_task", (stop,))?;
    Ok(())
}
