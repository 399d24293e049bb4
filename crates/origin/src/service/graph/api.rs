//! The API: who asks, items, folders in pages.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use super::quick_xor::quick_xor;
use super::tree::{Node, What, number_of, own_path};
use super::{GraphBuilder, Kind, Shared, refuse};
use crate::service::talk::{JSON, Request, Talk, decoded};

/// The id of the drive.
const DRIVE: &str = "b!drive";
/// The link that is shared, as the API wants it: `https://1drv.ms/f/s!share`.
const SHARE: &str = "u!aHR0cHM6Ly8xZHJ2Lm1zL2YvcyFzaGFyZQ";

impl Shared {
    /// Whether the request has a good token.
    fn is_known(&self, script: &GraphBuilder, request: &Request) -> bool {
        let mut state = self.state();
        let expected = match state.token {
            0 => script.token.clone(),
            number => format!("SECRET-token-{number}"),
        };
        let is_good = request.headers.get("authorization") == Some(&format!("Bearer {expected}"));
        state.stats.strangers += u32::from(!is_good);
        is_good
    }

    pub(super) fn api(&self, talk: &mut Talk, path: &[&str], request: &Request) -> io::Result<()> {
        let script = self.script();
        if !self.is_known(&script, request) {
            return refuse(talk, "401 Unauthorized", "InvalidAuthenticationToken");
        }
        let is_busy = {
            let mut state = self.state();
            state.requests += 1;
            let is_busy = script.busy_every.is_some_and(|(n, _)| state.requests.is_multiple_of(n));
            state.stats.busy += u32::from(is_busy);
            state.stats.asked += u32::from(!is_busy);
            is_busy
        };
        if is_busy {
            let when =
                if script.busy_every.is_some_and(|(_, says_when)| says_when) { "Retry-After: 1\r\n" } else { "" };
            let fields = format!("{JSON}{when}");
            return talk.answer("429 Too Many Requests", &fields, br#"{"error":{"code":"activityLimitReached"}}"#);
        }
        let nodes = script.nodes();
        match path {
            ["shares", share, "driveItem"] => match (*share, request.headers.get("prefer").map(String::as_str)) {
                (SHARE, Some("redeemSharingLink")) => self.item(talk, &script, &nodes, 0, "shared"),
                (SHARE, _) => refuse(talk, "403 Forbidden", "accessDenied"),
                _ => refuse(talk, "404 Not Found", "itemNotFound"),
            },
            ["me", "drive", "root"] => self.item(talk, &script, &nodes, 0, "root"),
            ["me", "drive", rest @ ..] => match own_path(&nodes, &rest.join("/")) {
                Some((number, name)) => self.item(talk, &script, &nodes, number, &name),
                None => refuse(talk, "404 Not Found", "itemNotFound"),
            },
            ["drives", drive, "items", id] if decoded(drive) == DRIVE => match number_of(id, &nodes) {
                Some(number) => {
                    self.state().stats.located += 1;
                    self.item(talk, &script, &nodes, number, "item")
                }
                None => refuse(talk, "404 Not Found", "itemNotFound"),
            },
            ["drives", drive, "items", id, "children"] if decoded(drive) == DRIVE => match number_of(id, &nodes) {
                Some(number) => self.children(talk, &script, &nodes, number, request),
                None => refuse(talk, "404 Not Found", "itemNotFound"),
            },
            _ => refuse(talk, "400 Bad Request", "invalidRequest"),
        }
    }

    fn item(
        &self,
        talk: &mut Talk,
        script: &GraphBuilder,
        nodes: &[Node],
        number: usize,
        name: &str,
    ) -> io::Result<()> {
        if let What::File(file) = &nodes[number].what
            && script.items[*file].kind == Kind::Forbidden
        {
            return refuse(talk, "403 Forbidden", "accessDenied");
        }
        let body = self.described(talk.addr, script, nodes, number, name);
        talk.answer("200 OK", JSON, body.as_bytes())
    }

    fn children(
        &self,
        talk: &mut Talk,
        script: &GraphBuilder,
        nodes: &[Node],
        number: usize,
        request: &Request,
    ) -> io::Result<()> {
        let What::Folder(children) = &nodes[number].what else {
            return refuse(talk, "400 Bad Request", "invalidRequest");
        };
        let addr = talk.addr;
        let from =
            request.query.split('&').find_map(|pair| pair.strip_prefix("skip=")?.parse().ok()).unwrap_or(0_usize);
        let page = children.iter().skip(from).take(script.page_len);
        let mut items: Vec<_> = page.map(|(name, child)| self.described(addr, script, nodes, *child, name)).collect();
        let next = if script.has_endless_pages { from } else { from + items.len() };
        if number == 0 && from == 0 {
            items.extend(script.odd.iter().cloned());
        }
        let mut body = format!(r#"{{"value":[{}]"#, items.join(","));
        if next < children.len() {
            let id = &nodes[number].id;
            let _ = write!(
                body,
                r#","@odata.nextLink":"http://{addr}/v1.0/drives/{DRIVE}/items/{id}/children?skip={next}""#
            );
        }
        body.push('}');
        talk.answer("200 OK", JSON, body.as_bytes())
    }

    fn described(&self, addr: SocketAddr, script: &GraphBuilder, nodes: &[Node], number: usize, name: &str) -> String {
        let name = escaped(name);
        let common =
            format!(r#""id":"{}","name":"{name}","parentReference":{{"driveId":"{DRIVE}"}}"#, nodes[number].id);
        let file = match &nodes[number].what {
            What::Folder(children) => {
                return format!(r#"{{{common},"folder":{{"childCount":{}}}}}"#, children.len());
            }
            What::File(file) => *file,
        };
        let item = &script.items[file];
        let (seed, size) = match item.kind {
            Kind::Rewritten | Kind::Halved => (item.seed + 1, item.size + 7),
            _ => (item.seed, item.size),
        };
        let hash = match item.kind {
            Kind::Malware | Kind::Forbidden | Kind::Lost => String::new(),
            Kind::Wrong => quick_xor(seed + 1, size),
            _ => quick_xor(seed, size),
        };
        let mut text = format!(
            r#"{{{common},"size":{size},"eTag":"\"{{{number}}},{}\"","cTag":"c{}","lastModifiedDateTime":"2026-01-0{}T00:00:00Z","file":{{"mimeType":"application/octet-stream","hashes":{{"quickXorHash":"{hash}"}}}}"#,
            item.seed,
            item.seed,
            1 + item.seed % 9
        );
        match item.kind {
            Kind::Malware => text.push_str(r#","malware":{"description":"EICAR"}"#),
            _ => {
                let link = {
                    let mut state = self.state();
                    state.links.push(Instant::now());
                    state.links.len() - 1
                };
                let _ = write!(
                    text,
                    r#","@microsoft.graph.downloadUrl":"http://{addr}/bytes/{file}?tempauth=SECRET-link-{link}""#
                );
            }
        }
        text.push('}');
        text
    }
}

fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"")
}
