//! OneDrive and SharePoint, by Microsoft Graph: share links, and one's own drive (`onedrive:/path`).
//!
//! A link becomes the tree behind it. An entry is known by its drive and its id, so that it stays the same when it is
//! moved or its link expires. The bytes come from a link that is good for some minutes, for everybody who has it; it
//! is never sent a token, and is asked for again when it is refused.

mod graph;
mod item;
mod link;
mod token;
mod walk;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use url::{Host, Url};

use self::graph::Graph;
use self::item::{FIELDS, Item};
use self::link::Link;
pub use self::token::{Polled, SignIn};
use self::token::{Source, Tokens};
use self::walk::Walk;
use super::accounts::Accounts;
use super::seam::{Entries, Entry, Provider};
use super::web::Web;
use crate::error::{Error, ErrorKind, Result};
use crate::job::Located;
use crate::secret;

const NAME: &str = "OneDrive";
/// The name of its account.
const ACCOUNT: &str = "onedrive";
/// Links that a listing has brought are used within this time; the service keeps them for an hour.
const FRESH: Duration = Duration::from_secs(300);
/// Links of this many entries are remembered.
const LINKS_MAX: usize = 4096;
/// What a page means that comes for a direct link.
const DIRECT_PAGES: &[(&str, &str)] =
    &[("", "the file is not shared with everybody; `towline login onedrive` signs in")];
/// Each cloud has its own API and its own place to sign in.
const CLOUDS: [(&str, &str); 4] = [
    ("https://graph.microsoft.com/", "https://login.microsoftonline.com/"),
    ("https://graph.microsoft.us/", "https://login.microsoftonline.us/"),
    ("https://dod-graph.microsoft.us/", "https://login.microsoftonline.us/"),
    ("https://microsoftgraph.chinacloudapi.cn/", "https://login.chinacloudapi.cn/"),
];

/// OneDrive and SharePoint.
#[derive(Debug)]
pub struct OneDrive {
    graph: Graph,
    links: Mutex<HashMap<Url, (Url, Instant)>>,
}

/// Sets up [`OneDrive`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct OneDriveBuilder {
    graph: Option<Url>,
    token: Option<String>,
    accounts: Option<Accounts>,
}

impl OneDriveBuilder {
    /// Asks this API instead of the worldwide one. `http` is accepted for this machine only: the token would be read
    /// on the way.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for any other URL.
    pub fn graph(mut self, url: &str) -> Result<Self> {
        let parsed = Url::parse(url).ok().filter(is_safe);
        let wrong = || {
            let text = "the address of Microsoft Graph must begin with https://, or lead to this machine";
            Error::new(ErrorKind::Usage, text)
        };
        self.graph = Some(parsed.ok_or_else(wrong)?);
        Ok(self)
    }

    /// Uses this token instead of an account; it cannot be renewed.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Uses the account in this directory, if the user has signed in.
    pub fn accounts(mut self, accounts: Accounts) -> Self {
        self.accounts = Some(accounts);
        self
    }

    /// The provider.
    pub fn build(self) -> OneDrive {
        let source = match (self.token, self.accounts) {
            (Some(token), _) => Source::Given(token::bearer(token.trim())),
            (None, Some(accounts)) => Source::Account(accounts),
            (None, None) => Source::Nothing,
        };
        let base = self.graph.unwrap_or_else(|| CLOUDS[0].0.parse().expect("a URL"));
        OneDrive { graph: Graph { base, tokens: Tokens::new(source) }, links: Mutex::default() }
    }

    /// Begins to sign in by a code that the user enters elsewhere. `client_id` is that of the user's own application;
    /// `login` is the place to sign in, known for Microsoft's clouds.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if the place to sign in is not known; otherwise why no code is given.
    pub fn sign_in(self, web: &Web, client_id: &str, tenant: &str, scope: &str, login: Option<&str>) -> Result<SignIn> {
        let graph = self.graph.unwrap_or_else(|| CLOUDS[0].0.parse().expect("a URL"));
        let known = CLOUDS.iter().find(|(api, _)| *api == graph.as_str()).map(|(_, login)| *login);
        let login = login.or(known).and_then(|login| Url::parse(login).ok()).filter(is_safe);
        let login = login.and_then(|login| login.join(&format!("{tenant}/")).ok());
        let login = login
            .ok_or_else(|| Error::new(ErrorKind::Usage, "where to sign in to this Microsoft Graph is not known"))?;
        SignIn::begin(web, (login, graph), client_id, scope)
    }
}

