//! Networks to which connections are allowed.
//!
//! The default fits a farm. It allows every network that a printer may be in (private networks, loopback, the
//! internet). It forbids networks that only an attacker would use (cloud metadata, link-local, multicast). An operator
//! can restrict it to a list.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;

/// Networks that are forbidden, unless a listed network lies completely within one of them. Listing `0.0.0.0/0` does
/// not allow the cloud's metadata service, but listing `169.254.169.254/32` does.
const FORBIDDEN: [&str; 15] = [
    "0.0.0.0/8",
    "169.254.0.0/16",
    // Metadata services of AWS and others, Alibaba, Azure, Oracle; on IPv6 of AWS and Google.
    "169.254.169.254/32",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "fd00:ec2::254/128",
    "fd20:ce::254/128",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "fe80::/10",
    "ff00::/8",
    // Networks that are translated to IPv4 addresses which the address itself does not show: Teredo, 6to4, local-use
    // NAT64.
    "2001::/32",
    "2002::/16",
    "64:ff9b:1::/48",
];

/// Webhook receivers on this machine must be listed, so that users who add webhooks cannot reach local services.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// An allow-list of networks. An empty list (the default) allows everything except the forbidden networks: link-local,
/// cloud metadata, multicast, broadcast and unspecified addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks {
    listed: Vec<IpNet>,
    forbidden: Vec<IpNet>,
}

/// A part of the list that is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network; write 192.168.1.0/24 or 192.168.1.20, separated by commas")]
pub struct InvalidNetwork(pub String);

impl Default for Networks {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Networks {
    /// Allows exactly these networks. An empty list means the default.
    pub fn new(listed: Vec<IpNet>) -> Self {
        let mut forbidden: Vec<IpNet> = FORBIDDEN.iter().filter_map(|net| net.parse().ok()).collect();
        forbidden.push(IpNet::from(IpAddr::from(std::net::Ipv6Addr::UNSPECIFIED)));
        Self { listed, forbidden }
    }

    /// Returns the same networks, but addresses of this machine are allowed only if they are listed.
    pub fn without_loopback(mut self) -> Self {
        self.forbidden.extend(LOOPBACK.iter().filter_map(|net| net.parse::<IpNet>().ok()));
        self
    }

    /// Returns whether an address may be dialled. An IPv4 address inside an IPv6 address (mapped, compatible, or NAT64)
    /// is checked as an IPv4 address. A zone is ignored, because every address with a zone is link-local.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = embedded_v4(address.to_canonical());
        let listed = self.listed.is_empty() || self.listed.iter().any(|net| net.contains(&address));
        let exempt =
            |forbidden: &IpNet| self.listed.iter().any(|net| forbidden.contains(net) && net.contains(&address));
        listed && self.forbidden.iter().filter(|net| net.contains(&address)).all(exempt)
    }
}

/// Returns the IPv4 address in the last 32 bits of `64:ff9b::/96` (RFC 6052) and `::/96` (RFC 4291).
fn embedded_v4(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if v6.is_loopback() || v6.is_unspecified() => address,
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0, high, low] => {
                let [a, b] = high.to_be_bytes();
                let [c, d] = low.to_be_bytes();
                IpAddr::from([a, b, c, d])
            }
            _ => address,
        },
        IpAddr::V4(_) => address,
    }
}

impl FromStr for Networks {
    type Err = InvalidNetwork;

    /// Parses a comma-separated list of networks and single addresses. An empty text is the default.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let listed = parts.map(|part| {
            part.parse::<IpNet>()
                .or_else(|_| part.parse::<IpAddr>().map(IpNet::from))
                .map(|net| net.trunc())
                .map_err(|_| InvalidNetwork(part.to_owned()))
        });
        Ok(Self::new(listed.collect::<Result<_, _>>()?))
    }
}

impl fmt::Display for Networks {
    /// Writes the list in the form that is parsed; empty for the default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, net) in self.listed.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{net}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(networks: &str, address: &str) -> bool {
        let networks: Networks = networks.parse().expect("networks");
        networks.allows(address.parse().expect("address"))
    }

    #[test]
    fn by_default_a_printer_can_be_anywhere_but_in_the_forbidden_networks() {
        for address in ["127.0.0.1", "10.1.2.3", "192.168.0.9", "8.8.8.8", "::1", "fd12::1", "::ffff:10.0.0.1"] {
            assert!(allows("", address), "{address}");
        }
        for address in [
            "169.254.169.254",
            "169.254.1.1",
            "100.100.100.200",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fd00:ec2::254",
            "168.63.129.16",
            "192.0.0.192",
            "fd20:ce::254",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001:0:a9fe:a9fe::1",
            "::169.254.169.254",
            "fe80::1",
            "224.0.0.251",
            "255.255.255.255",
            "0.0.0.0",
            "::",
            "ff02::fb",
        ] {
            assert!(!allows("", address), "{address}");
        }
    }

    #[test]
    fn a_list_allows_exactly_what_it_names() {
        assert!(allows("192.168.1.0/24, 10.0.0.7", "192.168.1.20"));
        assert!(allows("192.168.1.0/24, 10.0.0.7", "10.0.0.7"));
        assert!(!allows("192.168.1.0/24, 10.0.0.7", "10.0.0.8"));
        assert!(!allows("192.168.1.0/24", "127.0.0.1"));
    }

    #[test]
    fn webhooks_may_use_loopback_only_if_it_is_listed() {
        let allows = |networks: &str, address: &str| {
            let networks: Networks = networks.parse().expect("networks");
            networks.without_loopback().allows(address.parse().expect("address"))
        };
        for address in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"] {
            assert!(!allows("", address) && !allows("0.0.0.0/0,::/0", address), "{address}");
        }
        assert!(allows("127.0.0.0/8,10.0.0.0/8", "127.0.0.1") && allows("127.0.0.1", "127.0.0.1"));
        assert!(allows("", "10.0.0.1") && allows("", "2600::1"));
    }

    #[test]
    fn metadata_services_are_allowed_only_if_listed() {
        assert!(!allows("0.0.0.0/0", "169.254.169.254"));
        assert!(allows("169.254.0.0/16", "169.254.3.4"));
        assert!(!allows("169.254.0.0/16", "169.254.169.254"));
        assert!(allows("169.254.169.254", "169.254.169.254"));
    }

    #[test]
    fn an_invalid_list_names_its_invalid_part_and_a_valid_one_is_parsed_again() {
        let wrong = "10.0.0.0/8,ten".parse::<Networks>();
        assert_eq!(wrong, Err(InvalidNetwork("ten".into())));
        let right: Networks = " 10.1.2.3/8 , ::1 ".parse().expect("networks");
        assert_eq!(right.to_string(), "10.0.0.0/8,::1/128");
    }
}
