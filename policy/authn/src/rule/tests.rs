use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::RwLock;
use subtle::ConstantTimeEq;

use super::*;
use crate::keys::{ScramKeys, hmac};

/// Bytes that count up, so that a test gives the same each time.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU8);

impl Entropy for Counter {
    fn fill(&self, out: &mut [u8]) {
        for byte in out {
            *byte = self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[derive(Debug, Default)]
struct Users(RwLock<BTreeMap<Vec<u8>, Bytes>>);

impl Directory for Users {
    fn get(&self, namespace: &str, key: &[u8]) -> Option<Bytes> {
        assert_eq!(namespace, NAMESPACE);
        self.0.read().get(key).cloned()
    }
    fn is_empty(&self, _: &str) -> bool {
        self.0.read().is_empty()
    }
}

impl Users {
    fn add(&self, name: &str, password: &str) {
        let user = User::with_password(password, &Counter::default()).unwrap();
        let json = Bytes::from(user.to_json().unwrap());
        self.0.write().insert(name.into(), json);
    }
}

struct Bench {
    users: Arc<Users>,
    rule: Authn,
}

impl Bench {
    fn new(anonymous: Anonymous) -> Self {
        let users = Arc::new(Users::default());
        let directory = Arc::clone(&users) as Arc<dyn Directory>;
        let entropy = Arc::new(Counter::default());
        let verifier = Verifier::start(&*entropy, None).unwrap();
        let rule = Authn::new(anonymous, directory, entropy, verifier);
        Self { users, rule }
    }

    async fn plain(&self, peer: &str, said: &[u8]) -> Step {
        let mut login = self.rule.login(&conn(peer), "PLAIN").unwrap();
        login.step(said).await
    }
}

fn conn(peer: &str) -> ConnInfo {
    ConnInfo {
        id: 1,
        peer: peer.parse().unwrap(),
        local: "127.0.0.1:1".parse().unwrap(),
        listener: "test".into(),
        is_tls: false,
        certificate_name: None,
    }
}

const LOOPBACK: &str = "127.0.0.1:40000";
const ELSEWHERE: &str = "192.0.2.7:40000";

fn is_anonymous(step: &Step) -> bool {
    matches!(step, Step::Done(who, _) if who.proof == Proof::Anonymous)
}

fn is_user(step: &Step, name: &str) -> bool {
    matches!(step, Step::Done(who, _) if matches!(who.proof, Proof::Password(_)) && &*who.name == name)
}

#[tokio::test]
async fn without_users_the_stock_login_is_anonymous_on_loopback_and_nobody_elsewhere() {
    let bench = Bench::new(Anonymous::Loopback);
    assert!(is_anonymous(
        &bench.plain(LOOPBACK, b"\0guest\0guest").await
    ));
    let elsewhere = bench.plain(ELSEWHERE, b"\0guest\0guest").await;
    assert!(matches!(elsewhere, Step::Refused(_)), "{elsewhere:?}");
    let other = bench.plain(LOOPBACK, b"\0admin\0admin").await;
    assert!(matches!(other, Step::Refused(_)), "{other:?}");
}

#[tokio::test]
async fn who_is_in_stays_while_its_login_would_be_right() {
    let bench = Bench::new(Anonymous::Loopback);
    let stays = |who: &Principal| bench.rule.admit(who, &Action::Stay) == Verdict::Yes;
    let nobody = Principal::anonymous();
    assert!(stays(&nobody));
    bench.users.add("ada", "right");
    assert!(!stays(&nobody), "there is a user");
    let Step::Done(ada, _) = bench.plain(ELSEWHERE, b"\0ada\0right").await else {
        panic!("a login");
    };
    bench.users.add("bob", "other");
    assert!(stays(&ada), "somebody else's matter");
    bench.users.add("ada", "changed");
    assert!(!stays(&ada), "another password");
    let Step::Done(ada, _) = bench.plain(ELSEWHERE, b"\0ada\0changed").await else {
        panic!("a login");
    };
    assert!(stays(&ada));
    bench.users.0.write().remove(&b"ada"[..]);
    assert!(!stays(&ada), "removed");
    assert!(stays(&proven("ada", Proof::Certificate)));
}

#[tokio::test]
async fn the_first_user_closes_the_door_for_everybody_without_proof() {
    let bench = Bench::new(Anonymous::Loopback);
    let who = Principal::anonymous();
    let here = conn(LOOPBACK);
    assert_eq!(
        bench.rule.admit(&who, &Action::Connect(&here)),
        Verdict::Yes
    );
    assert!(bench.rule.mechanisms(&here).contains(&"ANONYMOUS"));
    let mut early = bench.rule.login(&here, "ANONYMOUS").unwrap();

    bench.users.add("ada", "pw");

    let verdict = bench.rule.admit(&who, &Action::Connect(&here));
    assert!(matches!(verdict, Verdict::No(_)), "{verdict:?}");
    assert!(!bench.rule.mechanisms(&here).contains(&"ANONYMOUS"));
    assert!(matches!(early.step(b"").await, Step::Refused(_)));
    let stock = bench.plain(LOOPBACK, b"\0guest\0guest").await;
    assert!(matches!(stock, Step::Refused(_)), "{stock:?}");
}

#[tokio::test]
async fn never_means_never_even_on_loopback() {
    let bench = Bench::new(Anonymous::Never);
    let stock = bench.plain(LOOPBACK, b"\0guest\0guest").await;
    assert!(matches!(stock, Step::Refused(_)), "{stock:?}");
}

#[tokio::test]
async fn a_user_enters_with_its_password_and_no_other_from_anywhere() {
    let bench = Bench::new(Anonymous::Loopback);
    bench.users.add("ada", "correct horse");
    for peer in [LOOPBACK, ELSEWHERE] {
        let right = bench.plain(peer, b"\0ada\0correct horse").await;
        assert!(is_user(&right, "ada"), "{right:?}");
    }
    for wrong in [
        &b"\0ada\0wrong"[..],
        b"\0ada\0",
        b"\0bob\0correct horse",
        b"bob\0ada\0correct horse",
        b"ada\0correct horse",
        b"",
    ] {
        let step = bench.plain(ELSEWHERE, wrong).await;
        assert!(matches!(step, Step::Refused(_)), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_changed_password_locks_the_old_one_out_at_once() {
    let bench = Bench::new(Anonymous::Loopback);
    bench.users.add("ada", "old");
    assert!(is_user(&bench.plain(LOOPBACK, b"\0ada\0old").await, "ada"));
    bench.users.add("ada", "new");
    let old = bench.plain(LOOPBACK, b"\0ada\0old").await;
    assert!(matches!(old, Step::Refused(_)), "{old:?}");
    assert!(is_user(&bench.plain(LOOPBACK, b"\0ada\0new").await, "ada"));
}

#[tokio::test]
async fn a_remembered_password_does_not_wait_for_the_failures_of_a_neighbour() {
    let bench = Bench::new(Anonymous::Loopback);
    bench.users.add("ada", "pw");
    assert!(is_user(&bench.plain(ELSEWHERE, b"\0ada\0pw").await, "ada"));
    let peer = conn(ELSEWHERE).peer.ip();
    for _ in 0..20 {
        let now = tokio::time::Instant::now();
        bench.rule.shared.patience.failed(peer, now);
        bench.rule.shared.patience.reserve(peer, now);
    }
    let guess = bench.plain(ELSEWHERE, b"\0ada\0guess").await;
    assert_eq!(
        guess,
        Step::Refused("too many failed logins from this address")
    );
    assert!(is_user(&bench.plain(ELSEWHERE, b"\0ada\0pw").await, "ada"));
}

/// The client's side, by the RFC.
struct Client {
    bare: String,
    password: &'static str,
}

impl Client {
    fn first(&self) -> String {
        format!("n,,{}", self.bare)
    }

    /// The final message, and the server's signature that must come back.
    fn last(&self, challenge: &str) -> (String, String) {
        let field = |name: &str| {
            let mut fields = challenge.split(',');
            fields.find_map(|field| field.strip_prefix(name)).unwrap()
        };
        let salt = base64_of(field("s="));
        let salted: Sha256Digest = pbkdf2::pbkdf2_hmac_array::<sha2::Sha256, 32>(
            self.password.as_bytes(),
            &salt,
            field("i=").parse().unwrap(),
        );
        let without_proof = format!("c=biws,r={}", field("r="));
        let conversation = format!("{},{challenge},{without_proof}", self.bare);
        let client_key = hmac(&salted, &[b"Client Key"]);
        let stored: Sha256Digest = <sha2::Sha256 as sha2::Digest>::digest(client_key).into();
        let mut proof = hmac(&stored, &[conversation.as_bytes()]);
        proof.iter_mut().zip(client_key).for_each(|(a, b)| *a ^= b);
        let server_key = hmac(&salted, &[b"Server Key"]);
        let signature = hmac(&server_key, &[conversation.as_bytes()]);
        (
            format!("{without_proof},p={}", in_base64(&proof)),
            format!("v={}", in_base64(&signature)),
        )
    }
}

fn base64_of(text: &str) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}

fn in_base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

async fn scram(bench: &Bench, client: &Client) -> (Step, String) {
    let mut login = bench.rule.login(&conn(ELSEWHERE), "SCRAM-SHA-256").unwrap();
    let Step::Continue(challenge) = login.step(client.first().as_bytes()).await else {
        panic!("no challenge");
    };
    let (last, expected) = client.last(std::str::from_utf8(&challenge).unwrap());
    let step = login.step(last.as_bytes()).await;
    let again = login.step(last.as_bytes()).await;
    assert_eq!(again, Step::Refused("the login is over"));
    (step, expected)
}

#[tokio::test]
async fn scram_proves_both_sides_and_refuses_a_wrong_password_and_an_unknown_name() {
    let bench = Bench::new(Anonymous::Loopback);
    bench.users.add("a,d=a", "pencil");
    let right = Client {
        bare: "n=a=2Cd=3Da,r=fyko".into(),
        password: "pencil",
    };
    let (step, expected) = scram(&bench, &right).await;
    let Step::Done(who, last) = step else {
        panic!("{step:?}");
    };
    assert_eq!(&*who.name, "a,d=a");
    assert_eq!(last, expected.as_bytes());

    let wrong = Client {
        bare: "n=a=2Cd=3Da,r=fyko".into(),
        password: "pen",
    };
    let stranger = Client {
        bare: "n=bob,r=fyko".into(),
        password: "pencil",
    };
    for client in [wrong, stranger] {
        let (step, _) = scram(&bench, &client).await;
        assert_eq!(step, Step::Refused("unknown user or wrong proof"));
    }
}

#[tokio::test]
async fn a_certificate_is_offered_first_and_speaks_for_itself_alone() {
    let bench = Bench::new(Anonymous::Never);
    let certified = ConnInfo {
        certificate_name: Some("pump-7".into()),
        ..conn(ELSEWHERE)
    };
    assert_eq!(bench.rule.mechanisms(&certified)[0], "EXTERNAL");
    let mut login = bench.rule.login(&certified, "EXTERNAL").unwrap();
    for act_for in [&b""[..], b"pump-7"] {
        let Step::Done(who, _) = login.step(act_for).await else {
            panic!("not let in");
        };
        assert_eq!((&*who.name, who.proof), ("pump-7", Proof::Certificate));
    }
    let other = login.step(b"pump-8").await;
    assert_eq!(other, Step::Refused("a certificate of another name"));
    assert!(bench.rule.login(&conn(ELSEWHERE), "EXTERNAL").is_none());
}

#[tokio::test]
async fn scram_refuses_what_is_not_scram() {
    let bench = Bench::new(Anonymous::Loopback);
    for wrong in [
        &b""[..],
        b"n,,",
        b"n,,n=,r=x",
        b"n,,n=a=2Xb,r=x",
        b"n,,n=ada",
        b"p=tls-unique,,n=ada,r=x",
        b"n,a=bob,n=ada,r=x",
        b"\xff\xff",
    ] {
        let mut login = bench.rule.login(&conn(LOOPBACK), "SCRAM-SHA-256").unwrap();
        let step = login.step(wrong).await;
        assert!(matches!(step, Step::Refused(_)), "{wrong:?} gave {step:?}");
    }
}

/// RFC 7677, section 3: the keys of its example prove its example's messages.
#[test]
fn the_example_of_the_rfc_holds() {
    let salt = base64_of("W22ZaJ0SNY7soEsUEjb6gQ==");
    let salted = pbkdf2::pbkdf2_hmac_array::<sha2::Sha256, 32>(b"pencil", &salt, 4096);
    let client_key = hmac(&salted, &[b"Client Key"]);
    let stored: Sha256Digest = <sha2::Sha256 as sha2::Digest>::digest(client_key).into();
    let conversation = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
        r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
        c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let keys: ScramKeys = serde_json::from_value(serde_json::json!({
        "salt": "W22ZaJ0SNY7soEsUEjb6gQ==",
        "iterations": 4096,
        "stored_key": in_base64(&stored),
        "server_key": in_base64(&hmac(&salted, &[b"Server Key"])),
    }))
    .unwrap();
    let proof = base64_of("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    let signature = keys
        .check(conversation.as_bytes(), &proof.try_into().unwrap())
        .unwrap();
    assert!(bool::from(signature.ct_eq(
        &base64_of("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")[..]
    )));
}

#[tokio::test(start_paused = true)]
async fn a_token_stands_for_a_password_of_the_user_it_names() {
    #[derive(Debug)]
    struct Early;
    impl fairlead_ports::Clock for Early {
        fn wall(&self) -> fairlead_canon::Timestamp {
            fairlead_canon::Timestamp(1)
        }
    }
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/token/golden");
    let rules = crate::TokenRules {
        keys: Some(golden.join("jwks.json")),
        secret: None,
        user: "sub".to_owned(),
        client: None,
        acl: None,
        issuer: None,
        audience: None,
        disconnects: false,
    };
    let entropy = Arc::new(Counter::default());
    let verifier = Verifier::start(&*entropy, Some((rules, Arc::new(Early)))).unwrap();
    let users = Arc::new(Users::default());
    let rule = Authn::new(Anonymous::Never, users, entropy, verifier);
    let token = std::fs::read(golden.join("es256.jwt")).unwrap();
    for (name, fits) in [("ada", true), ("", true), ("bob", false)] {
        let said = [b"\0", name.as_bytes(), b"\0", &*token].concat();
        let mut login = rule.login(&conn(ELSEWHERE), "PLAIN").unwrap();
        let step = login.step(&said).await;
        let is_ada = matches!(&step, Step::Done(who, _) if &*who.name == "ada");
        assert_eq!(is_ada, fits, "{step:?}");
    }
}

#[test]
fn a_client_calls_itself_as_its_token_says() {
    let bench = Bench::new(Anonymous::Never);
    let token = fairlead_canon::Token {
        client: Some(Text::from_static("pump")),
        ..fairlead_canon::Token::default()
    };
    for (client, may) in [("pump", true), ("pump2", false), ("", false)] {
        let who = Principal {
            client: Text::from_static(client),
            ..proven("ada", Proof::Token(Arc::new(token.clone())))
        };
        let verdict = bench.rule.admit(&who, &Action::Connect(&conn(ELSEWHERE)));
        assert_eq!(verdict == Verdict::Yes, may, "{client}");
    }
}
