//! `store selfcheck`: does an object store keep what class `object` rests on?

use std::io::{self, Write};

use fairlead_backends::{Finding, LogId, self_check};
use fairlead_ports::Entropy;

use super::printed;
use crate::cli::SelfCheck;
use crate::exit::Failure;
use crate::node::objects;
use crate::system::SystemEntropy;

pub(super) fn run(check: &SelfCheck) -> Result<(), Failure> {
    let what = format!("cannot check {}", check.url);
    let objects = objects(&check.url)?;
    let mut scratch = LogId([0; 16]);
    let entropy = SystemEntropy::new().map_err(Failure::of(&*what))?;
    entropy.fill(&mut scratch.0);
    let findings = self_check(&objects, scratch, check.rounds).map_err(Failure::of(what))?;
    printed(print(&mut io::stdout().lock(), check.rounds, &findings))?;
    if findings.is_empty() {
        return Ok(());
    }
    let broken = format!("{} must not be used: it breaks its promises", check.url);
    Err(Failure::Refused(broken))
}

fn print(out: &mut impl Write, rounds: u32, findings: &[Finding]) -> io::Result<()> {
    for finding in findings {
        writeln!(out, "BROKEN {finding}")?;
    }
    if findings.is_empty() {
        writeln!(
            out,
            "passed: {rounds} rounds of 16 concurrent creates had one winner each, and ranges, lists and \
             deletes were exact. It is not obviously broken; that is all this can show"
        )?;
    }
    Ok(())
}
