//! Reads a directory of request specs.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use capstan_model::spec::{SpecError, Specs};
use xxhash_rust::xxh3::Xxh3;

/// Why a directory gives no specs.
#[derive(Debug, thiserror::Error)]
pub enum SpecsDirError {
    /// A file or folder cannot be read, or is no text.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The specs are wrong; one finding a line, warnings among them.
    #[error("the request specs have errors:{}", listed(.0))]
    Wrong(Vec<SpecError>),
}

fn listed(findings: &[SpecError]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}

/// The specs of a directory.
#[derive(Debug)]
pub struct SpecsDir {
    /// What the files say.
    pub specs: Specs,
    /// Equal on two nodes when their files have the same names and content.
    pub hash: u128,
}

/// Loads every file below `directory` whose name ends in `.yaml`, in any case. Links to files are followed, links to
/// folders are not, as in Spin Cycle. Files are named by their path within the directory.
///
/// # Errors
/// Something cannot be read, or a spec is wrong: then none is loaded.
pub fn load(directory: &Path) -> Result<SpecsDir, SpecsDirError> {
    let mut files = Vec::new();
    collect(directory, directory, &mut files)?;
    files.sort();
    let hash = hash(&files);
    let specs = Specs::load(files).map_err(SpecsDirError::Wrong)?;
    Ok(SpecsDir { specs, hash })
}

fn hash(files: &[(String, String)]) -> u128 {
    let mut hasher = Xxh3::new();
    for text in files.iter().flat_map(|(name, text)| [name, text]) {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.digest128()
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) -> Result<(), SpecsDirError> {
    let failed = |path: &Path, source| SpecsDirError::Read { path: path.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(|source| failed(folder, source))? {
        let entry = entry.map_err(|source| failed(folder, source))?;
        let path = entry.path();
        if entry.file_type().map_err(|source| failed(&path, source))?.is_dir() {
            collect(root, &path, files)?;
        } else if is_spec(&path) {
            let text = fs::read_to_string(&path).map_err(|source| failed(&path, source))?;
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            files.push((name, text));
        }
    }
    Ok(())
}

fn is_spec(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("yaml")) && !path.is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = "sequences:\n  NAME:\n    request: true\n    args: {}\n    nodes:\n      one:\n        category: job\n        type: noop\n        args: []\n        sets: []\n        deps: []\n";

    #[test]
    fn files_are_found_in_every_folder_and_others_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("more")).unwrap();
        fs::write(directory.path().join("a.yaml"), SPEC.replace("NAME", "first")).unwrap();
        fs::write(directory.path().join("more/b.YAML"), SPEC.replace("NAME", "second")).unwrap();
        fs::write(directory.path().join("c.yml"), SPEC.replace("NAME", "third")).unwrap();
        std::os::unix::fs::symlink(directory.path(), directory.path().join("circle")).unwrap();
        fs::write(directory.path().join("README.md"), "no spec").unwrap();
        let specs = load(directory.path()).unwrap().specs;
        assert!(specs.sequence("first").is_some() && specs.sequence("second").is_some());
        assert_eq!(specs.sequences().count(), 2);
    }

    #[test]
    fn the_hash_tells_names_and_content() {
        let hash_of = |name: &str, text: &str| {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join(name), text).unwrap();
            load(directory.path()).unwrap().hash
        };
        let spec = SPEC.replace("NAME", "first");
        assert_eq!(hash_of("a.yaml", &spec), hash_of("a.yaml", &spec));
        assert_ne!(hash_of("a.yaml", &spec), hash_of("b.yaml", &spec));
        assert_ne!(hash_of("a.yaml", &spec), hash_of("a.yaml", &format!("{spec}\n")));
    }

    #[test]
    fn a_wrong_file_is_named_within_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("more")).unwrap();
        fs::write(directory.path().join("more/bad.yaml"), "sequences: [").unwrap();
        let error = load(directory.path()).unwrap_err().to_string();
        assert!(error.contains("\n  more/bad.yaml"), "{error}");
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = load(Path::new("/no/such")).unwrap_err().to_string();
        assert!(error.contains("cannot read /no/such"), "{error}");
    }
}
