//! Which addresses belong to the open network: nothing that a stranger names may make the server reach into its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All addresses whose first bits are those of one.
#[derive(Debug, Clone, Copy)]
struct Block<A> {
    first: A,
    bits: u32,
}

const fn v4(first: [u8; 4], bits: u32) -> Block<Ipv4Addr> {
    let [a, b, c, d] = first;
    Block { first: Ipv4Addr::new(a, b, c, d), bits }
}

const fn v6(first: [u16; 8], bits: u32) -> Block<Ipv6Addr> {
    let [a, b, c, d, e, f, g, h] = first;
    Block { first: Ipv6Addr::new(a, b, c, d, e, f, g, h), bits }
}

/// What is not global of IPv4 (IANA's registry of special-purpose addresses, and multicast).
const NOT_GLOBAL_V4: [Block<Ipv4Addr>; 15] = [
    v4([0, 0, 0, 0], 8),       // this network
    v4([10, 0, 0, 0], 8),      // private
    v4([100, 64, 0, 0], 10),   // shared behind a carrier's translation
    v4([127, 0, 0, 0], 8),     // loopback
    v4([169, 254, 0, 0], 16),  // link-local, clouds' metadata among them
    v4([172, 16, 0, 0], 12),   // private
    v4([192, 0, 0, 0], 24),    // protocol assignments
    v4([192, 0, 2, 0], 24),    // documentation
    v4([192, 88, 99, 0], 24),  // relays of 6to4
    v4([192, 168, 0, 0], 16),  // private
    v4([198, 18, 0, 0], 15),   // benchmarks
    v4([198, 51, 100, 0], 24), // documentation
    v4([203, 0, 113, 0], 24),  // documentation
    v4([224, 0, 0, 0], 4),     // multicast
    v4([240, 0, 0, 0], 4),     // reserved, broadcast
];

/// Of IPv6 only this is handed out to the open network …
const GLOBAL_V6: Block<Ipv6Addr> = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// … without these.
const NOT_GLOBAL_V6: [Block<Ipv6Addr>; 4] = [
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),     // protocol assignments: Teredo, benchmarks, ORCHID
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),     // 6to4, which leads to any address of IPv4
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),     // documentation
];

/// Addresses of IPv6 that are ones of IPv4, in their last bits: mapped, and translated by NAT64 (RFC 6052).
const HOLDS_V4: [Block<Ipv6Addr>; 2] = [v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96)];

impl Block<Ipv4Addr> {
    fn has(self, address: Ipv4Addr) -> bool {
        (address.to_bits() ^ self.first.to_bits()).leading_zeros() >= self.bits
    }
}

impl Block<Ipv6Addr> {
    fn has(self, address: Ipv6Addr) -> bool {
        (address.to_bits() ^ self.first.to_bits()).leading_zeros() >= self.bits
    }
}

/// Whether an address is one of the open network, wherever it is reached from.
pub(super) fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_GLOBAL_V4.iter().any(|block| block.has(address)),
        IpAddr::V6(address) if HOLDS_V4.iter().any(|block| block.has(address)) => {
            let [.., a, b, c, d] = address.octets();
            is_global(Ipv4Addr::new(a, b, c, d).into())
        }
        IpAddr::V6(address) => GLOBAL_V6.has(address) && !NOT_GLOBAL_V6.iter().any(|block| block.has(address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first and the last address of a range that is not global, and their neighbours where those are global.
    const RANGES: [(&str, &str, &str, &str); 30] = [
        ("", "0.0.0.0", "0.255.255.255", "1.0.0.0"),
        ("9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"),
        ("100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"),
        ("126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"),
        ("169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"),
        ("172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"),
        ("191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"),
        ("192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"),
        ("192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"),
        ("192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"),
        ("198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"),
        ("198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"),
        ("203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"),
        ("223.255.255.255", "224.0.0.0", "255.255.255.255", ""),
        // All before what is handed out: unspecified, loopback, compatible, discard-only, NAT64 for local use, …
        ("", "::", "::fffe:ffff:ffff", ""),
        ("", "::1", "::127.0.0.1", ""),
        ("", "::1:0:0:0", "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", ""),
        ("", "64:ff9b:0:0:0:1::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::"),
        ("", "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", ""),
        ("2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"),
        ("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"),
        ("2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::"),
        ("3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"),
        ("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""),
        ("", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""),
        ("", "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""),
        ("", "fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""),
        ("", "ff00::", "ff0e::1", ""),
        ("::ffff:9.255.255.255", "::ffff:10.0.0.0", "::ffff:10.255.255.255", "::ffff:11.0.0.0"),
        ("64:ff9b::126.255.255.255", "64:ff9b::127.0.0.0", "64:ff9b::127.255.255.255", "64:ff9b::128.0.0.0"),
    ];

    fn global(text: &str) -> bool {
        is_global(text.parse().expect(text))
    }

    #[test]
    fn every_range_of_its_own_use_begins_and_ends_where_it_should() {
        for (before, first, last, after) in RANGES {
            assert!(!global(first) && !global(last), "{first} to {last}");
            for neighbour in [before, after] {
                assert!(neighbour.is_empty() || global(neighbour), "{neighbour}");
            }
        }
    }

    #[test]
    fn mapped_and_translated_addresses_are_as_global_as_what_they_hold() {
        for (holding, global) in [("8.8.8.8", true), ("169.254.169.254", false), ("192.168.1.1", false), ("0.0.0.0", false)] {
            for prefix in ["", "::ffff:", "64:ff9b::"] {
                assert_eq!(self::global(&format!("{prefix}{holding}")), global, "{prefix}{holding}");
            }
        }
    }

    #[test]
    fn no_range_is_listed_twice_or_with_bits_beyond_its_length() {
        for (at, block) in NOT_GLOBAL_V4.iter().enumerate() {
            assert_eq!(block.first.to_bits() & (u32::MAX >> block.bits), 0, "{block:?}");
            assert!(NOT_GLOBAL_V4.iter().skip(at + 1).all(|other| !block.has(other.first)), "{block:?}");
        }
        for block in NOT_GLOBAL_V6.iter().chain(&HOLDS_V4) {
            assert_eq!(block.first.to_bits() & (u128::MAX >> block.bits), 0, "{block:?}");
        }
    }

    #[test]
    fn addresses_of_public_services_are_global() {
        for address in ["1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "2001:4860:4860::8888", "2a00:1450:4001:830::200e"] {
            assert!(global(address), "{address}");
        }
    }
}
