//! The Python thread, as every other thread holds it. One per process, started by the first handler.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::prelude::*;

use super::application::ApplicationOptions;
use super::applications::Patience;
use super::event_loop::EventLoop;
use super::wake::Wake;
use crate::error::HandlerError;
use crate::exchange::{Lag, LoopMessage, LoopQueue};
use crate::python::{child, exception, exit, interpreter};

/// 16 MiB: deep recursion in Python must raise `RecursionError` before the stack ends; musl's default is 128 KiB.
const STACK_SIZE: usize = 16 * 1024 * 1024;

static HANDLE: Mutex<Option<Arc<EventLoopHandle>>> = Mutex::new(None);

/// How the interpreter is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StartOptions {
    /// The interpreter's executable: what `sys.executable` will be.
    pub(crate) executable: String,
    /// The libpython that is loaded.
    pub(crate) library: String,
    /// `asyncio`, `uvloop` or `auto`.
    pub(crate) event_loop: String,
    /// For `sys.setdlopenflags`, before any extension module is imported.
    pub(crate) dlopen_flags: Option<i32>,
}

/// See the module.
pub(crate) struct EventLoopHandle {
    queue: Arc<LoopQueue>,
    options: StartOptions,
    failure: OnceLock<HandlerError>,
}

/// Gets the outcome of something that the Python thread was asked to do.
type Outcome = Box<dyn FnOnce(Result<(), HandlerError>) + Send>;

/// Is told once how a load ended; dropped untold, it tells that Python is not there.
struct Reply {
    tell: Option<Outcome>,
    handle: Arc<EventLoopHandle>,
}

impl Reply {
    fn tell(mut self, result: Result<(), HandlerError>) {
        if let Some(tell) = self.tell.take() {
            tell(result);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            let closed = HandlerError::Closed("Python has stopped");
            tell(Err(self.handle.failure.get().cloned().unwrap_or(closed)));
        }
    }
}

