//! Calls of a sprocket's services, and its answers.

use crate::ServiceReply;
use spore_core::api::{Error, Method, ServiceRequest};
use spore_core::sprockets::Value;

/// A call of a service.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The name of the service.
    pub service: &'static str,
    /// One of the methods that it answers. `HEAD` has become `GET`.
    pub method: Method,
    /// What follows the service's name in the path: nothing, or it begins with a slash.
    pub path: &'a str,
    /// What follows the `?`, without any credentials; or nothing.
    pub query: &'a str,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> Call<'a> {
    /// The request as a call of `service`.
    pub(crate) const fn new(service: &'static str, request: &ServiceRequest<'a>) -> Self {
        let ServiceRequest { method, path, query, body, .. } = *request;
        Self { service, method, path, query, body }
    }
}

/// The answer to a call. What was written last is sent.
#[derive(Debug)]
pub struct Reply<'a> {
    buf: &'a mut [u8],
    reply: ServiceReply,
}

impl<'a> Reply<'a> {
    /// An empty answer, whose body is going to be in `buf`, of at least
    /// [`MIN_PIECE`](spore_core::api::MIN_PIECE) bytes.
    pub(crate) const fn new(buf: &'a mut [u8]) -> Self {
        let reply = ServiceReply { status: 200, content_type: ServiceReply::JSON, len: 0 };
        Self { buf, reply }
    }

    /// Answers with a JSON document. One that does not fit, which is one of more than 512 bytes on a board,
    /// becomes an answer with status 500.
    pub fn json<'v>(&mut self, value: impl Into<Value<'v>>) {
        self.value(200, &value.into());
    }

    /// Answers with a text, which must fit as a JSON document must.
    pub fn text(&mut self, text: &str) {
        self.reply = ServiceReply::new(200, "text/plain; charset=utf-8", text.as_bytes(), self.buf);
    }

    /// Answers that it was not done, with a status of 400 to 599 and a sentence for people:
    /// `{"error":{"code":"service_refused","message":"…"}}`.
    pub fn refuse(&mut self, status: u16, message: &str) {
        let error = [("code", "service_refused".into()), ("message", message.into())];
        self.value(status, &Value::Object(&[("error", Value::Object(&error))]));
    }

    fn value(&mut self, status: u16, value: &Value<'_>) {
        self.reply = match value.write(self.buf) {
            Some(len) => ServiceReply { status, content_type: ServiceReply::JSON, len },
            None => ServiceReply::error(Error::ServiceBroken, self.buf),
        };
    }

    /// What was answered.
    pub(crate) const fn end(self) -> ServiceReply {
        self.reply
    }
}
