//! The end of the process, with CPython in it.
//!
//! CPython is never finalized: daemon threads and C extensions crash when it is. Instead the loop is
//! stopped, `atexit` functions run, and the Python thread parks for ever *with* the GIL, so that no other
//! Python thread runs while the process's destructors do. Measured in shared/DESIGN.md, D13.
//!
//! [`wait`] runs on the thread that ends the process: from Node's `exit` event, and again from libc's exit
//! functions (which `process.reallyExit` and a main thread that never loaded the addon reach as well).

use std::ffi::{CString, c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyCFunction;

/// How long the end of the process may take, in milliseconds, unless a handler says otherwise.
pub(crate) const DEFAULT_LIMIT: u64 = 2_000;

static LIMIT: AtomicU64 = AtomicU64::new(DEFAULT_LIMIT);
static PHASE: Mutex<Phase> = Mutex::new(Phase::Idle);
static PARKED: Condvar = Condvar::new();
static STOP: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();
static DEADLINE: OnceLock<Instant> = OnceLock::new();
static PROCESS: AtomicU64 = AtomicU64::new(0);
static GAVE_UP: AtomicBool = AtomicBool::new(false);
static THREADS_LEFT: AtomicBool = AtomicBool::new(false);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// CPython is not started.
    Idle,
    /// CPython runs, or is being started.
    Running,
    /// The stop was asked for: the loop has not answered.
    Asked,
    /// The loop has answered: tasks are cancelled, lifespans end.
    Stopping,
    /// The loop has stopped: threads are waited for, `atexit` functions run.
    Finishing,
    /// The Python thread is parked: nothing of Python runs any more.
    Parked,
}

/// CPython is started from here on. `stop` asks the Python thread to end; it is called at most once.
pub(crate) fn started(stop: Box<dyn Fn() + Send + Sync>) {
    PROCESS.store(u64::from(std::process::id()), Ordering::Release);
    *PHASE.lock() = Phase::Running;
    let _ = STOP.set(stop);
}

/// CPython could not be started: there is nothing to wait for.
pub(crate) fn not_started() {
    *PHASE.lock() = Phase::Idle;
    PARKED.notify_all();
}

/// Sets how long [`wait`] waits.
pub(crate) fn set_limit(limit: Duration) {
    let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    LIMIT.store(limit, Ordering::Release);
}

/// Registers the libc exit function: before the start, and after each import of an application or of an extension module,
/// so that it runs before the exit functions and destructors of what was imported; more than once is harmless.
pub(crate) fn register() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn on_exit(function: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
        }
        // SAFETY: the function lives as long as the process (an addon is never unloaded: Node keeps it, and
        // libpython holds pointers into it) and takes no argument. test/exit.test.mjs.
        unsafe { on_exit(at_exit, std::ptr::null_mut()) };
    }
    #[cfg(all(unix, not(all(target_os = "linux", target_env = "gnu"))))]
    {
        extern "C" fn without_status() {
            at_exit(1, std::ptr::null_mut());
        }
        // SAFETY: as above.
        unsafe { libc::atexit(without_status) };
    }
}

/// Calls [`register`] after each extension module: the process may end half-way through an application's import, when
/// OpenBLAS and OpenSSL have registered theirs and Python's threads still call into them.
///
/// # Errors
/// A Python exception; none is expected.
pub(crate) fn follow_extensions(py: Python<'_>) -> PyResult<()> {
    let module = py.import("_imp")?;
    for name in ["create_dynamic", "exec_dynamic"] {
        let load = module.getattr(name)?.unbind();
        let followed = PyCFunction::new_closure(py, None, None, move |arguments, options| {
            let loaded = load.call(arguments.py(), arguments, options);
            register();
            loaded
        })?;
        module.setattr(name, followed)?;
    }
    Ok(())
}

extern "C" fn at_exit(status: c_int, _argument: *mut c_void) {
    if PROCESS.load(Ordering::Acquire) != u64::from(std::process::id()) {
        // A forked child: it has no Python thread to wait for.
        return;
    }
    if !GAVE_UP.load(Ordering::Acquire) && wait() && !THREADS_LEFT.load(Ordering::Acquire) {
        return;
    }
    // Python still runs, or threads of its libraries do, and would run into the destructors that follow (or these
    // would wait for them): end here, with the status Node chose.
    // SAFETY: both are always callable; nothing after them runs. test/exit.test.mjs, "Python is stuck".
    unsafe {
        libc::fflush(std::ptr::null_mut());
        libc::_exit(status);
    }
}

