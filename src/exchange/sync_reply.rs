//! Where `handleRequestSync` and `new PythonHandler` wait. The JS thread blocks here; the Python thread fills it.
//!
//! Whoever ends a worker waits for its thread, and nothing wakes that: so it looks now and then whether it is given up.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Event;

/// How long the wait goes on for somebody who has given it up.
const PATIENCE: Duration = Duration::from_millis(100);

/// A place for one last event.
#[derive(Default)]
pub(crate) struct SyncReply {
    event: Mutex<Option<Event>>,
    filled: Condvar,
}

impl SyncReply {
    /// Fills the place. Only the first event counts.
    pub(crate) fn fill(&self, event: Event) {
        let mut place = self.event.lock();
        if place.is_none() {
            *place = Some(event);
            self.filled.notify_one();
        }
    }

    /// Waits for the event; `None` after `limit`, if there is one, or when `is_given_up` says so, which is asked now and
    /// then.
    pub(crate) fn wait(&self, limit: Option<Duration>, is_given_up: impl Fn() -> bool) -> Option<Event> {
        let mut place = self.event.lock();
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        while place.is_none() {
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                break;
            }
            let look = deadline.map_or(now + PATIENCE, |deadline| deadline.min(now + PATIENCE));
            if self.filled.wait_until(&mut place, look).timed_out() && is_given_up() {
                break;
            }
        }
        place.take()
    }
}
