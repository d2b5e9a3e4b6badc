//! Where `handleRequestSync` waits. The JS thread blocks here; the Python thread fills it.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Event;

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

    /// Waits for the event; `None` after `limit`. A `limit` of `None` waits for ever.
    pub(crate) fn wait(&self, limit: Option<Duration>) -> Option<Event> {
        let mut place = self.event.lock();
        let deadline = limit.map(|limit| std::time::Instant::now() + limit);
        while place.is_none() {
            match deadline {
                Some(deadline) => {
                    if self.filled.wait_until(&mut place, deadline).timed_out() {
                        break;
                    }
                }
                None => self.filled.wait(&mut place),
            }
        }
        place.take()
    }
}
