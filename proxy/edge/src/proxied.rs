//! The PROXY header (versions 1 and 2 of HAProxy's specification): whom a load balancer speaks for.
//!
//! Read to its last byte and not beyond, so that what follows is the client's own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The two ends of the client's own connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
}

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

/// A text that names no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an address, or an address and the length of its prefix: 10.0.0.0/8")]
pub struct BadNetwork;

/// Why a header cannot be believed.
#[derive(Debug, Error)]
pub(crate) enum BadHeader {
    #[error("no PROXY header")]
    Absent,
    #[error("PROXY header: {0}")]
    Malformed(&'static str),
    #[error("PROXY header: {0}")]
    Io(#[from] io::Error),
}

/// Both versions are longer than this, so that so much can be read before the version is known.
const FIRST_BYTES: usize = 12;

const V2_SIGNATURE: &[u8; FIRST_BYTES] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header of version 1, its end of line included.
const V1_BYTES_MAX: usize = 107;

/// The longest body of version 2: two addresses, and room for what load balancers add to them.
const V2_BODY_BYTES_MAX: usize = 4096;

/// Reads a header. `None`: the load balancer speaks for itself, or does not know for whom.
pub(crate) async fn read<I: AsyncRead + Unpin>(io: &mut I) -> Result<Option<Ends>, BadHeader> {
    let mut first = [0; FIRST_BYTES];
    io.read_exact(&mut first).await?;
    if first == *V2_SIGNATURE {
        return binary(io).await;
    }
    if !first.starts_with(b"PROXY ") {
        return Err(BadHeader::Absent);
    }
    let mut line = first.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= V1_BYTES_MAX {
            return Err(BadHeader::Malformed("a line without end"));
        }
        line.push(io.read_u8().await?);
    }
    text(&line)
}

fn text(line: &[u8]) -> Result<Option<Ends>, BadHeader> {
    let malformed = || BadHeader::Malformed("not two addresses and two ports");
    let line = std::str::from_utf8(line).map_err(|_not_text| malformed())?;
    let mut words = line.trim_end().split(' ').skip(1);
    match words.next() {
        Some("TCP4" | "TCP6") => {}
        Some("UNKNOWN") => return Ok(None),
        Some(_) | None => return Err(BadHeader::Malformed("a protocol that is not TCP")),
    }
    let (peer, local) = (words.next(), words.next());
    let (peer_port, local_port) = (words.next(), words.next());
    let end = |ip: Option<&str>, port: Option<&str>| -> Option<SocketAddr> {
        let ip: IpAddr = ip?.parse().ok()?;
        Some(SocketAddr::new(ip, port?.parse().ok()?))
    };
    let ends = end(peer, peer_port).zip(end(local, local_port));
    let (peer, local) = ends.ok_or_else(malformed)?;
    Ok(Some(Ends { peer, local }))
}

async fn binary<I: AsyncRead + Unpin>(io: &mut I) -> Result<Option<Ends>, BadHeader> {
    let command = io.read_u8().await?;
    let family = io.read_u8().await?;
    let len = usize::from(io.read_u16().await?);
    if len > V2_BODY_BYTES_MAX {
        return Err(BadHeader::Malformed("longer than 4 KiB"));
    }
    let mut body = vec![0; len];
    io.read_exact(&mut body).await?;
    match command {
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err(BadHeader::Malformed("an unknown version or command")),
    }
    let mut body = &*body;
    let ends = match family {
        0x11 => {
            let (peer, local) = (body.read_u32().await?, body.read_u32().await?);
            let ips = (Ipv4Addr::from_bits(peer), Ipv4Addr::from_bits(local));
            (IpAddr::V4(ips.0), IpAddr::V4(ips.1))
        }
        0x21 => {
            let (peer, local) = (body.read_u128().await?, body.read_u128().await?);
            let ips = (Ipv6Addr::from_bits(peer), Ipv6Addr::from_bits(local));
            (IpAddr::V6(ips.0), IpAddr::V6(ips.1))
        }
        // Neither TCP over IPv4 nor over IPv6: there is nothing we could show for it.
        _ => return Ok(None),
    };
    let peer = SocketAddr::new(ends.0, body.read_u16().await?);
    let local = SocketAddr::new(ends.1, body.read_u16().await?);
    Ok(Some(Ends { peer, local }))
}

impl Network {
    /// Whether the address lies in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let of_v4 = |ip: Ipv4Addr| u128::from(ip.to_bits()) << 96;
        let (first, other) = match (self.first, ip.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(other)) => (of_v4(first), of_v4(other)),
            (IpAddr::V6(first), IpAddr::V6(other)) => (first.to_bits(), other.to_bits()),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        let differs = first ^ other;
        differs.leading_zeros() >= u32::from(self.bits)
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (first, bits) = match text.split_once('/') {
            Some((first, bits)) => (first, Some(bits)),
            None => (text, None),
        };
        let first: IpAddr = first.parse().map_err(|_no_ip| BadNetwork)?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse);
        let bits = bits.map_err(|_no_number| BadNetwork)?;
        if bits > most {
            return Err(BadNetwork);
        }
        Ok(Self { first, bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ends(mut bytes: &[u8]) -> (Result<Option<Ends>, BadHeader>, &[u8]) {
        let ends = read(&mut bytes).await;
        (ends, bytes)
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut header = V2_SIGNATURE.to_vec();
        header.extend([command, family]);
        header.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        header.extend(body);
        header.extend(b"rest");
        header
    }

    #[tokio::test]
    async fn a_line_names_both_ends_and_what_follows_is_left() {
        let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 1883\r\nrest";
        let (found, rest) = ends(line).await;
        let found = found.unwrap().unwrap();
        assert_eq!(found.peer.to_string(), "192.0.2.7:40000");
        assert_eq!(found.local.to_string(), "198.51.100.1:1883");
        assert_eq!(rest, b"rest");
        let (found, _) = ends(b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n").await;
        assert_eq!(found.unwrap().unwrap().peer.to_string(), "[2001:db8::7]:1");
    }

    #[tokio::test]
    async fn an_unknown_client_keeps_the_ends_of_the_socket() {
        assert_eq!(ends(b"PROXY UNKNOWN\r\nrest").await.0.unwrap(), None);
        let header = v2(0x20, 0, b"");
        let (found, rest) = ends(&header).await;
        assert_eq!((found.unwrap(), rest), (None, &b"rest"[..]));
        assert_eq!(ends(&v2(0x21, 0x31, &[0; 216])).await.0.unwrap(), None);
    }

    #[tokio::test]
    async fn the_binary_form_says_the_same_and_its_additions_are_skipped() {
        let body = [
            192, 0, 2, 7, 198, 51, 100, 1, 0x9c, 0x40, 0x07, 0x5b, 4, 0, 1, 0,
        ];
        let header = v2(0x21, 0x11, &body);
        let (found, rest) = ends(&header).await;
        let found = found.unwrap().unwrap();
        assert_eq!(found.peer.to_string(), "192.0.2.7:40000");
        assert_eq!(found.local.port(), 1883);
        assert_eq!(rest, b"rest");
        let (found, _) = ends(&v2(0x21, 0x21, &[1; 36])).await;
        assert_eq!(found.unwrap().unwrap().peer.port(), 0x0101);
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused_and_none_is_believed_in_part() {
        let longest = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 91], b"\r\n"].concat();
        assert_eq!(longest.len(), V1_BYTES_MAX);
        assert!(ends(&longest).await.0.is_ok());
        let longer = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 92], b"\r\n"].concat();
        let short = v2(0x21, 0x11, &[0; 11]);
        let greedy = v2(0x21, 0x11, &[0; V2_BODY_BYTES_MAX + 1]);
        for wrong in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n",
            b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
            b"PROXY TCP4",
            &longer,
            &short[..27],
            &greedy,
            &v2(0x11, 0x11, &[0; 12]),
        ] {
            assert!(ends(wrong).await.0.is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let holds = |network: &str, ip: &str| -> bool {
            let network: Network = network.parse().unwrap();
            network.contains(ip.parse().unwrap())
        };
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.6"));
        assert!(holds("0.0.0.0/0", "8.8.8.8") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(holds("2001:db8::/32", "2001:db8::1") && !holds("2001:db8::/32", "2001:db9::1"));
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1"] {
            assert_eq!(wrong.parse::<Network>(), Err(BadNetwork), "{wrong}");
        }
    }
}
