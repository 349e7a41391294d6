//! Committed positions of groups: documents under (group, entity).

use bytes::{BufMut, Bytes, BytesMut};
use fairlead_canon::{EntityId, Promise, Text};
use fairlead_ports::{Document, Op, Ops, Space, Unit};

use crate::verb::Position;
use crate::{Caller, Error, Kernel, Reason};

/// The name space of committed positions.
pub(crate) const SPACE: Space = Space(2);
/// Version of the stored form.
const VERSION: u8 = 1;
/// Documents read at a time.
const PAGE: usize = 4_096;
/// Longest group name, in bytes.
const GROUP_BYTES_MAX: usize = 512;

impl Caller {
    /// Commits positions of a group, all or none; durable on return.
    pub async fn commit(&self, group: &str, positions: &[Position]) -> Result<(), Error> {
        let prefix = group_prefix(group)?;
        let put = |position: &Position| Op::Put {
            space: SPACE,
            key: position_key(&prefix, position.entity),
            value: Some(encode(position)),
            due: None,
        };
        let ops: Ops = positions.iter().map(put).collect();
        if ops.is_empty() {
            return Ok(());
        }
        self.kernel
            .commit_one(Unit {
                ops,
                promise: Promise::Durable,
            })
            .await
    }

    /// Every committed position of a group.
    pub async fn positions(&self, group: &str) -> Result<Vec<Position>, Error> {
        let prefix = group_prefix(group)?;
        let mut positions = Vec::new();
        let mut after = None;
        loop {
            let documents = &self.kernel.backing.documents;
            let page = documents
                .list(SPACE, prefix.clone(), after.take(), PAGE)
                .await?;
            for document in &page {
                positions.push(decode(document)?);
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.key.clone()),
                _ => return Ok(positions),
            }
        }
    }

    /// Every group that has committed positions, by length of name and name.
    pub async fn groups_with_positions(&self) -> Result<Vec<Text>, Error> {
        let mut groups = Vec::new();
        let mut after = None;
        loop {
            let documents = &self.kernel.backing.documents;
            let page = documents.list(SPACE, Bytes::new(), after.take(), 1).await?;
            let Some(document) = page.first() else {
                return Ok(groups);
            };
            let group = group_of(&document.key)?;
            // Past the last position that the group can have.
            after = Some([&group_prefix(&group)?[..], &[0xff; 8]].concat().into());
            groups.push(group);
        }
    }

    /// Forgets every committed position of a group.
    pub async fn forget_positions(&self, group: &str) -> Result<(), Error> {
        let positions = self.positions(group).await?;
        let entities: Vec<EntityId> = positions.iter().map(|position| position.entity).collect();
        self.forget_positions_in(group, &entities).await
    }

    /// Forgets the committed positions of a group in some entities.
    pub async fn forget_positions_in(
        &self,
        group: &str,
        entities: &[EntityId],
    ) -> Result<(), Error> {
        let prefix = group_prefix(group)?;
        for some in entities.chunks(Unit::OPS_MAX) {
            let delete = |entity: &EntityId| Op::Put {
                space: SPACE,
                key: position_key(&prefix, *entity),
                value: None,
                due: None,
            };
            let ops = some.iter().map(delete).collect();
            self.kernel
                .commit_one(Unit {
                    ops,
                    promise: Promise::Durable,
                })
                .await?;
        }
        Ok(())
    }
}

impl Kernel {
    /// Commits one unit and waits for its promise.
    pub(crate) async fn commit_one(&self, unit: Unit) -> Result<(), Error> {
        let results = self.backing.store.commit([unit].into()).await;
        match results.into_iter().next() {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(error.into()),
            None => Err(Error::us(Reason::Unavailable, "the store gave no answer")),
        }
    }
}

/// Length and name: no group's prefix is the prefix of another's.
pub(crate) fn group_prefix(group: &str) -> Result<Bytes, Error> {
    let len = u16::try_from(group.len())
        .ok()
        .filter(|len| usize::from(*len) <= GROUP_BYTES_MAX);
    let len = len.ok_or_else(|| {
        let detail = format!(
            "group name of {} bytes, at most {GROUP_BYTES_MAX}",
            group.len()
        );
        Error::peer(Reason::BadName, detail)
    })?;
    Ok([&len.to_be_bytes()[..], group.as_bytes()].concat().into())
}

pub(crate) fn group_of(key: &[u8]) -> Result<Text, Error> {
    let damaged = || {
        Error::us(
            Reason::Corrupt,
            "the key of a committed position cannot be read",
        )
    };
    let (_, rest) = key.split_first_chunk::<2>().ok_or_else(damaged)?;
    let (group, _) = rest.split_last_chunk::<8>().ok_or_else(damaged)?;
    let group = std::str::from_utf8(group).ok().ok_or_else(damaged)?;
    Ok(Text::from(group.to_owned()))
}

pub(crate) fn position_key(prefix: &[u8], entity: EntityId) -> Bytes {
    [prefix, &entity.0.to_be_bytes()].concat().into()
}

pub(crate) fn encode(position: &Position) -> Bytes {
    let mut value = BytesMut::with_capacity(13 + position.metadata.len());
    value.put_u8(VERSION);
    value.put_u64(position.offset);
    value.put_i32(position.leader_epoch);
    value.put_slice(&position.metadata);
    value.freeze()
}

fn decode(document: &Document) -> Result<Position, Error> {
    let damaged = || Error::us(Reason::Corrupt, "a committed position cannot be read");
    let (_, entity) = document.key.split_last_chunk::<8>().ok_or_else(damaged)?;
    let (&[VERSION], rest) = document
        .value
        .split_first_chunk::<1>()
        .ok_or_else(damaged)?
    else {
        return Err(damaged());
    };
    let (offset, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
    let (leader_epoch, metadata) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    Ok(Position {
        entity: EntityId(u64::from_be_bytes(*entity)),
        offset: u64::from_be_bytes(*offset),
        leader_epoch: i32::from_be_bytes(*leader_epoch),
        metadata: document.value.slice_ref(metadata),
    })
}
