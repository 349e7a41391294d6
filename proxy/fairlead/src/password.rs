//! A password from a file, a prompt, or standard input; never from the command line, which every
//! process of the machine can read.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Stdin, Write};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::exit::Failure;

/// The password, without the end of its line.
pub(crate) fn read(file: Option<&Path>) -> Result<String, Failure> {
    if let Some(file) = file {
        let what = format!("cannot read {}", file.display());
        let text = fs::read_to_string(file).map_err(Failure::of(what))?;
        return Ok(first_line(&text));
    }
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return line(&stdin).map_err(Failure::of("cannot read the password"));
    }
    let failed = || Failure::of("cannot ask for the password");
    let password = ask(&stdin, "password: ").map_err(failed())?;
    if ask(&stdin, "again: ").map_err(failed())? != password {
        return Err(Failure::Refused("the two passwords differ".to_owned()));
    }
    Ok(password)
}

fn ask(stdin: &Stdin, prompt: &str) -> io::Result<String> {
    let mut terminal = io::stderr().lock();
    terminal.write_all(prompt.as_bytes())?;
    terminal.flush()?;
    let _silence = Silence::begin(stdin)?;
    let said = line(stdin)?;
    terminal.write_all(b"\n")?;
    Ok(said)
}

fn line(stdin: &Stdin) -> io::Result<String> {
    let mut text = String::new();
    stdin.lock().read_line(&mut text)?;
    Ok(first_line(&text))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// What is typed is not shown, until this is dropped.
struct Silence<'a> {
    stdin: &'a Stdin,
    before: Termios,
}

impl<'a> Silence<'a> {
    fn begin(stdin: &'a Stdin) -> io::Result<Self> {
        let before = tcgetattr(stdin)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin, OptionalActions::Flush, &silent)?;
        Ok(Self { stdin, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        tcsetattr(self.stdin, OptionalActions::Flush, &self.before).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_file_is_its_first_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "correct horse\r\nsecond\n").unwrap();
        assert_eq!(read(Some(file.path())).unwrap(), "correct horse");
    }
}
