//! The tokio runtime: for lifespans, which wait long and seldom. No request goes through it.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();

/// The runtime of this process, made with the first lifespan: one worker, which sleeps while nothing starts or stops.
/// `None` if the thread cannot be made.
pub(super) fn runtime_handle() -> Option<&'static Runtime> {
    RUNTIME
        .get_or_init(|| {
            Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("python-node")
                .enable_time()
                .build()
                .inspect_err(|error| log::error!("cannot start the tokio runtime: {error}"))
                .ok()
        })
        .as_ref()
}

/// Makes the conversions of pyo3-async-runtimes use it.
pub(super) fn install() -> bool {
    match runtime_handle() {
        // A second call is answered with an error, and changes nothing.
        Some(runtime) => {
            let _ = pyo3_async_runtimes::tokio::init_with_runtime(runtime);
            true
        }
        None => false,
    }
}
