//! The right to ask Microsoft Graph: signing in with a code on another screen (OAuth 2.0, RFC 8628), and tokens that
//! are renewed. [`Tokens`] owns the current one; several threads share it.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{ACCOUNT, NAME};
use crate::error::{Advice, Error, ErrorKind, Result};
use crate::provider::accounts::Accounts;
use crate::provider::lenient;
use crate::provider::web::{Web, WebAnswer, WebRequest};
use crate::secret;

/// A token is renewed this long before it expires.
const RENEWED_BEFORE: Duration = Duration::from_secs(60);
/// Nothing lasts longer than a year, whatever the service tells, in seconds.
const LASTS_MAX: u64 = 365 * 24 * 3600;
/// The lifetime of a token whose service tells none, in seconds; a refusal renews it sooner.
const TOKEN_LASTS_S: u64 = 3600;
/// How often to ask whether the user has entered the code, if the service does not say.
const POLL_EVERY: Duration = Duration::from_secs(5);
/// At most this often, whatever the service says.
const POLL_EVERY_MIN: Duration = Duration::from_secs(1);
/// How long a code is good, if the service does not say.
const CODE_LASTS: Duration = Duration::from_secs(900);
/// What `slow_down` adds (RFC 8628, section 3.5).
const SLOWER_BY: Duration = Duration::from_secs(5);
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// An account, as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) client_id: String,
    /// Where tokens come from: the service and the directory of the user.
    pub(super) login: Url,
    /// The API that the tokens are for.
    pub(super) graph: Url,
    scope: String,
    refresh_token: String,
    access_token: String,
    expires_unix: u64,
    signed_in_unix: u64,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// Where the right to ask comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// A token of the user's own, which nobody can renew.
    Given(HeaderValue),
    /// The account that is kept here.
    Account(Accounts),
    /// Nothing.
    Nothing,
}

/// The current token.
#[derive(Debug)]
pub(super) struct Tokens {
    source: Source,
    /// Whoever holds this renews the token; the others wait for it.
    current: Mutex<Option<Current>>,
}

#[derive(Clone, Debug)]
struct Current {
    header: HeaderValue,
    expires: SystemTime,
}

impl Tokens {
    pub(super) fn new(source: Source) -> Self {
        Self { source, current: Mutex::default() }
    }

    /// Whether there is anything to ask with.
    pub(super) fn is_signed_in(&self) -> bool {
        match &self.source {
            Source::Given(_) => true,
            Source::Nothing => false,
            // What cannot be read is an error when it is needed.
            Source::Account(accounts) => !matches!(accounts.read::<Account>(ACCOUNT), Ok(None)),
        }
    }

    /// The field that proves who asks. After `refused`, a token that was refused is not used again.
    pub(super) fn header(&self, web: &Web, graph: &Url, refused: Option<&HeaderValue>) -> Result<HeaderValue> {
        let accounts = match &self.source {
            Source::Given(header) if refused.is_none() => return Ok(header.clone()),
            Source::Given(_) => return Err(refused_sign_in("the token in TOWLINE_ONEDRIVE_TOKEN")),
            Source::Nothing => return Err(signed_out()),
            Source::Account(accounts) => accounts,
        };
        let mut current = self.current.lock();
        let is_good = |held: &Current| SystemTime::now() < held.expires && Some(&held.header) != refused;
        if let Some(held) = current.as_ref().filter(|held| is_good(held)) {
            return Ok(held.header.clone());
        }
        // Some services take a refresh token once: one process renews it, and the others read what it has kept.
        let _held = accounts.lock(ACCOUNT, &|| web.has_ended())?;
        let account: Account = accounts.read(ACCOUNT)?.ok_or_else(signed_out)?;
        if account.graph.origin() != graph.origin() {
            let text = format!("you are signed in to {}, and this is {}", account.graph, graph);
            return Err(Error::new(ErrorKind::Status(401), text).with_advice(Advice::SignInToOneDrive));
        }
        let kept = account.current();
        let held = match is_good(&kept) {
            // Another process may have renewed it.
            true => kept,
            false => {
                let renewed = account.renew(web)?;
                accounts.write(ACCOUNT, &renewed)?;
                renewed.current()
            }
        };
        *current = Some(held.clone());
        Ok(held.header)
    }
}

