//! What is Node's: reading arguments, one environment per Node thread, telling JavaScript what happened.
//!
//! Runs on a JS thread, but for [`environment`]'s signal, which the Python thread raises. Nothing here takes the GIL.

pub(crate) mod arguments;
pub(crate) mod environment;
pub(crate) mod events;
pub(crate) mod failure;
