//! Holds the signals to JavaScript back while several requests are answered one after another: one wakes the JS thread
//! for all of them. (Measured, hello with 64 requests in flight: an eighth of the Python thread's time was signals.)
//!
//! An answer should not wait for another request's work. So signals are held back only while every request is answered
//! in microseconds, and for [`LONGEST`]; the first slow step after many quick ones delays what was answered in the
//! microseconds before it, by its own length.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::exchange::CompletionQueue;

/// A request that takes longer than this is not quick.
const QUICK: Duration = Duration::from_micros(30);

/// So many quick requests in a row, and the next is taken to be quick.
const ENOUGH: u32 = 64;

/// A signal is held back for at most so long, and what is answered meanwhile.
const LONGEST: Duration = Duration::from_micros(50);

/// See the module. Belongs to the Python thread.
#[derive(Default)]
pub(super) struct Cork {
    /// Whose signals are held back: one queue for each Node environment.
    queues: Vec<Arc<CompletionQueue>>,
    since: Option<Instant>,
    last_step: Option<Instant>,
    /// Quick requests in a row.
    quick: u32,
}

impl Cork {
    /// Holds the signals of `queue` back, if what comes is likely to be quick.
    pub(super) fn put_on(&mut self, queue: &Arc<CompletionQueue>) {
        if self.quick < ENOUGH || self.queues.iter().any(|corked| Arc::ptr_eq(corked, queue)) {
            return;
        }
        queue.cork();
        self.queues.push(Arc::clone(queue));
    }

    /// A message was taken.
    pub(super) fn step(&mut self) {
        let now = Instant::now();
        let took = self.last_step.replace(now).map_or(Duration::ZERO, |last| now - last);
        self.quick = if took < QUICK { self.quick.saturating_add(1) } else { 0 };
        if now - *self.since.get_or_insert(now) >= LONGEST || self.quick == 0 {
            self.release();
        }
    }

    /// No more messages for now.
    pub(super) fn take_off(&mut self) {
        self.release();
        self.last_step = None;
    }

    fn release(&mut self) {
        self.since = None;
        for queue in self.queues.drain(..) {
            queue.uncork();
        }
    }
}
