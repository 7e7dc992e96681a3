//! Who may have done what, in a model of its own: tokens, the policy, and which commands of whom must be denied as they are applied.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use capstan_model::{
    auth::{Acl, AuthCommand, Author, Credential, PolicyChange, token::TokenId},
    command::Command,
    lrp::command::LrpCommand,
    rejection::Rejection,
    reply::{Answer, Reply},
    spec_store::SpecStore,
    task::command::TaskCommand,
    time::Timestamp,
    workflow::{command::CreateRequest, event::WorkflowEvent},
};

use crate::{ledger::Committed, specs_load::marked};

/// What must hold of them.
pub(crate) const NAME: &str =
    "what takes effect its caller may do as its entry is applied, and nothing else is denied";

/// Everybody who is known, and what is asked of callers.
#[derive(Debug)]
pub(crate) struct Callers {
    tokens: BTreeMap<TokenId, Bearer>,
    is_required: bool,
    is_strict: bool,
    admin_roles: Vec<Arc<str>>,
    /// What was done by callers with a name, in the order of the log.
    done: Vec<Done>,
    /// Whether the entry at hand is about tokens or the policy.
    is_touched: bool,
}

/// Who has a token.
#[derive(Debug)]
struct Bearer {
    name: Arc<str>,
    roles: Vec<Arc<str>>,
    ends: Option<Timestamp>,
}

/// Something that a caller with a name had done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    /// The index of its entry.
    pub(crate) index: u64,
    /// Whose token it was.
    pub(crate) caller: Arc<str>,
    /// Which token.
    pub(crate) token: TokenId,
    /// What it takes.
    pub(crate) right: &'static str,
}

impl Default for Callers {
    fn default() -> Self {
        Self {
            tokens: BTreeMap::new(),
            is_required: false,
            is_strict: false,
            admin_roles: vec!["admin".into()],
            done: Vec::new(),
            is_touched: false,
        }
    }
}

impl Callers {
    /// What callers with a name had done so far.
    pub(crate) fn done(&self) -> &[Done] {
        &self.done
    }

    /// Whether a command may be done for its author; the cluster itself may do everything.
    pub(crate) fn may(&self, author: Option<&Author>, command: &Command, at: Timestamp) -> bool {
        let Some(author) = author else { return true };
        let (Some(right), Some(roles)) = (right(command), self.roles(author.credential, at)) else {
            return false;
        };
        if roles.iter().any(|role| self.admin_roles.contains(role)) {
            return true;
        }
        match right {
            "requests:start" | "requests:stop" => self.is_granted(author.acl.as_ref(), roles, right),
            _ if !self.is_required => true,
            "auth:admin" => false,
            "specs:write" => has(roles, right),
            _ => has(roles, right) || has(roles, "operator"),
        }
    }

    /// The roles of somebody; `None` if he is nobody whom the cluster knows.
    fn roles(&self, credential: Credential, at: Timestamp) -> Option<&[Arc<str>]> {
        match credential {
            Credential::Token(id) => {
                let bearer = self.tokens.get(&id).filter(|bearer| !bearer.is_over(at));
                bearer.map(|bearer| bearer.roles.as_slice())
            }
            Credential::None => (!self.is_required).then_some(&[]),
            // No node of a simulation has a name and password of Diego's.
            Credential::Receptor => None,
        }
    }

    fn is_granted(&self, acl: Option<&Acl>, roles: &[Arc<str>], right: &str) -> bool {
        let Some(Acl(entries)) = acl else { return !self.is_required };
        if entries.is_empty() {
            return !self.is_strict;
        }
        entries.iter().any(|entry| {
            let grants = if right == "requests:start" { entry.start } else { entry.stop };
            has(roles, &entry.role) && (entry.admin || grants)
        })
    }

    /// Notes that a command was done for somebody.
    pub(crate) fn note(&mut self, index: u64, author: Option<&Author>, command: &Command) {
        if let Some(Author { credential: Credential::Token(token), .. }) = author
            && let (Some(bearer), Some(right)) = (self.tokens.get(token), right(command))
        {
            self.done.push(Done { index, caller: Arc::clone(&bearer.name), token: *token, right });
        }
    }

