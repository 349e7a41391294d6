use bytes::{Bytes, BytesMut};

use super::{Value, stored};
use crate::arbitrary::for_each_seed;
use crate::codec::reader::Reader;
use crate::{Headers, HeadersBuilder};

fn text_of(value: &Value) -> String {
    String::from_utf8(value.to_text().to_vec()).unwrap()
}

#[test]
fn text_forms_are_those_of_the_mapping() {
    let decimal = |scale, unscaled| Value::Decimal { scale, unscaled };
    let rows = [
        (Value::Bool(true), "true"),
        (Value::I8(-128), "-128"),
        (Value::U64(u64::MAX), "18446744073709551615"),
        (Value::TimeSeconds(-62_135_596_800), "-62135596800"),
        (Value::TimeMillis(253_402_300_799_999), "253402300799999"),
        (decimal(2, 1250), "12.50"),
        (decimal(0, -7), "-7"),
        (decimal(3, -5), "-0.005"),
        (decimal(1, i32::MIN), "-214748364.8"),
        (Value::F32(0.1), "0.1"),
        (Value::F64(-0.0), "-0.0"),
        (Value::F64(f64::INFINITY), "inf"),
        (Value::F32(f32::from_bits(0x7fc0_0001)), "0b0100c07f"),
        (Value::Uuid([0xab; 16]), "abababababababababababababababab"),
        (Value::Symbol("s".into()), "s"),
        (Value::Null, ""),
    ];
    for (value, text) in rows {
        assert_eq!(text_of(&value), text);
        assert_eq!(
            Value::from_text(value.letter(), &value.to_text()),
            Some(value)
        );
    }
}

#[test]
fn text_that_we_would_not_write_is_not_read() {
    for (letter, text) in [
        ('i', "05"),
        ('i', "+5"),
        ('b', "128"),
        ('B', "-1"),
        ('t', "TRUE"),
        ('n', "x"),
        ('d', "1"),
        ('d', "1e2"),
        ('d', "NaN"),
        ('d', "0b000000000000f03f"),
        ('D', "-0"),
        ('D', "1."),
        ('D', "1.2.3"),
        ('u', "ABABABABABABABABABABABABABABABAB"),
        ('r', "is text"),
        ('A', ""),
        ('?', ""),
    ] {
        let text = Bytes::from_static(text.as_bytes());
        assert_eq!(Value::from_text(letter, &text), None, "{letter} {text:?}");
    }
}

#[test]
fn a_value_comes_back_from_its_stored_and_its_text_form() {
    for_each_seed(100_000, |random| {
        let value = random.value(3);
        let text = value.to_text();
        assert_eq!(
            Value::from_text(value.letter(), &text).as_ref(),
            Some(&value)
        );
        let mut out = BytesMut::new();
        stored::write(&value, &mut out);
        let mut reader = Reader::new(out.freeze(), 0);
        assert_eq!(stored::read(&mut reader, 0).as_ref(), Ok(&value));
        assert!(reader.is_empty());
    });
}

#[test]
fn a_map_is_shown_in_the_encoding_of_typed_tables() {
    let map = Value::Map(vec![
        (Bytes::from_static(b"n"), Value::I32(3)),
        (
            Bytes::from_static(b"l"),
            Value::List(vec![Value::Text("a".into()), Value::Null]),
        ),
    ]);
    let shown = b"F\0\0\0\x15\x01nI\0\0\0\x03\x01lA\0\0\0\x07S\0\0\0\x01aV";
    assert_eq!(&*map.to_text(), shown);
    assert_eq!(Value::from_text('A', &map.to_text()), Some(map));
}

#[test]
fn a_map_nested_too_deep_is_not_read() {
    for (depth, fits) in [(16, true), (17, false)] {
        let nested = (0..depth).fold(Value::Null, |v, _| Value::List(vec![v]));
        let read = Value::from_text('A', &nested.to_text());
        assert_eq!(read.is_some(), fits);
    }
}

#[test]
fn any_text_with_any_letter_is_read_or_refused() {
    for_each_seed(100_000, |random| {
        let letter = random.pick(&b"ntbBsSiIlLfdDmTuvrxyA?".map(char::from));
        let text = match random.below(2) {
            0 => random.bytes(12),
            _ => random.text().into_bytes(),
        };
        if let Some(value) = Value::from_text(letter, &text) {
            assert_eq!(value.to_text(), text);
        }
    });
}

#[test]
fn any_bytes_are_headers_or_refused() {
    for_each_seed(100_000, |random| {
        let mut bytes = match random.below(2) {
            0 => random.bytes(20).to_vec(),
            _ => random.headers(3).as_stored().to_vec(),
        };
        if !bytes.is_empty() {
            let at = random.below(bytes.len());
            bytes[at] = random.pick(&[0, 1, 16, 20, 21, 0x7f, 0x80, 0xff]);
        }
        if let Ok(headers) = Headers::from_stored(bytes.into()) {
            let mut again = HeadersBuilder::default();
            for header in &headers {
                again.push(&header.name, &header.value);
            }
            assert_eq!(
                again.build().unwrap().iter().count(),
                headers.iter().count()
            );
        }
    });
}
