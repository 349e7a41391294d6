//! One `acl_file` in mosquitto and, imported, in Fairlead: the same clients are answered alike and hear the same.

use std::fs;
use std::path::Path;
use std::process::Command;

use fairlead_tests::{Mosquitto, Node, Running, tools};
use tempfile::TempDir;

const ACL: &str = "\
# Every address that is not below is nobody's.
topic readwrite nobody/hears/this

user ada
topic read open/#
topic write open/+
topic deny open/secret
topic read +

user boss
topic readwrite #

pattern read devices/%c/#
pattern write devices/%u/state
pattern deny devices/%c/secret
pattern read end
";

/// Who logs in, each with the same password.
const USERS: [&str; 3] = ["ada", "bob", "boss"];

/// What the boss publishes: once retained, before anybody listens, and then to everybody who does.
const TOPICS: [&str; 9] = [
    "open",
    "open/1",
    "open/secret",
    "open/1/2",
    "devices/ada-1/cmd",
    "devices/ada-1/secret",
    "devices/ada-2/cmd",
    "single",
    "other/1",
];

/// Who subscribes to what, at which QoS.
const FILTERS: [Asked; 16] = [
    ("ada", "#", "0"),
    ("ada", "#", "1"),
    ("ada", "#", "2"),
    ("ada", "+", "0"),
    ("ada", "+/+", "1"),
    ("ada", "open/#", "0"),
    ("ada", "open/+", "1"),
    ("ada", "open/1", "0"),
    ("ada", "devices/+/cmd", "1"),
    ("ada", "devices/ada-1/#", "0"),
    ("ada", "$SYS/broker/version", "0"),
    ("ada", "other/+", "1"),
    ("bob", "#", "1"),
    ("bob", "open/#", "0"),
    ("boss", "#", "0"),
    ("boss", "devices/+/secret", "1"),
];

/// Of which nothing is granted: mosquitto lets such a subscription stand and hear nothing, Fairlead refuses it.
const REFUSED: [Asked; 3] = [
    ("ada", "$SYS/broker/version", "0"),
    ("ada", "other/+", "1"),
    ("bob", "open/#", "0"),
];

/// User, filter, QoS.
type Asked = (&'static str, &'static str, &'static str);

/// Who publishes where.
const WRITES: [(&str, &str); 8] = [
    ("ada", "open/1"),
    ("ada", "open/secret"),
    ("ada", "open/1/2"),
    ("ada", "devices/ada/state"),
    ("ada", "devices/ada-1/state"),
    ("bob", "devices/bob/state"),
    ("bob", "open/1"),
    ("boss", "other/1"),
];

/// A server, as the clients find it.
struct Server<'a>(&'a [&'a str]);

impl Server<'_> {
    /// One of mosquitto's clients, which tells each line at once.
    fn command(&self, program: &str, user: &str, id: &str) -> Command {
        let mut command = Command::new("stdbuf");
        command.args(["-oL", program]).args(self.0);
        command.args(["-V", "5", "-u", user, "-P", "pencil", "-i", id]);
        command
    }

    /// Whether a publish is accepted.
    fn accepts(&self, user: &str, arguments: &[&str]) -> bool {
        let mut command = self.command("mosquitto_pub", user, "writer");
        command.args(["-q", "1", "-m", "x"]).args(arguments);
        let output = command.output().expect("mosquitto's clients are installed");
        assert!(output.status.success(), "{user} {arguments:?}: {output:?}");
        output.stderr.is_empty()
    }

    /// The code that a subscription is answered with, and what comes by it, sorted.
    fn hears(&self, (user, filter, qos): Asked) -> (String, Vec<String>) {
        let mut command = self.command("mosquitto_sub", user, &format!("{user}-1"));
        command.args(["-d", "-q", qos, "-F", "heard %t %r"]);
        command.args(["-t", filter, "-t", "end"]);
        let reader = Running::start(command);
        let (mut answer, mut heard) = (String::new(), Vec::new());
        loop {
            let line = reader.line();
            if let Some(codes) = line.strip_prefix("Subscribed (mid: 1): ") {
                answer = codes.to_owned();
                for topic in TOPICS.into_iter().chain(["end"]) {
                    assert!(self.accepts("boss", &["-t", topic]), "{topic}");
                }
            }
            match line.strip_prefix("heard ") {
                Some("end 0") => break,
                Some(message) => heard.push(message.to_owned()),
                None => {}
            }
        }
        heard.sort();
        (answer, heard)
    }
}

#[test]
fn an_acl_file_of_mosquitto_means_the_same_here() {
    if !tools::ready() || !Mosquitto::is_installed() {
        return;
    }
    let home = TempDir::new().expect("a temporary directory");
    let (users, acl) = (home.path().join("users"), home.path().join("acl"));
    for name in USERS {
        add_user(&users, name);
    }
    fs::write(&acl, ACL).expect("the file is written");
    let (users, acl) = (users.display().to_string(), acl.display().to_string());
    let mosquitto = Mosquitto::start(&format!(
        "allow_anonymous false\npassword_file {users}\nacl_file {acl}\n"
    ));
    let node = Node::new();
    let mesh = node.start();
    for arguments in [["users", "import", &users], ["grants", "import", &acl]] {
        let (status, said) = node.run(&arguments);
        assert!(status.success(), "{said}");
    }
    let socket = mosquitto.socket().display().to_string();
    let port = mesh.port("mqtt");
    let (theirs, ours) = (["--unix", &socket], ["-h", "127.0.0.1", "-p", &port]);
    let (theirs, ours) = (Server(&theirs), Server(&ours));

    for server in [&theirs, &ours] {
        for topic in TOPICS {
            assert!(server.accepts("boss", &["-r", "-t", topic]), "{topic}");
        }
    }
    for (user, topic) in WRITES {
        let accepts = |server: &Server<'_>| server.accepts(user, &["-t", topic]);
        assert_eq!(accepts(&ours), accepts(&theirs), "{user} to {topic}");
    }
    for asked in FILTERS {
        let (answer, heard) = theirs.hears(asked);
        let answer = match REFUSED.contains(&asked) {
            true => format!("135, {}", asked.2),
            false => answer,
        };
        assert_eq!(ours.hears(asked), (answer, heard), "{asked:?}");
    }
}

fn add_user(file: &Path, name: &str) {
    let created = if file.exists() { "-b" } else { "-c" };
    let mut command = Command::new("mosquitto_passwd");
    command
        .args(["-b", created])
        .arg(file)
        .args([name, "pencil"]);
    let output = command.output().expect("mosquitto_passwd is installed");
    assert!(output.status.success(), "{output:?}");
}
