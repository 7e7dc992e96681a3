//! What `capstan dev` says when the cluster is ready: where it is, and what to try.

use std::{fmt::Write, time::Duration};

use capstan_model::spec::{ArgKind, ListedRequest};

use super::{layout::Layout, output};

/// How many requests are suggested.
const REQUESTS_SHOWN: usize = 3;
/// The first HTTP port that the client commands try on their own.
const DEFAULT_BASE_PORT: u16 = 8641;

/// The text, for standard output.
pub(super) fn text(layout: &Layout, took: Duration, requests: &[ListedRequest], program: &str) -> String {
    let count = layout.nodes.len();
    let nodes = if count == 1 { "1 node is".to_owned() } else { format!("{count} nodes are") };
    let verb = if layout.is_restart { "back" } else { "ready" };
    let data = output::short(&layout.directory);
    let mut text = format!("\n{nodes} {verb} after {:.2} s, data in {data}\n", took.as_secs_f64());
    for place in &layout.nodes {
        let _ = writeln!(text, "  node {}  {}", place.id, place.url());
    }
    let (first, second) = (&layout.nodes[0], &layout.nodes[1 % count]);
    let addresses: Vec<_> = layout.nodes.iter().map(|place| place.http.to_string()).collect();
    let addr = if first.http.port() == DEFAULT_BASE_PORT {
        String::new()
    } else {
        format!(" --addr {}", addresses.join(","))
    };
    let _ = write!(
        text,
        "\nTry, in another terminal:\n  \
         curl -X PUT --data hello {}/cluster/v1/variables/greeting\n  \
         curl {}/cluster/v1/variables/greeting\n  \
         {program} cluster status{addr}\n",
        first.url(),
        second.url(),
    );
    for request in requests.iter().take(REQUESTS_SHOWN) {
        let args = request.args.iter().filter(|arg| arg.kind == ArgKind::Required);
        let args: String = args.map(|arg| format!(" {}=…", arg.name)).collect();
        let _ = writeln!(text, "  {program} request start {}{args}{addr}", request.name);
    }
    text + "\nCtrl-C stops the cluster; the data stays.\n"
}

#[cfg(test)]
mod tests {
    use capstan_model::spec::ListedArg;

    use super::*;

    #[test]
    fn what_is_suggested_can_be_typed_as_it_stands() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::plan(directory.path(), 2, 9000, None, None).unwrap();
        let arg = |name: &str, kind| ListedArg { name: name.into(), desc: "".into(), kind, default: None };
        let request = ListedRequest {
            name: "stop-host".into(),
            args: vec![arg("host", ArgKind::Required), arg("why", ArgKind::Optional)],
        };
        let text = text(&layout, Duration::from_millis(840), &[request], "capstan");
        let expected = [
            "2 nodes are ready after 0.84 s",
            "  node 2  http://127.0.0.1:9001\n",
            "curl -X PUT --data hello http://127.0.0.1:9000/cluster/v1/variables/greeting\n",
            "curl http://127.0.0.1:9001/cluster/v1/variables/greeting\n",
            "capstan cluster status --addr 127.0.0.1:9000,127.0.0.1:9001\n",
            "capstan request start stop-host host=… --addr",
        ];
        for part in expected {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }
}
