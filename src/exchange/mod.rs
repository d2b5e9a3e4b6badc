//! What the JS thread and the Python thread share of one request, and the two queues between them.
//!
//! ```text
//!  JS thread                                            Python thread
//!  Exchange::write/end/disconnect ──► inbound ──► Exchange::take
//!            │  LoopQueue: one signal per batch ────────────►
//!            ◄──── CompletionQueue: one signal per batch │
//!  events ◄── outbound ◄── Exchange::respond/start/chunk/end/fail
//! ```
//!
//! Nothing here names Node-API or CPython: it runs under plain `cargo test`, a model checker and a
//! fuzzer. The two sides meet through [`Signal`], which each implements for its own thread.
#![deny(unsafe_code)]

mod sync;

mod request_head;

mod inbound;

mod loop_queue;

mod event;

mod completion_queue;

mod sync_reply;

#[expect(clippy::module_inception, reason = "the folder is named after its main type")]
mod exchange;

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod models;

pub(crate) use completion_queue::CompletionQueue;
pub(crate) use event::{Event, NoticeKind, ResponseHead};
pub(crate) use exchange::{AppHalf, Capabilities, Delivery, Exchange, ExchangeId, Mode};
pub(crate) use inbound::{Disconnect, Message, Take};
pub(crate) use loop_queue::{Lag, LoopMessage, LoopQueue};
pub(crate) use request_head::RequestHead;
pub(crate) use sync_reply::SyncReply;

/// Wakes the thread that drains a queue. Called with the queue's lock held: it must not block on that thread.
pub(crate) trait Signal: Send + Sync {
    /// Makes the other thread drain its queue soon. Calls between two drains may be merged.
    fn raise(&self);
}

/// Bytes that may wait on either side of a body before the writer is told to wait. Node's and
/// uvicorn's mark (64 KiB): enough to hide one hop between the threads, small enough for thousands of streams.
pub(crate) const HIGH_WATER_MARK: usize = 64 * 1024;

/// A waiting writer goes on below this: half the mark, so that a wake-up is paid once per 32 KiB at most.
pub(crate) const LOW_WATER_MARK: usize = HIGH_WATER_MARK / 2;
