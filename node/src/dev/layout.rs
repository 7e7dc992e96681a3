//! Where the nodes of a development cluster are: ports, directories, configuration files.

use std::{
    fs,
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{Flock, FlockArg},
    unistd::geteuid,
};

use super::DevError;
use crate::config::{PORTS, VOTERS_MAX};

/// How far the peers' ports are from the HTTP ports.
const PEER_PORTS_AFTER: u16 = 100;

/// A development cluster on one machine.
#[derive(Debug)]
pub(super) struct Layout {
    /// Holds a folder for each node; absolute.
    pub(super) directory: PathBuf,
    /// The nodes, by id from 1.
    pub(super) nodes: Vec<Place>,
    /// Whether the directory held a cluster before.
    pub(super) is_restart: bool,
    specs: Option<PathBuf>,
    jobs: Option<PathBuf>,
    /// Keeps a second supervisor out of the directory.
    _lock: Flock<File>,
}

/// Where one node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) id: usize,
    pub(super) http: SocketAddr,
    pub(super) peer: SocketAddr,
    /// Its data, and its configuration file.
    pub(super) directory: PathBuf,
}

impl Place {
    /// The node's configuration file.
    pub(super) fn config(&self) -> PathBuf {
        self.directory.join("capstan.toml")
    }

    /// Where its HTTP API answers.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.http)
    }
}

impl Layout {
    /// Lays a cluster out in `directory`, or finds the one that is there. Writes nothing there but a lock.
    ///
    /// # Errors
    /// The cluster there is of another size or is running, or a directory cannot be used.
    pub(super) fn plan(
        directory: &Path,
        nodes: usize,
        base_port: u16,
        specs: Option<&Path>,
        jobs: Option<&Path>,
    ) -> Result<Self, DevError> {
        if !(1..=VOTERS_MAX).contains(&nodes) {
            return Err(DevError::NodeCount { nodes });
        }
        fs::create_dir_all(directory).map_err(|source| cannot(directory, source))?;
        let directory = directory.canonicalize().map_err(|source| cannot(directory, source))?;
        let absolute = |path: Option<&Path>| {
            path.map(|path| path.canonicalize().map_err(|source| cannot(path, source))).transpose()
        };
        let (specs, jobs) = (absolute(specs)?, absolute(jobs)?);
        let lock = lock(&directory)?;
        let found = (1..=VOTERS_MAX).filter(|id| directory.join(format!("n{id}")).is_dir()).count();
        if found != 0 && found != nodes {
            return Err(DevError::OtherSize { directory, found, wanted: nodes });
        }
        let nodes = places(&directory, nodes, base_port)?;
        Ok(Self { nodes, is_restart: found != 0, directory, specs, jobs, _lock: lock })
    }

    /// Checks that nobody listens where the nodes will.
    ///
    /// # Errors
    /// Names the first port that is taken.
    pub(super) fn check_ports(&self) -> Result<(), DevError> {
        for place in &self.nodes {
            for address in [place.http, place.peer] {
                TcpListener::bind(address).map_err(|source| DevError::Port {
                    node: place.id,
                    address,
                    source,
                })?;
            }
        }
        Ok(())
    }

    /// Makes the nodes' folders and writes their configuration files.
    ///
    /// # Errors
    /// A folder or file cannot be written.
    pub(super) fn write_configs(&self) -> Result<(), DevError> {
        for place in &self.nodes {
            fs::create_dir_all(&place.directory).map_err(|source| cannot(&place.directory, source))?;
            let path = place.config();
            write_whole(&path, self.config_of(place).as_bytes()).map_err(|source| cannot(&path, source))?;
        }
        Ok(())
    }

    /// The text of a node's configuration file.
    fn config_of(&self, place: &Place) -> String {
        use toml::Value;
        let data = Value::from(place.directory.display().to_string());
        let mut text = format!(
            "# Written by capstan dev at every start; changes are lost.\n\
             # capstan server --config {} starts this node alone.\n\
             node = {{ id = {}, data = {data} }}\n\
             http = {{ listen = \"{}\" }}\n\
             peer = {{ listen = \"{}\" }}\n",
            place.config().display(),
            place.id,
            place.http,
            place.peer,
        );
        // All on this machine, so that none may use the ports of another. Cloud Foundry's manifests name its stack.
        let ports = PORTS.part(part(place.id - 1), part(VOTERS_MAX));
        let allow_root = geteuid().is_root();
        text += &format!(
            "cell = {{ rootfs = [\"host\", \"cflinuxfs2\"], ports = \"{ports}\", allow_root = {allow_root} }}\n"
        );
        for (table, directory) in [("specs", &self.specs), ("jobs", &self.jobs)] {
            if let Some(directory) = directory {
                let directory = Value::from(directory.display().to_string());
                text += &format!("{table} = {{ directory = {directory} }}\n");
            }
        }
        for Place { id, http, peer, .. } in &self.nodes {
            text += &format!("\n[[voter]]\nid = {id}\npeer = \"{peer}\"\nhttp = \"{http}\"\n");
        }
        text
    }
}

