//! Reads a directory of request specs.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use capstan_model::spec::{SpecError, Specs};

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

/// Loads every `*.yaml` and `*.yml` file below `directory`, links followed, in the order of their paths. Files are named
/// by their path within the directory.
///
/// # Errors
/// Something cannot be read, or a spec is wrong: then none is loaded.
pub fn load(directory: &Path) -> Result<Specs, SpecsDirError> {
    let mut files = Vec::new();
    collect(directory, directory, 0, &mut files)?;
    files.sort();
    Specs::load(files).map_err(SpecsDirError::Wrong)
}

/// How deep folders may nest: deeper ones are taken for links that lead in a circle.
const DEPTH_MAX: usize = 32;

fn collect(
    root: &Path,
    directory: &Path,
    depth: usize,
    files: &mut Vec<(String, String)>,
) -> Result<(), SpecsDirError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SpecsDirError::Read { path, source }
    };
    if depth > DEPTH_MAX {
        return Err(failed(directory)(io::Error::other(format!("more than {DEPTH_MAX} folders deep"))));
    }
    for entry in fs::read_dir(directory).map_err(failed(directory))? {
        let path = entry.map_err(failed(directory))?.path();
        if path.is_dir() {
            collect(root, &path, depth + 1, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            let text = fs::read_to_string(&path).map_err(failed(&path))?;
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            files.push((name, text));
        }
    }
    Ok(())
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
        fs::write(directory.path().join("more/b.yml"), SPEC.replace("NAME", "second")).unwrap();
        fs::write(directory.path().join("README.md"), "no spec").unwrap();
        let specs = load(directory.path()).unwrap();
        assert!(specs.sequence("first").is_some() && specs.sequence("second").is_some());
        assert_eq!(specs.sequences().count(), 2);
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
