//! What a user may name of OneDrive and SharePoint, and what each becomes. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

use crate::secret::BUSINESS_SHARES;

/// Hosts of share links of personal accounts.
const PERSONAL: [&str; 3] = ["1drv.ms", "onedrive.live.com", "photos.onedrive.com"];
/// What a part of a path may hold as it is (RFC 3986, section 3.3); a `:` ends the path of an item.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What the user named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// A share link; the service is asked for the item by this name of it.
    Share(String),
    /// A path of the user's own drive, from its root; empty for the root.
    Own(String),
}

/// Reads a link; `None` if it is none of OneDrive's, or leads to the bytes of one file.
pub(super) fn read(url: &Url) -> Option<Link> {
    if url.scheme() == "onedrive" {
        let parts = url.path().split('/').filter(|part| !part.is_empty());
        let parts =
            parts.map(|part| utf8_percent_encode(&percent_decode_str(part).decode_utf8_lossy(), PART).to_string());
        return Some(Link::Own(parts.collect::<Vec<_>>().join("/")));
    }
    let host = url.host_str()?;
    let is_shared = match () {
        () if PERSONAL.contains(&host) => url.path() != "/download",
        () if BUSINESS_SHARES.iter().any(|end| host.ends_with(end)) => {
            url.path().starts_with("/:") || url.path().ends_with("/onedrive.aspx")
        }
        () => false,
    };
    is_shared.then(|| Link::Share(share_id(url)))
}

/// The name of a share link in the API: `u!` and the link in Base64 for URLs, without padding.
fn share_id(url: &Url) -> String {
    format!("u!{}", URL_SAFE_NO_PAD.encode(url.as_str()))
}

/// The link to the bytes of a file that a business link shares with everybody; `None` if it shares a folder, or
/// nobody knows.
///
/// `/:x:/g/personal/USER/SHARE` becomes `/personal/USER/_layouts/15/download.aspx?share=SHARE`; `s` stands for a site,
/// `t` for a team, and the letter before it for the kind of file (`f` is a folder).
pub(super) fn direct(url: &Url) -> Option<Url> {
    let host = url.host_str()?;
    BUSINESS_SHARES.iter().find(|end| host.ends_with(*end))?;
    let mut parts = url.path_segments()?;
    let kind = parts.next()?.strip_prefix(':')?.strip_suffix(':')?;
    let (root, rest) = (parts.next()?, parts.collect::<Vec<_>>());
    let site = match (kind, root, &rest[..]) {
        ("f", ..) => return None,
        (_, "g", ["personal", user, _]) => format!("/personal/{user}"),
        (_, "s", [site, _]) => format!("/sites/{site}"),
        (_, "t", [team, _]) => format!("/teams/{team}"),
        (_, "g", [_]) => String::new(),
        _ => return None,
    };
    let share = rest.last().filter(|share| !share.is_empty())?;
    let mut direct = url.clone();
    direct.set_path(&format!("{site}/_layouts/15/download.aspx"));
    direct.set_query(None);
    direct.query_pairs_mut().append_pair("share", share);
    direct.set_fragment(None);
    Some(direct)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn links_are_named_as_the_api_wants_them() {
        // The example of Microsoft's documentation of the shares API.
        let link = "https://onedrive.live.com/redir?resid=1231244193912!12&authKey=1201919!12921!1";
        let name = "u!aHR0cHM6Ly9vbmVkcml2ZS5saXZlLmNvbS9yZWRpcj9yZXNpZD0xMjMxMjQ0MTkzOTEyITEyJmF1dGhLZXk9MTIwMTkxOSExMjkyMSEx";
        assert_eq!(read(&url(link)), Some(Link::Share(name.to_owned())));
        for link in [
            "https://1drv.ms/f/s!AbC",
            "https://contoso-my.sharepoint.com/:f:/g/personal/a_b/Eabc?e=x",
            "https://contoso-my.sharepoint.com/personal/a_b/_layouts/15/onedrive.aspx?id=%2Fpersonal",
            "https://contoso.sharepoint.us/:x:/s/site/Eabc",
        ] {
            assert!(matches!(read(&url(link)), Some(Link::Share(_))), "{link}");
        }
        for other in [
            "https://example.com/:f:/g/a",
            "https://contoso.sharepoint.com/sites/a/_layouts/15/download.aspx?share=E",
            "https://onedrive.live.com/download?resid=1&authkey=2",
            "https://sharepoint.com.evil.example/:f:/g/a",
        ] {
            assert_eq!(read(&url(other)), None, "{other}");
        }
    }

    #[test]
    fn a_path_of_ones_own_keeps_every_name() {
        for (link, path) in [
            ("onedrive:", ""),
            ("onedrive:/", ""),
            ("onedrive:/Documents/a b.txt", "Documents/a%20b.txt"),
            ("onedrive:/100%25/a%23b:c&d", "100%25/a%23b%3Ac%26d"),
        ] {
            assert_eq!(read(&url(link)), Some(Link::Own(path.to_owned())), "{link}");
        }
    }

    #[test]
    fn a_public_business_link_to_a_file_becomes_a_direct_one() {
        for (link, path) in [
            (
                "https://c-my.sharepoint.com/:x:/g/personal/a_b/Eab?e=1",
                "/personal/a_b/_layouts/15/download.aspx?share=Eab",
            ),
            ("https://c.sharepoint.com/:w:/s/site/Eab#x", "/sites/site/_layouts/15/download.aspx?share=Eab"),
            ("https://c.sharepoint.com/:u:/t/team/Eab", "/teams/team/_layouts/15/download.aspx?share=Eab"),
            ("https://c.sharepoint.com/:b:/g/Eab", "/_layouts/15/download.aspx?share=Eab"),
        ] {
            let direct = direct(&url(link)).unwrap();
            assert_eq!(&direct[url::Position::BeforePath..], path);
            assert_eq!(read(&direct), None);
        }
        for link in ["https://c.sharepoint.com/:f:/g/personal/a_b/Eab", "https://c.sharepoint.com/:x:/r/a/b/c.xlsx"] {
            assert_eq!(direct(&url(link)), None, "{link}");
        }
    }
}
