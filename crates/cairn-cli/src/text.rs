//! Bytes, numbers and times as text, for people and for JSON.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeMap};

/// Bytes as text that is safe on a terminal: control characters, backslashes and what is no UTF-8 are
/// escaped, everything else stands as it is.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\'' => text.push(c),
                c => text.extend(c.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// As [`escape`], cut after about `max` bytes, with a word about the rest.
pub(crate) fn escape_short(bytes: &[u8], max: usize) -> String {
    if bytes.len() <= max {
        return escape(bytes);
    }
    // No character is cut in two.
    let cut = (max.saturating_sub(3)..=max).rev().find(|&at| bytes[at] & 0xc0 != 0x80);
    format!("{}… ({} bytes)", escape(&bytes[..cut.unwrap_or(max)]), count(bytes.len() as u64))
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// The bytes that a hexadecimal text means; `None` if it is none.
pub(crate) fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_chunks::<2>();
    let bytes = pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

/// The text that bytes are in JSON; `None` if they are no UTF-8, or hold control characters that JSON
/// would blow up to six bytes each. Then they are written in hexadecimal.
pub(crate) fn json_text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let blown_up = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\n' | b'\r' | b'\t');
    (!bytes.iter().any(blown_up)).then_some(text)
}

/// A key, and a value if there is one, as a JSON object: `key` or `key_hex`, `value` or `value_hex`.
#[derive(Clone, Copy)]
pub(crate) struct EntryJson<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
}

impl Serialize for EntryJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut member = |text, hexadecimal, bytes| match json_text(bytes) {
            Some(string) => map.serialize_entry(text, string),
            None => map.serialize_entry(hexadecimal, &hex(bytes)),
        };
        member("key", "key_hex", self.key)?;
        if let Some(value) = self.value {
            member("value", "value_hex", value)?;
        }
        map.end()
    }
}

/// A number with its thousands apart.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.char_indices() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 file`, `2 files`, `2 keys`, `2 entries`.
pub(crate) fn several(n: u64, thing: &str) -> String {
    match (n, thing.strip_suffix('y').filter(|stem| !stem.ends_with('e'))) {
        (1, _) => format!("1 {thing}"),
        (n, Some(stem)) => format!("{} {stem}ies", count(n)),
        (n, None) => format!("{} {thing}s", count(n)),
    }
}

/// A number of bytes in three digits or so.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if value < 100.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// The number of bytes that `20MiB`, `512KiB`, `1GiB` or a plain number says.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        other => return Err(format!("unknown unit {other:?}: use KiB, MiB or GiB")),
    };
    let number: Result<u64, _> = digits.parse();
    let bytes = number.ok().and_then(|number| number.checked_mul(unit));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| "it is not a size such as 20MiB".into())
}

/// A duration in three digits or so.
pub(crate) fn seconds(duration: Duration) -> String {
    match duration.as_secs_f64() {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 0.1 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 100.0 => format!("{s:.1} s"),
        s => format!("{:.0} min {:02.0} s", (s / 60.0).floor(), s % 60.0),
    }
}

/// How much per second.
pub(crate) fn per_second(n: u64, duration: Duration) -> u64 {
    let micros = duration.as_micros().max(1);
    u64::try_from(u128::from(n) * 1_000_000 / micros).unwrap_or(u64::MAX)
}

/// A time in microseconds since 1970, as the engine keeps it.
#[derive(Clone, Copy)]
pub(crate) struct Time(pub(crate) u64);

impl Time {
    fn timestamp(self) -> Option<jiff::Timestamp> {
        jiff::Timestamp::from_microsecond(i64::try_from(self.0).ok()?).ok()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.timestamp().filter(|_| self.0 > 0) {
            Some(time) => write!(f, "{} UTC", time.strftime("%Y-%m-%d %H:%M:%S")),
            None => f.write_str("an unknown time"),
        }
    }
}

/// As text of RFC 3339, or null.
impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.timestamp().filter(|_| self.0 > 0) {
            Some(time) => serializer.collect_str(&time),
            None => serializer.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_safe_on_a_terminal_and_readable() {
        for (bytes, expected) in [
            (&b"plain 'text' \"here\""[..], "plain 'text' \"here\""),
            ("grün €".as_bytes(), "grün €"),
            (b"\x1b[2J\n\t\\", "\\u{1b}[2J\\n\\t\\\\"),
            (b"\xff\x00a", "\\xff\\0a"),
            ("\u{202e}\u{9b}".as_bytes(), "\\u{202e}\\u{9b}"),
        ] {
            assert_eq!(escape(bytes), expected);
        }
        assert_eq!(escape_short("aé".as_bytes(), 2), "a… (3 bytes)");
        assert_eq!(escape_short(b"abc", 3), "abc");
    }

    #[test]
    fn hexadecimal_comes_back_and_nothing_else_passes() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unhex(hex(&all).as_bytes()), Some(all));
        assert_eq!(unhex(b"AbC0"), Some(vec![0xab, 0xc0]));
        for bad in ["a", "0g", "+1", "0x10", " 1", "é"] {
            assert_eq!(unhex(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn numbers_are_short() {
        for (n, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(n), expected);
        }
        for (n, expected) in
            [(1023, "1023 B"), (1024, "1.0 KiB"), (1 << 20, "1.0 MiB"), (700 << 30, "700 GiB")]
        {
            assert_eq!(size(n), expected);
        }
        assert_eq!(
            (several(1, "entry"), several(2, "entry")),
            ("1 entry".into(), "2 entries".into())
        );
        for (ms, expected) in [(0, "0 µs"), (12, "12.0 ms"), (123, "123 ms"), (90_000, "90.0 s")] {
            assert_eq!(seconds(Duration::from_millis(ms)), expected);
        }
    }
}
