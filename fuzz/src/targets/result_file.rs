//! What a job writes to its result file: read the same each time, and within its bounds.

use capstan_node::executor::result_file;

use crate::{Seed, Target, Verdict};

pub(crate) const TARGET: Target = Target { name: "result_file", run, seeds };

fn run(input: &[u8]) -> Verdict {
    match (result_file::parse(input), result_file::parse(input)) {
        (Ok(result), Ok(again)) => {
            assert_eq!(result, again, "a file means one thing");
            for value in result.iter().flat_map(|result| result.args.values().chain(result.job_data.values()))
            {
                assert!(value.as_str().len() <= input.len(), "a value is no longer than its file");
            }
            Verdict::of(result.is_some())
        }
        (Err(error), Err(again)) => {
            assert_eq!(error.to_string(), again.to_string(), "a file is refused for one reason");
            Verdict::Refused
        }
        (first, second) => panic!("read once only: {first:?}, {second:?}"),
    }
}

fn seeds() -> Vec<Seed> {
    let full = r#"{"args":{"a":"1"},"bytes":"aGk=","state":"STOPPED","exit":-3,"error":"late\u0000","jobData":{"k":[1,2.50e3,{"x":null}]}}"#;
    vec![
        Seed::new("full", full),
        Seed::new("complete", r#"{"state":"COMPLETE"}"#),
        Seed::new(
            "nulls",
            r#"{"args":null,"bytes":null,"state":null,"exit":null,"error":null,"jobData":null}"#,
        ),
        Seed::new("escaped-names", r#"{"jobData":{"a\"\\\ud83d\ude00":true}}"#),
    ]
}
