//! Properties of MQTT 5: one table says what each is and where it may stand.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};

use bytes::{Bytes, BytesMut};
use fairlead_canon::Text;
use fairlead_wire::{Reader, WireError, Writer};

use super::DecodeError;
use super::field::{text, varint};
use super::header::VarInt;

/// The properties of one packet or will, in wire form. Cloning copies a reference count.
///
/// Whoever holds one has checked it: each entry reads, is known, may stand there, and stands once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(Bytes);

/// Where properties stand, as a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u16);

impl Place {
    pub(super) const CONNECT: Self = Self(1);
    pub(super) const WILL: Self = Self(1 << 1);
    pub(super) const CONNACK: Self = Self(1 << 2);
    pub(super) const PUBLISH: Self = Self(1 << 3);
    pub(super) const ACK: Self = Self(1 << 4);
    pub(super) const SUBSCRIBE: Self = Self(1 << 5);
    pub(super) const UNSUBSCRIBE: Self = Self(1 << 6);
    pub(super) const DISCONNECT: Self = Self(1 << 7);
    pub(super) const AUTH: Self = Self(1 << 8);

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Identifiers that may stand here more than once, as bits: those of the application, and in PUBLISH
    /// each subscription that it is for.
    fn repeatable(self) -> u64 {
        let subscription_id = u64::from(self == Self::PUBLISH) << 0x0b;
        1 << 0x26 | subscription_id
    }
}

const MESSAGE: Place = Place::PUBLISH.or(Place::WILL);
const SESSION: Place = Place::CONNECT.or(Place::CONNACK);
const ENDING: Place = Place::CONNACK.or(Place::DISCONNECT);
const ANSWER: Place = ENDING.or(Place::ACK).or(Place::AUTH);
const PROOF: Place = SESSION.or(Place::AUTH);
const ANYWHERE: Place = Place(u16::MAX);
const FILTERED: Place = Place::SUBSCRIBE.or(Place::PUBLISH);

macro_rules! properties {
    ($($name:ident($value:ty) = $id:literal in $place:expr;)*) => {
        /// One property.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the names are those of the specification, section 2.2.2.2")]
        pub enum Property { $($name($value)),* }

        impl Property {
            fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match varint(r, "property identifier")? {
                    $($id => Value::read(r, stringify!($name)).map(Self::$name),)*
                    _ => Err(DecodeError::Malformed("unknown property")),
                }
            }

            fn write(&self, w: &mut Writer<'_>) -> Result<(), WireError> {
                match self {
                    $(Self::$name(value) => {
                        w.u8($id);
                        value.write(w, stringify!($name))
                    })*
                }
            }

            /// Its identifier and the places where it may stand.
            fn row(&self) -> (u8, Place) {
                match self { $(Self::$name(_) => ($id, $place)),* }
            }
        }
    };
}

properties! {
    PayloadFormat(bool) = 0x01 in MESSAGE;
    MessageExpiry(u32) = 0x02 in MESSAGE;
    ContentType(Text) = 0x03 in MESSAGE;
    ResponseTopic(Text) = 0x08 in MESSAGE;
    CorrelationData(Bytes) = 0x09 in MESSAGE;
    SubscriptionId(SubscriptionId) = 0x0b in FILTERED;
    SessionExpiry(u32) = 0x11 in SESSION.or(Place::DISCONNECT);
    AssignedClientId(Text) = 0x12 in Place::CONNACK;
    ServerKeepAlive(u16) = 0x13 in Place::CONNACK;
    AuthMethod(Text) = 0x15 in PROOF;
    AuthData(Bytes) = 0x16 in PROOF;
    RequestProblemInfo(bool) = 0x17 in Place::CONNECT;
    WillDelay(u32) = 0x18 in Place::WILL;
    RequestResponseInfo(bool) = 0x19 in Place::CONNECT;
    ResponseInfo(Text) = 0x1a in Place::CONNACK;
    ServerReference(Text) = 0x1c in ENDING;
    ReasonString(Text) = 0x1f in ANSWER;
    ReceiveMaximum(NonZeroU16) = 0x21 in SESSION;
    TopicAliasMaximum(u16) = 0x22 in SESSION;
    TopicAlias(u16) = 0x23 in Place::PUBLISH;
    MaximumQos(bool) = 0x24 in Place::CONNACK;
    RetainAvailable(bool) = 0x25 in Place::CONNACK;
    User(UserProperty) = 0x26 in ANYWHERE;
    MaximumPacketSize(NonZeroU32) = 0x27 in SESSION;
    WildcardSubscriptionAvailable(bool) = 0x28 in Place::CONNACK;
    SubscriptionIdAvailable(bool) = 0x29 in Place::CONNACK;
    SharedSubscriptionAvailable(bool) = 0x2a in Place::CONNACK;
}

