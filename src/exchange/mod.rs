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

mod file_slice;

mod event;

mod completion_queue;

mod sync_reply;

#[expect(clippy::module_inception, reason = "the folder is named after its main type")]
mod exchange;

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, not(loom)))]
mod properties;

#[cfg(all(test, loom))]
mod models;

pub(crate) use completion_queue::CompletionQueue;
pub(crate) use event::{Event, NoticeKind, ResponseHead};
pub(crate) use exchange::{AppHalf, Capabilities, Delivery, Exchange, ExchangeId, Mode};
pub(crate) use file_slice::FileSlice;
pub(crate) use inbound::{Disconnect, Message, Take};
pub(crate) use loop_queue::{Lag, LoopMessage, LoopQueue};
pub(crate) use request_head::RequestHead;
pub(crate) use sync_reply::SyncReply;

/// Wakes the thread that drains a queue. Called with the queue's lock held: it must not block on that thread.
pub(crate) trait Signal: Send + Sync {
    /// Makes the other thread drain its queue soon. Calls between two drains may be merged.
    fn raise(&self);
}

/// Bytes that may wait on either side of a body before the writer is told to wait, unless the handler says otherwise.
/// Eight chunks of 64 KiB: measured with such chunks, 1.7 GB/s with a mark of 64 KiB (each chunk waits for both threads
/// to wake), 2.7 with 256, 4.0 with 512, no more with 1,024.
#[cfg(test)]
pub(crate) const HIGH_WATER_MARK: usize = 512 * 1024;

/// What a WebSocket message counts besides its bytes, on either side: empty ones take memory too. `lib/call.js` has it as well.
pub(crate) const MESSAGE_COST: usize = 64;

/// Chunks of a request body that wait are joined up to this for the application: larger ones cost more to copy than to
/// count.
pub(crate) const JOINED_INBOUND: usize = 64 * 1024;

/// Chunks of a response that wait are joined up to this for JavaScript, which pays for each. Larger ones are handed over
/// without another copy, each as it is: measured with chunks of 64 KiB, 4.1 GB/s joined up to 512 KiB, 4.8 like this.
pub(crate) const JOINED_OUTBOUND: usize = 64 * 1024;
