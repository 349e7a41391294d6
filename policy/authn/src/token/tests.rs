use std::fs;
use std::path::Path;

use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;
use tempfile::TempDir;

use super::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// Stands still.
#[derive(Debug)]
struct At(u64);

impl Clock for At {
    fn wall(&self) -> Timestamp {
        Timestamp(self.0 * 1000)
    }
}

fn golden(name: &str) -> std::path::PathBuf {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/token/golden");
    all.join(name)
}

fn rules() -> TokenRules {
    TokenRules {
        keys: None,
        secret: None,
        user: "sub".to_owned(),
        client: None,
        acl: None,
        issuer: None,
        audience: None,
        disconnects: true,
    }
}

/// Rules with our secret, and the directory where its file is.
fn shared(rules: TokenRules) -> (TempDir, Tokens) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    fs::write(&path, [SECRET, b"\n"].concat()).unwrap();
    let secret = Some(path);
    let tokens = Tokens::open(TokenRules { secret, ..rules }, Arc::new(At(1000))).unwrap();
    (dir, tokens)
}

fn signed(claims: &Value, secret: &[u8]) -> Vec<u8> {
    let key = EncodingKey::from_secret(secret);
    let token = jsonwebtoken::encode(&Header::default(), claims, &key);
    token.unwrap().into_bytes()
}

fn shown(tokens: &mut Tokens, claims: &Value) -> Result<Principal, &'static str> {
    tokens.check(&signed(claims, SECRET))
}

#[test]
fn each_key_opens_what_it_has_signed_and_nothing_else() {
    for (keys, opens) in [
        ("rsa.pub", &["rs256.jwt"][..]),
        ("ec.pub", &["es256.jwt"]),
        ("jwks.json", &["rs256.jwt", "es256.jwt"]),
    ] {
        let keys = Some(golden(keys));
        let rules = TokenRules { keys, ..rules() };
        let mut tokens = Tokens::open(rules, Arc::new(At(1000))).unwrap();
        for token in ["rs256.jwt", "es256.jwt", "hs256.jwt", "confused.jwt"] {
            let who = tokens.check(&fs::read(golden(token)).unwrap());
            assert_eq!(who.is_ok(), opens.contains(&token), "{token}: {who:?}");
        }
    }
    let (_dir, mut tokens) = shared(rules());
    let who = tokens
        .check(&fs::read(golden("hs256.jwt")).unwrap())
        .unwrap();
    assert_eq!(&*who.name, "ada");
    assert!(
        tokens
            .check(&fs::read(golden("rs256.jwt")).unwrap())
            .is_err()
    );
}

#[test]
fn a_token_that_was_changed_or_says_that_it_needs_no_signature_shows_nobody() {
    let (_dir, mut tokens) = shared(rules());
    let token = signed(&json!({ "sub": "ada", "exp": 2000 }), SECRET);
    assert!(tokens.check(&token).is_ok());
    for place in 0..token.len() {
        let mut changed = token.clone();
        changed[place] ^= 1;
        assert!(tokens.check(&changed).is_err(), "{place}");
        assert!(tokens.check(&token[..place]).is_err(), "{place}");
    }
    // {"alg":"none"}.{"sub":"ada","exp":2000}.
    let none = b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjIwMDB9.";
    assert!(tokens.check(none).is_err());
    let foreign = signed(&json!({ "sub": "ada", "exp": 2000 }), &[7; 32]);
    assert!(tokens.check(&foreign).is_err());
}

#[test]
fn a_token_counts_from_its_beginning_to_its_end() {
    let (_dir, mut tokens) = shared(rules());
    for (claims, counts) in [
        (json!({ "sub": "a", "exp": 996 }), true),
        (json!({ "sub": "a", "exp": 995 }), false),
        (json!({ "sub": "a", "exp": 1000.5 }), true),
        (json!({ "sub": "a", "exp": 2000, "nbf": 1005 }), true),
        (json!({ "sub": "a", "exp": 2000, "nbf": 1006 }), false),
        (json!({ "sub": "a", "exp": 2000, "nbf": "1000" }), false),
        (json!({ "sub": "a", "exp": "2000" }), false),
        (json!({ "sub": "a", "exp": -1 }), false),
        (json!({ "sub": "a", "exp": null }), false),
        (json!({ "sub": "a" }), false),
    ] {
        assert_eq!(shown(&mut tokens, &claims).is_ok(), counts, "{claims}");
    }
}

#[test]
fn issuer_audience_user_and_client_are_asked_for_where_the_rules_do() {
    let rules = TokenRules {
        user: "name".to_owned(),
        client: Some("device".to_owned()),
        acl: Some("acl".to_owned()),
        issuer: Some("us".to_owned()),
        audience: Some("mesh".to_owned()),
        ..rules()
    };
    let (_dir, mut tokens) = shared(rules);
    let right = json!({ "name": "ada", "device": "pump", "exp": 2000, "iss": "us",
        "aud": ["x", "mesh"], "acl": [{ "allow": "publish", "at": "a" }] });
    let who = shown(&mut tokens, &right).unwrap();
    let token = who.token().unwrap();
    assert_eq!((&*who.name, token.client.as_deref()), ("ada", Some("pump")));
    assert_eq!(token.ends, Some(Timestamp(2_000_000)));
    let grants = token.grants.as_deref().unwrap();
    assert_eq!(grants, br#"{"rules":[{"allow":"publish","at":"a"}]}"#);
    for (claim, value) in [
        ("name", json!(7)),
        ("name", Value::Null),
        ("name", json!("")),
        ("device", json!(["pump"])),
        ("iss", json!("them")),
        ("aud", json!("other")),
        ("aud", json!(["other"])),
    ] {
        let mut wrong = right.clone();
        wrong[claim] = value;
        assert!(shown(&mut tokens, &wrong).is_err(), "{wrong}");
        wrong.as_object_mut().unwrap().remove(claim);
        assert!(shown(&mut tokens, &wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_file_that_changes_is_read_again_and_one_that_is_damaged_changes_nothing() {
    let (dir, mut tokens) = shared(rules());
    let claims = json!({ "sub": "ada", "exp": 2000 });
    let (old, new) = (signed(&claims, SECRET), signed(&claims, &[b'n'; 40]));
    assert!(tokens.check(&old).is_ok() && tokens.check(&new).is_err());
    let path = dir.path().join("secret");
    fs::write(&path, [b'n'; 40]).unwrap();
    assert!(tokens.check(&old).is_err() && tokens.check(&new).is_ok());
    fs::write(&path, b"short").unwrap();
    assert!(tokens.check(&new).is_ok());
    fs::remove_file(&path).unwrap();
    assert!(tokens.check(&new).is_ok());
}

#[test]
fn what_holds_no_key_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let clock = || Arc::new(At(1000));
    let keys = TokenRules {
        keys: Some(path.clone()),
        ..rules()
    };
    let secret = TokenRules {
        secret: Some(path.clone()),
        ..rules()
    };
    assert!(Tokens::open(keys.clone(), clock()).is_err(), "missing");
    for (rules, file) in [
        (&keys, &b"{}"[..]),
        (&keys, br#"{"keys":[]}"#),
        (
            &keys,
            b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        ),
        (&keys, SECRET),
        (&secret, &SECRET[1..]),
    ] {
        fs::write(&path, file).unwrap();
        assert!(Tokens::open(rules.clone(), clock()).is_err(), "{file:?}");
    }
}
