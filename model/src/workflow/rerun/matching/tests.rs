use super::*;
use crate::{
    ids::JobId,
    spec::Specs,
    workflow::{
        graph::{Builder, Created, Step},
        json::JsonText,
    },
};

/// Which way the ids of a chain are drawn.
#[derive(Clone, Copy)]
enum Ids {
    Ascending,
    Descending,
}

/// The chain of request `R` with args in JSON; every job type creates its jobs.
fn chain(text: &str, args: &[(&str, &str)], ids: Ids) -> ValidChain {
    let specs = Arc::new(Specs::load([("specs.yaml", text)]).unwrap());
    let args = args
        .iter()
        .map(|(name, value)| (Arc::from(*name), JsonText::from(&serde_json::from_str(value).unwrap())))
        .collect();
    let mut drawn = 0_u32;
    let draw = move || {
        drawn += 1;
        let number = match ids {
            Ids::Ascending => drawn,
            Ids::Descending => 9_999 - drawn,
        };
        format!("{number:04}").parse::<JobId>().unwrap()
    };
    let mut builder = Builder::new(specs, "R", &args, draw);
    let mut created = Vec::new();
    loop {
        match builder.step(std::mem::take(&mut created)) {
            Step::Done(built) => return built.chain,
            Step::Refused(refused) => panic!("{refused}"),
            Step::Need(calls) => {
                let answer = |job| Created { job, result: Ok(Default::default()) };
                created.extend(calls.into_iter().map(|call| answer(call.job)));
            }
        }
    }
}

/// The jobs that start the expansions behind one job, in the order of the list.
fn expansions(chain: &ValidChain) -> Vec<JobPlace> {
    let parallel = chain.parallel_places().next().unwrap();
    chain.parallel(parallel).expansions.iter().map(|expansion| expansion.first).collect()
}

/// Where each complete job is found, by their paths.
fn found(old: &ValidChain, new: &ValidChain, complete: &BTreeSet<JobPlace>) -> Vec<(String, String)> {
    let found = Matching::new(old, new).find(complete).unwrap();
    found.iter().map(|(before, after)| (path(old, *before), path(new, *after))).collect()
}

#[test]
fn of_twins_those_that_begin_first_are_found() {
    let text = r#"
sequences:
  R:
    request: true
    args: {required: [{name: l}]}
    nodes:
      p: {category: job, type: ok, each: ["l:x"], parallel: 1}
"#;
    let args = [("l", r#"["a","a","a"]"#)];
    for ids in [Ids::Ascending, Ids::Descending] {
        let (old, new) = (chain(text, &args, Ids::Ascending), chain(text, &args, ids));
        let complete: BTreeSet<JobPlace> = expansions(&old).into_iter().take(2).collect();
        let found = Matching::new(&old, &new).find(&complete).unwrap();
        let kept: BTreeSet<JobPlace> = found.into_values().collect();
        assert_eq!(kept, expansions(&new).into_iter().take(2).collect());
    }
}

#[test]
fn expansions_inside_expansions_are_told_apart_by_the_numbers_of_both() {
    let text = r#"
sequences:
  R:
    request: true
    args: {required: [{name: l}, {name: m}]}
    nodes:
      p: {category: sequence, type: S, each: ["l:x"], args: [{expected: m}]}
  S:
    args: {required: [{name: m}]}
    nodes:
      q: {category: sequence, type: T, each: ["m:y"]}
  T:
    nodes:
      a: {category: job, type: ok}
"#;
    let args = [("l", r#"["1","2"]"#), ("m", r#"["1","2","3"]"#)];
    let (old, new) = (chain(text, &args, Ids::Ascending), chain(text, &args, Ids::Descending));
    let complete: BTreeSet<JobPlace> = old.places().filter(|place| *old.job(*place).name == *"a").collect();
    let found = found(&old, &new, &complete);
    assert_eq!(found.len(), 6);
    for (before, after) in &found {
        assert_eq!(before, after);
    }
    assert!(found.iter().any(|(path, _)| path == "R/p[1]/q[2]/a"), "{found:?}");
}

#[test]
fn the_choice_of_a_conditional_is_the_same_only_if_it_is() {
    let text = |second: &str| {
        format!(
            r#"
sequences:
  R:
    request: true
    args: {{required: [{{name: x}}]}}
    nodes:
      c: {{category: conditional, if: x, eq: {{one: S, two: {second}, default: T}}}}
  S:
    nodes:
      a: {{category: job, type: ok}}
  T:
    nodes:
      b: {{category: job, type: ok}}
"#
        )
    };
    let old = chain(&text("S"), &[("x", r#""one""#)], Ids::Ascending);
    let complete: BTreeSet<JobPlace> = old.places().filter(|place| *old.job(*place).name == *"a").collect();
    let same = chain(&text("S"), &[("x", r#""two""#)], Ids::Descending);
    assert_eq!(found(&old, &same, &complete).len(), 1);
    let other = chain(&text("T"), &[("x", r#""two""#)], Ids::Descending);
    let [job] = complete.iter().copied().collect::<Vec<_>>()[..] else { panic!("{complete:?}") };
    assert_eq!(Matching::new(&old, &other).find(&complete), Err((job, Mismatch::Gone)));
}
