//! What waits for the Python thread. Filled on any thread, drained on the Python thread.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{AppHalf, Exchange, RequestHead, Signal};

/// One thing for the Python thread to do.
pub(crate) enum LoopMessage {
    /// Call the application.
    Begin {
        /// The application's half of the exchange: dropped unused, it settles the request with an error.
        half: AppHalf,
        /// The parsed head.
        head: RequestHead,
    },
    /// A body has arrived, or there is room for one: whoever waits on this exchange should look again.
    Wake(Arc<Exchange>),
    /// The client has gone: tell the application, and cancel its task after a grace period or at once.
    Disconnect {
        /// Whose client.
        exchange: Arc<Exchange>,
        /// Whether the task is cancelled without a grace period.
        cancel_now: bool,
    },
    /// Anything that is not on the way of a request (load, close, stop).
    Call(Box<dyn FnOnce() + Send>),
}

/// The queue towards the Python thread.
///
/// Unbounded by itself: what may be in it is bounded by the number of requests in flight, each of which
/// has at most one `Begin`, one `Disconnect` and one outstanding `Wake` per direction.
pub(crate) struct LoopQueue {
    state: Mutex<State>,
    signal: Box<dyn Signal>,
}

struct State {
    messages: Vec<LoopMessage>,
    signalled: bool,
    closed: bool,
}

impl LoopQueue {
    /// A queue whose reader is woken by `signal`.
    pub(crate) fn new(signal: Box<dyn Signal>) -> Self {
        Self { state: Mutex::new(State { messages: Vec::new(), signalled: false, closed: false }), signal }
    }

    /// Appends a message, and signals on the empty → signalled edge only. After [`Self::close`] the message is dropped.
    pub(crate) fn push(&self, message: LoopMessage) {
        let refused = {
            let mut state = self.state.lock();
            if state.closed {
                Some(message)
            } else {
                state.messages.push(message);
                if !state.signalled {
                    state.signalled = true;
                    self.signal.raise();
                }
                None
            }
        };
        // Dropped without the lock: dropping a `Begin` settles its request, which may push.
        drop(refused);
    }

    /// Moves everything that waits into `batch` (which must be empty) and rearms the signal.
    pub(crate) fn drain(&self, batch: &mut Vec<LoopMessage>) {
        let mut state = self.state.lock();
        state.signalled = false;
        std::mem::swap(&mut state.messages, batch);
    }

    /// Refuses further messages and drops those that wait.
    pub(crate) fn close(&self) {
        let left = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.messages)
        };
        drop(left);
    }
}
