use super::*;
use crate::auth::AclEntry;

fn caller(roles: &[&str]) -> Caller {
    Caller { name: "ann".into(), roles: roles.iter().map(|role| Arc::from(*role)).collect() }
}

fn policy(required: bool, strict: bool) -> AuthPolicy {
    AuthPolicy { required, strict, ..AuthPolicy::default() }
}

/// `deploy` may start, `oncall` may do both, and `dba` may stop.
fn acl() -> Acl {
    let entry = |role: &str, admin, start, stop| AclEntry { role: role.into(), admin, start, stop };
    Acl(vec![
        entry("deploy", false, true, false),
        entry("oncall", true, false, false),
        entry("dba", false, false, true),
    ])
}

fn outcome(
    policy: &AuthPolicy,
    roles: &[&str],
    operation: Operation,
    acl: Option<&Acl>,
) -> Result<(), DeniedBecause> {
    authorise(policy, &caller(roles), operation, acl).map_err(|denied| denied.because)
}

/// Reference 6 and its case 50.
#[test]
fn the_acl_of_a_spec_decides_on_its_requests() {
    use DeniedBecause::{NoRoleMatches, NoSpec, NotGranted, Strict};
    let (with, without) = (acl(), Acl::default());
    let cases: [(&[&str], _, bool, _, _); 12] = [
        (&["deploy"], Some(&with), false, Ok(()), Err(NotGranted)),
        (&["oncall"], Some(&with), false, Ok(()), Ok(())),
        (&["dba"], Some(&with), false, Err(NotGranted), Ok(())),
        (&["dba", "deploy"], Some(&with), false, Ok(()), Ok(())),
        (&["Deploy"], Some(&with), false, Err(NoRoleMatches), Err(NoRoleMatches)),
        (&["operator"], Some(&with), false, Err(NoRoleMatches), Err(NoRoleMatches)),
        (&["admin"], Some(&with), true, Ok(()), Ok(())),
        (&["deploy"], Some(&without), false, Ok(()), Ok(())),
        (&["deploy"], Some(&without), true, Err(Strict), Err(Strict)),
        (&["admin"], Some(&without), true, Ok(()), Ok(())),
        (&["oncall"], None, false, Err(NoSpec), Err(NoSpec)),
        (&["admin"], None, false, Ok(()), Ok(())),
    ];
    for (roles, acl, strict, start, stop) in cases {
        let policy = policy(true, strict);
        assert_eq!(outcome(&policy, roles, Operation::Start, acl), start, "{roles:?} starts");
        assert_eq!(outcome(&policy, roles, Operation::Stop, acl), stop, "{roles:?} stops");
    }
}

#[test]
fn without_required_nobody_is_asked_but_where_a_spec_has_an_acl() {
    use DeniedBecause::{NoRoleMatches, Strict};
    let (open, strict, nobody) = (policy(false, false), policy(false, true), Caller::default());
    let decide = |policy, operation, acl: Option<Acl>| {
        authorise(policy, &nobody, operation, acl.as_ref()).map_err(|denied| denied.because)
    };
    for operation in Operation::ALL {
        assert_eq!(decide(&open, operation, Some(Acl::default())), Ok(()), "{operation}");
        assert_eq!(decide(&open, operation, None), Ok(()), "{operation}");
    }
    for operation in [Operation::Start, Operation::Stop] {
        assert_eq!(decide(&open, operation, Some(acl())), Err(NoRoleMatches));
        assert_eq!(decide(&strict, operation, Some(Acl::default())), Err(Strict));
    }
}

#[test]
fn with_required_nobody_may_do_anything() {
    for operation in Operation::ALL {
        let denied = authorise(&policy(true, false), &Caller::default(), operation, Some(&Acl::default()));
        assert_eq!(denied.map_err(|denied| denied.because), Err(DeniedBecause::Anonymous), "{operation}");
    }
}

/// Every role that means something, against every operation: `x` may. Start and stop are of a request without ACL.
#[test]
fn roles_grant_what_the_table_says() {
    let columns = Operation::ALL;
    let table = [
        // requests:read, start, stop, read, metrics, variables, lrps, cluster, specs, admin
        ("admin", "x x x x x x x x x x"),
        ("operator", "x x x x x x x x . ."),
        ("reader", "x x x x x . . . . ."),
        ("read", "x x x x . . . . . ."),
        ("metrics", "x x x . x . . . . ."),
        ("variables:write", "x x x . . x . . . ."),
        ("lrps:write", "x x x . . . x . . ."),
        ("cluster:write", "x x x . . . . x . ."),
        ("specs:write", "x x x . . . . . x ."),
        // Roles that mean nothing outside of specs, among them names of operations that no role grants.
        ("requests:start", "x x x . . . . . . ."),
        ("auth:admin", "x x x . . . . . . ."),
        ("dba", "x x x . . . . . . ."),
    ];
    for (role, row) in table {
        let marks: Vec<&str> = row.split(' ').collect();
        assert_eq!(marks.len(), columns.len(), "{role}");
        for (operation, mark) in columns.into_iter().zip(marks) {
            let may = outcome(&policy(true, false), &[role], operation, Some(&Acl::default())).is_ok();
            assert_eq!(may, mark == "x", "{role} {operation}");
        }
    }
}

#[test]
fn a_denial_says_what_would_be_right() {
    let denied = |roles: &[&str], operation| {
        authorise(&policy(true, false), &caller(roles), operation, None).unwrap_err().to_string()
    };
    assert_eq!(
        denied(&["reader"], Operation::WriteLrps),
        "caller \"ann\" may not do this (lrps:write): it takes an admin role or one of operator, lrps:write"
    );
    assert_eq!(
        denied(&["operator"], Operation::Administer),
        "caller \"ann\" may not do this (auth:admin): it takes an admin role"
    );
}
