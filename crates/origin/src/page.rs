//! A page that comes in place of what was asked for: a portal's, a login's, an error's. Plain values.

/// What a [`Fault::Page`](crate::Fault::Page) answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The status code, 100 to 999.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: String,
    /// The page itself.
    pub body: String,
    /// How it comes.
    pub by: PageBy,
}

/// How a [`Page`] comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PageBy {
    /// With its length.
    #[default]
    Length,
    /// Without: chunked over HTTP/1.1.
    Chunked,
    /// At another path, to which all others are redirected. As a fault of the server it serves that
    /// path too; as one of a resource, something else has to.
    Redirect {
        /// The status code of the redirects, 100 to 999.
        status: u16,
        /// Their `Location`: the path of the page.
        to: String,
    },
}

impl Page {
    /// An HTML page with status 200 and its length.
    #[must_use]
    pub fn html(body: impl Into<String>) -> Self {
        Self::new("text/html; charset=utf-8", body.into())
    }

    /// A JSON text with status 200 and its length, as APIs send their errors.
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

    /// Sets how it comes.
    #[must_use]
    pub fn by(mut self, by: PageBy) -> Self {
        self.by = by;
        self
    }

    fn new(content_type: &str, body: String) -> Self {
        Self { status: 200, content_type: content_type.to_owned(), body, by: PageBy::Length }
    }
}
