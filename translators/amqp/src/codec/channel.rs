//! Class 20: channels.
#![expect(
    missing_docs,
    reason = "fields are named as the specification names them"
)]

use super::method::fields;
use super::{LongStr, ShortStr};

fields! {
    /// Opens a channel.
    Open { reserved_1: ShortStr }
    /// The channel is open.
    OpenOk { reserved_1: LongStr }
    /// Asks the other side to pause or go on sending content.
    Flow { | active | }
    /// Agrees to a flow.
    FlowOk { | active | }
    /// Ends the channel.
    Close { reply_code: u16, reply_text: ShortStr, class_id: u16, method_id: u16 }
    /// The end is agreed.
    CloseOk {}
}
