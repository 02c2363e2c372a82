//! Pseudonyms: the same in, the same out, for as long as the key lives, which is one export.
//!
//! The key is 256 bits from the system and is written nowhere. What is taken from it is SipHash,
//! a keyed function made so that neither the key nor what was hashed can be found from its output:
//! a dictionary of names or all four billion addresses help nobody without the key.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// First of the numbers that stand for users: above what systems give out.
const USERS: u64 = 1_000_000_000;

/// What makes pseudonyms of one export.
pub(super) struct Key([RandomState; 2]);

impl Key {
    pub(super) fn new() -> Key {
        Key([RandomState::new(), RandomState::new()])
    }

    /// A pseudonym for a word of any kind.
    pub(super) fn word(&self, text: &str) -> String {
        format!("r-{:010x}", self.0[0].hash_one(("word", text)) >> 24)
    }

    /// A number for a user's; root and nobody are on every machine and tell nothing.
    pub(super) fn user(&self, uid: u64) -> u64 {
        match uid {
            0 | 65_534 => uid,
            _ => USERS + self.0[0].hash_one(("user", uid)) % USERS,
        }
    }

    /// An address of the same kind; `turn` gives another one where that is taken.
    pub(super) fn address(&self, address: IpAddr, turn: u32) -> IpAddr {
        let [high, low] = [0, 1].map(|n| self.0[n].hash_one(("address", address, turn)));
        match address {
            IpAddr::V4(v4) if plain_v4(v4) => address,
            // Private ones into 10.0.0.0/8, others into 240.0.0.0/4, which nobody has.
            IpAddr::V4(v4) if near_v4(v4) => {
                let [.., b, c, d] = high.to_be_bytes();
                IpAddr::V4(Ipv4Addr::new(10, b, c, d))
            }
            IpAddr::V4(_) => {
                let [.., a, b, c, d] = high.to_be_bytes();
                IpAddr::V4(Ipv4Addr::new(0xf0 | a, b, c, d.max(1).min(254)))
            }
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => match self.address(IpAddr::V4(v4), turn) {
                    IpAddr::V4(to) => IpAddr::V6(to.to_ipv6_mapped()),
                    to => to,
                },
                None if v6.is_loopback() || v6.is_unspecified() => address,
                None => IpAddr::V6(v6_for(v6, high, low)),
            },
        }
    }
}

/// Told by nobody from one machine's to another's: the machine itself and no address at all.
fn plain_v4(v4: Ipv4Addr) -> bool {
    v4 == Ipv4Addr::LOCALHOST || v4.is_unspecified() || v4.is_broadcast()
}

/// Of this machine or its network: never routed on the internet.
fn near_v4(v4: Ipv4Addr) -> bool {
    let [a, b, ..] = v4.octets();
    // 100.64.0.0/10 is a provider's own (RFC 6598).
    v4.is_private() || v4.is_link_local() || v4.is_loopback() || (a == 100 && b & 0xc0 == 64)
}

/// Link-local and private ones keep their kind; others become ones for documents (RFC 3849).
fn v6_for(v6: Ipv6Addr, high: u64, low: u64) -> Ipv6Addr {
    let random = (u128::from(high) << 64) | u128::from(low);
    let (prefix, bits) = match v6.segments()[0] {
        s if s & 0xffc0 == 0xfe80 => (0xfe80_u128 << 112, 64),
        s if s & 0xfe00 == 0xfc00 => (0xfd00_u128 << 112, 112),
        s if s & 0xff00 == 0xff00 => (u128::from(s) << 112, 96),
        _ => (0x2001_0db8_u128 << 96, 96),
    };
    Ipv6Addr::from(prefix | (random & ((1_u128 << bits) - 1)))
}
