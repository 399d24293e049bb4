//! `towline login`, `logout` and `accounts`.

use std::time::{Duration, Instant};

use towline_engine::provider::Web;
use towline_engine::provider::onedrive::Polled;
use towline_threads::supervisor::signals::Signals;

use crate::args::{LoginArgs, LogoutArgs, ServiceArg};
use crate::complaint::Complaint;
use crate::say::{answer, say};
use crate::services::{self, Talked};
use crate::{exit_codes, settings};

/// Where to sign in, for a Microsoft Graph that is not one of Microsoft's clouds.
const LOGIN_URL: &str = "TOWLINE_LOGIN_URL";
/// Reading one's own files, and renewing the token.
const OWN_FILES: &str = "Files.Read offline_access";
/// The service opens links of others for those only who may write, although nothing is written.
const LINKS_TOO: &str = "Files.ReadWrite offline_access";
/// How often to look whether a signal has come while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Signs in by a code that the user enters in a browser.
pub(crate) fn run(args: LoginArgs) -> Result<u8, Complaint> {
    let ServiceArg::OneDrive = args.service;
    let signals = Signals::install().map_err(|error| Complaint::machine(format!("cannot catch signals: {error}")))?;
    let (onedrive, accounts) = (services::onedrive()?, services::accounts()?);
    let login = services::variable(LOGIN_URL)?;
    let scope = if args.own_files { OWN_FILES } else { LINKS_TOO };
    let talked = services::talk(settings::http(args.http)?, signals, move |web| {
        let mut sign_in = onedrive.sign_in(web, &args.client_id, &args.tenant, scope, login.as_deref())?;
        say(&format!("Open {} and enter the code {}", sign_in.page, sign_in.code));
        let until = Instant::now() + sign_in.expires_in;
        loop {
            if !waits(web, sign_in.poll_every) || Instant::now() > until {
                return Err(Complaint::new(exit_codes::FAILED, "nobody entered the code in time"));
            }
            if sign_in.poll(web, &accounts)? == Polled::SignedIn {
                return Ok(());
            }
        }
    })?;
    match talked {
        Talked::Ended(()) => {
            say("signed in to OneDrive");
            Ok(exit_codes::DONE)
        }
        Talked::Interrupted(interrupt) => interrupt.raise_default(),
    }
}

/// Waits; false if the session ends meanwhile.
fn waits(web: &Web, time: Duration) -> bool {
    let until = Instant::now() + time;
    while Instant::now() < until {
        if web.has_ended() {
            return false;
        }
        std::thread::sleep(LOOK_EVERY.min(until.saturating_duration_since(Instant::now())));
    }
    true
}

/// Forgets an account.
pub(crate) fn out(args: &LogoutArgs) -> Result<u8, Complaint> {
    let ServiceArg::OneDrive = args.service;
    match services::accounts()?.remove("onedrive")? {
        true => say("signed out of OneDrive; its own page of account settings ends the access of the application"),
        false => say("you were not signed in to OneDrive"),
    }
    Ok(exit_codes::DONE)
}

/// Prints the names of the accounts.
pub(crate) fn accounts() -> Result<u8, Complaint> {
    let names = services::accounts()?.names()?;
    if names.is_empty() {
        say("towline: you are not signed in to any service; `towline login --help` says how to");
    }
    for name in names {
        if !answer(&name)? {
            break;
        }
    }
    Ok(exit_codes::DONE)
}
