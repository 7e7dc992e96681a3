//! Reads a directory of request specs.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use capstan_cli::ports::SpecFile;
use capstan_model::{
    spec::{self, Finding, JobTypes, Specs},
    spec_store::VERSION_BYTES_MAX,
};
use xxhash_rust::xxh3::Xxh3;

/// Why a directory gives no specs.
#[derive(Debug, thiserror::Error)]
pub enum SpecsDirError {
    /// The directory or a folder in it cannot be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableFolder),
    /// The specs are wrong, or a file cannot be read; one finding a line, warnings among them.
    #[error("the request specs have errors:{}", listed(.0))]
    Wrong(Vec<Finding>),
}

/// A folder that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}", path.display())]
pub struct UnreadableFolder {
    /// Which.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

fn listed(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}

/// The specs of a directory.
#[derive(Debug)]
pub struct SpecsDir {
    /// What the files say.
    pub specs: Specs,
    /// The files: path within the directory, and text; sorted by path.
    pub files: Vec<(String, String)>,
    /// Equal on two nodes when their files have the same names and content.
    pub hash: u128,
}

/// Loads the specs of a directory.
///
/// # Errors
/// Something cannot be read, or a spec is wrong: then none is loaded.
pub fn load(directory: &Path) -> Result<SpecsDir, SpecsDirError> {
    let files = read(directory)?;
    let hash = hash(&files);
    let texts = files.iter().map(|(path, text)| (path, text.as_ref().map_err(Clone::clone)));
    let specs = spec::lint(texts, &JobTypes::default()).into_specs().map_err(SpecsDirError::Wrong)?;
    let files = files.into_iter().filter_map(|(path, text)| Some((path, text.ok()?))).collect();
    Ok(SpecsDir { specs, files, hash })
}

/// Reads every file below `directory` whose name ends in `.yaml`, in any case, hidden ones too. Links to files are followed, links to
/// folders are not, as in Spin Cycle. Files are named by their path within the directory, and sorted by it.
///
/// # Errors
/// A folder cannot be read. A file that cannot be, is no text, or is larger than all files of a version may be, has the reason in the
/// place of its text.
pub fn read(directory: &Path) -> Result<Vec<SpecFile>, UnreadableFolder> {
    let mut files = Vec::new();
    collect(directory, directory, &mut files)?;
    files.sort();
    Ok(files)
}

fn hash(files: &[SpecFile]) -> u128 {
    let mut hasher = Xxh3::new();
    for (name, text) in files {
        for part in [name.as_str(), text.as_deref().unwrap_or_default()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    hasher.digest128()
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<SpecFile>) -> Result<(), UnreadableFolder> {
    let failed = |path: &Path, source| UnreadableFolder { path: path.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(|source| failed(folder, source))? {
        let entry = entry.map_err(|source| failed(folder, source))?;
        let path = entry.path();
        if entry.file_type().map_err(|source| failed(&path, source))?.is_dir() {
            collect(root, &path, files)?;
        } else if is_spec(&path) {
            let text = read_text(&path).map_err(|error| format!("cannot be read: {error}"));
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            files.push((name, text));
        }
    }
    Ok(())
}

/// Reads a file to its end. What is no file may have none, such as a pipe or a device, and is not even opened.
fn read_text(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let bytes_max = VERSION_BYTES_MAX as u64;
    if metadata.len() > bytes_max {
        return Err(io::Error::other(format!("it has {} bytes; the most is {bytes_max}", metadata.len())));
    }
    let mut text = String::new();
    fs::File::open(path)?.take(bytes_max).read_to_string(&mut text)?;
    Ok(text)
}

/// Whether it is a spec by its name, and no link to a folder.
fn is_spec(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.to_ascii_lowercase().ends_with(b".yaml") && !path.is_dir()
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
        fs::write(directory.path().join("more/.yaml"), SPEC.replace("NAME", "hidden")).unwrap();
        fs::write(directory.path().join("text"), SPEC.replace("NAME", "linked")).unwrap();
        std::os::unix::fs::symlink("text", directory.path().join("link.yaml")).unwrap();
        std::os::unix::fs::symlink("more", directory.path().join("folder.yaml")).unwrap();
        let specs = load(directory.path()).unwrap().specs;
        let names: Vec<_> = specs.sequences().map(|sequence| &*sequence.name).collect();
        assert_eq!(names, ["first", "hidden", "linked", "second"]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_finding() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", directory.path().join("broken.yaml")).unwrap();
        fs::write(directory.path().join("bytes.yaml"), b"\xff\xfe").unwrap();
        // Neither has an end.
        std::os::unix::fs::symlink("/dev/zero", directory.path().join("device.yaml")).unwrap();
        nix::unistd::mkfifo(&directory.path().join("pipe.yaml"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        let large = fs::File::create(directory.path().join("large.yaml")).unwrap();
        large.set_len(VERSION_BYTES_MAX as u64 + 1).unwrap();
        let Err(SpecsDirError::Wrong(findings)) = load(directory.path()) else { panic!("it was loaded") };
        let files: Vec<_> =
            findings.iter().map(|finding| (&*finding.file, finding.message.as_str())).collect();
        let expected = [
            ("broken.yaml", "No such file"),
            ("bytes.yaml", "valid UTF-8"),
            ("device.yaml", "no regular file"),
            ("large.yaml", "has 4194305 bytes; the most is 4194304"),
            ("pipe.yaml", "no regular file"),
        ];
        assert_eq!(files.len(), expected.len(), "{files:?}");
        for ((file, message), (name, reason)) in files.into_iter().zip(expected) {
            assert!(file == name && message.contains(reason), "{file}: {message}");
        }
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
