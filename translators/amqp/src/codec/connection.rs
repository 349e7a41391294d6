//! Class 10: the handshake, and the end of a connection.
#![expect(
    missing_docs,
    reason = "fields are named as the specification names them"
)]

use super::method::fields;
use super::{LongStr, ShortStr, Table};

fields! {
    /// The server's first method.
    Start { version_major: u8, version_minor: u8, server_properties: Table, mechanisms: LongStr, locales: LongStr }
    /// The client chooses a mechanism and begins it.
    StartOk { client_properties: Table, mechanism: ShortStr, response: LongStr, locale: ShortStr }
    /// A further challenge of the mechanism.
    Secure { challenge: LongStr }
    /// The answer to a challenge.
    SecureOk { response: LongStr }
    /// The server's limits.
    Tune { channel_max: u16, frame_max: u32, heartbeat: u16 }
    /// The limits that hold.
    TuneOk { channel_max: u16, frame_max: u32, heartbeat: u16 }
    /// Enters a virtual host.
    Open { virtual_host: ShortStr, reserved_1: ShortStr | reserved_2 | }
    /// The virtual host is entered.
    OpenOk { reserved_1: ShortStr }
    /// Ends the connection.
    Close { reply_code: u16, reply_text: ShortStr, class_id: u16, method_id: u16 }
    /// The end is agreed.
    CloseOk {}
    /// Publishers are not read for now.
    Blocked { reason: ShortStr }
    /// Publishers are read again.
    Unblocked {}
    /// New credentials for a running connection.
    UpdateSecret { new_secret: LongStr, reason: ShortStr }
    /// The new credentials hold.
    UpdateSecretOk {}
}
