//! Runs ASGI 3.0 Python applications inside a Node.js process.
//!
//! ```text
//!  JS thread                       (queues)                 Python thread
//!  js ─► exchange ══ LoopQueue: one wake per batch ══► asgi ─► python ─► the application
//!  js ◄═ CompletionQueue: one wake per batch ═══════ exchange ◄─ asgi
//! ```
//!
//! Two threads, two queues. The JS thread never takes the GIL and never waits (but in
//! `handleRequestSync` and in a constructor that imports); Python objects are made and dropped on the Python thread
//! only. Imports run `js → exchange ← asgi → python`; this file alone joins them, and is the surface that
//! `lib/` (JavaScript) calls. The public API is JavaScript's, in `index.js`: measured, a JS class over ready
//! values costs 6 ns where a native class with getters costs 5 µs.

#![cfg_attr(
    any(test, not(feature = "addon")),
    expect(dead_code, reason = "Node-API's entry points, the users of much of this, are not built then")
)]
#![cfg_attr(not(feature = "addon"), expect(unused_imports, reason = "as above"))]

mod error;
mod exchange;
mod target;

mod asgi;

#[cfg(feature = "addon")]
mod js;

#[cfg(feature = "addon")]
mod python;

#[cfg(feature = "addon")]
mod addon;

pub use target::PythonHandlerTarget;
