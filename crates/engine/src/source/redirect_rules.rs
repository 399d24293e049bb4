//! Where a redirect leads, and whether it may be followed. Pure.

use url::{Position, Url};

use crate::error::{Error, ErrorKind};
use crate::http::asker;
use crate::http::form;
use crate::http::origin::{Origin, Scheme};
use crate::message::Redirect;
use crate::secret;

/// RFC 9110, section 15.4, leaves the limit open; browsers stop at 20, curl's callers usually at 10.
const REDIRECTS_MAX: u32 = 10;

/// The target of a redirect, if it may be followed; `redirects` includes this one.
///
/// # Errors
/// [`ErrorKind::Redirect`] if it leads nowhere, in a loop, too far, or from https to http without
/// `allow_downgrade`.
pub(crate) fn next(
    (at, host): (&Url, &Origin),
    redirect: &Redirect,
    redirects: u32,
    allow_downgrade: bool,
) -> Result<(Url, Origin), Error> {
    let shown = secret::shown_url(at);
    let status = redirect.status;
    let refused = |what: String| Error::new(ErrorKind::Redirect, what).with_url(shown.clone());
    let next = match redirect.location.as_deref().map(|location| (location, at.join(location))) {
        Some(("", _)) => return Err(refused(format!("the server answered {status} with an empty Location"))),
        Some((_, Ok(url))) => url,
        Some((_, Err(_))) => {
            return Err(refused(format!("the server's {status} redirects to something that is no URL")));
        }
        None => return Err(refused(format!("the server answered {status} without saying where to go"))),
    };
    let Some(origin) = Origin::of(&next) else {
        let scheme = secret::shown_scheme(&next);
        return Err(refused(format!("the server redirects to a {scheme} URL, which Towline does not follow")));
    };
    let next = if origin == *host { with_credentials(next, at) } else { next };
    let is_itself = next[..Position::AfterQuery] == at[..Position::AfterQuery];
    if is_itself && !redirect.cookies.is_new && redirects > 1 {
        // It has done so before and would again.
        return Err(refused(format!("the server's {status} redirects to itself (it may want a cookie)")));
    }
    if redirects > REDIRECTS_MAX {
        let text = format!("more than {REDIRECTS_MAX} redirects, the last to {}", secret::shown_url(&next));
        return Err(refused(text));
    }
    let is_downgrade = host.scheme == Scheme::Https && origin.scheme == Scheme::Http;
    if is_downgrade && !allow_downgrade {
        return Err(refused(format!("a redirect from https to http was refused ({})", secret::shown_url(&next))));
    }
    Ok((with_form(next, at, status, origin == *host).map_err(refused)?, origin))
}

/// Carries a form over where the redirect says so (RFC 9110, sections 15.4.8 and 15.4.9), and, unless it is sent by POST,
/// where the redirect does not say otherwise.
fn with_form(mut next: Url, before: &Url, status: u16, is_same_origin: bool) -> Result<Url, String> {
    if asker::marks(&next).is_some() {
        next.set_fragment(None);
    }
    let keeps = |mark: &str| matches!(status, 307 | 308) || matches!(status, 301 | 302) && !form::is_posted(mark);
    match form::mark(before).filter(|mark| keeps(mark)) {
        // Other hosts do not see what the user sends.
        None if is_same_origin => asker::carry_over(before, &mut next),
        None => {}
        Some(mark) if is_same_origin => next.set_fragment(Some(mark)),
        Some(_) => return Err(format!("the server's {status} redirects the data of the request to another host")),
    }
    Ok(next)
}

/// Carries a URL's credentials over to another URL of the same origin that has none.
fn with_credentials(mut next: Url, before: &Url) -> Url {
    if next.username().is_empty() && next.password().is_none() {
        // Only a URL without a host can refuse them.
        let _ = next.set_username(before.username());
        let _ = next.set_password(before.password());
    }
    next
}
