//! What waits for a JS thread: one queue per Node environment. Filled on the Python thread, drained on
//! the JS thread, closed by the environment's clean-up.

use super::sync::Mutex;

use super::{Event, ExchangeId, JOINED_OUTBOUND, Signal};

/// The queue towards one Node environment.
///
/// Bounded by the requests in flight and their windows: a stream puts at most its high-water mark and one chunk into it.
pub(crate) struct CompletionQueue {
    state: Mutex<State>,
    signal: Box<dyn Signal>,
}

struct State {
    events: Vec<(ExchangeId, Event)>,
    signalled: bool,
    corked: bool,
    closed: bool,
}

impl CompletionQueue {
    /// A queue whose reader is woken by `signal`.
    pub(crate) fn new(signal: Box<dyn Signal>) -> Self {
        Self {
            state: Mutex::new(State { events: Vec::new(), signalled: false, corked: false, closed: false }),
            signal,
        }
    }

    /// Appends an event and signals on the empty → signalled edge only. A closed queue drops it.
    ///
    /// A chunk that follows a waiting chunk of the same request is joined to it, up to [`JOINED_OUTBOUND`]: HTTP bodies have no message boundaries, and JavaScript pays per event.
    pub(crate) fn push(&self, id: ExchangeId, event: Event) {
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        let event = match (event, state.events.last_mut()) {
            (Event::Chunk(bytes), Some((last, Event::Chunk(waiting))))
                if *last == id && waiting.len() + bytes.len() <= JOINED_OUTBOUND =>
            {
                waiting.extend_from_slice(&bytes);
                return;
            }
            (event, _) => event,
        };
        state.events.push((id, event));
        if !state.signalled && !state.corked {
            state.signalled = true;
            // With the lock held: `close` takes it too, so the signal's target is alive here.
            self.signal.raise();
        }
    }

    /// No signal until [`Self::uncork`] or [`Self::signal_held`], which follow within a millisecond or two: several events
    /// cost one.
    pub(crate) fn cork(&self) {
        self.state.lock().corked = true;
    }

    /// Signals if anything came meanwhile that nobody has drained.
    pub(crate) fn uncork(&self) {
        let mut state = self.state.lock();
        state.corked = false;
        self.signal(&mut state);
    }

    /// The same, and what comes next is held back again.
    pub(crate) fn signal_held(&self) {
        self.signal(&mut self.state.lock());
    }

    fn signal(&self, state: &mut State) {
        if !state.events.is_empty() && !state.signalled && !state.closed {
            state.signalled = true;
            // With the lock held, as in `push`.
            self.signal.raise();
        }
    }

    /// Moves everything that waits into `batch` (which must be empty) and rearms the signal.
    pub(crate) fn drain(&self, batch: &mut Vec<(ExchangeId, Event)>) {
        let mut state = self.state.lock();
        state.signalled = false;
        std::mem::swap(&mut state.events, batch);
    }

    /// Drops what waits and refuses the rest. After this returns the signal is never raised again.
    pub(crate) fn close(&self) {
        let left = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.events)
        };
        drop(left);
    }
}
