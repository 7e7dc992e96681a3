//! Who calls, on three nodes at once: what one node is told of a token, all know with the entry that tells it.

use std::{fs::OpenOptions, io::Write, net::SocketAddr, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use capstan_client::{Client, ClientOptions, Consistency, Precondition, ReadOptions, cluster::TokenCreate};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::{
    Cluster,
    cli::User,
    lrps::{GUID, serving},
    until,
    wire::Wire,
};

/// A client of one node, that asks it once.
fn client(node: SocketAddr, token: &str) -> Client {
    let options = ClientOptions { connect_patience: Duration::ZERO, ..ClientOptions::default() };
    Client::with_options(vec![node.to_string()], options).unwrap().with_token(token).unwrap()
}

/// Makes a token, and has auth required with it.
async fn require(cluster: &Cluster) -> String {
    let anyone = User::of(&cluster.addresses(&[1]));
    let refused = anyone.run(&["auth", "require"]).await;
    assert!(refused.code == 1 && refused.err.contains("lock yourself out"), "{}", refused.err);
    let made = anyone.json(&["token", "create", "--name", "root", "--role", "admin"]).await;
    let token = made["token"].as_str().unwrap().to_owned();
    let root = anyone.with_token(&token);
    assert!(root.done(&["auth", "require"]).await.starts_with("REQUIRED     true\n"));
    token
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_is_worthless_on_every_node_within_one_commit() {
    let cluster = Cluster::start().await;
    let root_token = require(&cluster).await;
    let nodes = cluster.addresses(&[1, 2, 3]);
    let create = |name: &str, role: &str| TokenCreate {
        name: name.to_owned(),
        roles: vec![role.to_owned()],
        expires_in_seconds: None,
    };
    for round in 0..5 {
        let root = client(nodes[round % 3], &root_token);
        let made = root.create_token(&create("ann", "operator")).await.unwrap();
        let put = async |node: SocketAddr| {
            client(node, &made.token).put_variable("a", "x", Precondition::None).await
        };
        for node in &nodes {
            // A node knows of the token once it has applied it.
            until("the token is known", async || put(*node).await.ok()).await;
        }
        root.revoke_token(&made.id).await.unwrap();
        // From here on no node commits a write of its bearer's, whatever it has applied itself.
        for node in &nodes {
            let refused = put(*node).await.expect_err("it was revoked");
            assert_eq!(refused.status(), Some(401), "{refused}");
        }
        // And reads as soon as they have: one that must be up to date is.
        let index = ReadOptions { consistency: Consistency::Linearizable, at_least: None };
        for node in &nodes {
            until("the revocation is applied", async || {
                let read = client(*node, &made.token).get_variable("a", index).await;
                read.is_err_and(|error| error.status() == Some(401)).then_some(())
            })
            .await;
        }
    }
    // Who did what is the same on every node.
    let audit = User::of(&nodes[2..]).with_token(&root_token).json(&["audit", "--caller", "ann"]).await;
    let written = audit["records"].as_array().unwrap();
    assert!(written.len() >= 15 && written.iter().all(|r| r["what"] == "set variable a"), "{written:?}");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_ends_although_nothing_is_written() {
    let cluster = Cluster::start().await;
    let root = User::of(&cluster.addresses(&[2])).with_token(&require(&cluster).await);
    let line = ["token", "create", "--name", "ann", "--role", "reader", "--expires", "2s"];
    let token = root.json(&line).await["token"].as_str().unwrap().to_owned();
    let nodes = cluster.addresses(&[1, 2, 3]);
    for node in nodes {
        let ann = client(node, &token);
        until("the token has ended", async || {
            ann.auth().await.is_err_and(|error| error.status() == Some(401)).then_some(())
        })
        .await;
    }
    let left = root.json(&["token", "ls"]).await;
    assert_eq!(left.as_array().unwrap().len(), 1, "{left}");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spinc_and_jobs_go_on_with_name_and_password() {
    let mut cluster = Cluster::start().await;
    let token = require(&cluster).await;
    let (id, secret) = token.split_once('.').unwrap();
    let root = User::of(&cluster.addresses(&[1])).with_token(&token);
    // What spinc sends where its address is http://ID:SECRET@host.
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")));
    let body = json!({ "type": "test", "args": {} }).to_string();
    let headers = [("Authorization", &*basic), ("Content-Type", "application/json")];
    let mut wire = Wire::to(cluster.node(3).http);
    let started = until("node 3 knows of the token", async || {
        let answer = wire.call("POST", "/api/v1/requests", &headers, body.as_bytes()).await.unwrap();
        (answer.status != 401).then_some(answer)
    })
    .await;
    assert_eq!(started.status, 201, "{}", started.text());
    assert!(started.text().contains(r#""user":"root""#), "{}", started.text());

    // A job that calls the cluster brings what its node was configured with: here nothing.
    let file = cluster.directory.path().join("manifest.json");
    std::fs::write(&file, serving(1).to_string()).unwrap();
    root.done(&["lrp", "desire", file.to_str().unwrap()]).await;
    let line = ["request", "start", "scale", &format!("guid={GUID}"), "instances=2", "--wait"];
    assert_eq!(root.run(&line).await.code, 1);
    for id in 1..=3 {
        let node = cluster.node(id);
        node.signal(Signal::SIGTERM);
        assert!(node.exit().await.success());
        let mut config = OpenOptions::new().append(true).open(&node.config).unwrap();
        write!(config, "[jobs]\ntoken = \"{token}\"\n").unwrap();
        node.start();
    }
    cluster.all_ready().await;
    root.done(&line).await;
    assert_eq!(root.json(&["lrp", "show", GUID]).await["desired"]["instances"], 2);
    cluster.end().await;
}
