//! The requests we answer, one file each.
//!
//! To add one: a file with a unit struct that is a [`Handler`] (or an [`Api`], when the request is
//! opened by our own code), a line in [`APIS`], and its lines in `ledger.toml`.

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_configs;
mod api_versions;
mod create_acls;
mod create_partitions;
mod create_topics;
mod delete_acls;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_acls;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_topic_partitions;
mod describe_transactions;
mod end_txn;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sasl_authenticate;
mod sasl_handshake;
mod sync_group;
mod txn_offset_commit;

use std::fmt::Debug;
use std::ops::RangeInclusive;

use bytes::{BufMut, Bytes, BytesMut};
use fairlead_canon::shape::Layout;
use fairlead_kernel::BoxFuture;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request as Schema};

use crate::answer::{Answer, Reply};
use crate::desk::Desk;
use crate::fault::Fault;
use crate::frame::Form;
use crate::guard;

/// Every request we answer, by key.
pub(crate) const APIS: &[&dyn Api] = &[
    &produce::Produce,
    &fetch::Fetch,
    &list_offsets::ListOffsets,
    &metadata::Metadata,
    &offset_commit::OffsetCommit,
    &offset_fetch::OffsetFetch,
    &find_coordinator::FindCoordinator,
    &join_group::JoinGroup,
    &heartbeat::Heartbeat,
    &leave_group::LeaveGroup,
    &sync_group::SyncGroup,
    &describe_groups::DescribeGroups,
    &list_groups::ListGroups,
    &sasl_handshake::SaslHandshake,
    &api_versions::ApiVersions,
    &create_topics::CreateTopics,
    &delete_topics::DeleteTopics,
    &init_producer_id::InitProducerId,
    &describe_configs::DescribeConfigs,
    &sasl_authenticate::SaslAuthenticate,
    &create_partitions::CreatePartitions,
    &delete_groups::DeleteGroups,
    &delete_records::DeleteRecords,
    &offset_for_leader_epoch::OffsetForLeaderEpoch,
    &alter_configs::AlterConfigs,
    &describe_log_dirs::DescribeLogDirs,
    &incremental_alter_configs::IncrementalAlterConfigs,
    &offset_delete::OffsetDelete,
    &describe_cluster::DescribeCluster,
    &add_partitions_to_txn::AddPartitionsToTxn,
    &add_offsets_to_txn::AddOffsetsToTxn,
    &end_txn::EndTxn,
    &txn_offset_commit::TxnOffsetCommit,
    &describe_transactions::DescribeTransactions,
    &list_transactions::ListTransactions,
    &describe_acls::DescribeAcls,
    &create_acls::CreateAcls,
    &delete_acls::DeleteAcls,
    &describe_topic_partitions::DescribeTopicPartitions,
];

/// The one kind of request that carries batches.
pub(crate) const PRODUCE: i16 = ApiKey::Produce as i16;

/// A request of one kind, in all its versions.
pub(crate) trait Api: Debug + Send + Sync {
    /// Its number.
    fn key(&self) -> ApiKey;
    /// The versions we answer.
    fn versions(&self) -> RangeInclusive<i16>;
    /// The first version in compact form.
    fn compact_since(&self) -> i16;
    /// Whether it may be asked before anybody has logged in.
    fn is_greeting(&self) -> bool {
        false
    }
    /// Whether it may begin before the produces in front of it are answered.
    fn is_pipelined(&self) -> bool {
        false
    }
    /// The answer to a version that is not among ours; for most there is none.
    fn unsupported(&self, _correlation: i32) -> Result<Option<Answer>, Fault> {
        Ok(None)
    }
    /// Answers, or begins to.
    fn serve<'a>(&'a self, desk: &'a mut Desk, call: Call) -> BoxFuture<'a, Result<Reply, Fault>>;

    /// How lengths are written in a version.
    fn form(&self, version: i16) -> Form {
        if version >= self.compact_since() {
            Form::Compact
        } else {
            Form::Classic
        }
    }
}

/// A request of a version that we answer, its body still closed.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) version: i16,
    pub(crate) correlation: i32,
    pub(crate) form: Form,
    pub(crate) body: Bytes,
}

/// A request that the foreign codec opens, behind our guard.
pub(crate) trait Handler: Debug + Send + Sync {
    /// Its schema.
    type Request: Schema<Response: Send> + Send;
    /// The versions we answer.
    const VERSIONS: RangeInclusive<i16>;
    /// What the guard checks before the codec may see it.
    const LAYOUT: Layout;
    /// Whether it may be asked before anybody has logged in.
    const IS_GREETING: bool = false;

    /// Answers a request.
    fn answer(
        desk: &mut Desk,
        version: i16,
        request: Self::Request,
    ) -> impl Future<Output = Result<<Self::Request as Schema>::Response, Fault>> + Send;
}

impl<H: Handler> Api for H {
    fn key(&self) -> ApiKey {
        // The crate's keys and its enum come from one list.
        ApiKey::try_from(H::Request::KEY).unwrap_or(ApiKey::ApiVersions)
    }

    fn versions(&self) -> RangeInclusive<i16> {
        H::VERSIONS
    }

    fn compact_since(&self) -> i16 {
        H::LAYOUT.compact_since
    }

    fn is_greeting(&self) -> bool {
        H::IS_GREETING
    }

    fn serve<'a>(&'a self, desk: &'a mut Desk, call: Call) -> BoxFuture<'a, Result<Reply, Fault>> {
        Box::pin(async move {
            guard::check(&H::LAYOUT, call.version, &call.body)?;
            let mut body = call.body.clone();
            let request = H::Request::decode(&mut body, call.version)
                .map_err(|error| Fault::Malformed(error.to_string()))?;
            let response = H::answer(desk, call.version, request).await?;
            encode(&response, call.version, call.correlation).map(Reply::Answer)
        })
    }
}

/// The request of a key, if we answer it.
pub(crate) fn find(key: i16) -> Option<&'static dyn Api> {
    APIS.iter().copied().find(|api| api.key() as i16 == key)
}

/// Writes a response with its header.
pub(crate) fn encode<R: Encodable + HeaderVersion>(
    response: &R,
    version: i16,
    correlation: i32,
) -> Result<Answer, Fault> {
    let mut body = BytesMut::new();
    body.put_i32(correlation);
    if R::header_version(version) > 0 {
        body.put_u8(0);
    }
    response
        .encode(&mut body, version)
        .map_err(|error| Fault::Unanswerable(error.to_string()))?;
    Ok(Answer::one(body.freeze()))
}
