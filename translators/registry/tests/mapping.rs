//! `translators/MAPPING.md` is what the mapping files say, side by side.
//!
//! `FAIRLEAD_UPDATE=1 cargo test -p fairlead-translators` writes the page anew.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Column and folder; MQTT 3.1.1 is a column of its own in the file of MQTT.
const PROTOCOLS: [(&str, &str); 3] = [
    ("MQTT 5", "mqtt"),
    ("Kafka", "kafka"),
    ("AMQP 0-9-1", "amqp"),
];

const HEAD: &str = "\
# Mapping

Where each field of the canonical message stands in each protocol. Generated from `*/mapping.toml` by
`registry/tests/mapping.rs`; the vectors that hold the code to it stand there too.

`h:` a header (in MQTT a user property) of that name · `=` the same · CAPITALS: lost, counted under that name in
`fairlead_translate_loss_total` · – no row in that protocol's file

";

type Fields = BTreeMap<String, toml::Table>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rows of a mapping file, and the order in which they stand.
fn fields(protocol: &str) -> (Vec<String>, Fields) {
    let text = fs::read_to_string(folder().join(protocol).join("mapping.toml")).unwrap();
    let file: toml::Table = text.parse().unwrap();
    let (mut order, mut fields) = (Vec::new(), Fields::new());
    for field in file["field"].as_array().unwrap() {
        let field = field.as_table().unwrap();
        let canon = field["canon"].as_str().unwrap().to_owned();
        order.push(canon.clone());
        assert!(
            fields.insert(canon.clone(), field.clone()).is_none(),
            "{protocol}: {canon} twice"
        );
    }
    (order, fields)
}

fn text<'a>(table: &'a toml::Table, key: &str) -> Option<&'a str> {
    table.get(key).and_then(toml::Value::as_str)
}

fn cell(field: Option<&toml::Table>) -> String {
    let Some(native) = field.and_then(|field| field["native"].as_table()) else {
        return "–".to_owned();
    };
    if let Some(loss) = text(native, "loss") {
        return loss.to_owned();
    }
    let header = text(native, "header").map(|header| format!("`h:{header}`"));
    let name = text(native, "name").map(|name| match name.strip_prefix("h:") {
        Some(_) => format!("`{name}`"),
        None => name.to_owned(),
    });
    let parts: Vec<String> = name.into_iter().chain(header).collect();
    let how = text(native, "how")
        .map(|how| format!(": {how}"))
        .unwrap_or_default();
    parts.join(", ") + &how
}

/// What 3.1.1 says of a field of MQTT 5.
fn cell_3_1_1(field: Option<&toml::Table>) -> String {
    let loss = field.and_then(|field| field.get("v311")?.as_table());
    match (field, loss.and_then(|loss| text(loss, "loss"))) {
        (_, Some(loss)) => loss.to_owned(),
        (Some(_), None) => "=".to_owned(),
        (None, None) => "–".to_owned(),
    }
}

fn page() -> String {
    let files = PROTOCOLS.map(|(_, folder)| fields(folder));
    let mut order: Vec<&String> = Vec::new();
    for (own, _) in &files {
        order.extend(
            own.iter()
                .filter(|canon| !order.contains(canon))
                .collect::<Vec<_>>(),
        );
    }
    let mut page = HEAD.to_owned();
    let names: Vec<&str> = PROTOCOLS.iter().map(|(name, _)| *name).collect();
    writeln!(page, "| canonical | MQTT 3.1.1 | {} |", names.join(" | ")).unwrap();
    writeln!(page, "|---|---|{}", "---|".repeat(names.len())).unwrap();
    let [(_, first), ..] = &files;
    for canon in order {
        let cells: Vec<String> = files
            .iter()
            .map(|(_, fields)| cell(fields.get(canon)))
            .collect();
        let old = cell_3_1_1(first.get(canon));
        writeln!(page, "| {canon} | {old} | {} |", cells.join(" | ")).unwrap();
    }
    page
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the test says that the page is to be written"
)]
fn the_page_says_what_the_files_say() {
    let (path, page) = (folder().join("MAPPING.md"), page());
    if std::env::var("FAIRLEAD_UPDATE").is_ok() {
        fs::write(&path, &page).unwrap();
    }
    assert_eq!(
        fs::read_to_string(path).unwrap(),
        page,
        "run with FAIRLEAD_UPDATE=1"
    );
}
