//! What waits for the Python thread. Filled on any thread, drained on the Python thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::sync::{AtomicBool, Mutex, Ordering};

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
    /// Whether anything came since [`Self::attend`].
    has_come: AtomicBool,
}

struct State {
    messages: Vec<LoopMessage>,
    /// Since when the reader is asked to come.
    signalled: Option<Instant>,
    /// The reader looks by itself: no signal.
    attended: bool,
    closed: bool,
    measured: Measured,
}

/// What the last drains have shown.
#[derive(Debug, Clone, Copy)]
struct Measured {
    lag: Duration,
    at: Instant,
    waited: Duration,
}

/// How long the Python thread lets others wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lag {
    /// How long what waits now has waited, or what waited last if that was within the last second.
    pub(crate) current: Duration,
    /// All requests together, since the start: from their submission to their application's call, at most.
    pub(crate) waited: Duration,
}

/// A lag that was measured longer ago says nothing about now.
const LAG_IS_FRESH: Duration = Duration::from_secs(1);

impl LoopQueue {
    /// A queue whose reader is woken by `signal`.
    pub(crate) fn new(signal: Box<dyn Signal>) -> Self {
        let measured = Measured { lag: Duration::ZERO, at: Instant::now(), waited: Duration::ZERO };
        Self {
            state: Mutex::new(State {
                messages: Vec::new(),
                signalled: None,
                attended: false,
                closed: false,
                measured,
            }),
            signal,
            has_come: AtomicBool::new(false),
        }
    }

    /// Appends a message, and signals on the empty → signalled edge only. After [`Self::close`] the message is dropped.
    pub(crate) fn push(&self, message: LoopMessage) {
        let refused = {
            let mut state = self.state.lock();
            if state.closed {
                Some(message)
            } else {
                state.messages.push(message);
                if state.signalled.is_none() {
                    state.signalled = Some(Instant::now());
                    if state.attended {
                        self.has_come.store(true, Ordering::Release);
                    } else {
                        self.signal.raise();
                    }
                }
                None
            }
        };
        // Dropped without the lock: dropping a `Begin` settles its request, which may push.
        drop(refused);
    }

    /// Begins to look for messages instead of waiting for the signal. Says whether it does: not if a signal is on its way.
    /// [`Self::leave`] must follow.
    pub(crate) fn attend(&self) -> bool {
        let mut state = self.state.lock();
        state.attended = state.signalled.is_none() && !state.closed;
        self.has_come.store(false, Ordering::Relaxed);
        state.attended
    }

    /// Whether a message has come since [`Self::attend`]. Takes no lock.
    pub(crate) fn has_come(&self) -> bool {
        self.has_come.load(Ordering::Acquire)
    }

    /// Waits for the signal again. Says whether there are messages, for which none was raised: they are to be drained now.
    pub(crate) fn leave(&self) -> bool {
        let mut state = self.state.lock();
        state.attended = false;
        !state.messages.is_empty()
    }

    /// How many messages wait.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().messages.len()
    }

    /// Moves everything that waits into `batch` (which must be empty) and rearms the signal. Since when it waits, if the
    /// reader was asked to come.
    pub(crate) fn drain(&self, batch: &mut Vec<LoopMessage>) -> Option<Instant> {
        let mut state = self.state.lock();
        std::mem::swap(&mut state.messages, batch);
        let signalled = state.signalled.take();
        if let Some(since) = signalled {
            let now = Instant::now();
            let lag = now - since;
            let requests =
                batch.iter().filter(|message| matches!(message, LoopMessage::Begin { .. })).count();
            let waited = state.measured.waited + lag * u32::try_from(requests).unwrap_or(u32::MAX);
            state.measured = Measured { lag, at: now, waited };
        }
        signalled
    }

    /// How long the reader lets others wait.
    pub(crate) fn lag(&self) -> Lag {
        let state = self.state.lock();
        let measured = state.measured;
        let current = match state.signalled {
            Some(since) => since.elapsed(),
            None if measured.at.elapsed() <= LAG_IS_FRESH => measured.lag,
            None => Duration::ZERO,
        };
        Lag { current, waited: measured.waited }
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