/// A name and a value of the application's own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the two words above")]
pub struct UserProperty {
    pub name: Text,
    pub value: Text,
}

/// The number by which a client recognises a subscription: 1 to 268,435,455.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(NonZeroU32);

macro_rules! first {
    ($list:expr, $name:ident) => {
        $list.iter().find_map(|property| match property {
            Property::$name(value) => Some(value),
            _ => None,
        })
    };
}

/// The most bytes of properties in one packet. The smallest takes 5 bytes here and some 200 when a
/// message is opened, so that all of them stay near 10 MiB.
const PROPERTIES_BYTES_MAX: usize = 256 * 1024;

impl Properties {
    /// No properties.
    pub const NONE: Self = Self(Bytes::new());

    /// Reads length and properties, and checks each for `place`.
    pub(super) fn decode(r: &mut Reader<'_>, place: Place) -> Result<Self, DecodeError> {
        let len = varint(r, "property length")?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len > PROPERTIES_BYTES_MAX {
            let max = PROPERTIES_BYTES_MAX;
            return Err(DecodeError::TooLarge { size: len, max });
        }
        let bytes = r.bytes("properties", len)?;
        let mut seen = 0_u64;
        let mut inner = Reader::new(&bytes);
        while !inner.is_empty() {
            let (id, places) = Property::read(&mut inner)?.row();
            if places.0 & place.0 == 0 {
                return Err(DecodeError::Malformed(
                    "a property that does not belong to this packet",
                ));
            }
            let bit = 1 << id;
            if seen & bit & !place.repeatable() != 0 {
                return Err(DecodeError::Protocol("a property stands twice"));
            }
            seen |= bit;
        }
        Ok(Self(bytes))
    }

    /// As [`Properties::decode`] where trailing fields may be left out.
    pub(super) fn decode_rest(r: &mut Reader<'_>, place: Place) -> Result<Self, DecodeError> {
        if r.is_empty() {
            return Ok(Self::NONE);
        }
        Self::decode(r, place)
    }

    /// Writes length and properties.
    pub(super) fn encode(&self, w: &mut Writer<'_>) {
        w.raw(VarInt::new(self.0.len()).as_slice());
        w.raw(&self.0);
    }

    /// Bytes that [`Properties::encode`] writes.
    pub(super) fn size(&self) -> usize {
        VarInt::new(self.0.len()).as_slice().len() + self.0.len()
    }

    /// Writes properties in the order given. Refuses a text above 65,535 bytes.
    pub fn of<I: IntoIterator<Item = Property>>(list: I) -> Result<Self, WireError> {
        let mut out = BytesMut::new();
        for property in list {
            property.write(&mut Writer::new(&mut out))?;
        }
        Ok(Self(out.freeze()))
    }

    /// Bytes that they take, without their length.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The alias of a PUBLISH.
    pub fn topic_alias(&self) -> Option<u16> {
        first!(self, TopicAlias)
    }

    /// The identifier that a SUBSCRIBE gives its subscriptions.
    pub fn subscription_id(&self) -> Option<SubscriptionId> {
        first!(self, SubscriptionId)
    }

    /// How the client proves who it is, beyond a password.
    pub fn auth_method(&self) -> Option<Text> {
        first!(self, AuthMethod)
    }