impl EventLoopHandle {
    /// The Python thread, started now if there is none. Does not wait for it.
    ///
    /// # Errors
    /// [`HandlerError::InterpreterConflict`] if another interpreter runs, [`HandlerError::Start`] if the
    /// thread cannot be made, [`HandlerError::Closed`] while the process ends.
    pub(crate) fn get_or_start(options: StartOptions) -> Result<Arc<Self>, HandlerError> {
        if exit::has_begun() {
            return Err(HandlerError::Closed("the process is ending"));
        }
        let mut place = HANDLE.lock();
        if let Some(handle) = &*place {
            let running = &handle.options;
            if running.executable != options.executable || running.library != options.library {
                return Err(HandlerError::InterpreterConflict {
                    running: running.executable.clone(),
                    wanted: options.executable,
                });
            }
            return Ok(Arc::clone(handle));
        }
        let failed = |error: std::io::Error| HandlerError::Start {
            executable: options.executable.clone(),
            reason: error.to_string(),
        };
        let wake = Wake::new().map_err(failed)?;
        let handle = Arc::new(Self {
            queue: Arc::new(LoopQueue::new(Box::new(wake.clone()))),
            options: options.clone(),
            failure: OnceLock::new(),
        });
        #[cfg(all(
            target_os = "linux",
            target_env = "gnu",
            any(target_arch = "x86_64", target_arch = "aarch64")
        ))]
        if options.dlopen_flags.is_some()
            && let Ok(library) = std::ffi::CString::new(options.library.as_str())
        {
            crate::python::shared_variables::bind(&library);
        }
        // Before anything of Python runs: the process may end while it starts, or during the first import.
        exit::started(Box::new(handle.stopper()));
        exit::register();
        child::watch();
        let own = Arc::clone(&handle);
        std::thread::Builder::new()
            .name("python".to_owned())
            .stack_size(STACK_SIZE)
            .spawn(move || own.run(wake))
            .map_err(|error| {
                exit::not_started();
                failed(error)
            })?;
        *place = Some(Arc::clone(&handle));
        Ok(handle)
    }

    /// What was started, if anything was.
    pub(crate) fn started() -> Option<StartOptions> {
        HANDLE.lock().as_ref().map(|handle| handle.options.clone())
    }

    /// How long the Python thread lets others wait.
    pub(crate) fn lag() -> Lag {
        let handle = HANDLE.lock().clone();
        handle.map_or(Lag { current: Duration::ZERO, waited: Duration::ZERO }, |handle| handle.queue.lag())
    }

    /// Gives the Python thread nothing to do.
    pub(crate) fn probe() {
        let handle = HANDLE.lock().clone();
        if let Some(handle) = handle {
            handle.queue.push(LoopMessage::Call(Box::new(|| {})));
        }
    }

    /// The way to the Python thread, if it was started.
    pub(crate) fn current_queue() -> Option<Arc<LoopQueue>> {
        HANDLE.lock().as_ref().map(|handle| Arc::clone(&handle.queue))
    }

    /// The way to the Python thread.
    pub(crate) fn queue(&self) -> &Arc<LoopQueue> {
        &self.queue
    }

    /// Imports an application on the Python thread, under `key`; `tell` is called there.
    pub(crate) fn load(
        self: &Arc<Self>,
        key: usize,
        options: ApplicationOptions,
        tell: impl FnOnce(Result<(), HandlerError>) + Send + 'static,
    ) {
        let reply = Reply { tell: Some(Box::new(tell)), handle: Arc::clone(self) };
        self.call(move |py| {
            EventLoop::get().load(py, key, options, Box::new(move |result| reply.tell(result)));
        });
    }

    /// Tells when the startup of an application has ended.
    pub(crate) fn ready(
        self: &Arc<Self>,
        key: usize,
        tell: impl FnOnce(Result<(), HandlerError>) + Send + 'static,
    ) {
        let reply = Reply { tell: Some(Box::new(tell)), handle: Arc::clone(self) };
        self.call(move |py| {
            EventLoop::get().applications().ready(py, key, Box::new(move |_, result| reply.tell(result)))
        });
    }

    /// Begins no more requests of an application, and ends its lifespan when those that run have ended.
    pub(crate) fn unload(
        self: &Arc<Self>,
        key: usize,
        patience: Option<Patience>,
        tell: impl FnOnce(Result<(), HandlerError>) + Send + 'static,
    ) {
        let reply = Reply { tell: Some(Box::new(tell)), handle: Arc::clone(self) };
        self.call(move |py| {
            let tell = Box::new(move |_: Python<'_>, result| reply.tell(result));
            EventLoop::get().applications().unload(py, key, patience, tell);
        });
    }

    fn call(&self, call: impl FnOnce(Python<'_>) + Send + 'static) {
        self.queue.push(LoopMessage::Call(Box::new(move || Python::attach(call))));
    }

    /// The Python thread's life.
    fn run(&self, wake: Wake) {
        if let Err(reason) = interpreter::start(&self.options.executable) {
            exit::not_started();
            self.fail(reason);
            return;
        }
        Python::attach(|py| {
            let created = interpreter::settle_in(py, self.options.dlopen_flags).and_then(|()| {
                let descriptor = wake.watched();
                EventLoop::create(
                    py,
                    &self.options.event_loop,
                    Arc::clone(&self.queue),
                    descriptor,
                    Box::new(wake),
                )
            });
            match created {
                Ok(event_loop) => {
                    log::debug!("python is ready: {}", self.options.executable);
                    event_loop.run(py);
                }
                Err(error) => self.fail(exception::describe(py, &error).traceback),
            }
            self.queue.close();
            exit::park(py);
        });
    }

    fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let queue = Arc::clone(&self.queue);
        move || {
            queue.push(LoopMessage::Call(Box::new(move || {
                Python::attach(|py| EventLoop::get().stop(py));
            })));
        }
    }

    fn fail(&self, reason: String) {
        let error = HandlerError::Start { executable: self.options.executable.clone(), reason };
        let _ = self.failure.set(error);
        // Drops the loads that wait, which tells them.
        self.queue.close();
    }
}
