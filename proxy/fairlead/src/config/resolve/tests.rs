use fairlead_canon::Origin;
use fairlead_kernel::{BadSetting, BoxFuture, Carrier, Closed, Conn, Door, Kernel};

use super::*;

/// A protocol that is only ever configured.
#[derive(Debug)]
struct Named(&'static str, u8);

const DOORS: [Door; 3] = [
    Door {
        port: 7003,
        is_tls: false,
        carrier: Carrier::WebSocket(&["words"]),
    },
    Door {
        port: 7001,
        is_tls: false,
        carrier: Carrier::Stream,
    },
    Door {
        port: 7002,
        is_tls: true,
        carrier: Carrier::Stream,
    },
];

impl Translator for Named {
    fn name(&self) -> &'static str {
        self.0
    }
    fn origin(&self) -> Origin {
        Origin(self.1)
    }
    fn doors(&self) -> &'static [Door] {
        &DOORS
    }
    fn example(&self, at: SocketAddr) -> String {
        at.to_string()
    }
    fn configured(
        &self,
        settings: &BTreeMap<String, String>,
    ) -> Result<Arc<dyn Translator>, BadSetting> {
        match settings.first_key_value() {
            Some((key, value)) if key == "lanes" && value == "3" => Ok(Arc::new(Self(self.0, 3))),
            first => Err(BadSetting {
                key: first.map(|(key, _)| key.clone()).unwrap_or_default(),
                why: "is not 3",
            }),
        }
    }
    fn serve(&self, _: Conn, _: Arc<Kernel>) -> BoxFuture<'static, Closed> {
        Box::pin(std::future::pending())
    }
}

fn parse(text: &str) -> Result<Config, Fault> {
    let translators: [Arc<dyn Translator>; 2] =
        [Arc::new(Named("left", 1)), Arc::new(Named("right", 2))];
    Config::parse(text, &translators)
}

/// What a bad text is told, and the part of it that is pointed at.
fn fault(text: &str) -> (String, &str) {
    let fault = parse(text).unwrap_err();
    (fault.what, text.get(fault.at).unwrap())
}

#[test]
fn without_a_word_every_plain_door_is_open_on_loopback_and_nothing_else() {
    let config = parse("").unwrap();
    let binds: Vec<String> = config
        .listeners
        .iter()
        .map(|one| format!("{} {}", one.name, one.bind))
        .collect();
    assert_eq!(binds, ["left 127.0.0.1:7001", "right 127.0.0.1:7001"]);
    assert_eq!(config.admin.bind.to_string(), "127.0.0.1:9080");
    assert_eq!(config.data_dir, PathBuf::from("./data"));
    assert_eq!(config.drain_max, Duration::from_secs(10));
    assert!(config.warnings().is_empty());
}

#[test]
fn settings_of_a_listener_go_to_its_translator_which_judges_them() {
    let listener = "[[listeners]]\ntranslator = 'left'\n";
    let config = parse(&format!("{listener}settings = {{ lanes = 3 }}")).unwrap();
    assert_eq!(config.listeners[0].translator.origin(), Origin(3));
    let text = format!("{listener}settings = {{ lanes = 4 }}");
    assert_eq!(fault(&text), ("lanes: is not 3".to_owned(), "4"));
}

#[test]
fn what_is_said_of_a_translator_holds_for_its_listeners_unless_one_says_otherwise() {
    let all = "[translators.left]\nlanes = 3\n";
    let origin = |text: &str| parse(text).unwrap().listeners[0].translator.origin();
    assert_eq!(origin(all), Origin(3), "the plain door");
    let listener = "[[listeners]]\ntranslator = 'left'\n";
    assert_eq!(origin(&format!("{all}{listener}")), Origin(3));
    let own = format!("{all}{listener}settings = {{ lanes = 4 }}");
    assert_eq!(fault(&own), ("lanes: is not 3".to_owned(), "4"));
    let own = format!("[translators.left]\nlanes = 4\n{listener}");
    assert_eq!(fault(&own), ("lanes: is not 3".to_owned(), "4"));
    let stray = fault("[translators.middle]\nlanes = 3");
    assert_eq!(stray.0, "no such translator: there are left, right");
}

#[test]
fn a_setting_of_several_lines_is_a_list() {
    let listener = "[[listeners]]\ntranslator = 'left'\n";
    let lines = format!("{listener}settings = {{ lanes = ['3'] }}");
    assert!(parse(&lines).is_ok());
    let lines = format!("{listener}settings = {{ lanes = ['3', '3'] }}");
    assert_eq!(fault(&lines).0, "lanes: is not 3");
}

#[test]
fn a_listener_with_tls_has_its_own_name_and_usual_port() {
    let config = parse(
        "[[listeners]]\ntranslator = 'left'\n[[listeners]]\ntranslator = 'left'\ntls = 'own'\n\
         [tls]\nown = { certificate = 'c.pem', key = 'k.pem' }",
    )
    .unwrap();
    let [plain, secure] = &config.listeners[..] else {
        panic!("{config:?}");
    };
    assert_eq!((&*plain.name, plain.bind.port()), ("left", 7001));
    assert_eq!((&*secure.name, secure.bind.port()), ("left-tls", 7002));
    assert!(secure.identity.is_some());
}

