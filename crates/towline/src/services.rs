//! The services whose links can be listed: set up from the environment and the accounts of this user.

use std::env;
use std::path::PathBuf;

use http::HeaderMap;
use towline_engine::options::HttpOptions;
use towline_engine::provider::onedrive::OneDriveBuilder;
use towline_engine::provider::{Accounts, Dropbox, GoogleDrive, IndexPages, OneDrive, Providers, Web, WebDav};
use towline_engine::{Options, Session};
use towline_threads::supervisor::Interrupt;
use towline_threads::supervisor::signals::Signals;

use crate::args::WhichArgs;
use crate::complaint::Complaint;

/// Where Microsoft Graph is, if not in Microsoft's worldwide cloud.
const GRAPH_URL: &str = "TOWLINE_GRAPH_URL";
/// A token for it, instead of an account.
const ONEDRIVE_TOKEN: &str = "TOWLINE_ONEDRIVE_TOKEN";

/// All services, and index pages if the user asks for them. The user's fields go to the server of the link.
pub(crate) fn providers(which: &WhichArgs, headers: &HeaderMap) -> Result<Providers, Complaint> {
    let mut providers = Providers::default();
    providers.add(onedrive()?.build());
    let given: Vec<_> = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let dav = given.iter().cloned().fold(WebDav::default(), |dav, (name, value)| dav.header(name, value));
    providers.add(dav);
    providers.add(Dropbox);
    providers.add(GoogleDrive);
    if which.recursive_index {
        let pages = IndexPages::new(which.level);
        providers.add(given.into_iter().fold(pages, |pages, (name, value)| pages.header(name, value)));
    }
    Ok(providers)
}

/// OneDrive, with the token of the environment or the account.
pub(crate) fn onedrive() -> Result<OneDriveBuilder, Complaint> {
    let mut onedrive = OneDrive::builder();
    if let Some(url) = variable(GRAPH_URL)? {
        onedrive =
            onedrive.graph(&url).map_err(|error| Complaint::usage(format!("{GRAPH_URL}: {}", error.message())))?;
    }
    Ok(match (variable(ONEDRIVE_TOKEN)?, accounts()) {
        (Some(token), _) => onedrive.token(token),
        (None, Ok(accounts)) => onedrive.accounts(accounts),
        // Without a home, nobody has signed in.
        (None, Err(_)) => onedrive,
    })
}

/// A variable of the environment; an empty one counts as unset.
pub(crate) fn variable(name: &str) -> Result<Option<String>, Complaint> {
    match env::var(name) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(env::VarError::NotPresent) => Ok(None),
        // Its value may be a secret.
        Err(env::VarError::NotUnicode(_)) => Err(Complaint::usage(format!("{name} is not text"))),
    }
}

/// The accounts of this user, in the configuration directory (XDG Base Directory Specification).
pub(crate) fn accounts() -> Result<Accounts, Complaint> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    let config = config
        .ok_or_else(|| Complaint::usage("there is no place to keep accounts").hint("set HOME or XDG_CONFIG_HOME"))?;
    Ok(Accounts::in_dir(config.join("towline").join("accounts")))
}

/// What became of a conversation with a service.
pub(crate) enum Talked<T> {
    /// It ended with this.
    Ended(T),
    /// A signal ended it.
    Interrupted(Interrupt),
}

/// Talks to services over a session that fetches nothing.
pub(crate) fn talk<T>(
    http: HttpOptions,
    signals: Signals,
    talk: impl FnOnce(&Web) -> Result<T, Complaint> + Send,
) -> Result<Talked<T>, Complaint>
where
    T: Send + 'static,
{
    let mut options = Options::default();
    options.http = http;
    let session = Session::builder(options).interrupts(signals).build()?;
    let (handle, web) = (session.handle(), session.handle().web());
    let (talked, ended) = std::thread::scope(|scope| {
        let talking = scope.spawn(move || {
            let talked = talk(&web);
            handle.close();
            talked
        });
        let ended = session.run();
        (talking.join(), ended)
    });
    if let Some(interrupt) = ended?.interrupt {
        return Ok(Talked::Interrupted(interrupt));
    }
    match talked {
        Ok(talked) => talked.map(Talked::Ended),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
