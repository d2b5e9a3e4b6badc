//! What is CPython's and not ASGI's: the interpreter's start and end, importing, tasks, awaitables, exceptions.
//!
//! Everything here runs on the Python thread with the GIL held, but [`exit::wait`].

pub(crate) mod awaitable;
pub(crate) mod child;
pub(crate) mod exception;
pub(crate) mod exit;
pub(crate) mod interpreter;
pub(crate) mod loader;
#[cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) mod shared_variables;
mod shim38;
pub(crate) mod stack;
mod symbol;
pub(crate) mod task;
pub(crate) mod waiters;
