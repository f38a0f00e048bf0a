//! Where a request comes from, believing `X-Forwarded-For` only from the proxies the operator trusts.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;

use crate::config::Network;

/// The address of the client, as far as it can be known.
#[must_use]
pub fn client_address(request: &HttpRequest, trusted: &[Network]) -> Option<IpAddr> {
    let peer = request.peer_addr().map(|address| address.ip())?;
    Some(address_behind(peer, request.headers(), trusted))
}

/// As [`client_address`], of a request taken apart: who connected, and what its headers claim.
#[must_use]
pub fn address_behind(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    if trusted.is_empty() {
        return peer.to_canonical();
    }
    let forwarded: Vec<&str> = headers
        .get_all("X-Forwarded-For")
        // A value that is no text stops the walk as any other garbage does.
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .map(str::trim)
        .collect();
    behind_proxies(peer, &forwarded, trusted)
}

/// Walks the list from the nearest hop outwards for as long as the hop that added an entry is trusted.
fn behind_proxies(peer: IpAddr, forwarded: &[&str], trusted: &[Network]) -> IpAddr {
    let mut address = peer.to_canonical();
    for hop in forwarded.iter().rev() {
        if !trusted.iter().any(|network| network.contains(address)) {
            return address;
        }
        let Some(next) = hop_address(hop) else { return address };
        address = next.to_canonical();
    }
    address
}

/// An entry of the list: an address, in brackets or not, with a port or without.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim_matches('"');
    if let Ok(address) = hop.parse::<IpAddr>() {
        return Some(address);
    }
    if let Ok(with_port) = hop.parse::<std::net::SocketAddr>() {
        return Some(with_port.ip());
    }
    hop.strip_prefix('[')?.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok().map(IpAddr::V6)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_hops_are_believed() {
        let trusted = [Network::parse("10.0.0.0/8").unwrap()];
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for (peer, list, expected) in [
            ("203.0.113.9", vec!["1.2.3.4"], "203.0.113.9"),
            ("10.0.0.1", vec!["1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", vec!["6.6.6.6", "1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", vec!["1.2.3.4", "10.0.0.2"], "1.2.3.4"),
            ("10.0.0.1", vec!["garbage"], "10.0.0.1"),
            ("10.0.0.1", vec!["1.2.3.4", "garbage"], "10.0.0.1"),
            ("10.0.0.1", vec!["1.2.3.4", ""], "10.0.0.1"),
            ("10.0.0.1", vec!["unknown"], "10.0.0.1"),
            ("10.0.0.1", vec!["_hidden"], "10.0.0.1"),
            ("10.0.0.1", vec!["localhost"], "10.0.0.1"),
            ("10.0.0.1", vec!["1.2.3"], "10.0.0.1"),
            ("10.0.0.1", vec!["1.2.3.4.5"], "10.0.0.1"),
            ("10.0.0.1", vec!["01.2.3.4"], "10.0.0.1"),
            ("10.0.0.1", vec!["0x7f.0.0.1"], "10.0.0.1"),
            ("10.0.0.1", vec!["1.2.3.4/8"], "10.0.0.1"),
            ("10.0.0.1", vec!["1.2.3.4:99999"], "10.0.0.1"),
            ("10.0.0.1", vec!["[1.2.3.4]"], "10.0.0.1"),
            ("10.0.0.1", vec!["fe80::1%eth0"], "10.0.0.1"),
            ("10.0.0.1", vec!["1.2.3.4:443"], "1.2.3.4"),
            ("10.0.0.1", vec!["2001:db8::7"], "2001:db8::7"),
            ("10.0.0.1", vec!["[2001:db8::7]"], "2001:db8::7"),
            ("10.0.0.1", vec!["[2001:db8::7]:443"], "2001:db8::7"),
            ("10.0.0.1", vec!["\"[2001:db8::7]:443\""], "2001:db8::7"),
            ("10.0.0.1", vec!["::ffff:1.2.3.4"], "1.2.3.4"),
            ("::ffff:10.0.0.1", vec!["1.2.3.4"], "1.2.3.4"),
            ("::ffff:203.0.113.9", vec!["1.2.3.4"], "203.0.113.9"),
            ("2001:db8::1", vec!["1.2.3.4"], "2001:db8::1"),
            ("10.0.0.1", vec!["1.2.3.4", "::ffff:10.0.0.2"], "1.2.3.4"),
            ("10.0.0.1", vec!["1.2.3.4", "203.0.113.9", "10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", vec!["10.0.0.3", "10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", vec![], "10.0.0.1"),
        ] {
            assert_eq!(behind_proxies(ip(peer), &list, &trusted), ip(expected), "{peer} {list:?}");
        }
    }
}
