//! The two calls of librdkafka that its Rust wrapper lacks.

use std::ffi::{CStr, c_void};
use std::ptr;

use rdkafka::bindings;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaRespErr;

use crate::batch::Headers;

/// The high watermark that the last fetch brought along: no request is made. `None` before the first one.
pub(super) fn high_watermark<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &CStr,
    partition: i32,
) -> Option<i64> {
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client lives as long as `consumer`, the topic is NUL-terminated, and librdkafka only writes the two
    // numbers during the call.
    let code = unsafe {
        bindings::rd_kafka_get_watermark_offsets(
            consumer.client().native_ptr(),
            topic.as_ptr(),
            partition,
            &raw mut low,
            &raw mut high,
        )
    };
    (code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
}

/// The headers of a record, mostly none. The wrapper's own `headers()` panics over a name that is not UTF-8, so one
/// such record would stop a pipeline for good.
pub(super) fn headers(message: &BorrowedMessage<'_>) -> Headers {
    let mut list = ptr::null_mut();
    // SAFETY: the message is alive; the list that comes back belongs to it and is not kept beyond this function.
    let code = unsafe { bindings::rd_kafka_message_headers(message.ptr(), &raw mut list) };
    if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR || list.is_null() {
        return Headers::new();
    }
    let mut headers = Headers::new();
    loop {
        let (mut name, mut value, mut len) = (ptr::null(), ptr::null::<c_void>(), 0);
        // SAFETY: `list` is the message's; the pointers that come back are valid while the message is.
        let code = unsafe {
            bindings::rd_kafka_header_get_all(list, headers.len(), &raw mut name, &raw mut value, &raw mut len)
        };
        if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return headers;
        }
        // SAFETY: librdkafka terminates header names with NUL.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
        // SAFETY: `len` bytes at `value` belong to the header; a null value has a null pointer.
        let value = (!value.is_null()).then(|| unsafe { std::slice::from_raw_parts(value.cast::<u8>(), len) }.to_vec());
        headers.push((name, value));
    }
}
