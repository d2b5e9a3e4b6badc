//! ASGI 3.0: scopes, messages, and the event loop they run on. Everything that touches Python runs on the
//! Python thread; [`EventLoopHandle`] is what other threads hold.
//!
//! http, websocket and lifespan have the same parts, in this order: scope, receive messages, send messages.

pub(crate) mod order;

#[cfg(feature = "addon")]
mod info;

#[cfg(feature = "addon")]
mod http_method;

#[cfg(feature = "addon")]
mod http_version;

#[cfg(feature = "addon")]
mod http;

#[cfg(feature = "addon")]
mod websocket;

#[cfg(feature = "addon")]
mod lifespan;

#[cfg(feature = "addon")]
mod message;

#[cfg(feature = "addon")]
mod json;

#[cfg(feature = "addon")]
mod wsgi;

#[cfg(feature = "addon")]
mod application;

#[cfg(feature = "addon")]
mod applications;

#[cfg(feature = "addon")]
mod response;

#[cfg(feature = "addon")]
mod session;

#[cfg(feature = "addon")]
mod ending;

#[cfg(feature = "addon")]
mod connection;

#[cfg(feature = "addon")]
mod connections;

#[cfg(feature = "addon")]
mod receiver;

#[cfg(feature = "addon")]
mod sender;

#[cfg(feature = "addon")]
mod python_future_poller;

#[cfg(feature = "addon")]
mod cork;

#[cfg(feature = "addon")]
mod linger;

#[cfg(feature = "addon")]
mod loop_kind;

#[cfg(feature = "addon")]
mod loop_reader;

#[cfg(feature = "addon")]
mod imports;

#[cfg(feature = "addon")]
mod stop;

#[cfg(feature = "addon")]
mod event_loop;

#[cfg(feature = "addon")]
mod runtime_handle;

#[cfg(feature = "addon")]
mod wake;

#[cfg(feature = "addon")]
mod event_loop_handle;

#[cfg(feature = "addon")]
pub(crate) use application::{ApplicationOptions, LifespanMode};
#[cfg(feature = "addon")]
pub(crate) use applications::Patience;
#[cfg(feature = "addon")]
pub(crate) use event_loop_handle::{EventLoopHandle, StartOptions};
