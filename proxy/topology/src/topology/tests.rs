use fairlead_canon::{Class, Kind};

use super::*;
use crate::Family;

fn log(name: &str, lanes: u32) -> Change {
    let key = StreamKey::new(Family::Log, name);
    let new = NewStream::new(key, Kind::Log, Class::Memory, Origin(1));
    Change::CreateStream(NewStream { lanes, ..new })
}

fn apply(topology: &mut Topology, changes: Vec<Change>) -> Result<(), Refused> {
    topology.apply(changes, Timestamp(0)).map(drop)
}

#[test]
fn entities_are_given_out_up_to_the_limit_and_again_once_some_are_gone() {
    let mut topology = Topology::default();
    let per_stream = u64::from(NewStream::LANES_MAX);
    let full = Topology::ENTITIES_MAX / per_stream;
    for number in 0..full {
        apply(
            &mut topology,
            vec![log(&number.to_string(), NewStream::LANES_MAX)],
        )
        .unwrap();
    }
    let rest = u32::try_from(Topology::ENTITIES_MAX % per_stream).unwrap();
    apply(&mut topology, vec![log("rest", rest)]).unwrap();
    let refused = apply(&mut topology, vec![log("more", 1)]).unwrap_err();
    assert!(matches!(
        refused,
        Refused::OutOfBounds {
            what: "number of entities",
            ..
        }
    ));
    let gone = Change::RemoveStream(StreamKey::new(Family::Log, "0"));
    apply(&mut topology, vec![gone, log("more", 1)]).unwrap();
}

#[test]
fn what_a_refused_declaration_had_done_is_taken_back_and_not_counted() {
    let mut topology = Topology::default();
    for _ in 0..3 {
        let changes = vec![log("a", 5), log("a", 1)];
        assert!(matches!(
            apply(&mut topology, changes),
            Err(Refused::Exists(_))
        ));
    }
    assert_eq!((topology.entities, topology.streams().count()), (0, 0));
}
