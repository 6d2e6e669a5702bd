//! Addresses: their octets, as on the network.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::pass::by_wire;
use super::size::{largest, sum};
use super::{DecodeError, Decoder, EncodeError, Encoder, Pass, Wire};

macro_rules! octets {
    ($($name:ident: $size:literal),*) => {$(
        impl Wire for $name {
            const MAX_SIZE: Option<usize> = Some($size);
            fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
                out.write(&self.octets());
                Ok(())
            }
            fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                input.take_array::<$size>().map($name::from)
            }
        }
        impl Pass for $name {
    by_wire!();
}
    )*};
}
octets!(Ipv4Addr: 4, Ipv6Addr: 16);

impl Wire for SocketAddrV4 {
    const MAX_SIZE: Option<usize> = Some(6);
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        (*self.ip(), self.port()).encode(out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (ip, port) = Wire::decode(input)?;
        Ok(SocketAddrV4::new(ip, port))
    }
}
impl Pass for SocketAddrV4 {
    by_wire!();
}

impl Wire for SocketAddrV6 {
    const MAX_SIZE: Option<usize> = Some(26);
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        (*self.ip(), self.port(), self.flowinfo(), self.scope_id()).encode(out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (ip, port, flowinfo, scope_id) = Wire::decode(input)?;
        Ok(SocketAddrV6::new(ip, port, flowinfo, scope_id))
    }
}
impl Pass for SocketAddrV6 {
    by_wire!();
}

macro_rules! four_or_six {
    ($($name:ident: $four:ident or $six:ident),*) => {$(
        /// A 4 or a 6, then the address of that version.
        impl Wire for $name {
            const MAX_SIZE: Option<usize> = sum(&[Some(1), largest(&[$four::MAX_SIZE, $six::MAX_SIZE])]);
            fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
                match self {
                    $name::V4(address) => (4_u8, *address).encode(out),
                    $name::V6(address) => (6_u8, *address).encode(out),
                }
            }
            fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                match u8::decode(input)? {
                    4 => Wire::decode(input).map($name::V4),
                    6 => Wire::decode(input).map($name::V6),
                    other => Err(input.invalid_before(1, format!("an address has version 4 or 6, found {other}"))),
                }
            }
        }
        impl Pass for $name {
    by_wire!();
}
    )*};
}
four_or_six!(IpAddr: Ipv4Addr or Ipv6Addr, SocketAddr: SocketAddrV4 or SocketAddrV6);