fn part(number: usize) -> u16 {
    u16::try_from(number).expect("there are at most VOTERS_MAX")
}

fn cannot(path: &Path, source: io::Error) -> DevError {
    DevError::File { path: path.to_owned(), source }
}

fn places(directory: &Path, nodes: usize, base_port: u16) -> Result<Vec<Place>, DevError> {
    let address = |id: usize, after: u16| {
        let offset = u16::try_from(id - 1).ok()?.checked_add(after)?;
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, base_port.checked_add(offset)?)))
    };
    (1..=nodes)
        .map(|id| {
            let (http, peer) =
                address(id, 0).zip(address(id, PEER_PORTS_AFTER)).filter(|_| base_port != 0)?;
            Some(Place { id, http, peer, directory: directory.join(format!("n{id}")) })
        })
        .collect::<Option<_>>()
        .ok_or(DevError::BasePort { base_port })
}

fn lock(directory: &Path) -> Result<Flock<File>, DevError> {
    let path = directory.join("dev.lock");
    let file = File::options().create(true).write(true).truncate(false).open(&path);
    let file = file.map_err(|source| cannot(&path, source))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, _)| DevError::Running { directory: directory.to_owned() })
}

/// Writes a file so that a reader sees either the old content or the new.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    fs::write(&new, content)?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, ServerArgs};

    fn plan(directory: &Path, nodes: usize) -> Result<Layout, DevError> {
        let layout = Layout::plan(directory, nodes, 8641, None, None)?;
        layout.write_configs()?;
        Ok(layout)
    }

    #[test]
    fn every_node_gets_a_configuration_that_starts_it_alone() {
        let directory = tempfile::tempdir().unwrap();
        let specs = tempfile::tempdir().unwrap();
        let layout = Layout::plan(directory.path(), 3, 8641, Some(specs.path()), Some(specs.path())).unwrap();
        layout.write_configs().unwrap();
        assert!(!layout.is_restart);
        let mut port_max = 0;
        for place in &layout.nodes {
            let args = ServerArgs { config: Some(place.config()), ..ServerArgs::default() };
            let config = Config::load(args).unwrap();
            assert_eq!((config.node.0, config.data.as_path()), (place.id as u64, place.directory.as_path()));
            assert_eq!((config.http_listen, config.peer_listen), (place.http, place.peer));
            assert_eq!(config.voters.len(), 3);
            assert_eq!(config.specs_directory, Some(specs.path().canonicalize().unwrap()));
            assert_eq!(config.jobs_directory, config.specs_directory);
            let cell = config.cell.unwrap();
            assert_eq!((cell.address, cell.allow_root), (place.http.ip().to_string(), geteuid().is_root()));
            assert_eq!(cell.rootfs, ["host", "cflinuxfs2"]);
            assert!(port_max < *cell.ports.start() && cell.ports.len() > 500, "{:?}", cell.ports);
            port_max = *cell.ports.end();
        }
        assert_eq!(layout.nodes[2].http.to_string(), "127.0.0.1:8643");
        assert_eq!(layout.nodes[2].peer.to_string(), "127.0.0.1:8743");
    }

    #[test]
    fn a_cluster_of_another_size_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        drop(plan(directory.path(), 3).unwrap());
        assert!(plan(directory.path(), 3).unwrap().is_restart);
        let error = plan(directory.path(), 5).unwrap_err();
        assert!(matches!(error, DevError::OtherSize { found: 3, wanted: 5, .. }), "{error}");
    }

    #[test]
    fn a_running_cluster_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let _running = plan(directory.path(), 1).unwrap();
        let error = plan(directory.path(), 1).unwrap_err();
        assert!(matches!(error, DevError::Running { .. }), "{error}");
    }

    #[test]
    fn sizes_and_ports_have_bounds() {
        let directory = tempfile::tempdir().unwrap();
        for nodes in [0, 8] {
            assert!(matches!(plan(directory.path(), nodes), Err(DevError::NodeCount { .. })));
        }
        for port in [0, 65_436, 65_535] {
            let refused = Layout::plan(directory.path(), 1, port, None, None);
            assert!(matches!(refused, Err(DevError::BasePort { .. })), "{port}");
        }
    }

    #[test]
    fn a_taken_port_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let layout = Layout::plan(directory.path(), 1, port, None, None);
        // The system may hand out a port so high that the peers' ports do not fit.
        let Ok(layout) = layout else { return };
        let error = layout.check_ports().unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} ")), "{error}");
    }
}
