//! A proxy as written on a command line.

use crate::error::{Error, ErrorKind, Result};
use crate::options::ProxyChoice;

use super::Proxy;

impl ProxyChoice {
    /// Parses a proxy as people write it (`HOST:PORT` is `http`), with the exceptions in `except`: names
    /// including all names below them, addresses, networks (`10.0.0.0/8`), each with `:PORT` to mean only that
    /// port, or `*`; separated by commas.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] if the proxy is unusable. The message contains nothing secret.
    ///
    /// ```
    /// use towline_engine::options::ProxyChoice;
    ///
    /// assert!(ProxyChoice::parse("proxy.example:3128", "localhost, 10.0.0.0/8").is_ok());
    /// assert!(ProxyChoice::parse("socks4://proxy.example", "").is_err());
    /// ```
    pub fn parse(proxy: &str, except: &str) -> Result<Self> {
        match Proxy::url(proxy) {
            Ok(url) => Ok(Self::Use { url, except: except.to_owned() }),
            Err(why) => Err(Error::new(ErrorKind::Usage, format!("the proxy cannot be used: {why}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_shown_without_its_credentials() {
        let choice = ProxyChoice::parse("NOBODY:SECRET@p:3128", "h").unwrap();
        assert_eq!(format!("{choice:?}"), "Use { url: \"http://p:3128/\", except: \"h\" }");
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_wrong_usage() {
        for text in ["", "socks4://NOBODY:SECRET@p", "http://NOBODY:SECRET@[bad", "http://NOBODY:SECRET@p:0"] {
            let error = ProxyChoice::parse(text, "").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(!error.to_string().contains("SECRET"), "{error}");
        }
    }
}
