//! Asking for a passphrase at the terminal, without showing it.
//!
//! The terminal is read key by key, with its signals off: whoever gives up with Ctrl-C gets the terminal
//! back as it was, echo included.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

use crate::exit::Failure;

/// Longer lines are no passphrases.
const MAX_LEN: usize = 4096;

/// Asks with `question`, and returns what was typed, without its end.
pub(crate) fn ask(question: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let path = Path::new("/dev/tty");
    let failed = |error: &io::Error| Failure::io("ask at", path, error);
    let tty =
        OpenOptions::new().read(true).write(true).open(path).map_err(|error| failed(&error))?;
    let quiet = Quiet::begin(&tty).map_err(|error| failed(&error))?;
    let line = write_all(&tty, question).and_then(|()| read_line(&tty));
    drop(quiet);
    write_all(&tty, "\n").map_err(|error| failed(&error))?;
    match line.map_err(|error| failed(&error))? {
        Some(line) => Ok(line),
        None => Err(Failure::usage("no passphrase was given").advise("nothing was changed")),
    }
}

fn write_all(mut tty: &File, text: &str) -> io::Result<()> {
    tty.write_all(text.as_bytes())
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Quiet<'t> {
    tty: &'t File,
    before: Termios,
}

impl<'t> Quiet<'t> {
    fn begin(tty: &'t File) -> io::Result<Self> {
        let before = tcgetattr(tty)?;
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        // What was typed ahead may be part of it, and stays.
        tcsetattr(tty, OptionalActions::Drain, &quiet)?;
        Ok(Self { tty, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing put back.
        tcsetattr(self.tty, OptionalActions::Drain, &self.before).unwrap_or(());
    }
}

/// Reads what is typed up to the end of the line; `None` if its user gives up.
fn read_line(mut from: impl Read) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    const INTERRUPT: u8 = 0x03;
    const END: u8 = 0x04;
    const QUIT: u8 = 0x1c;
    const KILL_LINE: u8 = 0x15;
    // It never grows, and so leaves no copy behind.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LEN));
    let mut key = Zeroizing::new([0; 1]);
    loop {
        match from.read(&mut *key) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        match key[0] {
            b'\n' | b'\r' => return Ok(Some(line)),
            INTERRUPT | QUIT => return Ok(None),
            END if line.is_empty() => return Ok(None),
            END => {}
            KILL_LINE => line.clear(),
            // Takes back a whole character, of however many bytes.
            0x7f | 0x08 => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            _ if line.len() == MAX_LEN => return Ok(None),
            byte => line.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_edited_as_at_any_terminal() {
        let typed = |keys: &[u8]| read_line(keys).unwrap().map(|line| line.to_vec());
        for (keys, line) in [
            (&b"sesame\n"[..], Some(&b"sesame"[..])),
            (b"sesame\rmore", Some(b"sesame")),
            (b"sesasx\x7f\x08me\n", Some(b"sesame")),
            ("sesé\x7fame\n".as_bytes(), Some(b"sesame")),
            (b"\x7f\x7fsesame\n", Some(b"sesame")),
            (b"wrong\x15sesame\n", Some(b"sesame")),
            (b"two words \n", Some(b"two words ")),
            (b"ses\x04ame\n", Some(b"sesame")),
            (b"\n", Some(b"")),
            (b"\x04", None),
            (b"sesame\x03\n", None),
            (b"sesame\x1c\n", None),
            (b"sesame", None),
            (&[b'x'; 5000], None),
        ] {
            assert_eq!(typed(keys).as_deref(), line, "{keys:?}");
        }
    }
}
