use bytes::Bytes;

use super::{
    BytesList, CASES, TextList, base, claims_authority, empty, message, seen_by_stranger,
    strangers_list, there_and_back, tidy,
};
use crate::arbitrary::{Random, for_each_seed};
use crate::carry::{Cells, Field, Table, Target, read, read_table, write, write_table};
use crate::{HeadersBuilder, Loss, Message, Text, Value};

/// As a broker with typed tables and short property fields has it.
struct TypedTable;

impl Target for TypedTable {
    fn has_place(&self, field: Field) -> bool {
        matches!(
            field,
            Field::ContentType
                | Field::ContentEncoding
                | Field::Kind
                | Field::MessageId
                | Field::Correlation
                | Field::App
                | Field::Priority
                | Field::EventTime
        )
    }

    fn carried(&self, field: Field, message: &Message) -> Option<Value> {
        let value = field.get(message)?;
        let stands_whole = match (field, &value) {
            (Field::EventTime, _) => is_whole_second(message),
            (_, Value::Text(text)) => text.len() < 256,
            (_, Value::Bytes(bytes)) => std::str::from_utf8(bytes).is_err(),
            _ => false,
        };
        (!self.has_place(field) || !stands_whole).then_some(value)
    }

    fn restore(&self, field: Field, message: &mut Message, value: &Value) -> bool {
        if field == Field::EventTime {
            return field.set(message, value) && !is_whole_second(message);
        }
        let has_value = self.has_place(field) && field.get(message).is_some();
        !has_value && field.set(message, value)
    }

    fn name(&self, field: Field) -> &'static str {
        if field == Field::MessageId {
            "x-message-id"
        } else {
            field.name()
        }
    }
}

fn is_whole_second(message: &Message) -> bool {
    let event_at = message.terms.event_at;
    event_at.is_none_or(|at| at.as_millis() % 1000 == 0)
}

fn there_and_back_by_table(message: &Message) -> Message {
    let table = write_table(&TypedTable, message);
    assert!(table.iter().all(|(name, _)| name.len() < 256));
    let restored = read_table(&TypedTable, base(&TypedTable, message), &table);
    tidy(restored.message)
}

#[test]
fn a_message_comes_back_from_a_table() {
    for_each_seed(CASES, |random| {
        let message = message(random);
        let expected = seen_by_stranger(&TypedTable, &message);
        assert_eq!(there_and_back_by_table(&message), expected);
    });
}

/// A table as a stranger may write it; now and then with sidecars of his own.
fn strangers_table(random: &mut Random) -> Table {
    let mut table = Table::new();
    for _ in 0..random.below(5) {
        let name = random.name();
        let value = match &*name {
            b"fl-t" | b"fl-dup" => forged_value(&table, random),
            _ => random.value(2),
        };
        let is_typed = !matches!(
            value,
            Value::U64(_) | Value::TimeMillis(_) | Value::Uuid(_) | Value::Symbol(_)
        );
        let is_new = table.iter().all(|(said, _)| *said != name);
        if is_new && is_typed && name.len() < 256 {
            table.push((name, value));
        }
    }
    table
}

fn forged_value(before: &Table, random: &mut Random) -> Value {
    let mark = random.pick(&["p", "h", "m", "L", "y", "py", "", "x"]);
    let mark = Value::Text(Text::from_static(mark));
    let first = before.first().map(|(name, _)| name.clone());
    let mut name = first.unwrap_or_else(|| random.name());
    name.truncate(255);
    // Who claims what is not believed does not get it back as a claim.
    if Field::named(&name).is_some_and(|field| !field.is_believed()) {
        name = Bytes::from_static(b"x-c");
    }
    match random.below(3) {
        0 => Value::Map(vec![(name, mark)]),
        1 => {
            let position = Value::I64(i64::try_from(random.below(3)).unwrap());
            let name = Value::Bytes(name);
            let duplicate = vec![position, name, random.nested(1), mark];
            Value::List(vec![Value::List(duplicate)])
        }
        _ => Value::Text(Text::from_static("0;")),
    }
}

fn by_name(mut table: Table) -> Table {
    table.sort_by(|(a, _), (b, _)| a.cmp(b));
    table
}

#[test]
fn a_strangers_table_comes_back_value_for_value_and_through_both_kinds_of_list() {
    for_each_seed(CASES, |random| {
        let table = strangers_table(random);
        let message = read_table(&TypedTable, empty(), &table).message;
        let again = write_table(&TypedTable, &message);
        assert_eq!(by_name(again.clone()), by_name(table));
        for through in [
            there_and_back(&TextList, &message),
            there_and_back(&BytesList, &message),
        ] {
            assert_eq!(write_table(&TypedTable, &through), again);
        }
    });
}

#[test]
fn a_strangers_list_comes_back_through_a_table() {
    for_each_seed(CASES, |random| {
        let text = strangers_list(Cells::Text, random);
        if !claims_authority(&text) {
            let message = read(&TextList, empty(), &text).message;
            let through = there_and_back_by_table(&message);
            assert_eq!(write(&TextList, &through).entries, text);
        }
        let bytes = strangers_list(Cells::Bytes, random);
        if !claims_authority(&bytes) {
            let message = read(&BytesList, empty(), &bytes).message;
            let through = there_and_back_by_table(&message);
            assert_eq!(write(&BytesList, &through).entries, bytes);
        }
    });
}

#[test]
fn a_publishers_own_sidecar_is_not_taken_for_ours() {
    let mark = Value::Text(Text::from_static("L"));
    let types = Value::Map(vec![(Bytes::from_static(b"x"), mark)]);
    let mut headers = HeadersBuilder::default();
    headers.push(b"x", &Value::Text(Text::from_static("5")));
    headers.push(b"fl-t", &types);
    let mut message = empty();
    message.headers = headers.build().unwrap();
    assert_eq!(there_and_back_by_table(&message), message);
}

#[test]
fn a_table_that_was_reordered_on_the_way_keeps_its_types() {
    let mut headers = HeadersBuilder::default();
    headers.push(b"a", &Value::U64(1));
    headers.push(b"b", &Value::Uuid([7; 16]));
    headers.push(b"a", &Value::TimeMillis(2));
    let mut message = empty();
    message.headers = headers.build().unwrap();
    let mut table = write_table(&TypedTable, &message);
    table.reverse();
    let restored = read_table(&TypedTable, empty(), &table);
    assert_eq!(restored.loss, Loss::NONE);
    let values: Vec<Value> = restored.message.headers.iter().map(|h| h.value).collect();
    let expected = [Value::Uuid([7; 16]), Value::U64(1), Value::TimeMillis(2)];
    assert_eq!(values, expected);
}
