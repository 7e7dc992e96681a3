//! Files of golden bytes: what is in `golden/` is what was shipped.

use std::path::Path;

/// Bytes as a golden file shows them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Holds what was found against a golden file, line by line; `CAPSTAN_GOLDEN=1` writes the file anew.
pub(crate) fn compare(file: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    if std::env::var_os("CAPSTAN_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (golden, found) in golden.lines().zip(found.lines()) {
        assert_eq!(found, golden, "stored bytes have changed");
    }
    assert_eq!(found.lines().count(), golden.lines().count(), "{file} lacks lines, or has too many");
}
