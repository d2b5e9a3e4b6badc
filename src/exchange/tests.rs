//! The exchange and its queues without Node and without Python.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::*;
use crate::error::HandlerError;

/// Counts how often a thread would have been woken.
#[derive(Default, Clone)]
struct Count(Arc<AtomicUsize>);

impl Signal for Count {
    fn raise(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

struct Fixture {
    completions: Arc<CompletionQueue>,
    messages: Arc<LoopQueue>,
    js_wakes: Count,
    python_wakes: Count,
}

impl Fixture {
    fn new() -> Self {
        let (js_wakes, python_wakes) = (Count::default(), Count::default());
        Self {
            completions: Arc::new(CompletionQueue::new(Box::new(js_wakes.clone()))),
            messages: Arc::new(LoopQueue::new(Box::new(python_wakes.clone()))),
            js_wakes,
            python_wakes,
        }
    }

    fn exchange(&self, mode: Mode, body: Option<&[u8]>) -> Arc<Exchange> {
        Exchange::new(
            7,
            0,
            mode,
            Capabilities(0),
            HIGH_WATER_MARK,
            body.map(Bytes::copy_from_slice),
            Delivery::Queue(Arc::clone(&self.completions)),
            Arc::clone(&self.messages),
        )
    }

    fn events(&self) -> Vec<Event> {
        let mut batch = Vec::new();
        self.completions.drain(&mut batch);
        batch.into_iter().map(|(_, event)| event).collect()
    }

    fn wakes(&self) -> usize {
        let mut batch = Vec::new();
        self.messages.drain(&mut batch);
        batch.iter().filter(|message| matches!(message, LoopMessage::Wake(_))).count()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // What waits holds its exchange, which holds the queue: a leak, if the queue were not the process's.
        self.messages.close();
    }
}

fn head() -> ResponseHead {
    ResponseHead { status: 200, headers: b"a\nb\n".to_vec() }
}

#[test]
fn a_corked_queue_signals_once_for_all_that_came() {
    let fixture = Fixture::new();
    let queue = &fixture.completions;
    queue.cork();
    for _ in 0..3 {
        fixture.exchange(Mode::Buffered, None).respond(head(), Vec::new());
    }
    assert_eq!(fixture.js_wakes.get(), 0);
    queue.uncork();
    assert_eq!(fixture.js_wakes.get(), 1);
    queue.uncork();
    assert_eq!((fixture.js_wakes.get(), fixture.events().len()), (1, 3));
    queue.cork();
    queue.uncork();
    assert_eq!(fixture.js_wakes.get(), 1, "nothing came");
    queue.cork();
    fixture.exchange(Mode::Buffered, None).respond(head(), Vec::new());
    queue.close();
    queue.uncork();
    assert_eq!(fixture.js_wakes.get(), 1, "a closed queue never signals");
}

fn body(bytes: &[u8], more: bool) -> Take {
    Take::Body { bytes: Bytes::copy_from_slice(bytes), more }
}

fn chunk(bytes: &[u8]) -> Message {
    Message { text: false, bytes: Bytes::copy_from_slice(bytes) }
}

#[test]
fn a_complete_body_is_given_once_and_then_only_the_disconnect() {
    let fixture = Fixture::new();
    let exchange = fixture.exchange(Mode::Buffered, Some(b"abc"));
    assert_eq!(exchange.take(), body(b"abc", false));
    assert_eq!(exchange.take(), Take::Pending);
    exchange.disconnect(Disconnect { code: 1006, reason: String::new() }, false);
    assert!(matches!(exchange.take(), Take::Disconnect(_)));
}

/// A body that tells when it is freed.
struct Told(Count);

impl AsRef<[u8]> for Told {
    fn as_ref(&self) -> &[u8] {
        b"body"
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.0.raise();
    }
}

#[test]
fn a_body_that_nobody_reads_any_more_is_freed() {
    type End = fn(&Arc<Exchange>);
    let ends: [End; 3] = [
        |exchange| exchange.disconnect(Disconnect::broken(), false),
        |exchange| exchange.leave(),
        |exchange| exchange.give_up(HandlerError::ResponseTooLarge(0)),
    ];
    for end in ends {
        let fixture = Fixture::new();
        let exchange = fixture.exchange(Mode::Stream, None);
        let freed = Count::default();
        exchange.write(Message { text: false, bytes: Bytes::from_owner(Told(freed.clone())) });
        end(&exchange);
        assert_eq!(freed.get(), 1);
        assert_eq!(exchange.take(), Take::Disconnect(Disconnect::broken()));
    }
}

#[test]
fn a_file_is_closed_wherever_it_ends() {
    use std::sync::atomic::AtomicI32;
    static CLOSED: AtomicI32 = AtomicI32::new(0);
    let slice =
        |descriptor| FileSlice::new(descriptor, 0, 1, |closed| CLOSED.store(closed, Ordering::SeqCst));
    let fixture = Fixture::new();
    let exchange = fixture.exchange(Mode::Stream, None);
    assert!(exchange.file(slice(3)));
    assert_eq!(CLOSED.load(Ordering::SeqCst), 0, "it is on its way");
    fixture.completions.close();
    assert_eq!(CLOSED.load(Ordering::SeqCst), 3);
    exchange.file(slice(4));
    assert_eq!(CLOSED.load(Ordering::SeqCst), 4, "the environment has ended");
    exchange.disconnect(Disconnect::broken(), false);
    exchange.file(slice(5));
    assert_eq!(CLOSED.load(Ordering::SeqCst), 5, "nobody wants it");
}

#[test]
fn messages_of_a_websocket_come_before_its_end() {
    let fixture = Fixture::new();
    let exchange = fixture.exchange(Mode::WebSocket, None);
    exchange.write(chunk(b"last"));
    exchange.disconnect(Disconnect::broken(), false);
    assert_eq!(exchange.take(), Take::Message(chunk(b"last")));
    assert!(matches!(exchange.take(), Take::Disconnect(_)));
}

#[test]
fn a_request_that_is_given_up_has_failed_and_its_task_is_told() {
    let fixture = Fixture::new();
    let exchange = fixture.exchange(Mode::Buffered, Some(b""));
    exchange.give_up(HandlerError::ResponseTooLarge(0));
    assert!(exchange.is_settled() && exchange.is_disconnected());
    assert_eq!(fixture.events(), [Event::Failed(HandlerError::ResponseTooLarge(0))]);
    let mut batch = Vec::new();
    fixture.messages.drain(&mut batch);
    assert!(matches!(batch[..], [LoopMessage::Disconnect { .. }]));
}

#[test]
fn an_empty_body_is_one_empty_message() {
    let fixture = Fixture::new();
    assert_eq!(fixture.exchange(Mode::Buffered, Some(b"")).take(), body(b"", false));
}

#[test]
fn an_empty_chunk_is_not_the_end() {
    let fixture = Fixture::new();
    let exchange = fixture.exchange(Mode::Stream, None);
    assert!(exchange.write(chunk(b"")));
    assert_eq!(exchange.take(), body(b"", true));
    exchange.end();
    assert_eq!(exchange.take(), body(b"", false));
}

#[test]
fn a_reader_that_waits_is_woken_once_by_whatever_comes() {
    let fixture = Fixture::new();
    let exchange = fixture.exchange(Mode::Stream, None);
    assert_eq!(exchange.take(), Take::Pending);
    exchange.write(chunk(b"a"));
    exchange.write(chunk(b"b"));
    assert_eq!(fixture.wakes(), 1);
    assert_eq!(exchange.take(), body(b"ab", true));
    exchange.end();
    assert_eq!(fixture.wakes(), 0, "nobody waits");
    assert_eq!(exchange.take(), body(b"", false));
}

#[test]
fn a_writer_waits_at_the_mark_and_goes_on_below_half_of_it() {
    let fixture = Fixture::new();
    let exchange = fixture.exchange(Mode::Stream, None);
    assert!(exchange.write(chunk(&vec![0; HIGH_WATER_MARK / 2 - 1])));
    assert!(!exchange.write(chunk(&vec![1; HIGH_WATER_MARK / 2 + 1])));
    assert!(!exchange.write(chunk(&[2])), "nobody has read");
    assert_eq!(fixture.events(), []);
    assert!(matches!(exchange.take(), Take::Body { .. }));
    assert_eq!(fixture.events(), [], "what is left is above half the mark");
    assert!(matches!(exchange.take(), Take::Body { .. }));
    assert_eq!(fixture.events(), [Event::Drain]);
}

#[test]
fn a_writer_is_freed_when_the_response_ends_without_the_body() {
    let fixture = Fixture::new();
    let exchange = fixture.exchange(Mode::Stream, None);
    assert!(!exchange.write(chunk(&vec![0; HIGH_WATER_MARK])));
    exchange.respond(head(), b"early".to_vec());
    assert!(exchange.write(chunk(&vec![0; HIGH_WATER_MARK])), "what is written now is dropped");
}

#[test]
fn a_sender_waits_until_the_reader_has_taken_half() {
    let fixture = Fixture::new();
    let exchange = fixture.exchange(Mode::Stream, None);
    exchange.start(head());
    assert!(!exchange.chunk(vec![0; HIGH_WATER_MARK]));
    assert!(exchange.must_wait());
    exchange.consume(1);
    assert_eq!(fixture.wakes(), 0);
    exchange.consume(HIGH_WATER_MARK - HIGH_WATER_MARK / 2);
    assert_eq!(fixture.wakes(), 1);
    assert!(!exchange.must_wait());
}

#[test]
fn small_chunks_are_joined_while_they_wait() {
    let fixture = Fixture::new();
    let exchange = fixture.exchange(Mode::Stream, None);
    exchange.start(head());
    exchange.chunk(b"a".to_vec());
    exchange.chunk(b"b".to_vec());
    exchange.finish();
    assert_eq!(fixture.events(), [Event::Head(head()), Event::Chunk(b"ab".to_vec()), Event::End]);
    assert_eq!(fixture.js_wakes.get(), 1, "one wake-up for a batch");
}

#[test]
fn chunks_of_two_requests_are_never_joined() {
    let fixture = Fixture::new();
    fixture.completions.push(1, Event::Chunk(b"a".to_vec()));
    fixture.completions.push(2, Event::Chunk(b"b".to_vec()));
    assert_eq!(fixture.events(), [Event::Chunk(b"a".to_vec()), Event::Chunk(b"b".to_vec())]);
}

#[test]
fn a_request_settles_once() {
    let fixture = Fixture::new();
    let exchange = fixture.exchange(Mode::Buffered, Some(b""));
    exchange.respond(head(), Vec::new());
    assert!(!exchange.fail(HandlerError::NoResponse));
    exchange.respond(head(), Vec::new());
    assert_eq!(fixture.events(), [Event::Complete { head: head(), body: Vec::new() }]);
}

#[test]
fn a_dropped_half_settles_with_an_error_in_each_state() {
    type Prepare = fn(&Arc<Exchange>);
    let states: [(&str, Prepare, bool); 5] = [
        ("nothing happened", |_| {}, true),
        ("started", |exchange| exchange.start(head()), true),
        ("finished", |exchange| exchange.finish(), false),
        (
            "given up",
            |exchange| exchange.disconnect(Disconnect { code: 1006, reason: String::new() }, true),
            false,
        ),
        ("failed", |exchange| assert!(exchange.fail(HandlerError::Cancelled)), false),
    ];
    for (state, prepare, fails) in states {
        let fixture = Fixture::new();
        let exchange = fixture.exchange(Mode::Stream, None);
        prepare(&exchange);
        fixture.events();
        drop(AppHalf::new(Arc::clone(&exchange)));
        let failed = matches!(fixture.events().as_slice(), [Event::Failed(HandlerError::Closed(_))]);
        assert_eq!(failed, fails, "{state}");
        assert!(exchange.is_settled(), "{state}");
    }
}

#[test]
fn nothing_is_told_after_the_caller_gave_up() {
    let fixture = Fixture::new();
    let exchange = fixture.exchange(Mode::Stream, None);
    exchange.disconnect(Disconnect { code: 1006, reason: String::new() }, false);
    exchange.start(head());
    assert!(exchange.chunk(vec![0; 2 * HIGH_WATER_MARK]), "nobody reads: nothing to wait for");
    exchange.finish();
    assert_eq!(fixture.events(), []);
}

#[test]
fn a_websocket_gives_what_was_sent_before_its_close() {
    let fixture = Fixture::new();
    let exchange = fixture.exchange(Mode::WebSocket, None);
    let message = || Message { text: true, bytes: Bytes::from_static(b"hi") };
    exchange.write(message());
    exchange.disconnect(Disconnect { code: 4000, reason: "bye".to_owned() }, false);
    assert_eq!(exchange.take(), Take::Message(message()));
    assert_eq!(exchange.take(), Take::Disconnect(Disconnect { code: 4000, reason: "bye".to_owned() }));
}

#[test]
fn a_closed_loop_queue_settles_what_waits_and_what_comes() {
    let fixture = Fixture::new();
    let begin = |exchange: &Arc<Exchange>| LoopMessage::Begin {
        half: AppHalf::new(Arc::clone(exchange)),
        head: RequestHead::parse(b"GET\n/\nhttp\n1.1\n\n\n\n".to_vec(), 0, None).expect("a valid head"),
    };
    let (waiting, late) =
        (fixture.exchange(Mode::Buffered, Some(b"")), fixture.exchange(Mode::Buffered, Some(b"")));
    fixture.messages.push(begin(&waiting));
    fixture.messages.close();
    fixture.messages.push(begin(&late));
    assert!(waiting.is_settled() && late.is_settled());
    assert_eq!(fixture.events().len(), 2);
    assert_eq!(fixture.python_wakes.get(), 1);
}

#[test]
fn a_closed_completion_queue_raises_no_signal() {
    let fixture = Fixture::new();
    fixture.completions.close();
    fixture.completions.push(1, Event::End);
    assert_eq!((fixture.js_wakes.get(), fixture.events()), (0, Vec::new()));
}

#[test]
fn a_head_is_checked_and_made_lower_case() {
    let parse = |text: &str, headers| RequestHead::parse(text.as_bytes().to_vec(), headers, None);
    let head = parse("get\n/a?b\nhttp\n1.1\n\n\n\n\nHost\nx\nX-A\n\u{1}".replace('\u{1}', "1").as_str(), 2)
        .expect("valid");
    assert_eq!(head.method(), b"GET");
    assert_eq!(head.target(), b"/a?b");
    let headers: Vec<_> = head.headers().collect();
    assert_eq!(headers, [(&b"host"[..], &b"x"[..]), (b"x-a", b"1")]);
    let fixed = "GET\n/\nhttp\n1.1\n\n\n\n";
    let code = |text: &str, headers| parse(text, headers).map_err(|error| error.code()).err();
    assert_eq!(code(fixed, 0), None);
    assert_eq!(code("G T\n/\nhttp\n1.1\n\n\n\n", 0), Some("ERR_PYTHON_INVALID_METHOD"));
    assert_eq!(code("GET\n/ x\nhttp\n1.1\n\n\n\n", 0), Some("ERR_PYTHON_INVALID_URL"));
    assert_eq!(code("GET\n/\n/evil\nhttp\n1.1\n\n\n\n", 0), Some("ERR_PYTHON_INVALID_URL"));
    assert_eq!(code(&format!("{fixed}\na b\nc"), 1), Some("ERR_PYTHON_INVALID_HEADER"));
    assert_eq!(code(&format!("{fixed}\na\nc\r"), 1), Some("ERR_PYTHON_INVALID_HEADER"));
    assert_eq!(code(&format!("{fixed}\na\nc\nx-evil\n1"), 1), Some("ERR_PYTHON_INVALID_HEADER"));
    assert_eq!(code(&format!("{fixed}\na\nc\0"), 1), Some("ERR_PYTHON_INVALID_HEADER"));
}
