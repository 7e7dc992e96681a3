//! Where a connection may go: an address, a network as CIDR, or a range `first-last`.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

/// What is wrong with a rule's destinations, joined; `None` when nothing is.
pub(super) fn faults(destinations: &[Arc<str>]) -> Option<String> {
    if destinations.is_empty() {
        return Some("Must have at least 1 destination".to_owned());
    }
    let wrong: Vec<String> = destinations.iter().filter_map(|destination| fault(destination)).collect();
    if wrong.is_empty() { None } else { Some(wrong.join(", ")) }
}

fn fault(destination: &str) -> Option<String> {
    let (holds, text) = match destination.find(['-', '/']) {
        None => (destination.parse::<IpAddr>().is_ok(), None),
        Some(at) if destination.as_bytes()[at] == b'/' => {
            (is_network(destination, at), Some(format!("invalid CIDR address: {destination}")))
        }
        Some(at) => (is_range(&destination[..at], &destination[at + 1..]), None),
    };
    if holds { None } else { Some(text.unwrap_or_else(|| "Invalid IP".to_owned())) }
}

fn is_network(text: &str, slash: usize) -> bool {
    let (Ok(address), digits) = (text[..slash].parse::<IpAddr>(), &text[slash + 1..]) else { return false };
    let bits_max = if address.is_ipv4() { 32 } else { 128 };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain && digits.parse::<u32>().is_ok_and(|bits| bits <= bits_max)
}

fn is_range(first: &str, last: &str) -> bool {
    match (first.parse().map(as_v6), last.parse().map(as_v6)) {
        (Ok(first), Ok(last)) => first <= last,
        _ => false,
    }
}

/// One order for both families: an IPv4 address stands where IPv6 maps it.
fn as_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}
