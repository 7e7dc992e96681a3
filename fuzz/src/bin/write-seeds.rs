//! Writes every target's seeds into the corpus, and removes those that are no seeds any more.

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    for target in capstan_fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(b"seed-") {
                fs::remove_file(entry.path())?;
            }
        }
        for seed in (target.seeds)() {
            fs::write(folder.join(format!("seed-{}", seed.name)), seed.bytes)?;
        }
    }
    Ok(())
}
