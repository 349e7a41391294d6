//! CONNECT: the first packet of a client.

use bytes::{Bytes, BytesMut};
use fairlead_canon::Text;
use fairlead_wire::{Reader, WireError, Writer};

use super::field::{text, topic};
use super::header::{Kind, frame};
use super::property::Place;
use super::{DecodeError, Properties, Qos, Version};

/// A client's request for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The revision that the client speaks.
    pub version: Version,
    /// Begin with a new session (3.1.1: and end it with the connection).
    pub clean_start: bool,
    /// Longest silence of the client in seconds; 0 is no limit.
    pub keep_alive: u16,
    /// Empty in 3.1.1.
    pub properties: Properties,
    /// Empty when the server is to choose.
    pub client_id: Text,
    /// Published when the connection ends without DISCONNECT.
    pub will: Option<Will>,
    /// The user.
    pub user_name: Option<Text>,
    /// What proves it.
    pub password: Option<Bytes>,
}

/// A message for the time after the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Where it goes.
    pub topic: Text,
    /// What it says.
    pub payload: Bytes,
    /// With which promise.
    pub qos: Qos,
    /// Whether it becomes the topic's retained message.
    pub retain: bool,
    /// Empty in 3.1.1.
    pub properties: Properties,
}

const RESERVED: u8 = 1;
const CLEAN_START: u8 = 1 << 1;
const WILL: u8 = 1 << 2;
const WILL_QOS: u8 = 3 << 3;
const WILL_RETAIN: u8 = 1 << 5;
const PASSWORD: u8 = 1 << 6;
const USER_NAME: u8 = 1 << 7;

impl Connect {
    pub(super) fn decode(r: &mut Reader<'_>, flags: u8) -> Result<Self, DecodeError> {
        let version = version(r)?;
        Kind::Connect.check_flags(flags, version)?;
        let flags = connect_flags(r, version)?;
        let keep_alive = r.u16("keep alive")?;
        let properties = match version {
            Version::V31 | Version::V311 => Properties::NONE,
            Version::V5 => Properties::decode(r, Place::CONNECT)?,
        };
        let client_id = text(r, "client identifier")?;
        let will = match flags & WILL {
            0 => None,
            _ => Some(Will::decode(r, flags, version)?),
        };
        let user_name = match flags & USER_NAME {
            0 => None,
            _ => Some(text(r, "user name")?),
        };
        let password = match flags & PASSWORD {
            0 => None,
            _ => Some(r.bytes16("password")?),
        };
        Ok(Self {
            version,
            clean_start: flags & CLEAN_START != 0,
            keep_alive,
            properties,
            client_id,
            will,
            user_name,
            password,
        })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) -> Result<(), WireError> {
        frame(out, Kind::Connect, |w| {
            w.bytes16("protocol name", self.version.protocol_name())?;
            w.u8(self.version.level());
            w.u8(self.flags());
            w.u16(self.keep_alive);
            if self.version == Version::V5 {
                self.properties.encode(w);
            }
            w.bytes16("client identifier", self.client_id.as_bytes())?;
            if let Some(will) = &self.will {
                will.encode(self.version, w)?;
            }
            if let Some(user_name) = &self.user_name {
                w.bytes16("user name", user_name.as_bytes())?;
            }
            if let Some(password) = &self.password {
                w.bytes16("password", password)?;
            }
            Ok(())
        })
    }

    fn flags(&self) -> u8 {
        let bit = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let will = self.will.as_ref().map_or(0, |will| {
            WILL | ((will.qos as u8) << 3) | bit(will.retain, WILL_RETAIN)
        });
        will | bit(self.clean_start, CLEAN_START)
            | bit(self.user_name.is_some(), USER_NAME)
            | bit(self.password.is_some(), PASSWORD)
    }
}

impl Will {
    fn decode(r: &mut Reader<'_>, flags: u8, version: Version) -> Result<Self, DecodeError> {
        let properties = match version {
            Version::V31 | Version::V311 => Properties::NONE,
            Version::V5 => Properties::decode(r, Place::WILL)?,
        };
        let topic = topic(r, "will topic")?;
        if topic.is_empty() {
            return Err(DecodeError::TopicName("an empty text"));
        }
        Ok(Self {
            topic,
            payload: r.bytes16("will payload")?,
            //= MQTT-3.1.2-12: the will's QoS is 0, 1 or 2.
            qos: Qos::from_bits((flags & WILL_QOS) >> 3)?,
            retain: flags & WILL_RETAIN != 0,
            properties,
        })
    }

    fn encode(&self, version: Version, w: &mut Writer<'_>) -> Result<(), WireError> {
        if version == Version::V5 {
            self.properties.encode(w);
        }
        w.bytes16("will topic", self.topic.as_bytes())?;
        w.bytes16("will payload", &self.payload)
    }
}

fn version(r: &mut Reader<'_>) -> Result<Version, DecodeError> {
    let name = r.bytes16("protocol name")?;
    let level = r.u8("protocol level")?;
    //= MQTT-3.1.2-1: the protocol name is MQTT; any other may be an older client or none at all.
    match (&*name, level) {
        (b"MQIsdp", 3) => Ok(Version::V31),
        (b"MQTT", 4) => Ok(Version::V311),
        (b"MQTT", 5) => Ok(Version::V5),
        (b"MQTT", other) | (b"MQIsdp", other) => Err(DecodeError::UnsupportedVersion(other)),
        _ => Err(DecodeError::Malformed("protocol name")),
    }
}

fn connect_flags(r: &mut Reader<'_>, version: Version) -> Result<u8, DecodeError> {
    let flags = r.u8("connect flags")?;
    // MQTT 5 allows a password without a user name; 3.1 (its section 3.1) and 3.1.1 (its
    // MQTT-3.1.2-22) do not.
    if version != Version::V5 && flags & (USER_NAME | PASSWORD) == PASSWORD {
        return Err(DecodeError::Malformed("a password without a user name"));
    }
    if version == Version::V31 {
        // 3.1 disregards the other flags that 3.1.1 forbids, and lets a client set them.
        return Ok(flags & !RESERVED);
    }
    //= MQTT-3.1.2-3: the reserved flag is 0.
    if flags & RESERVED != 0 {
        return Err(DecodeError::Malformed("reserved connect flag"));
    }
    //= MQTT-3.1.2-11: without a will its QoS is 0, and
    //= MQTT-3.1.2-13: it is not retained.
    if flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0 {
        return Err(DecodeError::Malformed("will flags without a will"));
    }
    Ok(flags)
}