    /// What that method says.
    pub fn auth_data(&self) -> Option<Bytes> {
        first!(self, AuthData)
    }

    /// How long a session outlives its connection, in seconds.
    pub fn session_expiry(&self) -> Option<u32> {
        first!(self, SessionExpiry)
    }

    /// How long a will waits, in seconds.
    pub fn will_delay(&self) -> Option<u32> {
        first!(self, WillDelay)
    }

    /// Each property in its order; texts are slices of the packet.
    pub fn iter(&self) -> impl Iterator<Item = Property> + '_ {
        let mut reader = Reader::new(&self.0);
        std::iter::from_fn(move || {
            let more = !reader.is_empty();
            // Checked when it was decoded, so an error cannot come.
            more.then(|| Property::read(&mut reader).ok()).flatten()
        })
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl SubscriptionId {
    /// From its number, when it is in range.
    pub fn new(id: u32) -> Option<Self> {
        NonZeroU32::new(id)
            .filter(|id| id.get() < 1 << 28)
            .map(Self)
    }

    /// Its number.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

/// How a type stands on the wire.
trait Value: Sized {
    fn read(r: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError>;
    fn write(&self, w: &mut Writer<'_>, field: &'static str) -> Result<(), WireError>;
}

impl Value for bool {
    fn read(r: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        match r.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Protocol(
                "a property of one byte is neither 0 nor 1",
            )),
        }
    }

    fn write(&self, w: &mut Writer<'_>, _: &'static str) -> Result<(), WireError> {
        w.u8(u8::from(*self));
        Ok(())
    }
}

impl Value for u16 {
    fn read(r: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        Ok(r.u16(field)?)
    }

    fn write(&self, w: &mut Writer<'_>, _: &'static str) -> Result<(), WireError> {
        w.u16(*self);
        Ok(())
    }
}

impl Value for u32 {
    fn read(r: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        Ok(r.u32(field)?)
    }

    fn write(&self, w: &mut Writer<'_>, _: &'static str) -> Result<(), WireError> {
        w.u32(*self);
        Ok(())
    }
}

const ZERO: DecodeError = DecodeError::Protocol("a property is 0 that must not be");

impl Value for NonZeroU16 {
    fn read(r: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        Self::new(r.u16(field)?).ok_or(ZERO)
    }

    fn write(&self, w: &mut Writer<'_>, field: &'static str) -> Result<(), WireError> {
        self.get().write(w, field)
    }
}

impl Value for NonZeroU32 {
    fn read(r: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        Self::new(r.u32(field)?).ok_or(ZERO)
    }

    fn write(&self, w: &mut Writer<'_>, field: &'static str) -> Result<(), WireError> {
        self.get().write(w, field)
    }
}

impl Value for SubscriptionId {
    fn read(r: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        Self::new(varint(r, field)?).ok_or(ZERO)
    }

    fn write(&self, w: &mut Writer<'_>, _: &'static str) -> Result<(), WireError> {
        let value = usize::try_from(self.get()).unwrap_or(usize::MAX);
        w.raw(VarInt::new(value).as_slice());
        Ok(())
    }
}

impl Value for Text {
    fn read(r: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        text(r, field)
    }

    fn write(&self, w: &mut Writer<'_>, field: &'static str) -> Result<(), WireError> {
        w.bytes16(field, self.as_bytes())
    }
}

impl Value for Bytes {
    fn read(r: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        Ok(r.bytes16(field)?)
    }

    fn write(&self, w: &mut Writer<'_>, field: &'static str) -> Result<(), WireError> {
        w.bytes16(field, self)
    }
}

impl Value for UserProperty {
    fn read(r: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        Ok(Self {
            name: text(r, field)?,
            value: text(r, field)?,
        })
    }

    fn write(&self, w: &mut Writer<'_>, field: &'static str) -> Result<(), WireError> {
        self.name.write(w, field)?;
        self.value.write(w, field)
    }
}
