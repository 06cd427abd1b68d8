//! Bodies of the fuzz targets. Not part of the public interface.

use cairn_log::Digest;

use crate::Manifest;

/// Any text as a manifest, as it is and with the hash made right: what decodes must encode to the same
/// text.
pub fn manifest(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let body = text.rfind("blake3 ").map_or(text, |at| &text[..at]);
    let repaired = format!("{body}blake3 {}\n", Digest::of(body.as_bytes()));
    for text in [text, &repaired] {
        if let Ok(manifest) = Manifest::decode(text) {
            assert_eq!(manifest.encode(), text);
        }
    }
}