    /// What a command about tokens or the policy must be answered.
    pub(crate) fn execute(&mut self, command: &AuthCommand, at: Timestamp) -> Reply {
        self.is_touched = true;
        match command {
            AuthCommand::CreateToken(create) if self.tokens.contains_key(&create.id) => {
                Err(Rejection::TokenExists { id: create.id })
            }
            AuthCommand::CreateToken(create) => {
                let ends = create.lifetime_secs.map(|secs| at.after(Duration::from_secs(secs)));
                let (name, roles) = (Arc::clone(&create.caller), create.roles.clone());
                self.tokens.insert(create.id, Bearer { name, roles, ends });
                Ok(Answer::TokenCreated { id: create.id })
            }
            AuthCommand::RevokeToken { id } if !self.tokens.contains_key(id) => {
                Err(Rejection::NoSuchToken { id: *id })
            }
            AuthCommand::RevokeToken { id } => {
                if self.is_required && !self.has_lasting_admin(Some(*id), &self.admin_roles) {
                    return Err(Rejection::NoAdminLeft);
                }
                self.tokens.remove(id);
                Ok(Answer::Done)
            }
            AuthCommand::ChangePolicy(change) => self.change(change),
            AuthCommand::DropExpired => {
                self.tokens.retain(|_, bearer| !bearer.is_over(at));
                Ok(Answer::Done)
            }
        }
    }

    fn change(&mut self, change: &PolicyChange) -> Reply {
        let is_required = change.required.unwrap_or(self.is_required);
        let mut admin_roles = change.admin_roles.clone().unwrap_or_else(|| self.admin_roles.clone());
        admin_roles.sort();
        if is_required && !self.has_lasting_admin(None, &admin_roles) {
            return Err(Rejection::NoAdminLeft);
        }
        self.is_strict = change.strict.unwrap_or(self.is_strict);
        (self.is_required, self.admin_roles) = (is_required, admin_roles);
        Ok(Answer::Done)
    }

    fn has_lasting_admin(&self, without: Option<TokenId>, admin_roles: &[Arc<str>]) -> bool {
        let lasting =
            self.tokens.iter().filter(|(id, bearer)| Some(**id) != without && bearer.ends.is_none());
        lasting.flat_map(|(_, bearer)| &bearer.roles).any(|role| admin_roles.contains(role))
    }

    /// Ends an entry.
    ///
    /// # Errors
    /// The state has other tokens or another policy than this model, or a request was stored that no command of the entry was let store.
    pub(crate) fn end(&mut self, committed: &Committed) -> Result<(), String> {
        self.stores_nothing_else(committed)?;
        let (after, index) = (&committed.after.auth, committed.index);
        if !std::mem::take(&mut self.is_touched) && after.tokens_len() == self.tokens.len() {
            return Ok(());
        }
        let there: Vec<TokenId> = after.tokens().map(|token| token.id).collect();
        if !there.iter().eq(self.tokens.keys()) {
            return Err(format!("index {index} has the tokens {there:?}, and not {:?}", self.tokens.keys()));
        }
        let policy = after.policy();
        if (policy.required, policy.strict, &policy.admin_roles)
            != (self.is_required, self.is_strict, &self.admin_roles)
        {
            return Err(format!("index {index} has {policy:?}: {self:?}"));
        }
        Ok(())
    }

    fn stores_nothing_else(&self, committed: &Committed) -> Result<(), String> {
        let may_store = |wanted: &CreateRequest| {
            committed.commands.iter().any(|(command, reply)| {
                created(command).is_some_and(|create| create.id == wanted.id) && reply.is_ok()
            })
        };
        for event in committed.workflow() {
            if let WorkflowEvent::RequestCreated { request, .. } = event
                && !may_store(request)
            {
                return Err(format!(
                    "index {} stores what nobody was let store: {request:?}",
                    committed.index
                ));
            }
        }
        Ok(())
    }
}

impl Bearer {
    fn is_over(&self, at: Timestamp) -> bool {
        self.ends.is_some_and(|ends| ends <= at)
    }
}

/// Whether a command to store a request carries the ACL of the specs that it is built from, as far as they are kept.
///
/// # Errors
/// It carries another one; says which.
pub(crate) fn carries_its_acl(author: &Author, command: &Command, specs: &SpecStore) -> Result<(), String> {
    let create = created(command).and_then(|create| Some((create, specs.version(create.specs?)?)));
    let Some((create, version)) = create else { return Ok(()) };
    let files = specs.files(version).map(|(path, text)| (&**path, &**text));
    let expected = marked::acl_of(&create.request_type, files);
    if author.acl.as_ref() == Some(&expected) {
        return Ok(());
    }
    let (kind, id) = (&create.request_type, version.id);
    Err(format!("{:?} is carried for {kind}, and {id} has {expected:?}", author.acl))
}

fn created(command: &Command) -> Option<&CreateRequest> {
    match command {
        Command::CreateRequest(create) => Some(create),
        Command::CreateWithTerms(with_terms) => Some(&with_terms.create),
        _ => None,
    }
}

fn has(roles: &[Arc<str>], role: &str) -> bool {
    roles.iter().any(|own| **own == *role)
}