impl Account {
    fn current(&self) -> Current {
        // A time that no clock can tell is one that has passed.
        let expires = UNIX_EPOCH.checked_add(Duration::from_secs(self.expires_unix)).unwrap_or(UNIX_EPOCH);
        Current { header: bearer(&self.access_token), expires: expires - RENEWED_BEFORE.min(lifetime(expires)) }
    }

    fn renew(self, web: &Web) -> Result<Self> {
        let fields = [
            ("client_id", self.client_id.as_str()),
            ("grant_type", "refresh_token"),
            ("refresh_token", &self.refresh_token),
            ("scope", &self.scope),
        ];
        let answer = web.send(WebRequest::form(place(&self.login, "token"), &fields))?;
        match granted(&answer) {
            Ok(granted) => Ok(self.with(granted)),
            Err(refusal) if refusal.error == "invalid_grant" => Err(refused_sign_in("the sign-in")),
            Err(refusal) => Err(refusal.error_of(&answer)),
        }
    }

    fn with(self, granted: Granted) -> Self {
        Self {
            access_token: granted.access_token,
            // The old one stays good if no new one comes.
            refresh_token: granted.refresh_token.unwrap_or(self.refresh_token),
            expires_unix: now_unix() + granted.expires_in.unwrap_or(TOKEN_LASTS_S).min(LASTS_MAX),
            ..self
        }
    }
}

/// A sign-in that waits for its user.
#[derive(Clone)]
pub struct SignIn {
    login: Url,
    graph: Url,
    client_id: String,
    scope: String,
    device_code: String,
    /// The page to open.
    pub page: String,
    /// The code to enter there.
    pub code: String,
    /// How long the code is good.
    pub expires_in: Duration,
    /// How often to ask.
    pub poll_every: Duration,
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn").field("page", &self.page).field("code", &self.code).finish_non_exhaustive()
    }
}

/// What became of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// The user has not entered the code yet.
    Waits,
    /// Signed in, and the account is kept.
    SignedIn,
}

impl SignIn {
    /// Asks for a code.
    pub(super) fn begin(web: &Web, (login, graph): (Url, Url), client_id: &str, scope: &str) -> Result<Self> {
        let fields = [("client_id", client_id), ("scope", scope)];
        let answer = web.send(WebRequest::form(place(&login, "devicecode"), &fields))?;
        if !answer.is_success() {
            return Err(Refusal::of(&answer).error_of(&answer));
        }
        let offered: Offered = serde_json::from_slice(&answer.body).map_err(|_| no_json(&answer))?;
        Ok(Self {
            login,
            graph,
            client_id: client_id.to_owned(),
            scope: scope.to_owned(),
            device_code: offered.device_code,
            page: secret::printable(&offered.verification_uri).into_owned(),
            code: secret::printable(&offered.user_code).into_owned(),
            expires_in: offered.expires_in.map_or(CODE_LASTS, seconds),
            poll_every: offered.interval.map_or(POLL_EVERY, seconds).max(POLL_EVERY_MIN),
        })
    }

    /// Asks whether the user has entered the code; wait [`SignIn::poll_every`] before each time.
    ///
    /// # Errors
    /// Why the service does not sign the user in, or why the account cannot be kept.
    pub fn poll(&mut self, web: &Web, accounts: &Accounts) -> Result<Polled> {
        let fields =
            [("client_id", self.client_id.as_str()), ("grant_type", DEVICE_GRANT), ("device_code", &self.device_code)];
        let answer = web.send(WebRequest::form(place(&self.login, "token"), &fields))?;
        let refusal = match granted(&answer) {
            Ok(granted) => {
                let account = self.account(granted)?;
                let _held = accounts.lock(ACCOUNT, &|| web.has_ended())?;
                accounts.write(ACCOUNT, &account)?;
                return Ok(Polled::SignedIn);
            }
            Err(refusal) => refusal,
        };
        let failed = |text: &str| {
            let error = Error::new(ErrorKind::Status(answer.status), text);
            Err(error.with_advice(Advice::SignInToOneDrive))
        };
        match refusal.error.as_str() {
            "authorization_pending" => Ok(Polled::Waits),
            "slow_down" => {
                self.poll_every += SLOWER_BY;
                Ok(Polled::Waits)
            }
            "authorization_declined" | "access_denied" => failed("the sign-in was declined"),
            "expired_token" | "code_expired" => failed("nobody entered the code in time"),
            _ => Err(refusal.error_of(&answer)),
        }
    }

