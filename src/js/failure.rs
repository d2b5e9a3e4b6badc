//! A [`HandlerError`] as JavaScript gets it: a plain object, of which `lib/errors.js` makes the `Error`.

use napi::bindgen_prelude::{JsValue, Object};
use napi::sys;
use napi::{Env, Result};

use crate::error::HandlerError;

/// `{ code, message, pythonType?, pythonMessage?, traceback? }`
pub(crate) fn object<'env>(env: &'env Env, error: &HandlerError) -> Result<Object<'env>> {
    let mut object = Object::new(env)?;
    object.set("code", error.code())?;
    object.set("message", error.to_string())?;
    if let Some(exception) = error.exception() {
        object.set("pythonType", exception.type_name.as_str())?;
        object.set("pythonMessage", exception.message.as_str())?;
        object.set("traceback", exception.traceback.as_str())?;
    }
    Ok(object)
}

/// The same as a raw value.
pub(crate) fn value(env: &Env, error: &HandlerError) -> Result<sys::napi_value> {
    Ok(object(env, error)?.raw())
}
