use std::path::Path;

use super::{Ledger, differences, faults, marks, summary};

const SHOWN: &str = r#"
    [[statement]]
    id = "A-1"
    says = "A rule"
    state = "shown"
    tests = ["rules::a_rule_is_obeyed"]
"#;

const ABSENT: &str = r#"
    [[statement]]
    id = "A-2"
    says = "Another rule"
    state = "absent"
    reason = "Nobody asks"
"#;

const TEST: &str = "
    //= A-1: A rule
    /// Attributes and comments may stand between.
    #[tokio::test(start_paused = true)]
    async fn a_rule_is_obeyed() {
";

fn ledger(text: &str) -> Ledger {
    toml::from_str(text).unwrap()
}

fn found(text: &str, source: &str) -> Vec<String> {
    let marks = marks::within(Path::new("src/rules/tests.rs"), source);
    faults(&ledger(text), &marks)
}

#[test]
fn a_shown_statement_with_a_marked_test_and_an_absent_one_with_a_reason_are_right() {
    let text = [SHOWN, ABSENT].concat();
    assert_eq!(found(&text, TEST), [""; 0]);
    let told = "1 of 2 shown, 1 absent, 0 not ours";
    assert_eq!(summary(&ledger(&text)), told);
}

#[test]
fn a_mark_is_found_wherever_it_stands_and_has_to_be_known() {
    for source in ["//= A-3: x\nlet x = 1;", "fn x() {\n}\n//= A-3"] {
        let fault = "src/rules/tests.rs: unknown mark A-3";
        assert_eq!(found(ABSENT, source), [fault], "{source}");
    }
}

#[test]
fn what_is_shown_names_a_test_under_its_mark() {
    let unmarked = "A-1: no mark over a test rules::a_rule_is_obeyed";
    for source in [
        "#[test]\nfn a_rule_is_obeyed() {",
        "//= A-1: A rule\nfn a_rule_is_obeyed() {",
        "//= A-1: A rule\n#[test]\n#[ignore]\nfn a_rule_is_obeyed() {",
        "//= A-1: A rule\n#[ignore = \"slow\"]\n#[test]\nfn a_rule_is_obeyed() {",
        "//= A-1: A rule\n\n#[test]\nfn a_rule_is_obeyed() {",
        "//= A-1: A rule\n#[test]\nfn a_rule_is_obeyed_twice() {",
        "#[test]\nfn other() {\n//= A-1: A rule\nfn a_rule_is_obeyed() {",
    ] {
        assert_eq!(found(SHOWN, source), [unmarked], "{source}");
    }
    let text = SHOWN.replace(r#""rules::a_rule_is_obeyed""#, "");
    assert_eq!(found(&text, TEST), ["A-1: shown by nothing"]);
}

#[test]
fn what_is_not_shown_has_a_reason() {
    for state in ["absent", "not-ours"] {
        let text = ABSENT.replace("absent", state).replace("Nobody asks", "");
        assert_eq!(found(&text, ""), ["A-2: no reason"], "{state}");
    }
}

#[test]
fn an_id_stands_once_and_a_statement_says_something() {
    let text = [ABSENT, ABSENT].concat();
    assert_eq!(found(&text, ""), ["A-2: stands twice"]);
    let text = ABSENT.replace("Another rule", "");
    assert_eq!(found(&text, ""), ["A-2: says nothing"]);
}

#[test]
fn an_unknown_state_or_field_is_refused() {
    for text in [
        ABSENT.replace("absent", "later"),
        ABSENT.replace("reason", "raeson"),
    ] {
        assert!(toml::from_str::<Ledger>(&text).is_err(), "{text}");
    }
}

#[test]
fn the_same_rule_of_another_revision_is_shown_where_it_is_shown() {
    let same = |other: &str| {
        format!(
            "[[statement]]\nid = \"B-1\"\nsays = \"A rule\"\nstate = \"same\"\nsame_as = \"{other}\"\n"
        )
    };
    let text = [SHOWN, ABSENT, &same("A-1")].concat();
    assert_eq!(found(&text, TEST), [""; 0]);
    let told = "2 of 3 shown, 1 absent, 0 not ours";
    assert_eq!(summary(&ledger(&text)), told);
    for other in ["A-2", "A-3", "B-1"] {
        let text = [SHOWN, ABSENT, &same(other)].concat();
        let fault = "B-1: the same as nothing that is shown";
        assert_eq!(found(&text, TEST), [fault], "{other}");
    }
}

#[test]
fn each_statement_of_the_specification_has_a_row_and_each_row_is_one() {
    let ledger = ledger(&[SHOWN, ABSENT].concat());
    assert_eq!(differences(&ledger, "# a chapter\nA-1\n\nA-2\n"), [""; 0]);
    let found = differences(&ledger, "A-1\nA-3\n");
    let wanted = ["A-3: no row", "A-2: no statement of the specification"];
    assert_eq!(found, wanted);
}