#[test]
fn a_listener_over_websocket_has_its_own_name_and_usual_port() {
    let text = "[[listeners]]\ntranslator = 'left'\ntransport = 'websocket'\n";
    let config = parse(text).unwrap();
    let [listener] = &config.listeners[..] else {
        panic!("{config:?}");
    };
    assert_eq!(
        (&*listener.name, listener.bind.port()),
        ("left-websocket", 7003)
    );
    assert_eq!(listener.carrier, Carrier::WebSocket(&["words"]));
    let text = format!("{text}tls = 'own'\n[tls]\nown = {{ certificate = 'c', key = 'k' }}");
    assert_eq!(fault(&text).1, "'left'");
}

#[test]
fn load_balancers_are_named_by_network() {
    let listener = "[[listeners]]\ntranslator = 'left'\n";
    let config = parse(&format!("{listener}proxies = ['10.0.0.0/8', '::1']")).unwrap();
    assert!(config.listeners[0].proxies[0].contains([10, 1, 1, 1].into()));
    let text = format!("{listener}proxies = ['10.0.0.0/8', 'front']");
    assert_eq!(fault(&text).1, "'front'");
}

#[test]
fn a_client_is_named_by_its_certificate() {
    let config = parse(
        "[[listeners]]\ntranslator = 'left'\ntls = 'own'\n[tls]\n\
         own = { certificate = 'c', key = 'k', clients = 'ca', client_name = 'cn' }",
    )
    .unwrap();
    let clients = config.listeners[0]
        .identity
        .as_ref()
        .unwrap()
        .clients
        .as_ref();
    assert_eq!(clients.unwrap().name_from, NameFrom::Common);
}

#[test]
fn an_unknown_key_is_pointed_at() {
    let (what, at) = fault("[node]\nthreadz = 2\n");
    assert_eq!(at, "threadz");
    assert!(what.contains("unknown field"), "{what}");
}

#[test]
fn an_unknown_translator_is_pointed_at_and_the_known_ones_are_named() {
    let (what, at) = fault("[[listeners]]\ntranslator = 'up'\n");
    assert_eq!(at, "'up'");
    assert_eq!(what, "no such translator: there are left, right");
}

#[test]
fn a_certificate_must_be_in_the_file() {
    let (what, at) = fault("[[listeners]]\ntranslator = 'left'\ntls = 'own'\n");
    assert_eq!((&*what, at), ("is not in [tls]", "'own'"));
}

#[test]
fn two_listeners_cannot_have_one_name() {
    let (what, at) =
        fault("[[listeners]]\ntranslator = 'left'\n[[listeners]]\ntranslator = 'left'\n");
    assert_eq!(at, "'left'");
    assert!(what.contains("another listener is called"), "{what}");
    let (_, at) = fault("[[listeners]]\ntranslator = 'left'\nname = 'admin'\n");
    assert_eq!(at, "'left'");
}

#[test]
fn numbers_hold_at_their_limits_and_fail_one_past_them() {
    assert!(parse("[node]\nthreads = 256\ndrain_ms = 0\n").is_ok());
    assert_eq!(
        fault("[node]\nthreads = 257\n"),
        ("between 1 and 256".into(), "257")
    );
    assert_eq!(fault("[node]\nthreads = 0\n").1, "0");
    assert_eq!(fault("[node]\ndrain_ms = 600001\n").1, "600001");
    assert_eq!(fault("[limits]\nmemory_bytes = 1\n").1, "1");
}

#[test]
fn an_address_that_is_none_is_refused_where_it_stands() {
    let (_, at) = fault("[[listeners]]\ntranslator = 'left'\nbind = 'localhost'\n");
    assert!(at.contains("localhost"), "{at}");
}

#[test]
fn a_plain_listener_on_the_network_is_warned_about() {
    let config = parse("[[listeners]]\ntranslator = 'left'\nbind = '0.0.0.0:1'\n").unwrap();
    let warnings = config.warnings();
    assert!(warnings[0].contains("without TLS"), "{warnings:?}");
}

#[test]
fn a_weaker_promise_is_kept_by_name_only_and_warned_of() {
    assert_eq!(parse("").unwrap().store.sync, SyncMode::Always);
    let config = parse("[store]\nsync = 'interval'\nfree_percent_min = 0\n").unwrap();
    assert_eq!(config.store.sync, SyncMode::Interval);
    assert_eq!(config.store.spare.percent, 0);
    assert_eq!(config.store.spare.percent_bytes_max, u64::MAX);
    assert!(
        config.warnings()[0].contains("power cut"),
        "{:?}",
        config.warnings()
    );
    assert!(parse("[store]\nsync = 'never'\n").is_err());
    assert!(parse("[store]\nlog_bytes_max = 1\n").is_err());
}

#[test]
fn tokens_are_believed_where_keys_are_named() {
    assert!(parse("").unwrap().tokens.is_none());
    let tokens = parse("[auth.jwt]\nkeys = 'k.json'\nclient = 'id'").unwrap();
    let tokens = tokens.tokens.unwrap();
    assert_eq!(
        (&*tokens.user, tokens.client.as_deref()),
        ("sub", Some("id"))
    );
    assert_eq!(tokens.keys, Some(PathBuf::from("k.json")));
    let keyless = fault("[auth]\njwt = { user = 'name' }");
    assert_eq!(keyless.0, "needs `keys` or `secret`");
}