/// Stops Python and waits until nothing of it runs, within the limit. True if so, or if it never ran.
pub(crate) fn wait() -> bool {
    let limit = Duration::from_millis(LIMIT.load(Ordering::Acquire));
    let deadline = Instant::now() + limit;
    let mut phase = PHASE.lock();
    if *phase == Phase::Running {
        *phase = Phase::Asked;
        let _ = DEADLINE.set(deadline);
        drop(phase);
        if let Some(stop) = STOP.get() {
            stop();
        }
        phase = PHASE.lock();
        // A loop that answers needs a few milliseconds. One that computes is interrupted half-way; what it does when it has
        // answered (src/asgi/stop.py) takes seven eighths of the time at most.
        for (waited_for, share) in [(Phase::Asked, limit / 2), (Phase::Stopping, limit / 16 * 15)] {
            let patience = deadline - limit + share;
            while *phase == waited_for && !PARKED.wait_until(&mut phase, patience).timed_out() {}
            if *phase == waited_for && !limit.is_zero() {
                interrupt();
                break;
            }
        }
    }
    while matches!(*phase, Phase::Asked | Phase::Stopping | Phase::Finishing)
        && !PARKED.wait_until(&mut phase, deadline).timed_out()
    {}
    let done = matches!(*phase, Phase::Idle | Phase::Parked);
    GAVE_UP.store(!done, Ordering::Release);
    done
}

/// The time until the end has to be reached.
fn left() -> Duration {
    let limit = Duration::from_millis(LIMIT.load(Ordering::Acquire));
    DEADLINE.get().map_or(limit, |deadline| deadline.saturating_duration_since(Instant::now()))
}

/// How long threads may be waited for: half of what is left, the other half being `atexit`'s.
fn remaining() -> Duration {
    left() / 2
}

/// The loop has begun to stop. Says how much time is left.
pub(crate) fn answered() -> Duration {
    let mut phase = PHASE.lock();
    if *phase == Phase::Asked {
        *phase = Phase::Stopping;
        PARKED.notify_all();
    }
    left()
}

/// Whether the end of the process has begun.
pub(crate) fn has_begun() -> bool {
    matches!(*PHASE.lock(), Phase::Asked | Phase::Stopping | Phase::Finishing | Phase::Parked)
}

/// Makes whatever Python code runs on the Python thread raise `SystemExit`, unless the loop has stopped
/// by then. Needs no GIL.
fn interrupt() {
    extern "C" fn raise(_argument: *mut c_void) -> c_int {
        if !matches!(*PHASE.lock(), Phase::Asked | Phase::Stopping) {
            return 0;
        }
        // SAFETY: CPython calls pending calls on its main thread with the GIL held and no exception set.
        unsafe { ffi::PyErr_SetNone(ffi::PyExc_SystemExit) };
        -1
    }
    // SAFETY: reads a flag that is valid before and after initialisation.
    if unsafe { ffi::Py_IsInitialized() } == 0 {
        return;
    }
    // SAFETY: may be called from any thread without the GIL (C API, Py_AddPendingCall), CPython being started.
    unsafe { ffi::Py_AddPendingCall(Some(raise), std::ptr::null_mut()) };
    // Before 3.12 a pending call is looked for only when the GIL changes hands: ask for it, and give it back. On a
    // thread of its own, for C code may hold it for ever.
    let asked =
        std::thread::Builder::new().name("python-interrupt".to_owned()).spawn(|| Python::try_attach(|_| ()));
    drop(asked);
}

/// The last thing on the Python thread, after its loop has stopped: runs `atexit` functions, then parks with the GIL.
pub(crate) fn park(py: Python<'_>) -> ! {
    *PHASE.lock() = Phase::Finishing;
    PARKED.notify_all();
    let finish = || -> PyResult<()> {
        let code = CString::new(include_str!("exit.py"))?;
        let threads_left = PyModule::from_code(py, &code, c"python_node/exit.py", c"_python_node_exit")?
            .call_method1("run", (remaining().as_secs_f64(),))?;
        THREADS_LEFT.store(threads_left.is_truthy()?, Ordering::Release);
        Ok(())
    };
    if let Err(error) = finish() {
        log::error!("the end of Python: {error}");
    }
    *PHASE.lock() = Phase::Parked;
    PARKED.notify_all();
    loop {
        std::thread::park();
    }
}
