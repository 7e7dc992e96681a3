//! The rules specs are held to, each with the name it is shown under.

use std::fmt;

/// Declares the rules in the order in which they are shown at one place.
macro_rules! rules {
    ($( $(#[$meta:meta])* $rule:ident = $name:literal, )*) => {
        /// What a finding is about. `S1` to `S12`, `N1` to `N28` and `G1` to `G8` are the checks of Spin Cycle's linter, with the
        /// same numbers; `G9` and `J1` to `J3` are ours. Listed for users in `docs/spec-lint.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule {
            $( $(#[$meta])* $rule, )*
        }

        impl Rule {
            /// All rules.
            pub const ALL: &[Self] = &[$( Self::$rule, )*];

            /// Its name, as in `N14`.
            pub fn name(self) -> &'static str {
                match self {
                    $( Self::$rule => $name, )*
                }
            }
        }
    };
}

rules! {
    /// A file can be read, is YAML, fits the grammar, and says nothing twice.
    Parse = "parse",
    /// A required arg has a name.
    S1 = "S1",
    /// An optional arg has a name.
    S2 = "S2",
    /// A static arg has a name.
    S3 = "S3",
    /// An optional arg has a default.
    S4 = "S4",
    /// A static arg has a default.
    S5 = "S5",
    /// An ACL entry is for an admin or lists operations, not both.
    S6 = "S6",
    /// An ACL entry names a role.
    S7 = "S7",
    /// A role has one ACL entry.
    S8 = "S8",
    /// An arg is declared once.
    S9 = "S9",
    /// A required arg has no default.
    S10 = "S10",
    /// A sequence has a node.
    S11 = "S11",
    /// An arg is set by one node, or declared; a warning.
    S12 = "S12",
    /// A node has a category.
    N1 = "N1",
    /// The category is one there is.
    N2 = "N2",
    /// What a node calls is a sequence.
    N3 = "N3",
    /// An entry of `each` is `list:element`.
    N4 = "N4",
    /// No entry of `args` is null.
    N5 = "N5",
    /// An entry of `args` has `expected`.
    N6 = "N6",
    /// No entry of `sets` is null.
    N7 = "N7",
    /// An entry of `sets` has `arg`.
    N8 = "N8",
    /// `parallel` is above 0.
    N9 = "N9",
    /// A conditional has `if`.
    N10 = "N10",
    /// A conditional has `eq`.
    N11 = "N11",
    /// What is no conditional has a `type`.
    N12 = "N12",
    /// `retryWait` is a duration.
    N13 = "N13",
    /// A call passes every required arg.
    N14 = "N14",
    /// An element of `each` has one list.
    N15 = "N15",
    /// A node gets an arg once.
    N16 = "N16",
    /// An element of `each` is not also passed as an arg.
    N17 = "N17",
    /// `parallel` comes with `each`.
    N18 = "N18",
    /// A node hands an arg back once.
    N19 = "N19",
    /// A conditional has no `type`.
    N20 = "N20",
    /// What is no conditional has no `if`.
    N21 = "N21",
    /// What is no conditional has no `eq`.
    N22 = "N22",
    /// `retryWait` comes with `retry`.
    N23 = "N23",
    /// A list is expanded under one name; a warning.
    N24 = "N24",
    /// An arg is passed under one name; a warning.
    N25 = "N25",
    /// A list that is expanded is not also passed whole; a warning.
    N26 = "N26",
    /// An arg is handed back under one name; a warning.
    N27 = "N27",
    /// A call passes nothing that no callee takes; a warning.
    N28 = "N28",
    /// The arg of `if` is set before its node.
    G1 = "G1",
    /// What a node is given is set before it.
    G2 = "G2",
    /// An entry of `each` is `list:element`: always found by `N4` first.
    G3 = "G3",
    /// Nodes depend on nodes there are, in no circle.
    G4 = "G4",
    /// Sequences call each other in no circle.
    G5 = "G5",
    /// What a sequence calls passed its own graph checks.
    G6 = "G6",
    /// What a call hands back is set by all it may call.
    G7 = "G7",
    /// The graph is connected and has no circle: so by construction here.
    G8 = "G8",
    /// What is tried again does not itself try again a sequence inside it; a warning.
    G9 = "G9",
    /// A job is of a type there is.
    J1 = "J1",
    /// A job gets the args its type needs.
    J2 = "J2",
    /// A job sets what it is said to hand back.
    J3 = "J3",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
