//! Where a request comes from, believing `X-Forwarded-For` only from the proxies the operator trusts.

use std::net::IpAddr;

use actix_web::HttpRequest;

use crate::config::Network;

/// The address of the client, as far as it can be known.
#[must_use]
pub fn client_address(request: &HttpRequest, trusted: &[Network]) -> Option<IpAddr> {
    let peer = request.peer_addr().map(|address| address.ip())?;
    let forwarded: Vec<&str> = request
        .headers()
        .get_all("X-Forwarded-For")
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    Some(behind_proxies(peer, &forwarded, trusted))
}

/// Walks the list from the nearest hop outwards for as long as the hop that added an entry is trusted.
fn behind_proxies(peer: IpAddr, forwarded: &[&str], trusted: &[Network]) -> IpAddr {
    let mut address = peer.to_canonical();
    for hop in forwarded.iter().rev() {
        if !trusted.iter().any(|network| network.contains(address)) {
            return address;
        }
        let Ok(next) = hop.parse::<IpAddr>() else { return address };
        address = next.to_canonical();
    }
    address
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
            ("10.0.0.1", vec![], "10.0.0.1"),
        ] {
            assert_eq!(behind_proxies(ip(peer), &list, &trusted), ip(expected), "{peer} {list:?}");
        }
    }
}
