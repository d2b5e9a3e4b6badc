//! Holds the signals to JavaScript back while more requests wait than are answered: one wakes the JS thread for several.
//! (Measured: a signal is a system call and a wake-up, an eighth of the Python thread's time for hello with 64 requests in
//! flight, and a quarter for a FastAPI route, which then shares its core with a thread that wakes for each answer.)
//!
//! An answer must not wait for another request's work, or not long. Signals are held back for the time of a few steps, at
//! most [`LONGEST`]; a step that turns out to be slow cannot be interrupted, so a thread of its own, the [`Guard`], looks
//! after what is held: every [`LONGEST`] while there is anything, and not at all otherwise.

use std::sync::{Arc, LazyLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::exchange::CompletionQueue;

/// Signals are held back for as long as so many steps take,
const STEPS: u32 = 8;

/// at least for this time,
const SHORTEST: Duration = Duration::from_micros(50);

/// and at most for this.
const LONGEST: Duration = Duration::from_millis(1);

/// The guard sleeps until it is called when it has found nothing so often.
const PATIENCE: u32 = 64;

/// See the module. Belongs to the Python thread.
#[derive(Default)]
pub(super) struct Cork {
    since: Option<Instant>,
    last_step: Option<Instant>,
    /// How long the signals are held back now.
    limit: Duration,
    /// Whether any are.
    is_on: bool,
}

impl Cork {
    /// Holds the signals of `queue` back: more requests wait.
    pub(super) fn put_on(&mut self, queue: &Arc<CompletionQueue>) {
        if GUARD.take(queue) {
            self.is_on = true;
        }
    }

    /// A message was taken.
    pub(super) fn step(&mut self) {
        let now = Instant::now();
        if let Some(last) = self.last_step.replace(now) {
            self.limit = ((now - last) * STEPS).clamp(SHORTEST, LONGEST);
        }
        if now - *self.since.get_or_insert(now) >= self.limit {
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
        if std::mem::take(&mut self.is_on) {
            GUARD.release();
        }
    }
}

static GUARD: LazyLock<Guard> = LazyLock::new(Guard::new);

/// The queues whose signals are held back, one for each Node environment, and the thread that looks after them.
struct Guard {
    corked: Mutex<Corked>,
    thread: Option<Thread>,
}

#[derive(Default)]
struct Corked {
    queues: Vec<Arc<CompletionQueue>>,
    /// Whether the thread waits to be called.
    is_asleep: bool,
}

impl Guard {
    fn new() -> Self {
        let spawned = thread::Builder::new().name("python-signals".to_owned()).spawn(watch);
        Self { corked: Mutex::default(), thread: spawned.ok().map(|handle| handle.thread().clone()) }
    }

    /// Corks a queue, if it can be looked after. Says whether it is corked.
    fn take(&self, queue: &Arc<CompletionQueue>) -> bool {
        let Some(thread) = &self.thread else { return false };
        let mut corked = self.corked.lock();
        if !corked.queues.iter().any(|each| Arc::ptr_eq(each, queue)) {
            queue.cork();
            corked.queues.push(Arc::clone(queue));
            if std::mem::take(&mut corked.is_asleep) {
                thread.unpark();
            }
        }
        true
    }

    fn release(&self) {
        for queue in self.corked.lock().queues.drain(..) {
            queue.uncork();
        }
    }
}

/// The guard's thread: signals what has been held back since it looked last. Takes no GIL.
fn watch() {
    let mut found_nothing = 0;
    loop {
        thread::sleep(LONGEST);
        let mut corked = GUARD.corked.lock();
        found_nothing = if corked.queues.is_empty() { found_nothing + 1 } else { 0 };
        for queue in &corked.queues {
            queue.signal_held();
        }
        if found_nothing >= PATIENCE {
            corked.is_asleep = true;
            while corked.is_asleep {
                drop(corked);
                thread::park();
                corked = GUARD.corked.lock();
            }
            found_nothing = 0;
        }
    }
}
