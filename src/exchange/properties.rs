//! What holds of every head and of every sequence of operations on an exchange: random input against naive models.
//! A failure prints the smallest input that shows it.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::error::HandlerError;

/// Bytes of which a head is made, and those that break one, more often than the rest.
fn any_byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        6 => prop::sample::select(b"GET/ab-Z09.:%?#".to_vec()),
        3 => prop::sample::select(b"\n\r\0\t \x7f\x1f\xff\x80".to_vec()),
        1 => any::<u8>(),
    ]
}

fn any_line() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any_byte(), 0..12)
}

/// A line that passes somewhere in a head more often than not.
fn probable_line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(vec![
            b"GET".to_vec(), b"/".to_vec(), b"/a?b=%20".to_vec(), b"http".to_vec(), b"1.1".to_vec(), b"x-name".to_vec(),
            b"Host".to_vec(), b"".to_vec(), b"127.0.0.1".to_vec(), b"80".to_vec(),
        ]),
        1 => any_line(),
    ]
}

fn is_token(part: &[u8]) -> bool {
    !part.is_empty()
        && part.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

fn is_value(part: &[u8]) -> bool {
    part.iter().all(|byte| *byte == b'\t' || !(*byte < 0x20 || *byte == 0x7f))
}

fn is_target(part: &[u8]) -> bool {
    !part.is_empty() && part.iter().all(|byte| *byte > 0x20 && *byte != 0x7f)
}

/// The rules of a head, one by one.
fn is_well_formed(text: &[u8], headers: usize) -> bool {
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    lines.len() == 8 + 2 * headers
        && is_token(lines[0])
        && is_target(lines[1])
        && lines[2..8].iter().all(|line| is_value(line))
        && lines[8..].chunks(2).all(|pair| is_token(pair[0]) && is_value(pair[1]))
}

struct Silent;

impl Signal for Silent {
    fn raise(&self) {}
}

/// One thing that one of the two sides does with an exchange.
#[derive(Debug, Clone)]
enum Operation {
    Write(usize),
    End,
    Disconnect,
    GiveUp,
    Consume(usize),
    Take,
    Start,
    Chunk(usize),
    Finish,
    Respond,
    Fail,
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let size = || prop_oneof![0_usize..8, HIGH_WATER_MARK - 1..HIGH_WATER_MARK + 2];
    prop_oneof![
        size().prop_map(Operation::Write),
        Just(Operation::End),
        Just(Operation::Disconnect),
        Just(Operation::GiveUp),
        size().prop_map(Operation::Consume),
        Just(Operation::Take),
        Just(Operation::Start),
        size().prop_map(Operation::Chunk),
        Just(Operation::Finish),
        Just(Operation::Respond),
        Just(Operation::Fail),
    ]
}

fn head() -> ResponseHead {
    ResponseHead { status: 200, headers: Vec::new() }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2048, ..ProptestConfig::default() })]

    #[test]
    fn a_head_of_any_bytes_is_taken_only_if_it_is_well_formed(
        text in prop::collection::vec(any_byte(), 0..80),
        headers in 0_usize..6,
    ) {
        let parsed = RequestHead::parse(text.clone(), headers, None);
        prop_assert_eq!(parsed.is_ok(), is_well_formed(&text, headers));
    }

    #[test]
    fn a_head_of_probable_lines_is_taken_if_it_is_well_formed_and_read_as_it_was_given(
        lines in prop::collection::vec(probable_line(), 6..16),
        headers in 0_usize..4,
    ) {
        let text = lines.join(&b'\n');
        let parsed = RequestHead::parse(text.clone(), headers, None);
        prop_assert_eq!(parsed.is_ok(), is_well_formed(&text, headers));
        let Ok(parsed) = parsed else { return Ok(()) };
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        prop_assert_eq!(parsed.method(), lines[0].to_ascii_uppercase());
        prop_assert_eq!(parsed.target(), lines[1]);
        prop_assert_eq!(parsed.scheme(), lines[2]);
        prop_assert_eq!(parsed.http_version(), lines[3]);
        prop_assert_eq!(parsed.client(), [lines[4], lines[5]]);
        prop_assert_eq!(parsed.server(), [lines[6], lines[7]]);
        let read: Vec<_> = parsed.headers().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        let given: Vec<_> = lines[8..].chunks(2).map(|pair| (pair[0].to_ascii_lowercase(), pair[1].to_vec())).collect();
        prop_assert_eq!(read, given);
    }

    #[test]
    fn an_exchange_settles_once_keeps_every_byte_and_ends_in_order(
        operations in prop::collection::vec(any_operation(), 0..40),
        mode in prop::sample::select(vec![Mode::Buffered, Mode::Stream]),
    ) {
        let completions = Arc::new(CompletionQueue::new(Box::new(Silent)));
        let messages = Arc::new(LoopQueue::new(Box::new(Silent)));
        let exchange = Exchange::new(
            1, 0, mode, Capabilities(0), HIGH_WATER_MARK, None, Delivery::Queue(Arc::clone(&completions)), Arc::clone(&messages),
        );
        let half = AppHalf::new(Arc::clone(&exchange));
        // The naive model: what was written and not taken, whether the body ended, whether the response has.
        let (mut written, mut taken, mut accepted, mut sent) = (0, 0, true, 0);
        let (mut ended, mut gone, mut settled) = (false, false, false);
        for operation in operations {
            match operation {
                Operation::Write(size) => {
                    exchange.write(Message { text: false, bytes: vec![0; size].into() });
                    if accepted { written += size }
                }
                Operation::End => { exchange.end(); ended = true; accepted = false }
                Operation::Disconnect => {
                    exchange.disconnect(Disconnect { code: 1006, reason: String::new() }, false);
                    gone = true;
                    settled = true;
                    accepted = false;
                }
                Operation::GiveUp => {
                    exchange.give_up(HandlerError::Cancelled);
                    gone = true;
                    settled = true;
                    accepted = false;
                }
                Operation::Consume(size) => exchange.consume(size),
                // The connection answers `receive` itself once its response has ended: what was left is dropped.
                Operation::Take if settled && !gone => {}
                Operation::Take => match exchange.take() {
                    Take::Body { bytes, more } => {
                        taken += bytes.len();
                        prop_assert!(taken <= written, "no byte comes twice");
                        if !more {
                            prop_assert!(ended);
                            prop_assert_eq!(taken, written, "the last part is the last byte");
                        }
                    }
                    Take::Disconnect(_) => prop_assert!(gone),
                    Take::Message(_) => prop_assert!(false, "a message of a WebSocket"),
                    Take::Pending => prop_assert!(!gone),
                },
                Operation::Start => if !settled { exchange.start(head()) },
                Operation::Chunk(size) => if !settled { exchange.chunk(vec![0; size]); sent += size },
                Operation::Finish => { exchange.finish(); settled = true; accepted = false }
                Operation::Respond => { exchange.respond(head(), Vec::new()); settled = true; accepted = false }
                Operation::Fail => {
                    prop_assert_eq!(exchange.fail(HandlerError::Cancelled), !settled, "fails once, and only what goes on");
                    settled = true;
                    accepted = false;
                }
            }
            prop_assert_eq!(exchange.is_settled(), settled);
        }
        drop(half);
        messages.close();
        prop_assert!(exchange.is_settled());
        let mut batch = Vec::new();
        completions.drain(&mut batch);
        let last = batch.iter().filter(|(_, event)| event.is_last()).count();
        prop_assert_eq!(last, usize::from(!gone || last == 1), "one end, none after the caller gave up");
        let received: usize = batch.iter().map(|(_, event)| if let Event::Chunk(bytes) = event { bytes.len() } else { 0 }).sum();
        prop_assert!(received <= sent);
        if !gone { prop_assert_eq!(received, sent, "every byte of the response comes") }
        if let Some(at) = batch.iter().position(|(_, event)| event.is_last()) {
            prop_assert_eq!(at, batch.len() - 1, "nothing after the end");
        }
    }
}
