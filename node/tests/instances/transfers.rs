//! Downloads and uploads, against a server that keeps to a script.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
};

use capstan_model::lrp::action::{Download, Kind, List, Upload};
use capstan_node::instance::life::Observation;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    guardian_world::World,
    machine::{Machine, action, script, unwatched},
};

/// What was asked, each as its head and its body.
type Asked = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Answers `GET /archive` with bytes and an ETag, with 304 when it is known; takes every POST; anything else is not found.
async fn serve(archive: Vec<u8>) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let head_end = loop {
                if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                    break end + 4;
                }
                connection.read_buf(&mut bytes).await.unwrap();
            };
            let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap().to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            while bytes.len() < head_end + length.unwrap_or(0) {
                connection.read_buf(&mut bytes).await.unwrap();
            }
            let body = bytes[head_end..].to_vec();
            let answer = if head.starts_with("post") {
                b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
            } else if !head.starts_with("get /archive") {
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
            } else if head.contains("if-none-match: \"one\"") {
                b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n".to_vec()
            } else {
                let head = format!(
                    "HTTP/1.1 200 OK\r\nETag: \"one\"\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    archive.len()
                );
                [head.as_bytes(), &archive].concat()
            };
            noted.lock().unwrap().push((head, body));
            connection.write_all(&answer).await.unwrap();
        }
    });
    (url, asked)
}

/// An archive with one file.
fn archive(folder: &Path) -> Vec<u8> {
    fs::write(folder.join("hello"), "hello from the archive\n").unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(folder.join("a.tgz")).arg("-C").arg(folder).arg("hello");
    assert!(tar.status().unwrap().success());
    fs::read(folder.join("a.tgz")).unwrap()
}

fn download(from: String, cache_key: &str) -> capstan_model::lrp::action::Action {
    action(Kind::Download(Download {
        artifact: "app".into(),
        from: from.into(),
        to: "app/files".into(),
        cache_key: cache_key.into(),
        user: "root".into(),
        ..Download::default()
    }))
}

fn serial(actions: impl IntoIterator<Item = capstan_model::lrp::action::Action>) -> Kind {
    Kind::Serial(List { actions: actions.into_iter().map(Some).collect(), ..List::default() })
}

#[tokio::test]
async fn an_archive_is_fetched_once_and_unpacked_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let (url, asked) = serve(archive(folder.path())).await;
    let mut world = World::new().await;
    for _ in 0..2 {
        let steps = [download(format!("{url}/archive"), "key"), script("cat app/files/hello; exit 5")];
        let mut machine = Machine::on(world, unwatched(action(serial(steps))));
        machine.running().await;
        assert_eq!(machine.crashed().await, "Exited with status 5");
        world = machine.world;
    }
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2);
    assert!(asked[1].0.contains("if-none-match"), "{asked:?}");
    world.executor.shut_down().await.unwrap();
    let output = crate::machine::output_folder(&world);
    let records =
        capstan_node::instance::output::read_from(&output, Default::default(), u64::MAX).unwrap().records;
    let count = |text: &str| records.iter().filter(|record| record.text.starts_with(text)).count();
    assert_eq!(
        (count("hello from the archive"), count("Downloading app..."), count("Downloaded app (")),
        (2, 2, 2)
    );
}

#[tokio::test]
async fn an_archive_that_is_not_there_or_is_none_is_a_failure() {
    let (url, _) = serve(b"no archive".to_vec()).await;
    let cases = [
        (format!("{url}/missing"), "Downloading failed"),
        ("http://127.0.0.1:1/refused".to_owned(), "Downloading failed"),
        (format!("{url}/archive"), "Copying into the container failed"),
    ];
    for (from, reason) in cases {
        let mut machine = Machine::new(unwatched(download(from, ""))).await;
        machine.running().await;
        assert_eq!(machine.crashed().await, reason);
        let left = fs::read_dir(machine.world.file("downloads")).unwrap().count();
        assert_eq!(left, 0, "what is not cached goes with its instance");
    }
}

#[tokio::test]
async fn a_download_ends_when_the_instance_is_stopped() {
    // It accepts and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/slow", listener.local_addr().unwrap());
    let mut machine = Machine::new(unwatched(download(url, ""))).await;
    machine.running().await;
    let _connection = listener.accept().await.unwrap();
    machine.stop.cancel();
    assert_eq!(machine.next().await, Observation::Stopped);
}

#[tokio::test]
async fn a_file_is_sent_as_it_is() {
    let (url, asked) = serve(Vec::new()).await;
    let upload = |from: &str, to: String| {
        let upload = Upload {
            artifact: "droplet".into(),
            from: from.into(),
            to: to.into(),
            user: "root".into(),
            ..Upload::default()
        };
        action(Kind::Upload(upload))
    };
    let steps =
        [script("printf droplet > made"), upload("made", format!("{url}/droplets")), script("exit 6")];
    let mut machine = Machine::new(unwatched(action(serial(steps)))).await;
    machine.running().await;
    assert_eq!(machine.crashed().await, "Exited with status 6");
    assert_eq!(asked.lock().unwrap()[0].1, b"droplet");
    assert!(machine.output().await.contains(&"APP Uploaded droplet (7B)".to_owned()));

    for (from, reason) in [
        ("missing", "Failed to establish stream from container"),
        ("/tmp", "Failed to find first item in tar stream"),
    ] {
        let mut machine = Machine::new(unwatched(upload(from, format!("{url}/droplets")))).await;
        machine.running().await;
        assert_eq!(machine.crashed().await, reason);
    }
}