impl OneDrive {
    /// The worldwide service, with nothing to ask it with.
    pub fn builder() -> OneDriveBuilder {
        OneDriveBuilder::default()
    }

    /// The path of an item in the API.
    fn place_of(&self, item: &Item) -> Option<String> {
        let part =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        Some(format!("drives/{}/items/{}", part(item.drive()?), part(&item.id)))
    }

    fn entry(&self, item: Item, path: PathBuf) -> Option<Entry> {
        let url = self.graph.at(&self.place_of(&item)?, &[]);
        let mut entry = Entry::new(url.clone(), path);
        entry.total_bytes = item.size;
        entry.checksum = item.checksum();
        entry.version = item.version();
        entry.may_differ = item.is_rewritten();
        entry.modified = item.modified().map(ToOwned::to_owned);
        if let Some(link) = item.download_url {
            self.remember(url, link);
        }
        Some(entry)
    }

    fn remember(&self, entry: Url, link: Url) {
        let mut links = self.links.lock();
        if links.len() >= LINKS_MAX {
            links.retain(|_, (_, since)| since.elapsed() < FRESH);
        }
        if links.len() < LINKS_MAX {
            links.insert(entry, (link, Instant::now()));
        }
    }

    /// The link that the listing brought, once.
    fn remembered(&self, entry: &Url) -> Option<Url> {
        let (link, since) = self.links.lock().remove(entry)?;
        (since.elapsed() < FRESH).then_some(link)
    }

    fn root(&self, link: &Url, web: &Web) -> Result<Item> {
        let query = [("$select", FIELDS)];
        match link::read(link) {
            Some(Link::Share(id)) => self.graph.redeem(web, &self.graph.at(&format!("shares/{id}/driveItem"), &query)),
            Some(Link::Own(path)) if path.is_empty() => self.graph.ask(web, &self.graph.at("me/drive/root", &query)),
            Some(Link::Own(path)) => self.graph.ask(web, &self.graph.at(&format!("me/drive/root:/{path}:"), &query)),
            None => self.graph.ask(web, link),
        }
    }

    fn is_entry(&self, url: &Url) -> bool {
        url.path().contains("/v1.0/drives/") && url.origin() == self.graph.base.origin()
    }
}

impl Provider for OneDrive {
    fn name(&self) -> &'static str {
        NAME
    }

    fn knows(&self, url: &Url) -> bool {
        link::read(url).is_some() || self.is_entry(url)
    }

    fn list<'a>(&'a self, link: &Url, web: &'a Web) -> Result<Entries<'a>> {
        if !self.graph.tokens.is_signed_in()
            && let Some(direct) = link::direct(link)
        {
            // A business link to one file may be for everybody; a page to sign in is told apart from the file.
            let mut entry = Entry::new(direct, "");
            entry.page_means = DIRECT_PAGES;
            return Ok(Box::new(std::iter::once(Ok(entry))));
        }
        let root = self.root(link, web)?;
        Ok(Box::new(Walk::new(self, web, root)))
    }

    fn locate(&self, entry: &Url, web: &Web) -> Result<Located> {
        if link::read(entry).is_some() {
            let text = format!("a link of {NAME} is fetched on its own, not in a list");
            return Err(Error::new(ErrorKind::Usage, text).with_url(secret::shown_url(entry)));
        }
        let link = match self.remembered(entry) {
            Some(link) => link,
            None => {
                let mut url = entry.clone();
                url.query_pairs_mut().append_pair("$select", "id,name,malware,@microsoft.graph.downloadUrl");
                let item: Item = self.graph.ask(web, &url)?;
                let is_held = item.is_held_for_malware();
                item.download_url.ok_or_else(|| no_link(entry, is_held))?
            }
        };
        if !is_safe(&link) {
            let text = format!("{NAME} gives a link that is not encrypted");
            return Err(Error::new(ErrorKind::Redirect, text).with_url(secret::shown_url(entry)));
        }
        Ok(Located::new(link))
    }
}

fn no_link(entry: &Url, is_held: bool) -> Error {
    let text = match is_held {
        true => format!("{NAME} holds this file back: it found malware in it"),
        false => format!("{NAME} gives no link to the bytes of this file"),
    };
    // Asking again does not help.
    Error::new(ErrorKind::Protocol, text).with_transient(false).with_url(secret::shown_url(entry))
}

/// Whether nobody can read on the way.
fn is_safe(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" && url.has_host() || url.scheme() == "http" && is_here
}
