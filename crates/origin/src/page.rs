//! Pages that a server sends instead of the content: captive portals, logins, errors. Plain values
//! for `Fault::Page`.

/// What a [`Fault::Page`](crate::Fault::Page) answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The status code, 100 to 999.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: String,
    /// The body.
    pub body: String,
    /// How it is delivered.
    pub by: PageBy,
}

/// How a [`Page`] is delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PageBy {
    /// With `Content-Length`.
    #[default]
    Length,
    /// Without `Content-Length`: chunked over HTTP/1.1.
    Chunked,
    /// At another path, to which all others redirect. As a fault of the server it also serves that path;
    /// for a fault of a resource, add a resource there.
    Redirect {
        /// The status code of the redirects, 100 to 999.
        status: u16,
        /// The path of the page, sent as `Location`.
        to: String,
    },
}

impl Page {
    /// An HTML page with status 200 and `Content-Length`.
    #[must_use]
    pub fn html(body: impl Into<String>) -> Self {
        Self::new("text/html; charset=utf-8", body.into())
    }

    /// A JSON document with status 200 and `Content-Length`, as in API errors.
    #[must_use]
    pub fn json(body: impl Into<String>) -> Self {
        Self::new("application/json", body.into())
    }

    /// Sets the status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Sets how it is delivered.
    #[must_use]
    pub fn by(mut self, by: PageBy) -> Self {
        self.by = by;
        self
    }

    fn new(content_type: &str, body: String) -> Self {
        Self { status: 200, content_type: content_type.to_owned(), body, by: PageBy::Length }
    }
}
