//! Every interleaving of what the two threads do with an exchange and its queues, by loom:
//! `npm run test:models`.

use loom::sync::Arc as ModelArc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::sync::Arc;

use super::*;
use crate::error::HandlerError;

#[derive(Clone)]
struct Count(ModelArc<AtomicUsize>);

impl Count {
    fn new() -> Self {
        Self(ModelArc::new(AtomicUsize::new(0)))
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Signal for Count {
    fn raise(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Model {
    completions: Arc<CompletionQueue>,
    messages: Arc<LoopQueue>,
    js: Count,
    python: Count,
}

impl Model {
    fn new() -> Self {
        let (js, python) = (Count::new(), Count::new());
        Self {
            completions: Arc::new(CompletionQueue::new(Box::new(js.clone()))),
            messages: Arc::new(LoopQueue::new(Box::new(python.clone()))),
            js,
            python,
        }
    }

    fn exchange(&self, mode: Mode) -> Arc<Exchange> {
        Exchange::new(
            1,
            0,
            mode,
            Capabilities(0),
            HIGH_WATER_MARK,
            None,
            Delivery::Queue(Arc::clone(&self.completions)),
            Arc::clone(&self.messages),
        )
    }

    fn last_events(&self) -> usize {
        let mut batch = Vec::new();
        self.completions.drain(&mut batch);
        batch.iter().filter(|(_, event)| event.is_last()).count()
    }

    /// A thread that gives Python two things to do.
    fn push_twice(&self) -> thread::JoinHandle<()> {
        let queue = Arc::clone(&self.messages);
        thread::spawn(move || {
            queue.push(LoopMessage::Call(Box::new(|| {})));
            queue.push(LoopMessage::Call(Box::new(|| {})));
        })
    }

    fn wakes(&self) -> usize {
        let mut batch = Vec::new();
        self.messages.drain(&mut batch);
        batch.iter().filter(|message| matches!(message, LoopMessage::Wake(_))).count()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // What waits holds its exchange, which holds the queue: loom would call that a leak.
        self.messages.close();
    }
}

fn head() -> ResponseHead {
    ResponseHead { status: 200, headers: Vec::new() }
}

fn gone() -> Disconnect {
    Disconnect { code: 1006, reason: String::new() }
}

#[test]
fn a_request_settles_once_whoever_is_first() {
    loom::model(|| {
        let model = Model::new();
        let exchange = model.exchange(Mode::Stream);
        let half = AppHalf::new(Arc::clone(&exchange));
        let application = thread::spawn(move || {
            half.respond(head(), Vec::new());
            drop(half);
        });
        let other = Arc::clone(&exchange);
        let failing = thread::spawn(move || other.fail(HandlerError::Cancelled));
        application.join().expect("no panic");
        failing.join().expect("no panic");
        assert_eq!(model.last_events(), 1);
        assert_eq!(model.js.get(), 1);
    });
}

#[test]
fn what_came_while_the_queue_was_corked_is_drained_or_signalled() {
    loom::model(|| {
        let model = Model::new();
        let exchange = model.exchange(Mode::Stream);
        let queue = Arc::clone(&model.completions);
        let python = thread::spawn(move || {
            queue.cork();
            exchange.start(head());
            exchange.finish();
            queue.uncork();
        });
        let mut reader = Reader::default();
        reader.look(&model);
        python.join().expect("no panic");
        reader.look(&model);
        assert_eq!(reader.drained, 2);
    });
}

#[test]
fn what_a_corked_queue_holds_is_signalled_once_while_python_goes_on() {
    loom::model(|| {
        let model = Model::new();
        let exchange = model.exchange(Mode::Stream);
        let queue = Arc::clone(&model.completions);
        let held = Arc::clone(&model.completions);
        let python = thread::spawn(move || {
            queue.cork();
            exchange.start(head());
        });
        // The guard (src/asgi/cork.rs): whenever it looks, nothing is lost, and nothing is signalled twice.
        let guard = thread::spawn(move || held.signal_held());
        let mut reader = Reader::default();
        reader.look(&model);
        python.join().expect("no panic");
        guard.join().expect("no panic");
        model.completions.signal_held();
        reader.look(&model);
        assert_eq!(reader.drained, 1);
        assert!(model.js.get() <= 1);
    });
}

/// JavaScript's side: drains when it was signalled, and not otherwise.
#[derive(Default)]
struct Reader {
    drained: usize,
    seen: usize,
}

impl Reader {
    fn look(&mut self, model: &Model) {
        if model.js.get() > self.seen {
            self.seen = model.js.get();
            let mut batch = Vec::new();
            model.completions.drain(&mut batch);
            self.drained += batch.len();
        }
    }
}

#[test]
fn giving_up_and_answering_leave_at_most_one_event() {
    loom::model(|| {
        let model = Model::new();
        let exchange = model.exchange(Mode::Stream);
        let half = AppHalf::new(Arc::clone(&exchange));
        let application = thread::spawn(move || drop(half));
        exchange.disconnect(gone(), false);
        application.join().expect("no panic");
        assert!(model.last_events() <= 1);
        assert!(exchange.is_settled() && exchange.is_disconnected());
    });
}

#[test]
fn giving_up_on_both_sides_leaves_one_event_at_most_and_no_body() {
    loom::model(|| {
        let model = Model::new();
        let exchange = model.exchange(Mode::Buffered);
        let other = Arc::clone(&exchange);
        let python = thread::spawn(move || other.give_up(HandlerError::Cancelled));
        exchange.write(Message { text: false, bytes: vec![1].into() });
        exchange.disconnect(gone(), false);
        python.join().expect("no panic");
        assert!(model.last_events() <= 1);
        assert!(exchange.is_settled());
        assert!(matches!(exchange.take(), Take::Disconnect(_)));
    });
}

#[test]
fn a_reader_that_waits_is_always_woken() {
    loom::model(|| {
        let model = Model::new();
        let exchange = model.exchange(Mode::Stream);
        let writer = Arc::clone(&exchange);
        let js = thread::spawn(move || {
            writer.write(Message { text: false, bytes: vec![1].into() });
            writer.end();
        });
        let first = exchange.take();
        js.join().expect("no panic");
        if first == Take::Pending {
            assert_eq!(model.wakes(), 1, "one wake-up for one wait");
            assert_eq!(exchange.take(), Take::Body { bytes: vec![1].into(), more: false });
        } else {
            assert_eq!(model.wakes(), 0, "nobody waited");
        }
    });
}

#[test]
fn a_sender_that_waits_is_always_woken() {
    loom::model(|| {
        let model = Model::new();
        let exchange = model.exchange(Mode::Stream);
        assert!(!exchange.chunk(vec![0; HIGH_WATER_MARK]));
        let reader = Arc::clone(&exchange);
        let js = thread::spawn(move || reader.consume(HIGH_WATER_MARK));
        let waits = exchange.must_wait();
        js.join().expect("no panic");
        if waits {
            assert_eq!(model.wakes(), 1);
        }
        assert!(!exchange.must_wait());
    });
}

#[test]
fn no_message_is_left_without_a_signal() {
    loom::model(|| {
        let model = Model::new();
        let pushing = model.push_twice();
        let mut early = Vec::new();
        model.messages.drain(&mut early);
        pushing.join().expect("no panic");
        let signals = model.python.get();
        let mut late = Vec::new();
        model.messages.drain(&mut late);
        assert_eq!(early.len() + late.len(), 2);
        // One signal for each batch that was there to be drained.
        assert!(signals >= usize::from(!early.is_empty()) + usize::from(!late.is_empty()));
    });
}

#[test]
fn a_message_for_an_attended_queue_is_seen_or_signalled() {
    loom::model(|| {
        let model = Model::new();
        let pushing = model.push_twice();
        let mut batch = Vec::new();
        if model.messages.attend() {
            let has_come = model.messages.has_come();
            let is_filled = model.messages.leave();
            assert!(is_filled || !has_come);
            if is_filled {
                model.messages.drain(&mut batch);
            }
        }
        let drained = batch.len();
        pushing.join().expect("no panic");
        let mut late = Vec::new();
        if model.python.get() > 0 {
            model.messages.drain(&mut late);
        }
        assert_eq!(drained + late.len(), 2);
        // What was seen was not signalled as well.
        assert!(model.python.get() <= usize::from(!late.is_empty()));
    });
}

#[test]
fn nothing_is_signalled_after_a_close() {
    loom::model(|| {
        let model = Model::new();
        let queue = Arc::clone(&model.completions);
        let pushing = thread::spawn(move || queue.push(1, Event::End));
        model.completions.close();
        let at_close = model.js.get();
        pushing.join().expect("no panic");
        assert_eq!(model.js.get(), at_close);
    });
}

#[test]
fn a_begin_pushed_against_a_close_is_settled() {
    loom::model(|| {
        let model = Model::new();
        let exchange = model.exchange(Mode::Buffered);
        let half = AppHalf::new(Arc::clone(&exchange));
        let request = RequestHead::parse(b"GET\n/\nhttp\n1.1\n\n\n\n".to_vec(), 0, None).expect("valid");
        let queue = Arc::clone(&model.messages);
        let pushing = thread::spawn(move || queue.push(LoopMessage::Begin { half, head: request }));
        model.messages.close();
        pushing.join().expect("no panic");
        assert!(exchange.is_settled());
        assert_eq!(model.last_events(), 1);
    });
}
