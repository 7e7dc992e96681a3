//! Small texts that people and programs give: ids, names, waits, JSON values. What is read prints as it was.

use std::{fmt::Display, str::FromStr, sync::Arc};

use capstan_model::{
    ids::{JobId, RequestId, VariableName},
    spec::Wait,
    workflow::json::JsonText,
};

use crate::{Seed, Target, Verdict};

pub(crate) const TARGET: Target = Target { name: "texts", run, seeds };

fn run(input: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(input) else { return Verdict::Refused };
    Verdict::of(
        [
            prints_as_given::<RequestId>(text),
            prints_as_given::<JobId>(text),
            prints_as_given::<VariableName>(text),
            wait(text),
            json(text),
        ]
        .contains(&true),
    )
}

fn prints_as_given<T: FromStr + Display>(text: &str) -> bool {
    let Ok(value) = text.parse::<T>() else { return false };
    assert_eq!(value.to_string(), text);
    true
}

fn wait(text: &str) -> bool {
    let Ok(wait) = Wait::try_from(Arc::from(text)) else { return false };
    assert_eq!(&**wait.text(), text, "a wait is kept as written");
    let nanos = u64::try_from(wait.duration().as_nanos()).expect("a wait fits what Go has for it");
    assert!(i64::try_from(nanos).is_ok(), "a wait fits what Go has for it: {text}");
    true
}

fn json(text: &str) -> bool {
    let Ok(value) = JsonText::try_from(Arc::from(text)) else { return false };
    drop((value.to_value(), value.elements()));
    if let Some(inner) = value.to_text() {
        assert_eq!(JsonText::string(&inner).to_text(), Some(inner), "a text stays one");
    }
    true
}

fn seeds() -> Vec<Seed> {
    vec![
        Seed::new("request", "9m4e2mr0ui3e8a215n4g"),
        Seed::new("job", "a0B1"),
        Seed::new("variable", "a.Name_1-x"),
        Seed::new("wait", "-1h30m2.5s500ms3µs4ns"),
        Seed::new("json", r#"{"a":[1,-2.5e-3,"\u00e4\ud83d\ude00",true,null]}"#),
        Seed::new("json-text", r#""a\n\"b\"""#),
    ]
}