    fn account(&self, granted: Granted) -> Result<Account> {
        let Some(refresh_token) = granted.refresh_token else {
            let text = format!("{NAME} gives no refresh token: the application must be allowed offline_access");
            return Err(Error::new(ErrorKind::Protocol, text));
        };
        Ok(Account {
            client_id: self.client_id.clone(),
            login: self.login.clone(),
            graph: self.graph.clone(),
            scope: self.scope.clone(),
            refresh_token,
            access_token: granted.access_token,
            expires_unix: now_unix() + granted.expires_in.unwrap_or(TOKEN_LASTS_S).min(LASTS_MAX),
            signed_in_unix: now_unix(),
        })
    }
}

/// The answer to a request for a code (RFC 8628, section 3.2).
#[derive(Deserialize)]
struct Offered {
    device_code: String,
    user_code: String,
    verification_uri: String,
    #[serde(default, deserialize_with = "lenient::number")]
    expires_in: Option<u64>,
    #[serde(default, deserialize_with = "lenient::number")]
    interval: Option<u64>,
}

/// The answer with tokens (RFC 6749, section 5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    refresh_token: Option<String>,
    #[serde(default, deserialize_with = "lenient::number")]
    expires_in: Option<u64>,
}

/// The answer without (section 5.2). Its description may repeat a token, so it is left alone.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: String,
}

impl Refusal {
    fn of(answer: &WebAnswer) -> Self {
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    fn error_of(&self, answer: &WebAnswer) -> Error {
        let text = match self.error.as_str() {
            "invalid_client" | "unauthorized_client" => {
                format!("{NAME} does not accept this client id for a sign-in by code ({})", self.error)
            }
            "" => format!("{NAME} refuses the sign-in with {}", answer.status),
            code => format!("{NAME} refuses the sign-in with {} ({})", answer.status, super::graph::code(code)),
        };
        Error::new(ErrorKind::Status(answer.status), text).with_advice(Advice::SignInToOneDrive)
    }
}

fn granted(answer: &WebAnswer) -> Result<Granted, Refusal> {
    match answer.is_success() {
        true => serde_json::from_slice(&answer.body).map_err(|_| Refusal::default()),
        false => Err(Refusal::of(answer)),
    }
}

fn place(login: &Url, what: &str) -> Url {
    let mut place = login.clone();
    if let Ok(mut parts) = place.path_segments_mut() {
        parts.pop_if_empty().extend(["oauth2", "v2.0", what]);
    }
    place
}

/// `Bearer TOKEN`; a token that cannot be sent is none.
pub(super) fn bearer(token: &str) -> HeaderValue {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).unwrap_or(HeaderValue::from_static("Bearer"));
    value.set_sensitive(true);
    value
}

/// A time that the service tells, in seconds.
fn seconds(told: u64) -> Duration {
    Duration::from_secs(told.min(LASTS_MAX))
}

fn lifetime(expires: SystemTime) -> Duration {
    expires.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn now_unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn no_json(answer: &WebAnswer) -> Error {
    super::graph::no_json(&answer.url)
}

pub(super) fn signed_out() -> Error {
    let text = format!("{NAME} wants to know who asks, and you are not signed in");
    Error::new(ErrorKind::Status(401), text).with_advice(Advice::SignInToOneDrive)
}

fn refused_sign_in(what: &str) -> Error {
    let text = format!("{NAME} does not accept {what} any more");
    Error::new(ErrorKind::Status(401), text).with_advice(Advice::SignInToOneDrive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_of_a_service_is_too_large() {
        assert_eq!(seconds(u64::MAX), Duration::from_secs(LASTS_MAX));
        let granted: Granted = serde_json::from_str(r#"{"access_token":"a"}"#).unwrap();
        assert_eq!(granted.expires_in, None);
        let url: Url = "http://127.0.0.1/".parse().unwrap();
        let account = Account {
            client_id: String::new(),
            login: url.clone(),
            graph: url,
            scope: String::new(),
            refresh_token: String::new(),
            access_token: String::new(),
            expires_unix: u64::MAX,
            signed_in_unix: 0,
        };
        assert!(account.current().expires <= SystemTime::now());
        let endless = Granted { expires_in: Some(u64::MAX), ..granted };
        assert!(account.with(endless).current().expires > SystemTime::now());
    }
}
