//! ListGroups: groups with members, and those that have left their positions.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use fairlead_canon::Text;
use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::Phase;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use super::Handler;
use super::describe_groups::state;
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;
use crate::text::{said, theirs};

#[derive(Debug)]
pub(super) struct ListGroups;

/// The only type of group that we serve.
const TYPE: &str = "classic";

impl Handler for ListGroups {
    type Request = ListGroupsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;
    const LAYOUT: Layout = Layout {
        compact_since: 3,
        fields: &[
            Field::new("states filter", Shape::Texts).since(4),
            Field::new("types filter", Shape::Texts).since(5),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        version: i16,
        request: ListGroupsRequest,
    ) -> Result<ListGroupsResponse, Fault> {
        let caller = desk.caller()?;
        let mut groups: BTreeMap<Text, (Text, Phase)> = match caller.groups_with_positions().await {
            Ok(names) => names
                .into_iter()
                .map(|name| (name, (Text::new(), Phase::Empty)))
                .collect(),
            Err(error) => {
                let code = errors::of_positions(error.reason);
                return Ok(ListGroupsResponse::default().with_error_code(code));
            }
        };
        let live = caller.groups().into_iter();
        groups.extend(live.map(|(name, view)| (name, (view.kind, view.phase))));

        let is_wanted = |filter: &[StrBytes], word: &str| {
            filter.is_empty() || filter.iter().any(|one| one.eq_ignore_ascii_case(word))
        };
        let listed = groups.into_iter().filter(|(_, (_, phase))| {
            is_wanted(&request.states_filter, state(*phase))
                && is_wanted(&request.types_filter, TYPE)
        });
        let listed = listed.map(|(name, (kind, phase))| {
            let group = ListedGroup::default()
                .with_group_id(theirs(&name).into())
                .with_protocol_type(theirs(&kind));
            // Words that older versions have no room for.
            let group = if version >= 4 {
                group.with_group_state(said(state(phase)))
            } else {
                group
            };
            if version >= 5 {
                group.with_group_type(said(TYPE))
            } else {
                group
            }
        });
        Ok(ListGroupsResponse::default().with_groups(listed.collect()))
    }
}
