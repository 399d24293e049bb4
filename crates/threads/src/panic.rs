//! Panic payloads: their text, and how to drop them safely.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a caught panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// The text given to `panic!`; a placeholder if the payload is not text.
pub(crate) fn message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a payload that is not text"
    }
}

/// Drops `value`, and catches a panic of its destructor.
///
/// The panic hook has already reported that panic.
pub(crate) fn drop_quietly<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // The payload's destructor might panic as well, and so on: leak it.
        std::mem::forget(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_literal_and_of_a_formatted_panic_is_found() {
        let literal: Payload = Box::new("plain");
        let formatted: Payload = Box::new(String::from("number 7"));
        let other: Payload = Box::new(7_u8);
        assert_eq!(message(&*literal), "plain");
        assert_eq!(message(&*formatted), "number 7");
        assert_eq!(message(&*other), "a payload that is not text");
    }

    #[test]
    fn a_destructor_that_panics_is_survived() {
        struct Bad;
        impl Drop for Bad {
            fn drop(&mut self) {
                panic!("in drop");
            }
        }
        drop_quietly(Bad);
    }
}
