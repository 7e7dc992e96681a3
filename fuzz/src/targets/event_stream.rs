//! A stream of events as a client reads it: the same events however reads cut it, and each as its own frame tells it.

use capstan_client::{Notice, fuzzing::read_stream};

use crate::{Seed, Target, Verdict};

pub(crate) const TARGET: Target = Target { name: "event_stream", run, seeds };

/// The first byte says how many bytes are read at a time.
fn run(input: &[u8]) -> Verdict {
    let Some((portion, rest)) = input.split_first() else { return Verdict::Refused };
    let whole = read_stream(rest, rest.len());
    assert_eq!(
        whole,
        read_stream(rest, usize::from(*portion) + 1),
        "events do not depend on how reads cut them"
    );
    for notice in &whole.notices {
        let again = read_stream(frame(notice).as_bytes(), usize::MAX);
        assert_eq!(again.notices, std::slice::from_ref(notice), "an event's own frame tells of it");
    }
    Verdict::of(!whole.notices.is_empty())
}

fn frame(Notice { id, name, data }: &Notice) -> String {
    // Of two carriage returns at the end of a line one belongs to it.
    let data = data.split('\n').map(|line| format!("data: {line}\r\n"));
    format!("id: {id}\r\nevent: {name}\r\n{}\r\n", data.collect::<String>())
}

fn seeds() -> Vec<Seed> {
    let created =
        "id: 12-3\nevent: desired_lrp_created\ndata: {\"desired_lrp\":{\"process_guid\":\"a\"}}\n\n";
    vec![
        Seed::new("event", format!("\x07{created}")),
        Seed::new("heartbeats", format!("\x00: ping\n\n{created}: ping\n\n")),
        Seed::new("lines-of-data", "\x02id:7-1\r\nevent:b\r\ndata: 1\r\ndata: 2\r\n\r\nid: 8-0\n\ndata: x\n"),
    ]
}
