//! Bodies of the fuzz targets. Not part of the public interface.

use std::{
    cell::RefCell,
    io::{self, Cursor, Write},
    rc::Rc,
};

use cairndb::DatabaseKind;

use crate::format::{Entry, Format, Source, Text, of_text, text_sink};

/// Any text in one of the formats that `import` reads: the first byte says which, and whether a key is
/// named. Reading must end, and what it gives must come back when it is exported and read again.
pub fn import_text(input: &[u8]) {
    let Some((&choice, text)) = input.split_first() else { return };
    let formats = [Format::Jsonl, Format::Csv, Format::DbDump];
    let format = formats[usize::from(choice & 0x7f) % formats.len()];
    let key = (choice & 0x80 != 0).then(|| "id".to_owned());
    let Some((entries, is_multimap)) = read(format, text.to_vec(), key) else { return };
    for format in formats {
        let kind = if is_multimap { DatabaseKind::Multimap } else { DatabaseKind::Map };
        let exported = Exported::default();
        let Ok(mut sink) = text_sink(format, kind, "fuzz".into(), exported.clone()) else {
            assert!(is_multimap, "{format:?} holds any entries but those of a multimap");
            continue;
        };
        let put = entries.iter().try_for_each(|entry| sink.put(&entry.key, &entry.value));
        assert!(put.and_then(|()| sink.end()).is_ok(), "memory does not fail");
        drop(sink);
        let text = exported.0.take();
        let again = read(format, text.clone(), None);
        let shown = String::from_utf8_lossy(&text);
        // A dump says of a key only once that it has one value.
        let is_refused = format == Format::DbDump && has_neighbours(&entries) && !is_multimap;
        assert_eq!(again.is_none(), is_refused, "{format:?}: {shown}");
        if let Some((again, _)) = again {
            assert_eq!(again, entries, "{format:?}: {shown}");
        }
    }
}

/// Whether a key comes twice in a row.
fn has_neighbours(entries: &[Entry]) -> bool {
    entries.windows(2).any(|pair| pair[0].key == pair[1].key)
}

/// All entries, and whether a key may have several values; `None` if the text is refused.
fn read(format: Format, text: Vec<u8>, key: Option<String>) -> Option<(Vec<Entry>, bool)> {
    let total = text.len() as u64;
    let text = Text::new("fuzz".into(), Box::new(Cursor::new(text)), Some(total));
    let mut source = of_text(format, text, key).ok()?;
    let entries = std::iter::from_fn(|| next(&mut *source)).collect::<Option<Vec<Entry>>>()?;
    assert_eq!(source.bytes_read(), total, "a text that is accepted was read to its end");
    Some((entries, source.is_multimap()))
}

fn next(source: &mut dyn Source) -> Option<Option<Entry>> {
    source.next().map_or(Some(None), |entry| entry.map(Some))
}

/// A text in memory.
#[derive(Clone, Default)]
struct Exported(Rc<RefCell<Vec<u8>>>);

impl Write for Exported {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
