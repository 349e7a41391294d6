//! The rules of the node and their order; the rules themselves are rooms beside this one.
//!
//! Begin with [`Rules`]. A rule is added by one line in [`Rules::over`]: earlier ones are asked
//! first, and the first `No` wins.

use std::fmt;
use std::io;
use std::sync::Arc;

use fairlead_acl::Acl;
pub use fairlead_authn::{Anonymous, TokenRules};
use fairlead_authn::{Authn, Verifier};
use fairlead_canon::Principal;
use fairlead_ports::{Action, Clock, ConnInfo, Directory, Entropy, Login, Policy, Verdict};

/// What the rules stand on, before there is a directory to ask.
pub struct Rules {
    anonymous: Anonymous,
    entropy: Arc<dyn Entropy>,
    verifier: Verifier,
}

impl Rules {
    /// Starts what the rules need: the thread that checks passwords, and tokens by these rules.
    pub fn start(
        anonymous: Anonymous,
        entropy: Arc<dyn Entropy>,
        tokens: Option<(TokenRules, Arc<dyn Clock>)>,
    ) -> io::Result<Self> {
        let verifier = Verifier::start(&*entropy, tokens)?;
        Ok(Self {
            anonymous,
            entropy,
            verifier,
        })
    }

    /// All rules over these users, in order.
    pub fn over(self, directory: Arc<dyn Directory>) -> Arc<dyn Policy> {
        let acl = Acl::new(Arc::clone(&directory));
        let authn = Authn::new(self.anonymous, directory, self.entropy, self.verifier);
        Arc::new(Stack(vec![Box::new(authn), Box::new(acl)]))
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("anonymous", &self.anonymous)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Stack(Vec<Box<dyn Policy>>);

impl Policy for Stack {
    fn name(&self) -> &'static str {
        "stack"
    }

    fn admit(&self, who: &Principal, action: &Action<'_>) -> Verdict {
        let mut first = Verdict::Yes;
        for rule in &self.0 {
            match rule.admit(who, action) {
                Verdict::Part(why) if first == Verdict::Yes => first = Verdict::Part(why),
                Verdict::Yes | Verdict::Part(_) => {}
                no @ Verdict::No(_) => return no,
            }
        }
        first
    }

    fn mechanisms(&self, conn: &ConnInfo) -> &'static [&'static str] {
        let mut offers = self.0.iter().map(|rule| rule.mechanisms(conn));
        offers.find(|offer| !offer.is_empty()).unwrap_or_default()
    }

    fn login(&self, conn: &ConnInfo, mechanism: &str) -> Option<Box<dyn Login>> {
        self.0.iter().find_map(|rule| rule.login(conn, mechanism))
    }
}

#[cfg(test)]
mod tests {
    use fairlead_ports::Denied;

    use super::*;

    #[derive(Debug)]
    struct Says(Verdict, &'static [&'static str]);

    impl Policy for Says {
        fn name(&self) -> &'static str {
            "says"
        }
        fn admit(&self, _: &Principal, _: &Action<'_>) -> Verdict {
            self.0.clone()
        }
        fn mechanisms(&self, _: &ConnInfo) -> &'static [&'static str] {
            self.1
        }
    }

    fn no(why: &'static str) -> Verdict {
        Verdict::No(denied(why))
    }

    fn part(why: &'static str) -> Verdict {
        Verdict::Part(denied(why))
    }

    fn denied(why: &'static str) -> Denied {
        Denied {
            policy: "says",
            why,
        }
    }

    fn stack<const N: usize>(rules: [Says; N]) -> Stack {
        Stack(rules.map(|rule| Box::new(rule) as Box<dyn Policy>).into())
    }

    #[test]
    fn the_first_no_wins_then_the_first_part_and_only_yes_from_all_is_yes() {
        let who = Principal::anonymous();
        let ask = |stack: Stack| stack.admit(&who, &Action::Declare("x"));
        let yes = || Says(Verdict::Yes, &[]);
        let deny = |why| Says(no(why), &[]);
        assert_eq!(ask(stack([yes(), yes()])), Verdict::Yes);
        assert_eq!(ask(stack([yes(), deny("b"), deny("c")])), no("b"));
        let narrow = |why| Says(part(why), &[]);
        assert_eq!(ask(stack([yes(), narrow("b"), narrow("c")])), part("b"));
        assert_eq!(ask(stack([narrow("b"), yes(), deny("c")])), no("c"));
    }

    #[test]
    fn logins_are_those_of_the_first_rule_that_has_any() {
        let conn = ConnInfo {
            id: 1,
            peer: "127.0.0.1:1".parse().unwrap(),
            local: "127.0.0.1:2".parse().unwrap(),
            listener: "test".into(),
            is_tls: false,
            certificate_name: None,
        };
        let rules = stack([Says(Verdict::Yes, &[]), Says(Verdict::Yes, &["PLAIN"])]);
        assert_eq!(rules.mechanisms(&conn), ["PLAIN"]);
        assert!(rules.login(&conn, "PLAIN").is_none());
    }
}
