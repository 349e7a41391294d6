//! The table of methods: number, name, fields.

use bytes::Bytes;
use fairlead_wire::{Reader, WireError, Writer};

use super::{DecodeError, basic, channel, confirm, connection, exchange, queue, tx};

/// What each method of a class file has.
pub(super) trait Fields: Sized {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), WireError>;
}

/// Takes the lowest bit off.
pub(super) fn lowest(bits: &mut u8) -> bool {
    let bit = *bits & 1 == 1;
    *bits >>= 1;
    bit
}

/// Declares the fields of methods in the order of the wire. Between bars stand the bits of one octet,
/// lowest first; no method has two such groups.
macro_rules! fields {
    ($(
        $(#[$doc:meta])*
        $name:ident {
            $($before:ident: $before_type:ty),* $(,)?
            $(| $($bit:ident),+ | $($after:ident: $after_type:ty),* $(,)?)?
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name {
            $(pub $before: $before_type,)*
            $($(pub $bit: bool,)+ $(pub $after: $after_type,)*)?
        }

        impl $crate::codec::method::Fields for $name {
            fn read(_reader: &mut fairlead_wire::Reader<'_>) -> Result<Self, $crate::codec::DecodeError> {
                $(let $before = <$before_type as $crate::codec::field::Field>::read(_reader, stringify!($before))?;)*
                $(
                    let mut bits = _reader.u8("bits")?;
                    $(let $bit = $crate::codec::method::lowest(&mut bits);)+
                    $(let $after = <$after_type as $crate::codec::field::Field>::read(_reader, stringify!($after))?;)*
                )?
                Ok(Self { $($before,)* $($($bit,)+ $($after,)*)? })
            }

            fn write(&self, _writer: &mut fairlead_wire::Writer<'_>) -> Result<(), fairlead_wire::WireError> {
                $($crate::codec::field::Field::write(&self.$before, _writer, stringify!($before))?;)*
                $(
                    let bits = [$(self.$bit),+];
                    _writer.u8(bits.iter().rev().fold(0, |octet, bit| octet << 1 | u8::from(*bit)));
                    $($crate::codec::field::Field::write(&self.$after, _writer, stringify!($after))?;)*
                )?
                Ok(())
            }
        }
    )*};
}
pub(super) use fields;

macro_rules! methods {
    ($($variant:ident($class:ident::$fields:ident) = $class_id:literal, $id:literal, $name:literal;)*) => {
        /// One method with its fields.
        #[derive(Clone, Debug)]
        #[expect(missing_docs, reason = "each variant is the method of that name")]
        pub enum Method { $($variant($class::$fields),)* }

        impl Method {
            /// Reads the payload of a method frame.
            pub fn decode(payload: &Bytes) -> Result<Self, DecodeError> {
                let mut reader = Reader::new(payload);
                let (class, method) = (reader.u16("class")?, reader.u16("method")?);
                let decoded = match (class, method) {
                    $(($class_id, $id) => Self::$variant(Fields::read(&mut reader)?),)*
                    _ => return Err(DecodeError::UnknownMethod { class, method }),
                };
                reader.finish()?;
                Ok(decoded)
            }

            /// Writes the payload of a method frame.
            pub fn encode(&self, writer: &mut Writer<'_>) -> Result<(), WireError> {
                let (class, method) = self.id();
                writer.u16(class);
                writer.u16(method);
                match self { $(Self::$variant(fields) => fields.write(writer),)* }
            }

            /// Numbers of class and method.
            pub fn id(&self) -> (u16, u16) {
                match self { $(Self::$variant(_) => ($class_id, $id),)* }
            }

            /// Its name in the specification.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }
        }

        $(impl From<$class::$fields> for Method {
            fn from(fields: $class::$fields) -> Self { Self::$variant(fields) }
        })*
    };
}

methods! {
    ConnectionStart(connection::Start) = 10, 10, "connection.start";
    ConnectionStartOk(connection::StartOk) = 10, 11, "connection.start-ok";
    ConnectionSecure(connection::Secure) = 10, 20, "connection.secure";
    ConnectionSecureOk(connection::SecureOk) = 10, 21, "connection.secure-ok";
    ConnectionTune(connection::Tune) = 10, 30, "connection.tune";
    ConnectionTuneOk(connection::TuneOk) = 10, 31, "connection.tune-ok";
    ConnectionOpen(connection::Open) = 10, 40, "connection.open";
    ConnectionOpenOk(connection::OpenOk) = 10, 41, "connection.open-ok";
    ConnectionClose(connection::Close) = 10, 50, "connection.close";
    ConnectionCloseOk(connection::CloseOk) = 10, 51, "connection.close-ok";
    ConnectionBlocked(connection::Blocked) = 10, 60, "connection.blocked";
    ConnectionUnblocked(connection::Unblocked) = 10, 61, "connection.unblocked";
    ConnectionUpdateSecret(connection::UpdateSecret) = 10, 70, "connection.update-secret";
    ConnectionUpdateSecretOk(connection::UpdateSecretOk) = 10, 71, "connection.update-secret-ok";
    ChannelOpen(channel::Open) = 20, 10, "channel.open";
    ChannelOpenOk(channel::OpenOk) = 20, 11, "channel.open-ok";
    ChannelFlow(channel::Flow) = 20, 20, "channel.flow";
    ChannelFlowOk(channel::FlowOk) = 20, 21, "channel.flow-ok";
    ChannelClose(channel::Close) = 20, 40, "channel.close";
    ChannelCloseOk(channel::CloseOk) = 20, 41, "channel.close-ok";
    ExchangeDeclare(exchange::Declare) = 40, 10, "exchange.declare";
    ExchangeDeclareOk(exchange::DeclareOk) = 40, 11, "exchange.declare-ok";
    ExchangeDelete(exchange::Delete) = 40, 20, "exchange.delete";
    ExchangeDeleteOk(exchange::DeleteOk) = 40, 21, "exchange.delete-ok";
    ExchangeBind(exchange::Bind) = 40, 30, "exchange.bind";
    ExchangeBindOk(exchange::BindOk) = 40, 31, "exchange.bind-ok";
    ExchangeUnbind(exchange::Unbind) = 40, 40, "exchange.unbind";
    ExchangeUnbindOk(exchange::UnbindOk) = 40, 51, "exchange.unbind-ok";
    QueueDeclare(queue::Declare) = 50, 10, "queue.declare";
    QueueDeclareOk(queue::DeclareOk) = 50, 11, "queue.declare-ok";
    QueueBind(queue::Bind) = 50, 20, "queue.bind";
    QueueBindOk(queue::BindOk) = 50, 21, "queue.bind-ok";
    QueuePurge(queue::Purge) = 50, 30, "queue.purge";
    QueuePurgeOk(queue::PurgeOk) = 50, 31, "queue.purge-ok";
    QueueDelete(queue::Delete) = 50, 40, "queue.delete";
    QueueDeleteOk(queue::DeleteOk) = 50, 41, "queue.delete-ok";
    QueueUnbind(queue::Unbind) = 50, 50, "queue.unbind";
    QueueUnbindOk(queue::UnbindOk) = 50, 51, "queue.unbind-ok";
    BasicQos(basic::Qos) = 60, 10, "basic.qos";
    BasicQosOk(basic::QosOk) = 60, 11, "basic.qos-ok";
    BasicConsume(basic::Consume) = 60, 20, "basic.consume";
    BasicConsumeOk(basic::ConsumeOk) = 60, 21, "basic.consume-ok";
    BasicCancel(basic::Cancel) = 60, 30, "basic.cancel";
    BasicCancelOk(basic::CancelOk) = 60, 31, "basic.cancel-ok";
    BasicPublish(basic::Publish) = 60, 40, "basic.publish";
    BasicReturn(basic::Return) = 60, 50, "basic.return";
    BasicDeliver(basic::Deliver) = 60, 60, "basic.deliver";
    BasicGet(basic::Get) = 60, 70, "basic.get";
    BasicGetOk(basic::GetOk) = 60, 71, "basic.get-ok";
    BasicGetEmpty(basic::GetEmpty) = 60, 72, "basic.get-empty";
    BasicAck(basic::Ack) = 60, 80, "basic.ack";
    BasicReject(basic::Reject) = 60, 90, "basic.reject";
    BasicRecoverAsync(basic::RecoverAsync) = 60, 100, "basic.recover-async";
    BasicRecover(basic::Recover) = 60, 110, "basic.recover";
    BasicRecoverOk(basic::RecoverOk) = 60, 111, "basic.recover-ok";
    BasicNack(basic::Nack) = 60, 120, "basic.nack";
    ConfirmSelect(confirm::Select) = 85, 10, "confirm.select";
    ConfirmSelectOk(confirm::SelectOk) = 85, 11, "confirm.select-ok";
    TxSelect(tx::Select) = 90, 10, "tx.select";
    TxSelectOk(tx::SelectOk) = 90, 11, "tx.select-ok";
    TxCommit(tx::Commit) = 90, 20, "tx.commit";
    TxCommitOk(tx::CommitOk) = 90, 21, "tx.commit-ok";
    TxRollback(tx::Rollback) = 90, 30, "tx.rollback";
    TxRollbackOk(tx::RollbackOk) = 90, 31, "tx.rollback-ok";
}