/// What a command takes, as the audit names it; `None` of one that only the cluster itself proposes.
fn right(command: &Command) -> Option<&'static str> {
    Some(match command {
        Command::PutVariable { .. } | Command::DeleteVariable { .. } => "variables:write",
        Command::SetSetting(_) | Command::DrainNode { .. } | Command::UndrainNode { .. } => "cluster:write",
        Command::CreateRequest(_) | Command::CreateWithTerms(_) | Command::DecideApproval(_) => {
            "requests:start"
        }
        Command::StopRequest(_) | Command::PauseRequest(_) | Command::ResumeRequest(_) => "requests:stop",
        Command::PushSpecs(_) | Command::RevertSpecs(_) => "specs:write",
        Command::Lrp(
            LrpCommand::Desire(_)
            | LrpCommand::Update(_)
            | LrpCommand::Remove { .. }
            | LrpCommand::Kill { .. }
            | LrpCommand::UpsertDomain { .. },
        )
        | Command::Task(TaskCommand::Desire(_) | TaskCommand::Cancel { .. } | TaskCommand::Delete { .. }) => {
            "lrps:write"
        }
        Command::Auth(
            AuthCommand::CreateToken(_) | AuthCommand::RevokeToken { .. } | AuthCommand::ChangePolicy(_),
        ) => "auth:admin",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use capstan_model::{
        auth::{AclEntry, CreateToken, token::SecretHash},
        command::Condition,
    };

    use super::*;

    fn token(number: u8, roles: &[&str], lifetime_secs: Option<u64>) -> AuthCommand {
        AuthCommand::CreateToken(Box::new(CreateToken {
            id: TokenId([number; 8]),
            caller: "ann".into(),
            roles: roles.iter().map(|role| Arc::from(*role)).collect(),
            hash: SecretHash([0; 32]),
            created_by: "".into(),
            lifetime_secs,
        }))
    }

    fn author(number: u8, acl: Option<Acl>) -> Author {
        Author { name: "ann".into(), credential: Credential::Token(TokenId([number; 8])), acl }
    }

    const AT: Timestamp = Timestamp(1_000_000_000);

    #[test]
    fn a_caller_may_what_his_roles_say_until_his_token_is_gone() {
        let mut callers = Callers::default();
        let put = Command::PutVariable {
            name: "a".parse().expect("a legal name"),
            value: "x".into(),
            condition: Condition::Any,
        };
        let required = PolicyChange { required: Some(true), ..PolicyChange::default() };
        assert!(callers.may(Some(&Author::anonymous()), &put, AT));
        let refused = callers.execute(&AuthCommand::ChangePolicy(required.clone()), AT);
        assert_eq!(refused, Err(Rejection::NoAdminLeft));
        for token in
            [token(1, &["admin"], None), token(2, &["variables:write"], Some(1)), token(3, &["read"], None)]
        {
            assert!(callers.execute(&token, AT).is_ok());
        }
        assert_eq!(callers.execute(&AuthCommand::ChangePolicy(required), AT), Ok(Answer::Done));
        let may = |callers: &Callers, number| callers.may(Some(&author(number, None)), &put, AT);
        assert_eq!([1, 2, 3, 4].map(|number| may(&callers, number)), [true, true, false, false]);
        assert!(!callers.may(Some(&Author::anonymous()), &put, AT) && callers.may(None, &put, AT));
        let later = AT.after(Duration::from_secs(1));
        assert!(!callers.may(Some(&author(2, None)), &put, later), "its time is over");
        let revoke = |number| AuthCommand::RevokeToken { id: TokenId([number; 8]) };
        assert_eq!(callers.execute(&revoke(1), AT), Err(Rejection::NoAdminLeft));
        assert_eq!(callers.execute(&revoke(2), AT), Ok(Answer::Done));
        assert!(!may(&callers, 2), "it was revoked");
    }

    #[test]
    fn an_acl_says_who_stops() {
        let mut callers = Callers::default();
        assert!(callers.execute(&token(1, &["deploy"], None), AT).is_ok());
        let stop = Command::StopRequest(capstan_model::workflow::command::StopRequest {
            request: "9m4e2mr0ui3e8a215n4g".parse().expect("an xid"),
        });
        let entry = |role: &str, start, stop| AclEntry { role: role.into(), admin: false, start, stop };
        let may = |entries: Vec<AclEntry>| callers.may(Some(&author(1, Some(Acl(entries)))), &stop, AT);
        assert!(may(vec![]) && may(vec![entry("deploy", false, true)]));
        assert!(!may(vec![entry("deploy", true, false)]) && !may(vec![entry("other", true, true)]));
    }
}
