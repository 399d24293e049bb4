//! Which hosts are reached without a proxy: the rules of `no_proxy` and `--no-proxy`. Pure.

use std::net::IpAddr;

use url::Host;

/// A parsed list of hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NoProxy(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    pattern: Pattern,
    /// Only this port; any port if `None`.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Everything,
    /// This name and all names below it.
    Domain(String),
    /// All addresses with these leading bits.
    Network(IpAddr, u8),
}

impl NoProxy {
    /// Parses a list separated by commas or whitespace: `*`, names (with all names below them; `.example.com`
    /// and `*.example.com` mean the same), addresses, networks (`10.0.0.0/8`), each with a port to mean only
    /// that port.
    ///
    /// An invalid entry matches nothing, so the hosts that it was meant for go through the proxy.
    pub(crate) fn parse(list: &str) -> Self {
        Self(list.split(|c: char| c == ',' || c.is_whitespace()).filter_map(Entry::parse).collect())
    }

    /// Whether the list excludes every host from the proxy.
    pub(crate) fn is_everything(&self) -> bool {
        self.0.iter().any(|entry| entry.pattern == Pattern::Everything && entry.port.is_none())
    }

    /// Whether a host (in URL form) is reached directly at this port. Names are not looked up.
    pub(crate) fn contains(&self, host: &str, port: u16) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = bare.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let name = bare.trim_end_matches('.').to_ascii_lowercase();
        self.0.iter().filter(|entry| entry.port.is_none_or(|only| only == port)).any(|entry| {
            match (&entry.pattern, address) {
                (Pattern::Everything, _) => true,
                (Pattern::Domain(domain), None) => is_below(&name, domain),
                (Pattern::Network(network, bits), Some(address)) => is_inside(address, *network, *bits),
                (Pattern::Domain(_), Some(_)) | (Pattern::Network(..), None) => false,
            }
        })
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let (pattern, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']')?;
                match after.strip_prefix(':') {
                    Some(port) => (network(address)?, port),
                    // `[fe80::]/10`
                    None => (network(&format!("{address}{after}"))?, ""),
                }
            }
            None => match text.split_once(':') {
                Some((host, port)) if !port.contains(':') => (Pattern::parse(host)?, port),
                // More than one colon means an IPv6 address.
                _ => (Pattern::parse(text)?, ""),
            },
        };
        let port = match port {
            "" => None,
            port => Some(port.parse().ok()?),
        };
        Some(Self { pattern, port })
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Everything);
        }
        if let Some(network) = network(text) {
            return Some(network);
        }
        let name = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')).unwrap_or(text);
        // As in URLs: lower case, and Punycode if not ASCII.
        match Host::parse(name.trim_end_matches('.')).ok()? {
            Host::Domain(domain) if !domain.is_empty() => Some(Self::Domain(domain)),
            _ => None,
        }
    }
}

/// An address, or a network in CIDR form.
fn network(text: &str) -> Option<Pattern> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    // URLs have no zones.
    let address = address.split('%').next().unwrap_or(address);
    let address: IpAddr = address.parse().ok()?;
    let bits_max: u8 = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        Some(bits) => bits.parse::<u8>().ok().filter(|bits| *bits <= bits_max)?,
        None => bits_max,
    };
    let mapped = match address {
        IpAddr::V6(address) if bits >= 96 => address.to_ipv4_mapped(),
        _ => None,
    };
    Some(match mapped {
        Some(address) => Pattern::Network(IpAddr::V4(address), bits - 96),
        None => Pattern::Network(address, bits),
    })
}

fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_inside(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    // The shift overflows for a network of 0 bits; then every address is inside.
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (address.to_bits() ^ network.to_bits()).checked_shr(32 - u32::from(bits)).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            (address.to_bits() ^ network.to_bits()).checked_shr(128 - u32::from(bits)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_which_hosts_are_reached_directly() {
        // The list, the host, its port, and whether it is reached directly.
        #[rustfmt::skip]
        let table = [
            ("", "example.com", 80, false),
            (" , ,", "example.com", 80, false),
            ("*", "example.com", 80, true),
            ("*", "127.0.0.1", 80, true),
            ("*", "[::1]", 443, true),
            ("a.example, *", "b.example", 80, true),
            ("*:8080", "b.example", 8080, true),
            ("*:8080", "b.example", 80, false),
            ("example.com", "example.com", 80, true),
            ("example.com", "www.example.com", 80, true),
            ("example.com", "a.b.example.com", 80, true),
            ("example.com", "notexample.com", 80, false),
            ("example.com", "example.com.evil.net", 80, false),
            ("www.example.com", "example.com", 80, false),
            (".example.com", "example.com", 80, true),
            (".example.com", "www.example.com", 80, true),
            (".example.com", "notexample.com", 80, false),
            ("*.example.com", "www.example.com", 80, true),
            ("*.example.com", "notexample.com", 80, false),
            ("EXAMPLE.com", "www.example.com", 80, true),
            ("example.com", "EXAMPLE.COM", 80, true),
            ("example.com.", "example.com", 80, true),
            ("example.com", "example.com.", 80, true),
            ("bücher.example", "xn--bcher-kva.example", 80, true),
            ("my_host", "my_host", 80, true),
            ("a.example , example.com\t,b.example", "example.com", 80, true),
            ("a.example example.com", "example.com", 80, true),
            ("example.com:8080", "example.com", 8080, true),
            ("example.com:8080", "www.example.com", 8080, true),
            ("example.com:8080", "example.com", 80, false),
            ("example.com:", "example.com", 80, true),
            ("example.com:http", "example.com", 80, false),
            ("example.com:99999", "example.com", 80, false),
            ("localhost", "localhost", 80, true),
            ("localhost", "127.0.0.1", 80, false),
            ("127.0.0.1", "127.0.0.1", 80, true),
            ("127.0.0.1", "127.0.0.11", 80, false),
            ("127.0.0.1:81", "127.0.0.1", 81, true),
            ("127.0.0.1:81", "127.0.0.1", 80, false),
            (".0.0.1", "127.0.0.1", 80, false),
            ("0.0.1", "127.0.0.1", 80, false),
            ("10.0.0.0/8", "10.1.2.3", 80, true),
            ("10.9.9.9/8", "10.1.2.3", 80, true),
            ("10.0.0.0/8", "11.1.2.3", 80, false),
            ("10.0.0.0/8:81", "10.1.2.3", 81, true),
            ("10.0.0.0/8:81", "10.1.2.3", 80, false),
            ("10.0.0.0/33", "10.0.0.0", 80, false),
            ("10.0.0.0/", "10.0.0.0", 80, false),
            ("0.0.0.0/0", "203.0.113.9", 80, true),
            ("0.0.0.0/0", "example.com", 80, false),
            ("192.168.1.128/25", "192.168.1.200", 80, true),
            ("192.168.1.128/25", "192.168.1.100", 80, false),
            ("::1", "[::1]", 80, true),
            ("[::1]", "[::1]", 80, true),
            ("[::1]:81", "[::1]", 81, true),
            ("[::1]:81", "[::1]", 80, false),
            ("0:0:0:0:0:0:0:1", "[::1]", 80, true),
            ("FE80::/10", "[fe80::1]", 80, true),
            ("[fe80::]/10", "[fe80::1]", 80, true),
            ("fe80::1%eth0", "[fe80::1]", 80, true),
            ("fe80::/10", "[fec0::1]", 80, false),
            ("::/0", "[2001:db8::1]", 80, true),
            ("::/0", "127.0.0.1", 80, false),
            ("127.0.0.1", "[::ffff:7f00:1]", 80, true),
            ("::ffff:127.0.0.0/104", "127.0.0.1", 80, true),
            ("[*]", "example.com", 80, false),
            ("[::1", "[::1]", 80, false),
            ("http://example.com", "example.com", 80, false),
            (".", "example.com", 80, false),
        ];
        for (list, host, port, expected) in table {
            assert_eq!(NoProxy::parse(list).contains(host, port), expected, "{list:?} for {host}:{port}");
        }
    }

    #[test]
    fn everything_is_everything_at_every_port() {
        for (list, expected) in [("*", true), (" a, * ", true), ("*:80", false), ("*.example", false), ("", false)] {
            assert_eq!(NoProxy::parse(list).is_everything(), expected, "{list:?}");
        }
    }
}
